"""The daemon as a process of the run: started, asked and ended again and again, and judged each time it is asked."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from pathlib import Path

from . import client, lab

DASHBOARD = 9184
# Longer than a start takes on a busy machine; only a hang reaches it.
PATIENCE = 60.0
GRACE = 3


def configuration(folder: Path, reply_timeout: int) -> str:
    """Small where it can be, so that little fills it: with so many lanes, each has but 16 KiB of memory."""
    return f"""sink = "kinesis"
linger = "5ms"
budget = "1MiB"
grace = "{GRACE}s"
lanes = 256
[kinesis]
stream = "readings"
timeout = "1s"
target_bytes = 4096
backoff_base = "5ms"
backoff_cap = "200ms"
[spool]
max_bytes = "12MiB"
[source.gate]
kind = "http"
listen = "127.0.0.1:{client.PORT}"
token_file = "{folder / 'token'}"
reply_timeout = "{reply_timeout}s"
"""


class Daemon:
    """One that is killed and started again."""

    def __init__(self, binary: Path, here: lab.Lab) -> None:
        self.binary = binary
        self.lab = here
        self.config = here.folder / "config.toml"
        self.clock = here.folder / "clock"
        self.log = (here.folder / "daemon.log").open("ab")
        self.process: subprocess.Popen | None = None
        self.starts = self.refused_starts = self.scrapes = self.reloads = self.given_up = 0
        (here.folder / "token").write_text(client.TOKEN + "\n")
        (here.folder / "token").chmod(0o600)
        self.configure()
        self.set_clock(0)

    def configure(self) -> None:
        self.config.write_text(configuration(self.lab.folder, 3 + self.reloads % 2))

    def set_clock(self, seconds: int) -> None:
        """The daemon's wall clock is off by so many seconds from now on; libfaketime reads this once a second."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n")
        new.rename(self.clock)

    def start(self) -> None:
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.lab.folder), "STATE_DIRECTORY": str(self.lab.disk / "state"),
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": f"http://{lab.CABLE}:{lab.PORT}",
            "LD_PRELOAD": str(lab.faketime()), "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.process = subprocess.Popen([self.binary, "run", "--config", self.config], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        self.starts += 1

    def is_ready(self) -> bool:
        """Whether it accepts; on the way what it counts is judged."""
        return self.scrape() is not None

    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self, disk_is_full: bool = False) -> None:
        """SIGTERM: it ends in time, and the last it says adds up. Where neither sink nor disk takes what is in
        memory, it says that it gave readings up: none that it acknowledged."""
        position = self.log.tell()
        self.process.terminate()
        status = self.process.wait(PATIENCE)
        self.process = None
        if status != 0 and not (status == 1 and disk_is_full):
            raise AssertionError(f"after SIGTERM the daemon ended with {status}")
        text = (self.lab.folder / "daemon.log").read_bytes()[position:].decode(errors="replace")
        last = [line for line in text.splitlines() if " ended produced=" in line]
        if not last:
            raise AssertionError(f"after SIGTERM the daemon did not say what became of readings:\n{text}")
        counts = dict(word.split("=") for word in last[-1].split() if "=" in word)
        counts = {name: float(count) for name, count in counts.items() if count.isdigit()}
        self.given_up += int(counts["dropped"]) if status == 1 else 0
        self.judge(counts, last[-1], may_give_up=status == 1)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        self.reloads += 1
        self.configure()
        self.process.send_signal(signal.SIGHUP)

    def scrape(self) -> dict[str, float] | None:
        """The readings by where they are; None where it does not answer."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", DASHBOARD, timeout=2)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
        except (OSError, http.client.HTTPException):
            return None
        counts: dict[str, float] = {}
        for line in text.splitlines():
            if line.startswith("temp_ingest_readings_"):
                name, value = line.removeprefix("temp_ingest_readings_").rsplit(" ", 1)
                name = name.split("{")[0].removesuffix("_total")
                counts[name] = counts.get(name, 0) + float(value)
        self.judge(counts, text)
        self.scrapes += 1
        return counts

    def judge(self, counts: dict[str, float], text: str, may_give_up: bool = False) -> None:
        """Every reading is in exactly one place, and none was given up."""
        came = counts["produced"] + counts["recovered"]
        kept = sum(counts[name] for name in ("delivered", "dropped", "dead_lettered", "spooled", "in_flight"))
        given_up = counts["dropped"] + counts["dead_lettered"]
        if came != kept or (given_up and not may_give_up):
            raise AssertionError(f"{came:.0f} readings came, {kept:.0f} are somewhere, none may be given up:\n{text}")


def wait_until(what: str, is_true, patience: float = PATIENCE) -> None:
    started = time.monotonic()
    while not is_true():
        if time.monotonic() - started > patience:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.01)
