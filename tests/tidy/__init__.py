"""The rules of the house, as functions from the text of files to what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable

# What is wrong, for a list of exceptions and for a person.
Problem = tuple[str, str]


def unexcused(problems: Iterable[Problem], excused: set[str], listed_in: str) -> list[str]:
    """The problems that are not excused, and the excuses that nothing needs any longer: a list can only shrink."""
    found = list(problems)
    needless = excused - {name for name, _ in found}
    return [text for name, text in found if name not in excused] + \
        [f"{name!r} is right by now: remove it from {listed_in}" for name in sorted(needless)]
