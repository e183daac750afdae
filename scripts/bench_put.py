#!/usr/bin/env python3
"""What a reading costs from its generation to its acknowledged request, ours and others', in one run: `make bench`.

    bench_put.py TEMP_INGEST NAIVE ENDPOINT

CPU time is that of the client's process alone (user and system), as the kernel counts it; the client has one core, the endpoint
the other. The endpoint of the first table accepts everything without reading it; the second throttles as Kinesis does. Rows take
turns, the middle of three rounds counts. What the run put is then compared with what `temp-ingest cost` foretells.
"""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

SENSORS = 10_000
ROUNDS = 3
CLIENT, SERVER = 0, 1
# Long enough that starting up does not count: CPU seconds of each row.
COUNTS = {
    "ours, aggregated": 3_000_000,
    "ours, plain": 1_000_000,
    "aws-sdk-kinesis, 500 a request": 1_000_000,
    "boto3 put_records": 100_000,
    "boto3 put_record": 3_000,
}
OFFERED_PER_S, OFFERED_S = 1_000_000, 30
SHARDS = 4


def main():
    program, naive, endpoint = (os.path.abspath(path) for path in sys.argv[1:])
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("bench_put.py: two cores are needed, one for the client and one for the endpoint")
    here = Path(__file__).resolve().parent
    boto3 = [sys.executable, str(here / "bench_boto3.py")]
    rows = {
        "ours, aggregated": lambda work, count: ours(program, work, "kpl", count),
        "ours, plain": lambda work, count: ours(program, work, "none", count),
        "aws-sdk-kinesis, 500 a request": lambda work, count: [naive, str(SENSORS), str(count)],
        "boto3 put_records": lambda work, count: [*boto3, "put_records", str(SENSORS), str(count)],
        "boto3 put_record": lambda work, count: [*boto3, "put_record", str(SENSORS), str(count)],
    }
    took = {name: [] for name in rows}
    seen = {}
    for _ in range(ROUNDS):
        for name, command in rows.items():
            nanoseconds, seen[name] = measure(endpoint, command, COUNTS[name])
            took[name].append(nanoseconds)
    size = reading_bytes(seen["aws-sdk-kinesis, 500 a request"], COUNTS["aws-sdk-kinesis, 500 a request"])
    print(f"CPU time of a reading of {size:.0f} bytes, {SENSORS:,} sensors, one core, an endpoint that does no work")
    table(took)
    throttled(program, endpoint)
    agree(program, size, seen)
    memory(program, endpoint)
    spool(program)


def measure(endpoint, command, count):
    """Nanoseconds of CPU a reading, and what the endpoint saw."""
    with tempfile.TemporaryDirectory() as work, Endpoint(endpoint, "--blind") as server:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        client = start(command(work, count), work, server.url)
        finish(client, work)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return cpu / count * 1e9, server.stop()


class Endpoint:
    """A running endpoint, and what it counted."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER), program, *arguments], stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.terminate()
        counted, _ = self.process.communicate()
        return json.loads(counted)


def start(command, work, url, pinned=True):
    environment = os.environ | {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "STATE_DIRECTORY": work,
    }
    with open(os.path.join(work, "log"), "w", encoding="utf-8") as log:
        pin = ["taskset", "-c", str(CLIENT)] if pinned else []
        return subprocess.Popen([*pin, *command], env=environment, stdout=log, stderr=subprocess.STDOUT)


def finish(client, work):
    if client.wait() != 0:
        log = Path(work, "log").read_text(encoding="utf-8")
        sys.exit(f"bench_put.py: {client.args} ended with {client.returncode}:\n{log[-2_000:]}")


def ours(program, work, aggregation, count=None, more=""):
    """The command of a daemon that simulates and puts, with its configuration in `work`."""
    pace = f'count = {count}\nspeed = "max"' if count else more
    config = Path(work, "config.toml")
    config.write_text(
        f"""
sink = "kinesis"
aggregation = "{aggregation}"
[kinesis]
stream = "readings"
[source.bench]
kind = "simulate"
profile = "temperature"
sensors = {SENSORS}
seed = 1
prefix = ""
{pace}
[dashboard]
listen = "127.0.0.1:0"
""",
        encoding="utf-8",
    )
    return [program, "run", "--config", str(config)]


def reading_bytes(seen, count):
    return seen["data_bytes"] / count


def table(took):
    first = median(next(iter(took.values())))
    print(f"{'':34}{'ns':>12}{'ratio':>10}   rounds")
    for name, rounds in took.items():
        rounded = ", ".join(f"{nanoseconds:,.0f}" for nanoseconds in rounds)
        print(f"{name:34}{median(rounds):>12,.0f}{median(rounds) / first:>10,.2f}   {rounded}")
    print()


def throttled(program, endpoint):
    """The same against shards that take 1,000 records and 1 MB a second, and refuse the rest record by record."""
    print(f"The same, an endpoint that throttles as {SHARDS} shards of Kinesis do")
    print(f"{'':34}{'ns':>12}{'readings/s':>14}{'of the limit':>14}{'refused':>10}")
    for name, aggregation, count, of_shard in [
        ("ours, aggregated", "kpl", 600_000, "bytes"),
        ("ours, plain", "none", 60_000, "records"),
    ]:
        arguments = ["--throttle", "1", "--shards", str(SHARDS)]
        with tempfile.TemporaryDirectory() as work, Endpoint(endpoint, *arguments) as server:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.monotonic()
            finish(start(ours(program, work, aggregation, count), work, server.url), work)
            seconds = time.monotonic() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            counted = server.stop()
        used = counted["accepted_bytes"] / 2**20 if of_shard == "bytes" else counted["accepted"] / 1_000
        refused = counted["throttled"] / (counted["accepted"] + counted["throttled"])
        share = used / seconds / SHARDS
        print(f"{name:34}{cpu / count * 1e9:>12,.0f}{count / seconds:>14,.0f}{share:>13.0%} {refused:>9.1%}")
    print()


def agree(program, size, seen):
    """What was put beside what `cost` foretells of a load whose records fill."""
    rate, lanes = 100_000, 16
    estimate = json.loads(subprocess.run(
        [program, "cost", "--rate", str(rate), "--size", str(round(size)), "--sensors", str(SENSORS),
         "--lanes", str(lanes), "--format", "json"],
        check=True, capture_output=True, text=True,
    ).stdout)
    provisioned = {
        column["way"]: column["quantities"] for column in estimate["columns"] if column["mode"] == "provisioned"
    }
    print("Put a reading, beside what `temp-ingest cost` foretells of records that fill")
    print(f"{'':34}{'':>14}{'put':>10}{'foretold':>12}{'ratio':>8}")
    for name, way in [("ours, aggregated", "aggregated"), ("ours, plain", "plain")]:
        put, foretold = seen[name], provisioned[way]
        units = foretold["put_payload_units"] / (rate * 730 * 3_600)
        for what, put, foretold in [
            ("records", put["records"], 1 / foretold["readings_per_record"]),
            ("payload units", put["payload_units"], units),
        ]:
            put /= COUNTS[name]
            print(f"{name:34}{what:>14}{put:>10.5f}{foretold:>12.5f}{put / foretold:>8.3f}")
    print()


def memory(program, endpoint):
    """Resident memory while more is offered than one process can put."""
    with tempfile.TemporaryDirectory() as work, Endpoint(endpoint, "--blind") as server:
        daemon = start(ours(program, work, "kpl", more=offered()), work, server.url, pinned=False)
        resident, began = [], time.monotonic()
        while time.monotonic() - began < OFFERED_S:
            time.sleep(1)
            resident.append(resident_bytes(daemon.pid))
        produced = counter(work, "temp_ingest_readings_produced_total")
        delivered = counter(work, "temp_ingest_readings_delivered_total")
        daemon.send_signal(signal.SIGTERM)
        finish(daemon, work)
    third = len(resident) // 3
    print(f"Memory, {OFFERED_PER_S:,} readings/s offered by {SENSORS:,} sensors for {OFFERED_S} s")
    print(f"{produced / OFFERED_S:,.0f} readings/s produced, {delivered / OFFERED_S:,.0f} delivered")
    for name, part in [("first", resident[:third]), ("second", resident[third:-third]), ("last", resident[-third:])]:
        print(f"{name + ' third of the time':34}{min(part) / 2**20:>10,.0f} to {max(part) / 2**20:,.0f} MiB")
    print()


def spool(program):
    """Readings a second into the spool while nothing answers."""
    with tempfile.TemporaryDirectory() as work:
        # Port 9 discards, and nobody serves it: each connection is refused.
        daemon = start(ours(program, work, "kpl", more=offered()), work, "http://127.0.0.1:9", pinned=False)
        marks = []
        while len(marks) < 2:
            time.sleep(5)
            marks.append((time.monotonic(), counter(work, "temp_ingest_readings_spooled")))
        used = sum(file.stat().st_size for file in Path(work, "spool").iterdir())
        spooled = marks[1][1]
        daemon.send_signal(signal.SIGTERM)
        finish(daemon, work)
    rate = (marks[1][1] - marks[0][1]) / (marks[1][0] - marks[0][0])
    print(f"Spool: {rate:,.0f} readings/s while nothing answers, {used / spooled:.1f} bytes of disk a reading")


def offered():
    return f'interval = "{SENSORS / OFFERED_PER_S * 1_000:.0f}ms"'


def resident_bytes(pid):
    pages = int(Path("/proc", str(pid), "statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize()


def counter(work, name):
    """A metric of the daemon that logs into `work`."""
    address = re.search(r"metrics=(\S+)", Path(work, "log").read_text(encoding="utf-8"))[1]
    with urllib.request.urlopen(address) as answer:
        return float(re.search(rf"^{name}(?:{{.*}})? (\S+)$", answer.read().decode(), re.MULTILINE)[1])


if __name__ == "__main__":
    main()
