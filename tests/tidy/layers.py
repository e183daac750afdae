"""Crates are the walls: which depends on which, and what a pure one may not touch."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from . import rust

# No I/O, clock or thread: time and randomness are passed in.
PURE = ("crates/values", "crates/wire", "crates/delivery", "crates/detect", "crates/simulate")
IMPURE_PATHS = (("std", "fs"), ("std", "net"), ("std", "thread"), ("std", "env"), ("tokio",))
IMPURE_CALLS = re.compile(r"\b(?:SystemTime|Instant|Timestamp|Zoned)::now\b")
IMPURE_CRATES = re.compile(r"tokio|aws[-_]")

# What each crate may depend on of ours, tests aside.
MAY_USE = {
    "crates/values": set(),
    "crates/wire": {"values"},
    "crates/delivery": {"values", "wire"},
    "crates/spool": {"values", "wire", "delivery"},
    "crates/detect": {"values", "wire"},
    "crates/processor": {"values", "wire", "detect"},
    "crates/simulate": {"values", "wire"},
    "crates/kinesis-fake": set(),
    "lambda": {"values", "wire", "detect", "processor"},
    # The stand-in for Kinesis is for tests only.
    ".": {"values", "wire", "delivery", "spool", "detect", "processor", "simulate"},
}


def impurities(files: dict[str, str]) -> Iterator[str]:
    """Where the code of a pure crate reaches the world outside."""
    for path, text in rust.without_tests(files).items():
        code = rust.code(text)
        for use in rust.uses(code):
            if IMPURE_CRATES.match(use.path[0]) or any(use.path[:len(one)] == one for one in IMPURE_PATHS):
                yield f"{path}:{use.line}: {'::'.join(use.path)} in a crate that does no I/O"
        for found in IMPURE_CALLS.finditer(code):
            yield f"{path}:{code.count(chr(10), 0, found.start()) + 1}: {found[0]} in a crate that is told the time"


def dependencies(manifest: str) -> set[str]:
    """Names under [dependencies] and [build-dependencies], also of a single target."""
    read = tomllib.loads(manifest)
    return {name for table in (read, *read.get("target", {}).values()) for kind in ("dependencies", "build-dependencies")
            for name in table.get(kind, {})}


def wrong_dependencies(crate: str, manifest: str, ours: set[str]) -> Iterator[str]:
    """What a crate's manifest depends on and may not; `ours` are the names of our crates."""
    named = dependencies(manifest)
    if crate not in MAY_USE:
        yield f"{crate}: no line in MAY_USE says what it may depend on"
        return
    for name in sorted(named & ours - MAY_USE[crate]):
        yield f"{crate} may not depend on {name}"
    if crate in PURE:
        for name in sorted(filter(IMPURE_CRATES.match, named)):
            yield f"{crate} does no I/O, and may not depend on {name}"


def own_crates(workspace: str) -> set[str]:
    """The names by which manifests call our crates."""
    named = tomllib.loads(workspace)["workspace"]["dependencies"]
    return {name for name, value in named.items() if isinstance(value, dict) and "path" in value}
