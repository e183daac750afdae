"""The files that the rules are about."""

from __future__ import annotations

import functools
import subprocess
import tomllib
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).resolve().parents[2]


@functools.cache
def texts() -> dict[str, str]:
    """Every text file that is tracked or could be, by its path: a new file counts before it is added."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY,
                            capture_output=True, check=True).stdout.decode().split("\0")
    found = {}
    for path in sorted(set(listed)):
        file = REPOSITORY / path
        # A file that was removed stays in the index until that is committed.
        if path and file.is_file() and not file.is_symlink() and b"\0" not in (content := file.read_bytes()):
            found[path] = content.decode(errors="replace")
    return found


def select(files: dict[str, str], *patterns: str) -> dict[str, str]:
    """Those whose path matches one of the patterns, from the right: `*.rs`, `docs/*.md`."""
    return {path: text for path, text in files.items() if any(PurePosixPath(path).match(one) for one in patterns)}


def documents(files: dict[str, str]) -> dict[str, str]:
    """What people read: the pages at the top and in docs/, without the history of changes, which may name what is gone."""
    return {path: text for path, text in select(files, "*.md").items()
            if (path.count("/") == 0 or path.startswith("docs/")) and path != "CHANGELOG.md"}


def crates(files: dict[str, str]) -> list[str]:
    """The folder of each crate of the workspace, `.` for the daemon; fuzz/ is a workspace of its own."""
    members = tomllib.loads(files["Cargo.toml"])["workspace"]["members"]
    return [".", *sorted(str(PurePosixPath(path).parent) for path in files
                         if path.endswith("/Cargo.toml") and any(PurePosixPath(path).parent.match(one) for one in members))]


def sources(files: dict[str, str], crate: str) -> dict[str, str]:
    """The files under a crate's src/, by their paths in the repository."""
    start = "src/" if crate == "." else f"{crate}/src/"
    return {path: text for path, text in files.items() if path.startswith(start) and path.endswith(".rs")}
