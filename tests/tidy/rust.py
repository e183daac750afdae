"""As much of Rust as the rules need: code without comments, strings and tests, modules, and the paths in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

Path = tuple[str, ...]

STRING = r'(?<!\w)b?r(?P<hashes>#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"'
# A lifetime has no quote behind it.
CHARACTER = r"b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'"
COMMENT = r"//[^\n]*|/\*.*?\*/"
NOT_CODE = re.compile(f"(?P<comment>{COMMENT})|{STRING}|{CHARACTER}", re.DOTALL)
TEST_ONLY = re.compile(r"#\[cfg\((?:test|all\(test\b[^\]]*)\)\]")


@dataclass(frozen=True)
class Use:
    """A path that code names."""
    path: Path
    line: int


def without_comments(text: str, *, and_strings: bool = False) -> str:
    """Comments blanked, and strings and characters too where wanted; every line stays where it is."""
    def blank(found: re.Match) -> str:
        return re.sub(r"[^\n]", " ", found[0]) if and_strings or found["comment"] else found[0]
    return NOT_CODE.sub(blank, text)


def code(text: str) -> str:
    """Without comments, strings and what is compiled for tests alone; every line stays where it is."""
    text = without_comments(text, and_strings=True)
    while found := TEST_ONLY.search(text):
        end = end_of_item(text, found.end())
        text = text[:found.start()] + re.sub(r"[^\n]", " ", text[found.start():end]) + text[end:]
    return text


def end_of_item(text: str, start: int) -> int:
    """Behind the `;` or the closing brace of the item that begins at or after `start`; of blanked text."""
    depth = 0
    for found in re.compile(r"[\[({})\];]").finditer(text, start):
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth -= 1
        if depth == 0 and found[0] in ";}":
            return found.end()
    return len(text)


def without_tests(files: dict[str, str]) -> dict[str, str]:
    """A crate's files without those that are compiled for tests alone: by their names, or by who declares them."""
    declared = re.compile(TEST_ONLY.pattern + r"\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod (\w+);")
    test_modules = {module(path) + (name,) for path, text in files.items() for name in declared.findall(text)}
    return {path: text for path, text in files.items()
            if not any(re.fullmatch(r"(\w+_)?tests?", part.removesuffix(".rs")) for part in path.split("/"))
            and not any(module(path)[:length] in test_modules for length in range(1, len(module(path)) + 1))}


def module(path: str) -> Path:
    """The path of a file's module in its crate; () for the root."""
    parts = PurePosixPath(path).with_suffix("").parts
    below = parts[parts.index("src") + 1:]
    return below[:-1] if below[-1] in ("mod", "lib", "main") else below


def uses(text: str) -> Iterator[Use]:
    """Every path that `code` names: those of `use` with their groups taken apart, and those elsewhere, in which generic
    arguments end the path. An inline module counts as the file it is in."""
    text = re.sub(r"\bpub\s*\(\s*in\s[^)]*\)", lambda found: " " * len(found[0]), text)
    for found in re.finditer(r"\buse\s+([^;]+);|(?<![\w:])\w+(?:\s*::\s*\w+)+", text):
        line = text.count("\n", 0, found.start()) + 1
        if found[1] is None:
            yield Use(tuple(re.split(r"\s*::\s*", found[0])), line)
        else:
            for path in flattened(found[1]):
                yield Use(path, line)


def flattened(tree: str) -> Iterator[Path]:
    """The paths of a use tree: `a::{b, c::{self, d as e}}` is a::b, a::c and a::c::d. A glob is the module itself."""
    tree = re.sub(r"\s+as\s+\w+", "", tree)
    tree = re.sub(r"\s+", "", tree).removeprefix("::")
    before, brace, group = tree.partition("{")
    prefix = tuple(part for part in before.split("::") if part not in ("", "*"))
    if not brace:
        yield prefix[:-1] if len(prefix) > 1 and prefix[-1] == "self" else prefix
        return
    for part in split_group(group.removesuffix("}")):
        for path in flattened(part):
            yield prefix if path == ("self",) else prefix + path


def split_group(group: str) -> Iterator[str]:
    """Parts of a group, at the commas outside inner groups."""
    depth, part = 0, ""
    for letter in group:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            yield part
            part = ""
        else:
            part += letter
    if part:
        yield part


def re_exports(text: str) -> Iterator[tuple[str, Path]]:
    """What `use` brings into a file's module, by the name it has there; others may name it by that."""
    for found in re.finditer(r"\buse\s+([^;]+);", text):
        renamed = dict(re.findall(r"(\w+)\s+as\s+(\w+)", found[1]))
        for path in flattened(found[1]):
            if path:
                yield renamed.get(path[-1], path[-1]), path
