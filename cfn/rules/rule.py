"""A rule: a function that takes a template and yields the nodes that break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .template import Finding, Template

Rule = Callable[[Template], Iterator[Finding]]
# Every rule by its name.
RULES: dict[str, Rule] = {}


class Violation(NamedTuple):
    """Where a template breaks a rule, and how to mend it."""

    rule: str
    file: str
    line: int
    path: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.path}: {self.remedy}"


def rule(check: Rule) -> Rule:
    """Enters a function among the rules, under its own name."""
    RULES[check.__name__] = check
    return check


def violations(template: Template) -> list[Violation]:
    """All that a template breaks, from its top to its bottom."""
    found = [Violation(name, template.file, node.line, "/".join(node.path), remedy)
             for name, check in RULES.items() for node, remedy in check(template)]
    return sorted(set(found), key=lambda one: (one.line, one.rule, one.path))
