"""What the documents promise is there, and what is there is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import Problem, rust

# The parts of the repository whose structs that refuse unknown keys are tables of the configuration.
CONFIGURED = ("src/", "crates/values/src/", "crates/delivery/src/", "crates/spool/src/", "crates/detect/src/")


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def untested_invariants(architecture: str, files: dict[str, str]) -> Iterator[Problem]:
    """Invariants that do not end with a test, as in (`tests/it/kills.rs: a_hundred_kills_lose_nothing`), which exists."""
    items = re.findall(r"^- (.*?)(?=^- |^\S|^$|\Z)", section(architecture, "Invariants"), re.MULTILINE | re.DOTALL)
    if not items:
        yield "none", "ARCHITECTURE.md has no list under ## Invariants"
    for item in items:
        text = " ".join(item.split())
        ending = re.search(r"\(([^()]*)\)\.?$", text)
        tests = re.findall(r"`([\w./-]+): *(\w+)`", ending[1]) if ending else []
        if not tests:
            yield "no test", f"the invariant {text[:60]!r} does not end with (`path/of/file: name_of_its_test`)"
        for path, name in tests:
            if not re.search(rf"\b(?:fn|def) {name}\b", files.get(path, "")):
                yield name, f"the invariant {text[:60]!r} names a test that is not there: {path}: {name}"


def rows(text: str, header: str) -> Iterator[str]:
    """The first cells of the tables whose first column has this header."""
    inside = False
    previous = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if not cells:
            inside = False
        elif inside:
            yield cells[0]
        elif set(cells[0]) <= {"-", ":"} and previous.lower() == header:
            inside = True
        previous = cells[0] if cells else ""


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def settings_keys(text: str) -> set[str]:
    """The fields of the structs that refuse unknown keys: what a configuration may name."""
    text = rust.without_comments(text)
    found = set()
    for declared in re.finditer(r"#\[serde\([^\]]*\bdeny_unknown_fields\b[^\]]*\)\]\s*(?:#\[.*?\]\s*)*"
                                r"(?:pub(?:\([^)]*\))?\s+)?struct\s+\w+(?:<[^>]*>)?\s*\{(.*?)^\}", text,
                                re.DOTALL | re.MULTILINE):
        for attributes, name in re.findall(r"((?:^\s*#\[.*\]\s*\n)*)^\s*(?:pub(?:\([^)]*\))?\s+)?(?:r#)?([a-z]\w*)\s*:(?!:)",
                                           declared[1], re.MULTILINE):
            renamed = re.search(r'\brename\s*=\s*"([^"]+)"', attributes)
            if not re.search(r"\b(?:skip|flatten)\b", attributes):
                found.add(renamed[1] if renamed else name)
    return found


def example_keys(text: str) -> set[str]:
    """The keys of a commented TOML file, those that are commented out too."""
    lines = [re.sub(r"^# ?", "", line) for line in text.splitlines()]
    keys = {found[1] for line in lines if (found := re.match(r"(\w+) = ", line))}
    # Under [source.NAME] and [detect.rates.NAME] the last part is a name of the operator's own.
    headers = [found[1].split(".") for line in lines if (found := re.match(r"\[(\w+(?:\.\w+)*)\]", line))]
    return keys | {part for header in headers for part in (header if len(header) == 1 else header[:-1])}


def reference_keys(text: str) -> set[str]:
    """The keys of the configuration reference: first cells of tables of keys, and tables by their headings."""
    keys = {key.split(".")[-1] for cell in rows(text, "key") for key in quoted(cell)}
    for heading in re.findall(r"^#+ .*?`\[([\w.]+)\]`", text, re.MULTILINE):
        keys.update(part for part in heading.split(".") if part != "NAME")
    return keys


def different(what: str, there: set[str], documented: set[str], page: str) -> Iterator[Problem]:
    for name in sorted(there - documented):
        yield name, f"{page} does not have the {what} {name}"
    for name in sorted(documented - there):
        yield name, f"{page} has the {what} {name}, which does not exist"


def unknown_metrics(documents: dict[str, str], known: set[str]) -> Iterator[Problem]:
    """Metrics that documents mention and the daemon does not have."""
    for path, text in documents.items():
        for name in sorted(set(re.findall(r"\btemp_ingest_\w*[a-z]\b(?!\*)", text))):
            if re.sub(r"_(?:bucket|sum|count)$", "", name) not in known and name not in known:
                yield name, f"{path} names the metric {name}, which the daemon does not have"


def kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def commands(text: str) -> dict[str, set[str]]:
    """The variants of each enum of clap's subcommands, as they are typed."""
    text = rust.without_comments(text)
    found = {}
    for declared in re.finditer(r"#\[derive\([^)]*\bSubcommand\b[^)]*\)\]\s*(?:#\[.*?\]\s*)*(?:pub(?:\([^)]*\))?\s+)?"
                                r"enum\s+(\w+)\s*\{(.*?)^\}", text, re.DOTALL | re.MULTILINE):
        # Variants stand one step in; their fields further.
        found[declared[1]] = {kebab(name) for name in re.findall(r"^    ([A-Z]\w*)", declared[2], re.MULTILINE)}
    return found


def undocumented_commands(found: dict[str, set[str]], documents: dict[str, str]) -> Iterator[Problem]:
    """Commands without a row in the table of commands, rows without a command, and calls of what is no command."""
    spans = [span for text in documents.values() for cell in rows(text, "command") for span in quoted(cell)]
    spans = [span.removeprefix("temp-ingest ") for span in spans]
    words = {word for span in spans for word in re.findall(r"[a-z][a-z-]+", span)}
    top = found.get("Command", set())
    yield from different("command", top, {span.split()[0] for span in spans}, "the table of commands")
    for name in sorted(set().union(*found.values()) - top - words):
        yield name, f"the table of commands does not have {name}"
    for path, text in documents.items():
        fenced = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
        calls = re.findall(r"`([^`\n]+)`", text) + [line for block in fenced for line in block.splitlines()]
        called = {found[1] for call in calls if (found := re.match(r"(?:\S*/)?temp-ingest ([a-z]+(?:-[a-z]+)*)\b", call))}
        for name in sorted(called):
            if name not in top | {"help"}:
                yield name, f"{path} calls temp-ingest {name}, which is no command"


def exit_codes(files: dict[str, str]) -> set[int]:
    """The codes that code can end with."""
    found = set()
    for text in files.values():
        code = rust.code(text)
        found |= {number for name, number in (("SUCCESS", 0), ("FAILURE", 1)) if re.search(rf"\bExitCode::{name}\b", code)}
        for value in re.findall(r"\b(?:ExitCode::from|process::exit)\((\w+)\)", code):
            constant = re.search(rf"\bconst {value}: \w+ = (\d+)", code)
            if value.isdigit() or constant:
                found.add(int(value if value.isdigit() else constant[1]))
    return found


def documented_exit_codes(text: str) -> set[int] | None:
    """Those that a text lists: in a sentence, or in a table of codes; None where it lists none."""
    sentence = re.search(r"\bExit codes: ([^.]*)", text)
    if sentence:
        return {int(number) for number in re.findall(r"\b\d{1,3}\b", sentence[1])}
    cells = [cell.strip("`") for header in ("exit code", "code") for cell in rows(text, header)]
    return {int(cell) for cell in cells if cell.isdigit() and int(cell) < 256} or None
