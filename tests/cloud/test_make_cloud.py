"""`make cloud` as a person sees it: it counts, its commands work as printed, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from programs import REPOSITORY

SECONDS = 60


class MakeCloud(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, REPOSITORY / "scripts/cloud.py"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"TMPDIR": str(self.folder)}, start_new_session=True)
        self.addCleanup(self.end)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def await_text(self, pattern: str) -> re.Match:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(pattern, self.log.read_text()):
                return found
            time.sleep(0.05)
        self.fail(f"no {pattern!r} after {SECONDS} s, or ended:\n{self.log.read_text()}")

    def test_it_runs_tells_how_to_look_inside_and_cleans_up(self):
        self.await_text(r"\d\d:\d\d:\d\d  [1-9][\d,]* readings, \d+ anomalies, \d+ messages, \d+ incidents open")
        printed = self.await_text(r"(?s)another terminal:\n(.*)  Ctrl-C")[1]
        source, *commands = [line.strip() for line in printed.splitlines()]
        self.assertGreaterEqual(len(commands), 3)
        for command in commands:
            with self.subTest(command):
                run = subprocess.run(["bash", "-euc", f"{source}\n{command}"], capture_output=True, text=True,
                                     env={"PATH": os.environ["PATH"], "HOME": str(self.folder)})
                self.assertEqual(run.returncode, 0, run.stderr)
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(SECONDS), 0, self.log.read_text())
        self.assertRegex(self.log.read_text(), r"ended: [1-9][\d,]* readings.*everything is removed\n$")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["log"])
        self.assertEqual(processes_of(self.folder), [])


def processes_of(folder: Path) -> list[str]:
    """What still runs in a folder or below, or was started there: the stand-in, its functions, the daemon."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = f"{(process / 'cwd').readlink()} {(process / 'cmdline').read_text()}"
        except OSError:
            continue  # it has ended, or is somebody else's
        if str(folder) in where:
            found.append(where)
    return found


if __name__ == "__main__":
    unittest.main()
