"""The hooks run as root: whatever a daemon that somebody has taken over writes, they take it for text."""

from __future__ import annotations

import os
import shutil
import sys
import unittest
from pathlib import Path

from . import machine
from .agent import Agent, Failed
from .machine import Machine, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICE = "temp-ingest.service"
PROGRAM = "/opt/temp-ingest/bin/temp-ingest"

# In place of the program: says who runs it and with which environment, and whether a reading of its own arrived.
CANARY = """#!/bin/sh
/usr/bin/id
/usr/bin/env
/usr/bin/printf 'arrived\\033[2J\\n'
exit {code}
"""

# In place of the daemon: the process's environment is what the arguments say, words without "=" too, as a process can make it
# by writing to its own memory. It also writes to its log what a terminal would obey.
DAEMON = """
import ctypes, sys
print("a line\\033]0;owned\\007", flush=True)
def array(words):
    return (ctypes.c_char_p * (len(words) + 1))(*words, None)
environment = [word.encode().decode("unicode_escape").encode() for word in sys.argv[1:]]
ctypes.CDLL(None).execve(b"/usr/bin/sleep", array([b"sleep", b"infinity"]), array(environment))
"""


def setUpModule() -> None:
    why = machine.missing()
    if not why:
        return
    if os.environ.get("CI") == "true":
        raise RuntimeError(f"the hooks were not tested against a hostile daemon: {why}")
    print(f"\nNOT RUN: the hooks against a hostile daemon (tests/instance): {why}", file=sys.stderr)
    raise unittest.SkipTest(why)


class HostileDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = cls.enterClassContext(Machine())
        cls.archive = cls.machine.root / "opt/revision"
        shutil.copytree(REPOSITORY / "codedeploy", cls.archive)
        cls.machine.write("/usr/local/lib/daemon.py", DAEMON)
        cls.machine.write("/etc/temp-ingest/config.toml", 'sink = "stdout"\n')

    def validate(self, *environment: str, code: int = 0) -> str:
        """What the hook prints where this is the daemon's environment, and the canary ends with this code."""
        words = " ".join(f'"{word}"' for word in environment)
        self.machine.write(f"/etc/systemd/system/{SERVICE}", f"""[Service]
DynamicUser=yes
ExecStart=:/usr/bin/python3 /usr/local/lib/daemon.py {words}
""")
        self.machine.write(PROGRAM, CANARY.format(code=code))
        (self.machine.root / PROGRAM.lstrip("/")).chmod(0o755)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "restart", SERVICE)
        wait_until("the stand-in sleeps", lambda: "sleep" in self.machine.run(
            "cat", f"/proc/{self.machine.show(SERVICE, 'MainPID')}/comm", check=False).stdout)
        agent = Agent(self.machine)
        try:
            agent.hooks("ValidateService", self.archive)
        finally:
            self.assertFalse((self.machine.root / "root/owned").exists(), "root ran what the daemon wrote")
        return agent.printed["ValidateService"]

    def environment(self, printed: str) -> set[str]:
        """What the canary had of variables, without those that its shell sets."""
        lines = {line for line in printed.splitlines() if "=" in line and not line.startswith("uid=")}
        return {line for line in lines if line.split("=")[0] not in ("PWD", "OLDPWD", "SHLVL", "_", "PATH")}

    def test_words_of_its_environment_are_not_run(self):
        printed = self.validate("sh", "-c", "touch /root/owned; id >/root/owned")
        self.assertIn("arrived", printed)
        self.validate("--chdir=/root", "sh", "-c", "touch /root/owned")

    def test_the_canary_runs_as_nobody_with_nothing_but_an_address(self):
        for address in ("127.0.0.1:9200", "0.0.0.0:1", "[::1]:9200", "[fe80::1]:65535"):
            printed = self.validate(f"TEMP_INGEST__DASHBOARD__LISTEN={address}", "LD_PRELOAD=/tmp/x.so", "BASH_ENV=/tmp/x",
                                    "TEMP_INGEST__DASHBOARD__TOKEN_FILE=/etc/shadow", "AWS_CONFIG_FILE=/etc/shadow")
            with self.subTest(address):
                self.assertRegex(printed, r"uid=\d+\(nobody\) gid=\d+\(\w+\)( groups=\d+\(\w+\))?\n")
                self.assertEqual(self.environment(printed), {f"TEMP_INGEST__DASHBOARD__LISTEN={address}"})

    def test_what_is_no_address_is_left_out(self):
        for value in ("127.0.0.1:9200;touch /root/owned", "$(touch /root/owned)", "localhost:80", "127.0.0.1", "",
                      "127.0.0.1:9200\\n127.0.0.1:1", "[::1]:9200/x", "127.0.0.1:123456"):
            with self.subTest(value):
                printed = self.validate(f"TEMP_INGEST__DASHBOARD__LISTEN={value}")
                self.assertEqual(self.environment(printed), set())

    def test_what_it_writes_is_printed_as_text(self):
        with self.assertRaises(Failed) as raised:
            self.validate("A=b", code=1)
        printed = raised.exception.output
        self.assertIn("a line", printed)
        self.assertTrue(printed.rstrip().endswith("a reading of its own did not arrive"), printed)
        self.assertNotRegex(printed, r"[\x00-\x08\x0b-\x1f\x7f]")


if __name__ == "__main__":
    unittest.main()
