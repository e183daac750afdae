"""The unit, the appspec and the bundle, as files: what no machine is needed for."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import unittest
import zipfile
from pathlib import Path

import yaml

from programs import REPOSITORY, stripped

from .revision import bundle

UNIT = REPOSITORY / "systemd/temp-ingest.service"
DROP_IN = REPOSITORY / "systemd/ip-allow-list.conf"
# What the agent knows; anything else it passes over in silence.
KEYS = {"version", "os", "file_exists_behavior", "files", "permissions", "hooks"}
EVENTS = {"ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"}
PERMISSION = {"object", "pattern", "except", "owner", "group", "mode", "acls", "context", "type"}
# systemd-analyze's exposure: 11 is 1.1.
EXPOSURE = 11


def problems(appspec: dict, names: set[str]) -> list[str]:
    """What is wrong with an appspec for a revision of these files."""
    found = [f"unknown key {key}" for key in appspec.keys() - KEYS]
    found += [f"no {key}" for key in KEYS - appspec.keys()]
    if (appspec.get("version"), appspec.get("os")) != (0.0, "linux"):
        found.append("version is not 0.0 or os is not linux")
    if appspec.get("file_exists_behavior") != "OVERWRITE":
        found.append("file_exists_behavior is not OVERWRITE")
    for entry in appspec.get("files", []):
        found += [f"unknown key {key} of a file" for key in entry.keys() - {"source", "destination"}]
        source = str(entry.get("source"))
        if not any(name == source or name.startswith(f"{source}/") for name in names):
            found.append(f"no {source} in the revision")
    for entry in appspec.get("permissions", []):
        found += [f"unknown key {key} of permissions" for key in entry.keys() - PERMISSION]
    hooks = appspec.get("hooks") or {}
    found += [f"unknown event {event}" for event in hooks.keys() - EVENTS]
    found += [f"no hook for {event}" for event in EVENTS - hooks.keys()]
    for event, scripts in hooks.items():
        for script in scripts:
            found += [f"unknown key {key} of {event}" for key in script.keys() - {"location", "timeout", "runas"}]
            if script.get("location") not in names:
                found.append(f"no {script.get('location')} in the revision")
            if not 0 < script.get("timeout", 3600) <= 60:
                found.append(f"{event} may take {script.get('timeout', 'an hour')}")
            if script.get("runas") != "root":
                found.append(f"{event} does not run as root")
    return found


class Unit(unittest.TestCase):
    def analyze(self, *arguments: object, unit: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / UNIT.name
            file.write_text(unit)
            return subprocess.run(["systemd-analyze", *map(str, arguments), file], text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)

    def exposure(self, unit: str) -> subprocess.CompletedProcess[str]:
        return self.analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit=unit)

    def test_it_is_hardened(self):
        unit = UNIT.read_text()
        analyzed = self.exposure(unit)
        self.assertEqual(analyzed.returncode, 0, analyzed.stdout)
        softer = self.exposure(unit.replace("NoNewPrivileges=yes", "NoNewPrivileges=no").replace("PrivateUsers=yes\n", ""))
        self.assertNotEqual(softer.returncode, 0, softer.stdout)

    def test_with_the_allow_list_it_is_more_so(self):
        both = UNIT.read_text().replace("[Install]", f"{DROP_IN.read_text()}\n[Install]")
        analyzed = self.analyze("security", "--offline=true", "--threshold=10", unit=both)
        self.assertEqual(analyzed.returncode, 0, analyzed.stdout)

    def test_systemd_finds_nothing_wrong_with_it(self):
        # The program is not installed here; any other will do.
        unit = UNIT.read_text().replace("ExecStart=/opt/temp-ingest/bin/temp-ingest", "ExecStart=/bin/true")
        verified = self.analyze("verify", unit=unit)
        self.assertEqual((verified.returncode, verified.stdout), (0, ""))
        misspelt = self.analyze("verify", unit=unit.replace("WatchdogSec=", "WatchDogSec="))
        self.assertIn("WatchDogSec", misspelt.stdout)


class Bundle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = Path(cls.folder.name)
        cls.binary = stripped("temp-ingest", cls.path)
        cls.revision = bundle(cls.binary, cls.path / "revision.zip")
        with zipfile.ZipFile(cls.revision) as archive:
            cls.contents = {name: archive.read(name) for name in archive.namelist()}

    def test_the_same_gives_the_same_bytes(self):
        again = bundle(self.binary, self.path / "again.zip")
        self.assertEqual(again.read_bytes(), self.revision.read_bytes())

    def test_the_agent_reads_the_whole_appspec(self):
        names = set(self.contents)
        text = self.contents["appspec.yml"].decode()
        self.assertEqual(problems(yaml.safe_load(text), names), [])
        for old, new in [("hooks:\n", "hook:\n"), ("ValidateService:", "ValidateServices:"), ("timeout: 30", "timeuot: 30"),
                         ("timeout: 30", "timeout: 3600"), ("OVERWRITE", "RETAIN"), ("source: share", "source: shared"),
                         ("hooks/after_install.sh", "hooks/after-install.sh"), ("pattern:", "patern:"),
                         ("files:", "file:"), ("runas: root", "runas: nobody")]:
            broken = text.replace(old, new)
            self.assertNotEqual(broken, text, old)
            self.assertNotEqual(problems(yaml.safe_load(broken), names), [], f"{old} as {new}")

    def test_every_file_has_its_sum(self):
        sums = dict(reversed(line.split("  ")) for line in self.contents["SHA256SUMS"].decode().splitlines())
        for name, content in self.contents.items():
            if name != "SHA256SUMS":
                self.assertEqual(sums.pop(name), hashlib.sha256(content).hexdigest())
        self.assertEqual(sums, {})

    def test_it_lists_what_it_is_made_of(self):
        sbom = json.loads(self.contents["share/sbom.cdx.json"])
        names = {crate["name"] for crate in sbom["components"]}
        self.assertLess({"tokio", "aws-sdk-kinesis", "config", "temp-ingest-wire"}, names)
        self.assertFalse({"proptest", "temp-ingest-kinesis-fake"} & names, "what only tests need is not in it")
        known = {crate["bom-ref"] for crate in sbom["components"]} | {sbom["metadata"]["component"]["bom-ref"]}
        self.assertEqual({crate["ref"] for crate in sbom["dependencies"]}, known)

    def test_what_it_ships_as_configuration_holds(self):
        for name in ("share/config.toml", "share/every-key.toml"):
            file = self.path / "config.toml"
            file.write_bytes(self.contents[name])
            subprocess.run([self.binary, "check", "--config", file], check=True, stdout=subprocess.DEVNULL)
