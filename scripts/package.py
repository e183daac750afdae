#!/usr/bin/env python3
"""Writes a package of what the CodeDeploy revision installs, with the manual and completions beside it: `make deb`, `make rpm`.

The same input gives the same bytes. Neither starts nor enables anything: what to put where is the operator's to say first.
"""
import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import bundle

ROOT = bundle.ROOT
UNIT = "usr/lib/systemd/system/temp-ingest.service"
CONFIG = "etc/temp-ingest/config.toml"
SUMMARY = "Sensor readings into Kinesis Data Streams, in order, losing nothing"
DESCRIPTION = """Takes readings of simulated sensors, files, HTTP and MQTT, packs them, and puts them into Kinesis
Data Streams in order. What the stream cannot take waits on disk. Without an account it scores
readings on this machine."""
# As each of them calls an architecture.
ARCHITECTURES = {"deb": {"x86_64": "amd64", "aarch64": "arm64"}, "rpm": {"x86_64": "x86_64", "aarch64": "aarch64"}}
ZSH = {"deb": "usr/share/zsh/vendor-completions/_temp-ingest", "rpm": "usr/share/zsh/site-functions/_temp-ingest"}
# The first instant a zip can say, as for the revision.
EPOCH = 315532800


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=ARCHITECTURES)
    parser.add_argument("binary", type=Path, help="the daemon, built and stripped")
    parser.add_argument("folder", type=Path, help="where the package goes")
    parser.add_argument("--level", type=int, choices=range(1, 10), default=9, help="of compression; 1 is quick, to try things")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    version = run(arguments.binary.resolve(), "--version").split()[1]
    architecture = ARCHITECTURES[arguments.kind][bundle.machine(arguments.binary)]
    with tempfile.TemporaryDirectory(prefix="temp-ingest-package-") as folder:
        tree = Path(folder) / "tree"
        stage(tree, arguments.binary.resolve(), arguments.kind)
        build = {"deb": deb, "rpm": rpm}[arguments.kind]
        print(build(tree, Path(folder), arguments.folder.resolve(), version, architecture, arguments.level))


def stage(tree: Path, binary: Path, kind: str) -> None:
    """Lays everything out below `tree` as it will lie below the root."""
    contents = bundle.files(binary)
    for entry in yaml.safe_load(contents["appspec.yml"])["files"]:
        for name, content in contents.items():
            if name == entry["source"] or name.startswith(f"{entry['source']}/"):
                put(tree / entry["destination"].lstrip("/") / Path(name).name, content)
    (tree / "opt/temp-ingest/bin/temp-ingest").chmod(0o755)
    put(tree / CONFIG, contents["share/config.toml"])
    (tree / "etc/temp-ingest/credentials").mkdir(mode=0o700)
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/temp-ingest").symlink_to("../../opt/temp-ingest/bin/temp-ingest")
    with tempfile.TemporaryDirectory() as pages:
        run(binary, "man", "--dir", pages)
        for page in Path(pages).iterdir():
            put(tree / f"usr/share/man/man1/{page.name}.gz", gzip.compress(page.read_bytes(), mtime=0))
    shells = {"bash": "usr/share/bash-completion/completions/temp-ingest", "zsh": ZSH[kind],
              "fish": "usr/share/fish/vendor_completions.d/temp-ingest.fish"}
    for shell, path in shells.items():
        put(tree / path, run(binary, "completions", shell).encode())
    if kind == "deb":
        notice = (ROOT / "LICENSE-MIT").read_bytes()
        put(tree / "usr/share/doc/temp-ingest/copyright", b"License: MIT or Apache-2.0 (/usr/share/common-licenses/Apache-2.0)\n\n" + notice)


def deb(tree: Path, _: Path, folder: Path, version: str, architecture: str, level: int) -> Path:
    """By dpkg-deb, which Debian's own tools build packages with."""
    control = tree / "DEBIAN"
    size = sum(file.lstat().st_size for file in tree.rglob("*") if file.is_file()) // 1024
    description = "\n".join(f" {line}" for line in DESCRIPTION.splitlines())
    put(control / "control", f"""Package: temp-ingest
Version: {version}
Section: net
Priority: optional
Architecture: {architecture}
Maintainer: the maintainers of temp-ingest
Installed-Size: {size}
Depends: libc6 (>= {bundle.glibc(tree / 'opt/temp-ingest/bin/temp-ingest')}), libgcc-s1
Description: {SUMMARY}
{description}
""".encode())
    put(control / "conffiles", f"/{CONFIG}\n".encode())
    for when, step in (("postinst", "installed"), ("prerm", "leaves"), ("postrm", "left")):
        script = (ROOT / "packages/deb" / f"{step}.sh").read_bytes()
        put(control / when, script)
        (control / when).chmod(0o755)
    set_times(tree)
    path = folder / f"temp-ingest_{version}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zgzip", f"-z{level}", "--build", tree, path)
    return path


def rpm(tree: Path, work: Path, folder: Path, version: str, architecture: str, level: int) -> Path:
    """By rpmbuild; what has to be there is found by it in the program."""
    scripts = {section: (ROOT / "packages/rpm" / f"{name}.sh").read_text()
               for section, name in (("post", "installed"), ("preun", "leaves"), ("postun", "left"))}
    links_and_files = sorted(f"/{path.relative_to(tree)}" for path in tree.rglob("*") if path.is_symlink() or path.is_file())
    listed = [f"%config(noreplace) {path}" if path == f"/{CONFIG}" else path for path in links_and_files]
    listed += ["%dir /opt/temp-ingest", "%dir /opt/temp-ingest/bin", "%dir /opt/temp-ingest/share", "%dir /etc/temp-ingest",
               "%dir %attr(0700, root, root) /etc/temp-ingest/credentials"]
    spec = work / "temp-ingest.spec"
    spec.write_text(f"""Name: temp-ingest
Version: {version}
Release: 1
Summary: {SUMMARY}
License: MIT OR Apache-2.0
%description
{DESCRIPTION}
%install
cp --archive {tree}/. %{{buildroot}}
%files
%defattr(-, root, root)
{chr(10).join(listed)}
""" + "".join(f"%{section}\n{script}" for section, script in scripts.items()))
    set_times(tree)
    defined = {
        "_topdir": work / "rpm", "_rpmdir": folder, "_rpmfilename": "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
        # The binary is stripped already, and what Debian's rpmbuild would do to manual pages is done.
        "debug_package": "%{nil}", "__os_install_post": "%{nil}", "_build_id_links": "none",
        # Amazon Linux 2023 reads it.
        "_binary_payload": f"w{level}.gzdio",
        "_buildhost": "build", "use_source_date_epoch_as_buildtime": "1", "clamp_mtime_to_source_date_epoch": "1",
    }
    options = [word for name, value in defined.items() for word in ("--define", f"{name} {value}")]
    run("rpmbuild", "-bb", "--quiet", "--target", architecture, *options, spec)
    return folder / f"temp-ingest-{version}-1.{architecture}.rpm"


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o644)


def set_times(tree: Path) -> None:
    """Two builds of the same differ in no time; directories are for all to enter, but for the one of secrets."""
    for path in [tree, *tree.rglob("*")]:
        if path.is_dir() and path.name != "credentials":
            path.chmod(0o755)
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def run(*command: str | Path) -> str:
    if not shutil.which(str(command[0])):
        sys.exit(f"package.py: {command[0]} is missing: make tools")
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)})
    if done.returncode != 0:
        sys.exit(f"package.py: {' '.join(words)} ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
