#!/usr/bin/env python3
"""Reads the ledger of `kinesis-fake` and says what was lost, repeated, invented or out of order.

It shares no code with the Rust side. What is inside a record is told by aws_kinesis_agg; that package ignores tags, so
they are read from the protobuf classes it brings along.

    ledger_check.py LEDGER [--expected READINGS] [--allow-gaps] [--exactly-once]

The report is JSON on stdout. Exit 1 where something is wrong, 2 where a file cannot be read.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections import Counter, defaultdict
from datetime import datetime

from aws_kinesis_agg import MAGIC
# The protobuf classes can be imported only after this module, which puts them on the path.
from aws_kinesis_agg.deaggregator import iter_deaggregate_records, messages_pb2

EXAMPLES = 5
# Without an expected file nothing can be lost or invented; these are wrong whenever they are not 0.
ALWAYS_WRONG = [
    "damaged_lines",
    "damaged_records",
    "undecodable_readings",
    "sequence_numbers_not_rising",
    "records_outside_their_shard",
    "user_records_outside_their_shard",
    "repeated_with_different_bytes",
    "records_out_of_order",
    "out_of_order",
    "lost",
    "invented",
]


class Report:
    """Counts by name, with the first few examples of what is wrong."""

    def __init__(self):
        self.counts = Counter()
        self.examples = defaultdict(list)

    def wrong(self, name, example, times=1):
        self.counts[name] += times
        if len(self.examples[name]) < EXAMPLES:
            self.examples[name].append(example)


class Reading:
    """One user record's JSON: who measured, when, and a key that is equal where the reading is."""

    __slots__ = ("identity", "key", "sensor", "time")

    def __init__(self, fields):
        self.sensor = fields.get("sensor") or fields["deviceid"]
        self.time = fields.get("time") or fields["timestamp"]
        producer, number = fields.pop("producer", None), fields.pop("number", None)
        self.identity = (producer, number) if producer is not None and number is not None else None
        # Python holds 97 and 97.0 for equal, as JSON does.
        self.key = tuple(sorted((name, freeze(value)) for name, value in fields.items()))


def freeze(value):
    if isinstance(value, list):
        return tuple(freeze(item) for item in value)
    return tuple(sorted((name, freeze(item)) for name, item in value.items())) if isinstance(value, dict) else value


def instant(text):
    """A time with or without a zone, and with or without a fraction; without a zone it is UTC."""
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "T", 1))
    return parsed.replace(tzinfo=None) if parsed.tzinfo is None else parsed.replace(tzinfo=None) - parsed.utcoffset()


def hash_of(partition_key, explicit_hash_key):
    """Where Kinesis places a record."""
    if explicit_hash_key is not None:
        return int(explicit_hash_key)
    return int.from_bytes(hashlib.md5(partition_key.encode()).digest(), "big")


def tags_of(data):
    """The number of user records in an aggregate, and the tags of the first one; None where it is no aggregate."""
    if not data.startswith(MAGIC):
        return None
    aggregate = messages_pb2.AggregatedRecord()
    aggregate.ParseFromString(data[len(MAGIC) : -16])
    tags = {tag.key: tag.value for tag in aggregate.records[0].tags} if aggregate.records else {}
    return len(aggregate.records), tags


def user_records(line):
    """What the KCL would hand over: (partition key, explicit hash key, bytes) of each."""
    envelope = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "sequenceNumber": line["sequence"],
            "approximateArrivalTimestamp": line["arrival_millis"] / 1000,
            "partitionKey": line["partition_key"],
            "explicitHashKey": line["explicit_hash_key"],
            "data": line["data"],
        }
    }
    for record in iter_deaggregate_records([envelope]):
        inner = record["kinesis"]
        yield inner["partitionKey"], inner["explicitHashKey"], base64.b64decode(inner["data"])


def expected_positions(path):
    """The lines each expected reading stands on, in order."""
    positions = defaultdict(list)
    with open(path, encoding="utf-8") as lines:
        for position, line in enumerate(lines):
            if line.strip():
                positions[Reading(json.loads(line)).key].append(position)
    return positions


class Check:
    """Walks a ledger once, in order of acceptance."""

    def __init__(self, expected):
        self.report = Report()
        self.expected = expected
        self.shards = {}
        self.last_sequence = {}
        self.sent = {}  # (producer, lane, number) -> digest of the bytes
        self.numbers = defaultdict(set)  # (producer, lane) -> numbers
        self.highest = defaultdict(int)  # (producer, lane) -> highest number so far
        self.found = Counter()  # readings of first deliveries
        self.by_producer = Counter()  # (producer, reading)
        self.newest = {}  # (producer, sensor) -> position or instant

    def line(self, text):
        try:
            line = json.loads(text)
        except ValueError:
            self.report.wrong("damaged_lines", text[:200])
            return
        if "shards" in line:
            for shard in line["shards"]:
                self.shards[shard["shard"]] = (int(shard["start"]), int(shard["end"]))
            return
        self.record(line)

    def record(self, line):
        report = self.report
        if line["index"] != report.counts["records"]:
            report.wrong("damaged_lines", f"record {line['index']} stands where {report.counts['records']} belongs")
        report.counts["records"] += 1
        shard = line["shard"]
        if line["sequence"] <= self.last_sequence.get(shard, ""):
            report.wrong("sequence_numbers_not_rising", line["index"])
        self.last_sequence[shard] = line["sequence"]
        self.placed("records_outside_their_shard", shard, line["partition_key"], line["explicit_hash_key"], line["index"])

        data = base64.b64decode(line["data"])
        inside = list(user_records(line))
        readings = self.readings(inside, line["index"])
        try:
            aggregate = tags_of(data)
        except Exception as error:  # The protobuf package raises several kinds.
            report.wrong("damaged_records", f"record {line['index']}: {error}")
            return
        identity = None
        if aggregate is not None:
            count, tags = aggregate
            # The package hands a damaged aggregate over as one plain record, or fewer records than there are.
            if count != len(inside) or (count == 1 and inside[0][2] == data):
                report.wrong("damaged_records", f"record {line['index']}: {len(inside)} of {count} user records")
                return
            if "producer" in tags and "number" in tags:
                identity = (tags["producer"], int(tags["number"]))
            for key, explicit, _ in inside:
                self.placed("user_records_outside_their_shard", shard, key, explicit, line["index"])
        elif readings:
            identity = readings[0].identity
        if self.first_delivery(identity, line, data):
            self.deliver(identity[0] if identity else None, readings, line["index"])

    def placed(self, name, shard, partition_key, explicit_hash_key, index):
        start, end = self.shards[shard]
        if not start <= hash_of(partition_key, explicit_hash_key) <= end:
            self.report.wrong(name, f"record {index}: {partition_key} {explicit_hash_key} in {shard}")

    def readings(self, inside, index):
        readings = []
        for _, _, data in inside:
            self.report.counts["user_readings"] += 1
            try:
                readings.append(Reading(json.loads(data)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self.report.wrong("undecodable_readings", f"record {index}: {error!r}: {data[:200]!r}")
        return readings

    def first_delivery(self, identity, line, data):
        """False where the record was there before."""
        if identity is None:
            self.report.counts["records_without_identity"] += 1
            return True
        producer, number = identity
        lane = (producer, line["partition_key"])
        sent = (*lane, number)
        digest = hashlib.sha1(data).digest()
        if sent in self.sent:
            self.report.counts["repeated_records"] += 1
            if self.sent[sent] != digest:
                self.report.wrong("repeated_with_different_bytes", [*sent, line["index"]])
            return False
        self.sent[sent] = digest
        self.numbers[lane].add(number)
        if number < self.highest[lane]:
            self.report.wrong("records_out_of_order", [*sent, f"after {self.highest[lane]}", line["index"]])
        self.highest[lane] = max(number, self.highest[lane])
        return True

    def deliver(self, producer, readings, index):
        for reading in readings:
            self.found[reading.key] += 1
            of_producer = (producer, reading.key)
            before = self.by_producer[of_producer]
            self.by_producer[of_producer] += 1
            if self.expected is None:
                place = instant(reading.time)
                repeated = before > 0
            else:
                places = self.expected.get(reading.key, ())
                repeated = before >= len(places)
                place = None if repeated else places[before]
            if repeated:
                continue  # Packed anew, or not expected at all: its order means nothing.
            series = (producer, reading.sensor)
            newest = self.newest.get(series)
            if newest is not None and place < newest:
                self.report.wrong("out_of_order", f"record {index}: {reading.sensor} {reading.time}")
            else:
                self.newest[series] = place

    def finish(self):
        counts = self.report.counts
        counts["distinct_readings"] = len(self.found)
        counts["producers"] = len({producer for producer, _ in self.numbers})
        counts["lanes"] = len(self.numbers)
        for lane, numbers in self.numbers.items():
            missing = max(numbers) - len(numbers)
            if missing:
                first = next(number for number in range(1, max(numbers)) if number not in numbers)
                self.report.wrong("missing_numbers", [*lane, f"{first} and {missing - 1} more"], missing)
        if self.expected is None:
            counts["repeated_readings"] = sum(times - 1 for times in self.found.values())
            return
        counts["expected"] = sum(len(places) for places in self.expected.values())
        for key, places in self.expected.items():
            found = self.found.get(key, 0)
            if found < len(places):
                self.report.wrong("lost", dict(key), len(places) - found)
            counts["repeated_readings"] += max(0, found - len(places))
        for key, found in self.found.items():
            if key not in self.expected:
                self.report.wrong("invented", dict(key), found)


def check(lines, expected=None):
    """The report on a ledger's lines."""
    walk = Check(expected)
    for text in lines:
        walk.line(text)
    walk.finish()
    return walk.report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ledger", help="the file that kinesis-fake wrote")
    parser.add_argument("--expected", help="JSON lines of the readings that were sent, in their order")
    parser.add_argument("--allow-gaps", action="store_true", help="numbers may be missing: dead-lettered or dropped")
    parser.add_argument("--exactly-once", action="store_true", help="no reading may come in two records")
    arguments = parser.parse_args()
    try:
        expected = expected_positions(arguments.expected) if arguments.expected else None
        with open(arguments.ledger, encoding="utf-8") as lines:
            report = check(lines, expected)
    except (OSError, ValueError, KeyError) as error:
        print(f"ledger_check: {error!r}", file=sys.stderr)
        return 2
    wrong = list(ALWAYS_WRONG)
    wrong += [] if arguments.allow_gaps else ["missing_numbers"]
    wrong += ["repeated_readings"] if arguments.exactly_once else []
    violations = [name for name in wrong if report.counts[name]]
    names = sorted({*report.counts, *ALWAYS_WRONG, "missing_numbers", "repeated_records", "repeated_readings"})
    answer = {name: report.counts[name] for name in names}
    answer["violations"] = violations
    answer["examples"] = {name: report.examples[name] for name in sorted(report.examples)}
    print(json.dumps(answer, indent=2, default=str))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
