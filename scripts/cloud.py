"""`make cloud`: the stacks on a stand-in for AWS on this machine, a simulated house that feeds them, what comes of it.

All it starts and keeps is gone after Ctrl-C. It runs the programs that were built last; `make cloud` builds them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from cloud import daemon  # noqa: E402
from cloud.deployment import Deployment  # noqa: E402
from cloud.inbox import Queue  # noqa: E402
from cloud.pipeline import Pipeline, metrics  # noqa: E402
from cloud.standin import Standin  # noqa: E402
from programs import built  # noqa: E402

# A house: thirty sensors, a reading a second each. About twelve a minute fail in some way.
HOUSE = """
[source.house]
kind = "simulate"
profile = "temperature"
sensors = 30
interval = "1s"
faults = 576
seed = 22
"""
# Short, so that a person who looks on sees incidents open and resolve.
SETTINGS = '[detect]\nquiet = "20s"\nsilence_minimum = "5s"\n'
POLL_SECONDS = 0.5
COUNTS_SECONDS = 10
STOP_SECONDS = 40


def main() -> int:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    try:
        return run(stop)
    except Exception:
        # Ctrl-C reaches `aws cloudformation deploy` as well.
        if stop.is_set():
            return 130
        raise


def run(stop: threading.Event) -> int:
    say("starting a stand-in for AWS on this machine alone ...")
    with Standin() as standin:
        say("deploying cfn/data.yaml and cfn/detect.yaml ...")
        pipeline = Pipeline(standin, Deployment(standin, detect={"Settings": SETTINGS}).deploy())
        inbox = Queue(standin, pipeline.topic)
        print(commands(pipeline, inbox), flush=True)
        folder = pipeline.folder()
        folder.mkdir()
        totals: Counter[str] = Counter()
        with start_daemon(pipeline, folder) as ingest:
            try:
                watch(pipeline, ingest, stop, totals)
            finally:
                end(ingest)
        if ingest.returncode != 0:
            log = (folder / "log").read_text()[-3000:]
            print(f"temp-ingest ended with {ingest.returncode}:\n{log}", file=sys.stderr)
            return 1
        pipeline.drain()
        tell(pipeline)
        last = counts(pipeline, totals)
    say(f"ended: {last}; everything is removed")
    return 0


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {what}", flush=True)


def start_daemon(pipeline: Pipeline, folder: Path) -> subprocess.Popen:
    """In a group of its own, so that Ctrl-C reaches it in order: it is to be asked to end, and drained."""
    config = folder / "config.toml"
    config.write_text(daemon.configuration(pipeline.stream, HOUSE, folder))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [built("temp-ingest"), "run", "--config", config], env=daemon.environment(pipeline.standin, folder), cwd=folder,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def end(ingest: subprocess.Popen) -> None:
    ingest.terminate()
    try:
        ingest.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        ingest.kill()


def watch(pipeline: Pipeline, ingest: subprocess.Popen, stop: threading.Event, totals: Counter) -> None:
    """Polls as the mappings would, and tells what is told, until it is asked to stop or the daemon ends."""
    next_counts = 0.0
    while not stop.wait(POLL_SECONDS) and ingest.poll() is None:
        pipeline.drain()
        tell(pipeline)
        if time.monotonic() >= next_counts:
            say(counts(pipeline, totals))
            next_counts = time.monotonic() + COUNTS_SECONDS


def tell(pipeline: Pipeline) -> None:
    for message in pipeline.inbox.take():
        say(message.subject)


def counts(pipeline: Pipeline, totals: Counter) -> str:
    for mapping in (pipeline.detect, pipeline.alert):
        totals.update(metrics(mapping))
        mapping.invocations.clear()
    open_ones = pipeline.standin.client("dynamodb").query(
        TableName=pipeline.incidents_table, IndexName="by_state", Select="COUNT", KeyConditionExpression="#s = :open",
        ExpressionAttributeNames={"#s": "state"}, ExpressionAttributeValues={":open": {"S": "open"}})["Count"]
    return (f"{totals['Readings']:,.0f} readings, {totals['AnomaliesKept']:,.0f} anomalies, "
            f"{totals['MessagesPublished']:,.0f} messages, {open_ones} incidents open")


def commands(pipeline: Pipeline, inbox: Queue) -> str:
    """What a person types in another terminal to look inside."""
    file = pipeline.standin.folder / "env"
    variables = {name: value for name, value in pipeline.standin.environment().items() if name.startswith("AWS_")} | {
        "ANOMALIES": pipeline.anomalies_table,
        "INCIDENTS": pipeline.incidents_table,
        "INBOX": inbox.url,
        "FAILURES": pipeline.detect.settings.bucket,
    }
    path = f"{built('temp-ingest').parent}:{Path(sys.executable).parent}"
    lines = [f"export {name}='{value}'" for name, value in variables.items()]
    file.write_text("\n".join([*lines, f'export PATH="{path}:$PATH"', ""]))
    return f"""
  Look inside from another terminal:
    source {file}
    temp-ingest incidents --table "$INCIDENTS" list
    aws dynamodb scan --table-name "$ANOMALIES" --max-items 3
    aws sqs receive-message --endpoint-url "$AWS_ENDPOINT_URL" --queue-url "$INBOX"
    aws s3 ls --recursive "s3://$FAILURES"
  Ctrl-C ends it and removes everything.
"""


if __name__ == "__main__":
    sys.exit(main())
