"""Reads the endpoint's ledger and says what was lost, invented, repeated or out of order.

It shares no code with the daemon; what is inside a record is told by aws_kinesis_agg. Every reading carries its number
as its value, counted from 0 for each sensor, so that a million of them need little memory."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path

from ledger_check import hash_of, instant, tags_of, user_records

from .client import reading

EXAMPLES = 5
# Wrong whenever it is not 0.
WRONG = ("lost", "invented", "altered", "out of order", "out of order by producer", "records out of order",
         "same identity, other bytes", "outside its shard", "damaged records", "sequence numbers not rising")


class Verdict:
    """Counts by name, with examples of what is wrong."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: defaultdict[str, list[str]] = defaultdict(list)

    def wrong(self, name: str, example: str) -> None:
        self.counts[name] += 1
        if len(self.examples[name]) < EXAMPLES:
            self.examples[name].append(example)

    def is_good(self) -> bool:
        return not any(self.counts[name] for name in WRONG)


class Judge:
    """Walks a ledger once, in order of acceptance."""

    def __init__(self, acknowledged: dict[str, int]) -> None:
        self.verdict = Verdict()
        self.acknowledged = acknowledged
        self.shards: dict[str, tuple[int, int]] = {}
        self.sequence: dict[str, int] = {}
        self.sent: dict[tuple[str, str, int], bytes] = {}
        self.highest: dict[tuple[str, str], int] = {}
        self.times = {sensor: bytearray(count) for sensor, count in acknowledged.items()}
        self.newest: dict[str, int] = {}
        self.by_producer: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self.newest_by_producer: dict[tuple[str, str], int] = {}

    def read(self, ledger: Path) -> Verdict:
        with ledger.open(encoding="utf-8") as lines:
            for text in lines:
                line = json.loads(text)
                if "shards" in line:
                    for shard in line["shards"]:
                        self.shards[shard["shard"]] = (int(shard["start"]), int(shard["end"]))
                else:
                    self.record(line)
        for sensor, times in self.times.items():
            for number in range(len(times)):
                if not times[number]:
                    self.verdict.wrong("lost", f"{sensor} {number}")
        counts = self.verdict.counts
        counts["distinct readings"] = sum(1 for times in self.times.values() for count in times if count)
        counts["repeated readings"] = counts["readings"] - counts["distinct readings"]
        counts["producers"] = len({producer for producer, _, _ in self.sent})
        return self.verdict

    def record(self, line: dict) -> None:
        self.verdict.counts["records"] += 1
        where = f"record {line['index']}"
        shard, sequence = line["shard"], int(line["sequence"])
        if sequence <= self.sequence.get(shard, -1):
            self.verdict.wrong("sequence numbers not rising", where)
        self.sequence[shard] = sequence
        data = base64.b64decode(line["data"])
        inside = list(user_records(line))
        aggregate = tags_of(data)
        if aggregate is None or aggregate[0] != len(inside) or not {"producer", "number"} <= aggregate[1].keys():
            self.verdict.wrong("damaged records", where)
            return
        start, end = self.shards[shard]
        if any(not start <= hash_of(key, explicit) <= end for key, explicit, _ in inside):
            self.verdict.wrong("outside its shard", where)
        producer, number = aggregate[1]["producer"], int(aggregate[1]["number"])
        repeated = self.is_repeated(producer, line["partition_key"], number, data, where)
        for _, _, text in inside:
            self.reading(json.loads(text), producer, repeated, where)

    def is_repeated(self, producer: str, lane: str, number: int, data: bytes, where: str) -> bool:
        digest = hashlib.sha1(data).digest()
        first = self.sent.get((producer, lane, number))
        if first is not None:
            self.verdict.counts["repeated records"] += 1
            if first != digest:
                self.verdict.wrong("same identity, other bytes", where)
            return True
        self.sent[producer, lane, number] = digest
        highest = self.highest.get((producer, lane), 0)
        if number < highest:
            self.verdict.wrong("records out of order", where)
        self.highest[producer, lane] = max(number, highest)
        return False

    def reading(self, fields: dict, producer: str, repeated: bool, where: str) -> None:
        self.verdict.counts["readings"] += 1
        sensor, number = fields["sensor"], int(fields["value"])
        example = f"{where}: {sensor} {number}"
        times = self.times.get(sensor)
        if times is None or number >= len(times):
            self.verdict.wrong("invented", example)
            return
        if not is_equal(fields, reading(sensor, number)):
            self.verdict.wrong("altered", f"{example}: {fields}")
        if not times[number]:
            if number < self.newest.get(sensor, -1):
                self.verdict.wrong("out of order", f"{example} after {self.newest[sensor]}")
            self.newest[sensor] = max(number, self.newest.get(sensor, -1))
        times[number] = min(times[number] + 1, 255)
        if repeated:
            return
        # One producer may be given a reading twice: by a client that got no answer and did not name its request.
        series = (producer, sensor)
        if number not in self.by_producer[series]:
            self.by_producer[series].add(number)
            if number < self.newest_by_producer.get(series, -1):
                self.verdict.wrong("out of order by producer", f"{example} after {self.newest_by_producer[series]}")
            self.newest_by_producer[series] = max(number, self.newest_by_producer.get(series, -1))


def is_equal(found: dict, sent: dict) -> bool:
    """Whatever form numbers and times are written in."""
    return all(found.get(name) == value for name, value in sent.items() if name != "time") \
        and (found["time"] == sent["time"] or instant(found["time"]) == instant(sent["time"]))
