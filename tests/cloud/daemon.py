"""The daemon, `temp-ingest run` with sink = "kinesis", as a process that puts through the AWS SDK."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .deployment import REPOSITORY
from .standin import Standin

SECONDS = 120


def binary() -> Path:
    """The one `cargo build` made: `make` builds it before the tests run."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [path for profile in ("release", "debug") if (path := target / profile / "temp-ingest").exists()]
    if not built:
        raise FileNotFoundError(f"no temp-ingest under {target}: build it with `cargo build`")
    return max(built, key=lambda path: path.stat().st_mtime)


def configuration(stream: str, sources: str, folder: Path) -> str:
    return f"""
sink = "kinesis"
linger = "100ms"
[kinesis]
stream = "{stream}"
[admin]
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
    keys = {"SINK": "kinesis", "KINESIS__STREAM": stream, "ADMIN__LISTEN": "127.0.0.1:0", "LINGER": "100ms"} | changes
    return environment(standin, folder) | {f"TEMP_INGEST__{key}": value for key, value in keys.items()}


def finish(file: Path, variables: dict[str, str], folder: Path) -> str:
    run = subprocess.run([binary(), "run", "--config", file], env=variables, text=True, cwd=folder,
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
