"""Filter patterns of event source mappings: invocation-eventfiltering, "Filter rule syntax".

Only what templates here may use; a rule that is not known is an error, never a match.
"""

from __future__ import annotations


def matches(pattern: dict, value) -> bool:
    """True where every field of the pattern matches. "All of the fields specified in the pattern must match"."""
    if not isinstance(value, dict):
        value = {}
    for name, rule in pattern.items():
        if isinstance(rule, dict):
            if not matches(rule, value.get(name)):
                return False
        elif not any(_accepts(one, name in value, value.get(name)) for one in rule):
            return False
    return True


def _accepts(rule, present: bool, value) -> bool:
    match rule:
        case {"exists": wanted}:
            # "The Exists rule works only on leaf nodes": an attribute of a table is {"B": ...}, so it names the B.
            return wanted == (present and not isinstance(value, dict))
        case {"prefix": prefix}:
            return isinstance(value, str) and value.startswith(prefix)
        case {"anything-but": unwanted}:
            return present and value not in unwanted
        case dict():
            raise ValueError(f"the model of the mapping does not know the filter rule {rule}: add it to filters.py")
        case _:
            return present and value == rule
