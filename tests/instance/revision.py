"""Revisions to deploy: the bundle of this tree around a debug binary, and changed ones."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from programs import REPOSITORY


def bundle(binary: Path, path: Path) -> Path:
    """What `make bundle` makes of a binary, packed quickly."""
    script = REPOSITORY / "scripts/bundle.py"
    subprocess.run([sys.executable, script, binary, path, "--level", "1"], check=True, stdout=subprocess.DEVNULL)
    return path


def changed(revision: Path, name: str, changes: dict[str, bytes | None], sums: bool = True) -> Path:
    """A revision with other files, and with the sums of them where it is meant well; `None` leaves one out."""
    with zipfile.ZipFile(revision) as old:
        contents: dict[str, bytes | None] = {file: old.read(file) for file in old.namelist()} | changes
    if sums:
        lines = (f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in contents.items()
                 if content is not None and file != "SHA256SUMS")
        contents["SHA256SUMS"] = "".join(lines).encode()
    path = revision.with_name(f"{name}.zip")
    with zipfile.ZipFile(path, "w") as new:
        for file, content in contents.items():
            if content is not None:
                entry = zipfile.ZipInfo(file)
                entry.external_attr = 0o100755 << 16
                new.writestr(entry, content)
    return path
