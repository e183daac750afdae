"""The programs that cargo built, for tests and for `make cloud`."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PROFILES = ("debug", "quick", "release")


def built(name: str) -> Path:
    """The program of this name that was built last, whatever the profile."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    found = [path for profile in PROFILES if (path := target / profile / name).exists()]
    if not found:
        raise FileNotFoundError(f"no {name} under {target}: build it with `cargo build --workspace --bins`")
    return max(found, key=lambda path: path.stat().st_mtime)


def stripped(name: str, folder: Path) -> Path:
    """A copy of a program without what only a debugger reads, which is half of it."""
    binary = folder / name
    subprocess.run(["strip", "-o", binary, built(name)], check=True)
    return binary


def functions_zip(folder: Path) -> Path:
    """The zip of the functions, as Lambda wants it; not compressed, for it is unpacked at once."""
    path = folder / "bootstrap.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(stripped("bootstrap", folder), "bootstrap")
    return path
