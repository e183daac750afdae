#!/usr/bin/env python3
"""Writes the CodeDeploy revision: one zip with appspec.yml at its root. The same input gives the same bytes."""
import argparse
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from bundle_sbom import sbom

ROOT = Path(__file__).resolve().parent.parent
# The first instant a zip can say.
EPOCH = (1980, 1, 1, 0, 0, 0)
MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path, help="the daemon, built and stripped")
    parser.add_argument("zip", type=Path, help="where the revision goes")
    parser.add_argument("--level", type=int, choices=range(10), default=6, help="of compression; 1 is quick, to try things")
    arguments = parser.parse_args()
    write(arguments.zip, files(arguments.binary), arguments.level)
    digest = hashlib.sha256(arguments.zip.read_bytes()).hexdigest()
    print(f"{digest}  {arguments.zip}")


def files(binary: Path) -> dict[str, bytes]:
    """Everything in the revision by its name in it."""
    found = {
        "appspec.yml": ROOT / "codedeploy/appspec.yml",
        "bin/temp-ingest": binary,
        "systemd/temp-ingest.service": ROOT / "systemd/temp-ingest.service",
        "share/config.toml": ROOT / "codedeploy/config.toml",
        "share/every-key.toml": ROOT / "config/config.toml",
        "share/ip-allow-list.conf": ROOT / "systemd/ip-allow-list.conf",
        "share/LICENSE-APACHE": ROOT / "LICENSE-APACHE",
        "share/LICENSE-MIT": ROOT / "LICENSE-MIT",
    }
    found |= {f"hooks/{hook.name}": hook for hook in (ROOT / "codedeploy/hooks").glob("*.sh")}
    contents = {name: path.read_bytes() for name, path in found.items()}
    contents["requirements"] = f"{machine(binary)} {glibc(binary)}\n".encode()
    contents["share/sbom.cdx.json"] = (json.dumps(sbom(ROOT), indent=1, sort_keys=True) + "\n").encode()
    sums = (f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents))
    contents["SHA256SUMS"] = "".join(sums).encode()
    return contents


def machine(binary: Path) -> str:
    """The architecture the binary is for, as `uname -m` says it."""
    header = run("readelf", "--file-header", binary)
    named = re.search(r"Machine:\s+(.*)", header)
    if not named or named[1] not in MACHINES:
        sys.exit(f"{binary} is for {named and named[1]}, and no instance is: build it for x86-64 or arm64")
    return MACHINES[named[1]]


def glibc(binary: Path) -> str:
    """The oldest C library it starts with; refused where Amazon Linux 2023 has an older one."""
    return run(ROOT / "scripts/check_glibc.sh", binary).strip()


def run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout


def write(path: Path, contents: dict[str, bytes], level: int) -> None:
    """Sorted, without times and owners: what differs between two builds of the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            executable = name.startswith(("bin/", "hooks/"))
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(entry, contents[name], compresslevel=level)


if __name__ == "__main__":
    main()
