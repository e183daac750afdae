"""The daemon, `temp-ingest run` with sink = "kinesis", as a process that puts through the AWS SDK."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from programs import REPOSITORY, built

from .standin import Standin, free_port

SECONDS = 120


def configuration(stream: str, sources: str, folder: Path) -> str:
    return f"""
sink = "kinesis"
linger = "100ms"
[kinesis]
stream = "{stream}"
[dashboard]
listen = "127.0.0.1:0"
[spool]
dir = "{folder / 'spool'}"
{sources}
"""


def replay(path: Path) -> str:
    return f'[source.given]\nkind = "replay"\npath = "{path}"\nspeed = "max"\n'


def run(standin: Standin, stream: str, sources: str, folder: Path) -> str:
    """Runs it until its sources are spent and everything is delivered; returns its log."""
    file = folder / "config.toml"
    file.write_text(configuration(stream, sources, folder))
    return finish(file, environment(standin, folder), folder)


def run_example(standin: Standin, stream: str, name: str, folder: Path, **changes: str) -> str:
    """Runs an example configuration as it is shipped until its sources are spent; returns its log."""
    folder.mkdir()
    return finish(example(name), example_environment(standin, stream, folder, **changes), folder)


def example(name: str) -> Path:
    return REPOSITORY / "config" / f"{name}.toml"


def example_environment(standin: Standin, stream: str, folder: Path, **changes: str) -> dict[str, str]:
    """What an example is told beside its file: the stream, and keys such as SOURCE__FARM__COUNT."""
    keys = {"SINK": "kinesis", "KINESIS__STREAM": stream, "DASHBOARD__LISTEN": "127.0.0.1:0", "LINGER": "100ms"} | changes
    return environment(standin, folder) | {f"TEMP_INGEST__{key}": value for key, value in keys.items()}


class Running:
    """An example configuration that goes on until it is told to end, as this is left. Its page knows a token."""

    TOKEN = "a-token-of-the-test"

    def __init__(self, standin: Standin, stream: str, name: str, folder: Path, **changes: str):
        self._folder, self._file = folder, example(name)
        self._dashboard = f"127.0.0.1:{free_port()}"
        changes |= {"DASHBOARD__LISTEN": self._dashboard, "DASHBOARD__TOKEN_FILE": str(folder / "tokens")}
        self._variables = example_environment(standin, stream, folder, **changes)
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Running:
        self._folder.mkdir()
        (self._folder / "tokens").write_text(f"{self.TOKEN}\n")
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([built("temp-ingest"), "run", "--config", self._file], env=self._variables,
                                             cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        if self._process.wait(SECONDS) != 0:
            raise AssertionError(f"temp-ingest ended with {self._process.returncode}:\n{self._log()}")

    def await_metric(self, name: str, least: int) -> None:
        end = time.monotonic() + SECONDS
        while (value := self.metric(name)) < least:
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{name} is {value}, not {least}:\n{self._log()}")
            time.sleep(0.02)

    def get(self, path: str) -> str:
        with self._direct.open(f"http://{self._dashboard}{path}", timeout=SECONDS) as answer:
            return answer.read().decode()

    def post(self, path: str, **form: str) -> str:
        request = urllib.request.Request(f"http://{self._dashboard}{path}", urllib.parse.urlencode(form).encode(),
                                         {"Authorization": f"Bearer {self.TOKEN}"})
        with self._direct.open(request, timeout=SECONDS) as answer:
            return answer.read().decode()

    def metric(self, name: str) -> int:
        """The sum over all its labels."""
        try:
            lines = self.get("/metrics").splitlines()
        except urllib.error.URLError:
            return 0  # It does not listen yet.
        return sum(int(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def _log(self) -> str:
        return (self._folder / "log").read_text()


def finish(file: Path, variables: dict[str, str], folder: Path) -> str:
    run = subprocess.run([built("temp-ingest"), "run", "--config", file], env=variables, text=True, cwd=folder,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    if run.returncode != 0:
        raise AssertionError(f"temp-ingest ended with {run.returncode}:\n{run.stdout}")
    return run.stdout


def put(standin: Standin, stream: str, lines: list[str], folder: Path) -> str:
    """Puts readings, given as lines of JSON, through the daemon."""
    folder.mkdir()
    path = folder / "readings.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return run(standin, stream, replay(path), folder)


def environment(standin: Standin, folder: Path) -> dict[str, str]:
    return standin.environment() | {"XDG_STATE_HOME": str(folder / "state"), "STATE_DIRECTORY": str(folder / "state")}
