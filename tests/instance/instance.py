"""An instance as the stacks make it: a machine with an operator's configuration, a stream, and the agent."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from .agent import Agent
from .machine import Machine, wait_until
from programs import REPOSITORY, built

SERVICE = "temp-ingest.service"
STREAM = "kinesis-fake.service"
CONFIG = "/etc/temp-ingest/config.toml"
STATE = "var/lib/private/temp-ingest"

HOUSE = '[source.house]\nkind = "simulate"\nprofile = "temperature"\nsensors = 5\ninterval = "50ms"\n'

# Only the environment says where the daemon listens, so that whoever asks it has to look there.
DROP_IN = """[Service]
Environment=AWS_ENDPOINT_URL=http://127.0.0.1:4567 AWS_REGION=eu-central-1 AWS_EC2_METADATA_DISABLED=true
Environment=AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
Environment=TEMP_INGEST__DASHBOARD__LISTEN=127.0.0.1:9200
"""
METRICS = "http://127.0.0.1:9200/metrics"


def configuration(sources: str) -> str:
    return f"""# The operator's own.
sink = "kinesis"
linger = "20ms"
grace = "3s"
[kinesis]
stream = "readings"
timeout = "1s"
backoff_cap = "500ms"
[log]
format = "journald"
{sources}"""


class Instance(Machine):
    """With nothing installed yet."""

    def __enter__(self) -> Instance:
        super().__enter__()
        shutil.copy(built("kinesis-fake"), self.root / "usr/local/bin")
        self.write(f"/etc/systemd/system/{SERVICE}.d/test.conf", DROP_IN)
        self.configure(HOUSE)
        self.open_stream("first")
        self.agent = Agent(self)
        return self

    def configure(self, sources: str) -> None:
        """The operator edits the configuration."""
        self.write(CONFIG, configuration(sources))

    def open_stream(self, ledger: str, stream: str = "readings") -> None:
        """The stream is there, and writes down what it accepts."""
        path = f"/var/lib/{ledger}.jsonl"
        self.write(f"/etc/systemd/system/{STREAM}", f"""[Service]
ExecStart=/usr/local/bin/kinesis-fake --port 4567 --stream {stream} --ledger {path}
[Install]
WantedBy=multi-user.target
""")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "enable", "--quiet", STREAM)
        self.run("systemctl", "restart", STREAM)

    def close_stream(self) -> None:
        """Nobody answers where the stream was."""
        self.run("systemctl", "stop", STREAM)

    def main(self) -> int:
        """The daemon's process; 0 where there is none."""
        return int(self.show(SERVICE, "MainPID"))

    def active(self) -> str:
        return self.show(SERVICE, "ActiveState")

    def counts(self) -> dict[str, float]:
        """The readings of a scrape, by where they are; the scrape itself is judged on the way."""
        scrape = self.get(METRICS)
        counts: dict[str, float] = {}
        for line in scrape.splitlines():
            if line.startswith("temp_ingest_readings_"):
                name, value = line.removeprefix("temp_ingest_readings_").rsplit(" ", 1)
                name = name.split("{")[0].removesuffix("_total")
                counts[name] = counts.get(name, 0) + float(value)
        came = counts["produced"] + counts["recovered"]
        kept = sum(counts[name] for name in ("delivered", "dropped", "dead_lettered", "spooled", "in_flight"))
        if came != kept:
            raise AssertionError(f"{came} readings came in, {kept} are somewhere:\n{scrape}")
        return counts

    def delivers(self) -> None:
        """Waits until more is delivered than now."""
        before = self.counts()["delivered"]
        wait_until("readings are delivered", lambda: self.counts()["delivered"] > before)

    def ledger(self, ledger: str, readings: Path) -> dict:
        """What the independent reader says about a ledger, beside what was to be delivered."""
        command = [sys.executable, REPOSITORY / "tests/ledger_check.py", self.root / f"var/lib/{ledger}.jsonl",
                   "--expected", readings]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout)
