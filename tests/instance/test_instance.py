"""The daemon under a real systemd, installed by the bundle's own hooks as CodeDeploy's agent runs them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from programs import built, stripped

from . import machine
from .agent import Failed
from .instance import CONFIG, HOUSE, SERVICE, STATE, Instance
from .machine import wait_until
from .revision import bundle, changed

# What the unit allows for a stop.
STOP = 40


def setUpModule() -> None:
    why = machine.missing()
    if not why:
        return
    if os.environ.get("CI") == "true":
        raise RuntimeError(f"the tests of the instance did not run: {why}")
    message = f"NOT RUN: the unit and the hooks under a real systemd (tests/instance): {why}"
    print(f"\n{message}", file=sys.stderr)
    raise unittest.SkipTest(message)


class OnInstance(unittest.TestCase):
    """One instance for all tests of a class, with the revision deployed."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.revision = bundle(stripped("temp-ingest", cls.folder), cls.folder / "revision.zip")
        cls.instance = cls.enterClassContext(Instance())
        cls.agent = cls.instance.agent

    def restart(self, sources: str = HOUSE) -> None:
        self.instance.configure(sources)
        self.instance.run("systemctl", "reset-failed", SERVICE, check=False)
        self.instance.run("systemctl", "restart", SERVICE)

    def comes_back(self, before: int, patience: float) -> float:
        """How long until another process is ready."""
        def is_back() -> bool:
            return self.instance.main() not in (0, before) and self.instance.active() == "active"
        return wait_until("systemd has started it again", is_back, patience)


def replay(name: str) -> str:
    """A source that reads a file beside the configuration once."""
    return f'[source.{name}]\nkind = "replay"\npath = "/etc/temp-ingest/{name}.jsonl"\nspeed = "max"\n'


class Service(OnInstance):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.agent.deploy(cls.revision)

    def setUp(self):
        self.restart()

    def simulated(self, count: int) -> Path:
        readings = self.folder / f"{self._testMethodName}.jsonl"
        with readings.open("wb") as file:
            subprocess.run([built("temp-ingest"), "simulate", "--profile", "temperature", "--sensors", "20", "--count",
                            str(count)], stdout=file, check=True)
        return readings

    def test_killed_it_is_back_within_three_seconds(self):
        before = self.instance.main()
        self.instance.run("kill", "-KILL", before)
        self.comes_back(before, 3)
        self.instance.delivers()

    def test_one_that_hangs_is_started_again(self):
        before = self.instance.main()
        self.instance.run("kill", "-STOP", before)
        self.comes_back(before, 35)
        self.assertIn("watchdog", self.instance.journal(SERVICE).lower())
        self.instance.delivers()

    def test_a_configuration_that_does_not_hold_is_not_tried_again(self):
        self.instance.write(CONFIG, 'snik = "kinesis"\n')
        restarted = self.instance.run("systemctl", "restart", SERVICE, check=False)
        self.assertNotEqual(restarted.returncode, 0)
        wait_until("the unit has failed", lambda: self.instance.active() == "failed")
        self.assertEqual(self.instance.show(SERVICE, "ExecMainStatus"), "78")
        self.assertEqual(self.instance.show(SERVICE, "NRestarts"), "0")
        self.assertIn(f"{CONFIG}:1", self.instance.journal(SERVICE))

    def test_stopped_while_the_stream_is_away_nothing_is_lost(self):
        readings = self.simulated(3000)
        self.instance.run("systemctl", "stop", SERVICE)
        self.instance.close_stream()
        self.instance.write("/etc/temp-ingest/readings.jsonl", readings.read_text())
        self.restart(replay("readings"))
        wait_until("the file is read", lambda: self.instance.counts()["produced"] == 3000)
        started = time.monotonic()
        self.instance.run("systemctl", "stop", SERVICE)
        self.assertLess(time.monotonic() - started, STOP)
        self.assertEqual(self.instance.show(SERVICE, "Result"), "success")
        self.instance.open_stream("drained")
        self.instance.run("systemctl", "start", SERVICE)
        # With its only source spent and all delivered it ends, and that is no failure.
        wait_until("everything is delivered", lambda: self.instance.active() == "inactive")
        self.assertEqual(self.instance.show(SERVICE, "Result"), "success")
        report = self.instance.ledger("drained", readings)
        self.assertEqual((report["violations"], report["distinct_readings"]), ([], 3000), report)

    def test_a_stream_that_is_away_is_waited_for(self):
        self.instance.close_stream()
        self.restart()
        started = self.instance.main()
        wait_until("it says that it waits", lambda: self.instance.show(SERVICE, "StatusText").startswith("waiting"))
        wait_until("readings wait", lambda: self.instance.counts()["in_flight"] > 100)
        self.instance.open_stream("late")
        wait_until("they are delivered", lambda: self.instance.counts()["delivered"] > 100)
        self.assertEqual((self.instance.main(), self.instance.show(SERVICE, "NRestarts")), (started, "0"))

    def test_a_reload_takes_the_sources_anew_and_loses_nothing(self):
        readings = self.simulated(3000)
        self.instance.run("systemctl", "stop", SERVICE)
        self.instance.open_stream("reloaded")
        self.restart()
        self.instance.delivers()
        self.instance.write("/etc/temp-ingest/reloaded.jsonl", readings.read_text())
        self.instance.configure(replay("reloaded"))
        self.instance.run("systemctl", "reload", SERVICE)
        # Its only source now is the file: it ends when all of that is delivered.
        wait_until("everything is delivered", lambda: self.instance.active() == "inactive")
        self.assertEqual((self.instance.show(SERVICE, "Result"), self.instance.show(SERVICE, "NRestarts")), ("success", "0"))
        self.assertIn("reloaded the sources", self.instance.journal(SERVICE))
        report = self.instance.ledger("reloaded", readings)
        self.assertEqual(report["violations"], ["invented"], "only the house's readings are there besides")

    def test_it_comes_up_with_the_machine(self):
        self.instance.delivers()
        self.instance.reboot()
        wait_until("it is up", lambda: self.instance.active() == "active")
        self.instance.delivers()

    def test_a_secret_is_a_file_that_only_the_daemon_reads(self):
        secret = self.instance.root / "etc/temp-ingest/credentials/mqtt"
        secret.write_text("a secret")
        secret.chmod(0o600)
        self.restart()
        found = Path(f"/run/credentials/{SERVICE}/secret_mqtt")
        self.assertEqual(self.instance.run("cat", found).stdout, "a secret")
        self.assertNotIn("a secret", self.instance.run("cat", f"/proc/{self.instance.main()}/environ").stdout)


class Deployments(OnInstance):
    def setUp(self):
        self.instance.configure(HOUSE)
        self.instance.open_stream(self.id())
        self.operators = (self.instance.root / CONFIG.lstrip("/")).read_bytes()

    def deploy(self, revision: Path | None = None) -> dict[str, str]:
        return self.agent.deploy(revision or self.revision)

    def refused(self, revision: Path) -> Failed:
        with self.assertRaises(Failed) as raised:
            self.deploy(revision)
        return raised.exception

    def test_one_after_the_other(self):
        printed = self.deploy()
        self.assertIn("delivered to kinesis readings in ", printed["ValidateService"])
        self.assertEqual((self.instance.root / CONFIG.lstrip("/")).read_bytes(), self.operators)
        self.instance.delivers()
        first = self.instance.main()
        newer = changed(self.revision, "newer", {"share/LICENSE-MIT": None, "share/new": b"new"})
        self.deploy(newer)
        self.assertNotIn(self.instance.main(), (0, first))
        share = self.instance.root / "opt/temp-ingest/share"
        self.assertEqual(((share / "new").exists(), (share / "LICENSE-MIT").exists()), (True, False))
        self.assertEqual((self.instance.root / CONFIG.lstrip("/")).read_bytes(), self.operators)
        self.instance.delivers()

    def test_a_new_instance_gets_a_configuration(self):
        with Instance() as instance:
            (instance.root / CONFIG.lstrip("/")).unlink()
            instance.open_stream("new", stream="m03p02_raw_data_stream")
            printed = instance.agent.deploy(self.revision)
            self.assertIn(f"{CONFIG} is new", printed["AfterInstall"])
            self.assertIn("delivered to kinesis m03p02_raw_data_stream", printed["ValidateService"])

    def test_a_broken_revision_is_rolled_back(self):
        self.deploy()
        program = b"#!/bin/sh\n[ \"$1\" = check ]\n"
        broken = changed(self.revision, "broken", {"bin/temp-ingest": program})
        failed = self.refused(broken)
        self.assertEqual(failed.event, "ApplicationStart", failed)
        self.assertIn("did not become ready", failed.output)
        # It was newer, too: what it left in the spool is more than the earlier one can read.
        spool = self.instance.root / STATE / "spool"
        self.instance.run("systemctl", "stop", SERVICE)
        with sqlite3.connect(spool / "spool.db") as database:
            database.execute("PRAGMA user_version = 1000")
        database.close()
        printed = self.deploy()
        self.assertIn("delivered to", printed["ValidateService"])
        self.assertEqual(len(list(spool.glob("spool.db.version-1000-*Z"))), 1)
        self.assertIn("another version wrote the spool", self.instance.journal(SERVICE))

    def test_what_would_not_run_here_is_refused_before_it_is_installed(self):
        self.deploy()
        installed = self.agent.installed
        other = changed(self.revision, "sparc", {"requirements": b"sparc64 2.34\n"})
        self.assertIn("this revision is for sparc64", self.refused(other).output)
        newer = changed(self.revision, "glibc", {"requirements": f"{os.uname().machine} 2.99\n".encode()})
        self.assertIn("needs glibc 2.99", self.refused(newer).output)
        damaged = changed(self.revision, "damaged", {"share/config.toml": b"damaged"}, sums=False)
        failed = self.refused(damaged)
        self.assertIn("share/config.toml: FAILED", failed.output)
        self.assertEqual((failed.event, self.agent.installed), ("BeforeInstall", installed))

    def test_a_quiet_source_is_valid_and_a_busy_one_without_a_stream_is_not(self):
        self.instance.configure(HOUSE.replace("50ms", "24h"))
        self.assertIn("delivered to", self.deploy()["ValidateService"])
        self.instance.configure(HOUSE)
        self.instance.close_stream()
        failed = self.refused(self.revision)
        self.assertEqual(failed.event, "ValidateService")
        self.assertIn("did not arrive", failed.output)
        self.assertIn("waiting for the sink", failed.output, "the journal says why")

    def test_stopping_succeeds_whatever_is_there(self):
        with Instance() as instance:
            archive = instance.root / "opt/revision"
            shutil.unpack_archive(self.revision, archive)
            for hook in archive.glob("hooks/*"):
                hook.chmod(0o755)
            for _ in range(2):
                instance.agent.hooks("ApplicationStop", archive)
