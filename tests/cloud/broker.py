"""A real broker for the devices of a house: Mosquitto, on a port of its own, that lets everybody in."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .standin import free_port

SECONDS = 60


class Broker:
    def __init__(self, folder: Path):
        self._folder = folder
        self._port = free_port()
        self.url = f"tcp://127.0.0.1:{self._port}"

    def __enter__(self) -> Broker:
        self._folder.mkdir()
        file = self._folder / "mosquitto.conf"
        file.write_text(f"listener {self._port} 127.0.0.1\nuser root\nallow_anonymous true\nlog_dest stderr\n"
                        "max_queued_messages 0\n")
        self._process = subprocess.Popen(["mosquitto", "-c", file], stderr=subprocess.PIPE, text=True)
        said = []
        for line in self._process.stderr:
            said.append(line)
            if "running" in line:
                return self
        self._process.wait()
        raise RuntimeError(f"mosquitto ended:\n{''.join(said)}")

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stderr.close()

    def publish(self, topic: str, messages: list[str]) -> None:
        """Publishes each with quality of service 1, one after another; returns when the broker has all."""
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self._port), "-q", "1", "-l", "-t", topic]
        subprocess.run(command, input="".join(f"{one}\n" for one in messages), text=True, check=True, timeout=SECONDS)
