"""The packages: what is in them, and what installing, upgrading and removing them does to a machine with a real systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from programs import REPOSITORY, stripped

from . import machine
from .instance import CONFIG, SERVICE, Instance
from .revision import bundle

SCRIPT = REPOSITORY / "scripts/package.py"
PROGRAM = "/opt/temp-ingest/bin/temp-ingest"
UNIT = "/usr/lib/systemd/system/temp-ingest.service"
HERE = {
    CONFIG, PROGRAM, UNIT, "/usr/bin/temp-ingest", "/opt/temp-ingest/share/every-key.toml", "/opt/temp-ingest/share/sbom.cdx.json",
    "/usr/share/man/man1/temp-ingest.1.gz", "/usr/share/man/man1/temp-ingest-incidents-mute.1.gz",
    "/usr/share/bash-completion/completions/temp-ingest", "/usr/share/fish/vendor_completions.d/temp-ingest.fish",
}


def setUpModule() -> None:
    global BINARY, BUILT
    folder = Path(unittest.enterModuleContext(tempfile.TemporaryDirectory()))
    BINARY = stripped("temp-ingest", folder)
    BUILT = {kind: package(kind, BINARY, folder) for kind in ("deb", "rpm")}


def package(kind: str, binary: Path, folder: Path) -> Path:
    done = subprocess.run([sys.executable, SCRIPT, kind, binary, folder, "--level", "1"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise AssertionError(f"package.py {kind} ended with {done.returncode}")
    return Path(done.stdout.strip())


def said(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


class Packages(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.deb, self.rpm = BUILT["deb"], BUILT["rpm"]

    def test_the_same_input_gives_the_same_bytes(self):
        for kind, first in BUILT.items():
            again = package(kind, BINARY, self.folder / "again")
            self.assertEqual(first.name, again.name)
            self.assertTrue(first.read_bytes() == again.read_bytes(), f"two builds of {first.name} differ")

    def test_both_hold_the_same_files(self):
        rpm = set(said("rpm", "--query", "--package", "--list", self.rpm).split())
        deb = {f"/{line.split()[5].removeprefix('./').rstrip('/')}" for line in said("dpkg-deb", "--contents", self.deb).splitlines()}
        for name, files in (("rpm", rpm), ("deb", deb)):
            self.assertEqual(HERE - files, set(), name)
        # Each system has its own place for zsh, and Debian wants a notice of its own.
        files = {path for path in deb if not path.startswith(("/usr/share/zsh", "/usr/share/doc"))}
        listed = {path for path in rpm if not path.startswith("/usr/share/zsh")}
        directories = {str(parent) for path in files for parent in Path(path).parents} | {"/etc/temp-ingest/credentials"}
        self.assertEqual(files - directories, listed - directories)

    def test_what_they_ask_for_and_keep(self):
        needs = said("rpm", "--query", "--package", "--requires", self.rpm)
        self.assertIn("libc.so.6(GLIBC_2.", needs)
        self.assertEqual(said("rpm", "--query", "--package", "--configfiles", self.rpm).strip(), CONFIG)
        self.assertRegex(said("dpkg-deb", "--field", self.deb, "Depends"), r"libc6 \(>= 2\.\d+\)")
        modes = said("rpm", "--query", "--package", "--queryformat", "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]", self.rpm)
        self.assertIn("drwx------ root /etc/temp-ingest/credentials\n", modes)
        self.assertIn("-rwxr-xr-x root /opt/temp-ingest/bin/temp-ingest\n", modes)
        contents = said("dpkg-deb", "--contents", self.deb)
        self.assertRegex(contents, r"drwx------ root/root .* \./etc/temp-ingest/credentials/\n")
        self.assertIn(" ./usr/bin/temp-ingest -> ../../opt/temp-ingest/bin/temp-ingest\n", contents)

    def test_they_install_what_the_revision_installs(self):
        revision = bundle(BINARY, self.folder / "revision.zip")
        tree = self.folder / "tree"
        subprocess.run(["dpkg-deb", "--extract", self.deb, tree], check=True)
        shutil.unpack_archive(revision, self.folder / "unpacked")
        for name in ("bin/temp-ingest", "share/every-key.toml", "share/LICENSE-MIT"):
            self.assertEqual((self.folder / "unpacked" / name).read_bytes(), (tree / "opt/temp-ingest" / name).read_bytes(), name)

    def test_the_manual_and_completions_can_be_read(self):
        tree = self.folder / "read"
        subprocess.run(["dpkg-deb", "--extract", self.deb, tree], check=True)
        page = said("gzip", "--decompress", "--stdout", tree / "usr/share/man/man1/temp-ingest.1.gz")
        for heading in (".TH temp-ingest 1", ".SH SYNOPSIS", ".SH SUBCOMMANDS", ".SH FILES", ".SH SIGNALS"):
            self.assertIn(heading, page)
        completions = tree / "usr/share/bash-completion/completions/temp-ingest"
        script = f'. {completions}; COMP_WORDS=(temp-ingest inci); COMP_CWORD=1; _temp__ingest temp-ingest inci temp-ingest; echo "${{COMPREPLY[@]}}"'
        self.assertEqual(said("bash", "-c", script).strip(), "incidents")


class Installed(unittest.TestCase):
    """On a machine each, by the system's own tools."""

    @classmethod
    def setUpClass(cls):
        why = machine.missing()
        if why:
            if os.environ.get("CI") == "true":
                raise RuntimeError(f"packages were not installed: {why}")
            print(f"\nNOT RUN: packages under a real systemd (tests/instance): {why}", file=sys.stderr)
            raise unittest.SkipTest(why)

    def lives(self, kind: str, install: list[str], upgrade: list[str], remove: list[str]) -> None:
        built = BUILT[kind]
        with Instance() as instance:
            own = (instance.root / CONFIG.lstrip("/")).read_text()
            (instance.root / CONFIG.lstrip("/")).unlink()
            shutil.copy(built, instance.root / "root" / built.name)
            printed = instance.run(*install, f"/root/{built.name}").stdout
            self.assertIn("installed and not started", printed)
            self.assertNotEqual(instance.active(), "active")
            self.assertRegex(instance.run("temp-ingest", "--version").stdout, r"^temp-ingest \d")
            instance.write(CONFIG, own)
            instance.run("systemctl", "enable", "--now", SERVICE)
            before = instance.main()
            instance.run(*upgrade, f"/root/{built.name}")
            self.assertEqual(instance.active(), "active")
            self.assertNotIn(instance.main(), (0, before), "the new program runs")
            self.assertEqual((instance.root / CONFIG.lstrip("/")).read_text(), own, "what the operator wrote stays")
            instance.run(*remove)
            self.assertNotEqual(instance.active(), "active")
            self.assertFalse((instance.root / PROGRAM.lstrip("/")).exists())
            self.assertTrue((instance.root / "var/lib/private/temp-ingest").is_dir(), "state is the operator's")

    def test_the_deb(self):
        self.lives("deb", ["dpkg", "--install", "--force-confold"], ["dpkg", "--install", "--force-confold"], ["dpkg", "--remove", "temp-ingest"])

    def test_the_rpm(self):
        # This machine's libraries are Debian's, which rpm does not know of.
        self.lives("rpm", ["rpm", "--install", "--nodeps"], ["rpm", "--upgrade", "--nodeps", "--replacepkgs"], ["rpm", "--erase", "temp-ingest"])


if __name__ == "__main__":
    unittest.main()
