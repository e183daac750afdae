"""Lengths of files, words that were replaced, and words that belong to no file of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import Problem, rust

LONGEST = 400
# A listed length that is this much too high is lowered, so that the list only shrinks.
SLACK = 20


def long_files(files: dict[str, str], listed: dict[str, int]) -> Iterator[str]:
    """Files that are too long and not listed, and lines of the list that say more than is so."""
    lengths = {path: len(text.splitlines()) for path, text in files.items()}
    for path, length in sorted(lengths.items()):
        allowed = listed.get(path, LONGEST)
        if length > allowed:
            yield f"{path} has {length} lines, and may have {allowed}: look for the second noun in it"
    for path, allowed in sorted(listed.items()):
        length = lengths.get(path, 0)
        if length <= LONGEST:
            yield f"{path} has {length} lines: remove it from LONG_FILES"
        elif length < allowed - SLACK:
            yield f"{path} has {length} lines: write that into LONG_FILES instead of {allowed}"


@dataclass(frozen=True)
class Old:
    """A word that was replaced.

    `board` is a part of any identifier and the name of a module, `Board` a part of a type's name; `fn board`, `type Board` and
    `mod board` are declarations. `text` says that it is looked for as it stands, in comments, strings and documents too.
    """
    word: str
    new: str
    under: str = ""
    text: bool = False


DECLARED = {"fn": r"\b(?:fn|def)\s+{}\b", "type": r"\b(?:enum|struct|trait|type|class)\s+{}\b"}
# Names of the standard library, which are not ours to choose.
GIVEN = {"PoisonError"}


class Words:
    """What a file names: without comments and strings, and of TOML and YAML, whose values are prose, the keys alone."""

    def __init__(self, path: str, text: str):
        self.path, self.text = path, text
        self.modules = set(path.rsplit(".", 1)[0].split("/")) if path.endswith(".rs") else set()
        if path.endswith(".rs"):
            self.code = rust.without_comments(text, and_strings=True)
        elif path.endswith(".py"):
            self.code = re.sub(r'""".*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*', "", text, flags=re.DOTALL)
        elif path.endswith((".toml", ".yaml", ".yml")):
            self.code = "\n".join(re.findall(r"^\s*(?:- )?([\w-]+)\s*[:=]", text, re.MULTILINE))
        else:
            self.code = ""
        identifiers = set(re.findall(r"[A-Za-z_]\w*", self.code)) - GIVEN
        self.parts = {part.lower() for one in identifiers for part in parts(one)}
        # Not of constants: one in capitals says nothing of types.
        self.type_parts = {part for one in identifiers if re.match(r"[A-Z]\w*[a-z]", one) for part in parts(one)}

    def use(self, old: Old) -> bool:
        """True where an old word is among them."""
        if not self.path.startswith(old.under):
            return False
        if old.text:
            # As the first word of a sentence too.
            first, rest = re.escape(old.word[0]), re.escape(old.word[1:])
            return bool(re.search(rf"(?<![A-Za-z])(?i:{first}){rest}(?![A-Za-z])", self.text))
        kind, _, word = old.word.rpartition(" ")
        if kind == "mod":
            return word in self.modules
        if kind:
            return bool(re.search(DECLARED[kind].format(word), self.code))
        return word in (self.type_parts if word[0].isupper() else self.parts | self.modules)


def parts(identifier: str) -> list[str]:
    """Words of an identifier: snake_case, CamelCase and kebab-case."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)


def old_words(files: dict[str, str], vocabulary: tuple[Old, ...]) -> Iterator[Problem]:
    """Each old word that is still used, with the files that do."""
    words = [Words(path, text) for path, text in files.items()]
    for old in vocabulary:
        found = [one.path for one in words if one.use(old)]
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            where = f" under {old.under}" if old.under else ""
            yield old.word + where, f"{old.word!r}{where} is {old.new} now: {', '.join(found[:3])}{more}"


# Written so that this file does not hold them itself.
FOREIGN = re.compile("|".join((
    r"/wor[k]/\w+", r"(?<![\w./])\.\./share[d]\b", r"/home/[a-z]\w+/", r"/Users/[A-Za-z]\w+/", r"\bDESIG[N]\.md\b",
    r"\bSTYL[E]\.md\b", r"(?i:\bsub-?agen[t]s?\b|\bas instructe[d]\b|\bthe brie[f] (?:says|asks)\b)")))

# What a file may say all the same: where the benchmarks look for their data by default.
ALLOWED = {"Makefile": "../share" + "d"}


def foreign_words(files: dict[str, str], allowed: dict[str, str]) -> Iterator[str]:
    """What tells of the machine or the way a file was written; `allowed` has what a file may say all the same."""
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            for found in FOREIGN.finditer(line):
                if found[0] != allowed.get(path):
                    yield f"{path}:{number}: {found[0]}: true of one machine or one person only"
