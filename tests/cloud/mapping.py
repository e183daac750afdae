"""A model of the event source mapping: GetRecords of every shard, batches, Invoke through the Lambda API, and what
becomes of failures. Each behaviour names the page of docs.aws.amazon.com/lambda/latest/dg/ that promises it.

The stand-in's own mapping is switched off: it takes no notice of ReportBatchItemFailures (what follows a failed record
is lost), of retries, of bisection and of the failure destination. This one takes its settings from the mapping that the
template deployed. What it leaves out: time. It never waits, neither for a batch to fill nor between tries, and its
clock can be set forward, so that nothing in a test depends on how fast a machine is.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Callable

from . import destination, filters
from .stream import KinesisStream, Record, Shard, TableStream

# gettingstarted-limits: an invocation's payload may have 6 MB, and "Lambda sends the batch" when it reaches that.
MAX_PAYLOAD = 6 * 1024 * 1024
# So many rounds in a row in which nothing at all moves mean that a test waits for what will never come.
STUCK_ROUNDS = 50


class Stuck(AssertionError):
    """Nothing moves any more, and records are left."""


@dataclass(frozen=True)
class Settings:
    """A mapping as it was deployed: services-kinesis-parameters and services-ddb-params."""

    uuid: str
    source: str
    function: str
    start: str
    batch_size: int
    parallelization: int
    bisect: bool
    max_retries: int | None
    max_age: int | None
    bucket: str | None
    patterns: tuple[dict, ...]
    partial: bool

    @classmethod
    def of(cls, deployed: dict) -> Settings:
        """From GetEventSourceMapping. What is not set has the default of the pages; -1 means without a limit."""
        def limit(name: str) -> int | None:
            value = int(deployed.get(name, -1))
            return None if value == -1 else value

        target = deployed.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if target and target.split(":")[2] != "s3":
            raise ValueError(f"the model writes to S3 only, and the failure destination is {target}")
        return cls(
            uuid=deployed["UUID"],
            source=deployed["EventSourceArn"],
            function=deployed["FunctionArn"],
            start=deployed["StartingPosition"],
            batch_size=int(deployed.get("BatchSize", 100)),
            parallelization=int(deployed.get("ParallelizationFactor", 1)),
            bisect=truth(deployed.get("BisectBatchOnFunctionError", False)),
            max_retries=limit("MaximumRetryAttempts"),
            max_age=limit("MaximumRecordAgeInSeconds"),
            bucket=target.split(":")[-1] if target else None,
            patterns=tuple(json.loads(one["Pattern"]) for one in deployed.get("FilterCriteria", {}).get("Filters", [])),
            partial="ReportBatchItemFailures" in deployed.get("FunctionResponseTypes", []),
        )


def truth(value) -> bool:
    """The stand-in hands on what the template says, so a flag may be text."""
    return str(value).lower() == "true"


@dataclass
class Batch:
    shard: str
    records: list[Record]
    failures: int = 0
    invoked: int = 0
    error: str = "Unhandled"


@dataclass
class Lane:
    """One of the concurrent batches of a shard, with the partition keys that are its."""

    shard: Shard
    queue: deque[Record] = field(default_factory=deque)
    # What was begun, to be finished before the queue goes on.
    begun: deque[Batch] = field(default_factory=deque)


@dataclass(frozen=True)
class Invocation:
    records: tuple[Record, ...]
    outcome: Answered | Errored | Unreached
    seconds: float


@dataclass(frozen=True)
class Answered:
    """What the function returned, and the end of what it logged."""

    value: object
    log: str = ""


@dataclass(frozen=True)
class Errored:
    """The function ended in an error, or its answer was lost."""

    kind: str
    why: str
    log: str = ""


@dataclass(frozen=True)
class Unreached:
    """The function was not invoked: throttled, or the service did not answer."""

    why: str


class Mapping:
    """One mapping. `step` does a round of it; `drain` goes on until nothing is left."""

    def __init__(
        self,
        settings: Settings,
        stream: KinesisStream | TableStream,
        invoke: Callable[[bytes], Answered | Errored | Unreached],
        keep: Callable[[str, dict], None],
    ):
        self.settings = settings
        self.stream = stream
        self._invoke_with = invoke
        # Puts an object into the failure destination, by key.
        self._keep = keep
        self._lanes: dict[str, list[Lane]] = {}
        self.invocations: list[Invocation] = []
        self.given_up: list[Record] = []
        # How far the mapping's clock is ahead, in seconds: records age by it.
        self.ahead = 0.0
        # Says of a batch "twice" (its records are delivered twice at once), "drop" (the answer is lost) or None.
        self.disturb: Callable[[Batch], str | None] = lambda _: None

    @property
    def left(self) -> int:
        """How many records were read and are neither handled nor given up."""
        return sum(
            len(lane.queue) + sum(len(batch.records) for batch in lane.begun)
            for lanes in self._lanes.values() for lane in lanes
        )

    def drain(self) -> None:
        """Rounds until everything in the stream is handled or given up."""
        still, before = 0, None
        while self.step() or self.left:
            left = self.left
            still = still + 1 if left == before else 0
            before = left
            if still > STUCK_ROUNDS:
                raise Stuck(f"{self.settings.function} gets nowhere in {STUCK_ROUNDS} rounds with {left} records; "
                            f"its last answer: {self.invocations[-1].outcome}")

    def step(self) -> bool:
        """Reads every shard once, invokes the function once for each lane with records. False where it did nothing."""
        moved = self._read()
        batches = [
            (lane, batch) for lanes in self._lanes.values() for lane in lanes if (batch := self._next(lane))
        ]
        if batches:
            with ThreadPoolExecutor(len(batches)) as pool:
                answers = list(pool.map(self._deliver, [batch for _, batch in batches]))
            for (lane, batch), answer in zip(batches, answers):
                self._settle(lane, batch, answer)
        return moved or bool(batches)

    def _read(self) -> bool:
        known = {id: lanes[0].shard for id, lanes in self._lanes.items()}
        # Shards that are new can wait until what was read is handled.
        for shard in self.stream.shards() if not self.left else []:
            if shard.id in known:
                known[shard.id].closed = shard.closed
            else:
                self._lanes[shard.id] = [Lane(shard) for _ in range(self.settings.parallelization)]
                known[shard.id] = shard
        moved = False
        for lanes in self._lanes.values():
            shard = lanes[0].shard
            parent = known.get(shard.parent)
            # with-kinesis: a shard that came of a split or a merge is read once all of its parent is processed.
            waits = parent and (not parent.ended or any(lane.queue or lane.begun for lane in self._lanes[parent.id]))
            if shard.ended or waits:
                continue
            records = self.stream.read(shard)
            moved |= bool(records) or shard.ended
            for record in records:
                # invocation-eventfiltering: a record that no pattern matches is never sent, and is done with.
                seen = self.stream.filtered(record)
                if not self.settings.patterns or any(filters.matches(one, seen) for one in self.settings.patterns):
                    lanes[slot(record.partition_key, len(lanes))].queue.append(record)
        return moved

    def _next(self, lane: Lane) -> Batch | None:
        if not lane.begun and lane.queue:
            batch, size = Batch(lane.shard.id, []), 0
            while lane.queue and len(batch.records) < self.settings.batch_size:
                size += lane.queue[0].size
                if batch.records and size > MAX_PAYLOAD:
                    break
                batch.records.append(lane.queue.popleft())
            lane.begun.append(batch)
        while lane.begun:
            batch = lane.begun[0]
            # services-kinesis-parameters: a record older than MaximumRecordAgeInSeconds is discarded.
            old = [record for record in batch.records if self._too_old(record)]
            if old:
                self._give_up(Batch(batch.shard, old, invoked=batch.invoked, error=batch.error))
                batch.records = [record for record in batch.records if not self._too_old(record)]
            if batch.records:
                return batch
            lane.begun.popleft()
        return None

    def _too_old(self, record: Record) -> bool:
        return self.settings.max_age is not None and self.now() - record.arrived > self.settings.max_age

    def now(self) -> float:
        return time.time() + self.ahead

    def _deliver(self, batch: Batch) -> Answered | Errored | Unreached:
        disturbance = self.disturb(batch)
        if disturbance == "twice":
            # invocation-eventsourcemapping: "Lambda event source mappings process each event at least once, and
            # duplicate processing of batches can occur". At once is the hardest case; the second answer is lost.
            with ThreadPoolExecutor(2) as pool:
                second = pool.submit(self._invoke, batch)
                outcome = self._invoke(batch)
                second.result()
        else:
            outcome = self._invoke(batch)
        return Errored("Unhandled", "the answer was lost") if disturbance == "drop" else outcome

    def _invoke(self, batch: Batch) -> Answered | Errored | Unreached:
        begun = time.monotonic()
        outcome = self._invoke_with(json.dumps({"Records": [record.event for record in batch.records]}).encode())
        self.invocations.append(Invocation(tuple(batch.records), outcome, time.monotonic() - begun))
        return outcome

    def _settle(self, lane: Lane, batch: Batch, outcome: Answered | Errored | Unreached) -> None:
        match outcome:
            case Unreached():
                # kinesis-on-failure-destination: "it retries until the records expire or exceed the maximum age".
                return
            case Answered(value=value):
                batch.invoked += 1
                failed = self._failed(batch, value)
                if failed is None:
                    lane.begun.popleft()
                    return
                # services-kinesis-batchfailurereporting: "Lambda uses the lowest sequence number as the checkpoint, and
                # retries all records starting from that checkpoint"; with bisection on, "the batch is bisected at the
                # returned sequence number and Lambda retries only the remaining records". No page says that progress
                # starts the count anew, so it does not.
                batch.records = [record for record in batch.records if record.number >= failed]
                batch.failures += 1
            case Errored(kind=kind):
                batch.invoked += 1
                batch.error = kind
                if self.settings.bisect and len(batch.records) > 1:
                    # kinesis-on-failure-destination: "Splitting batches doesn't consume the retry quota".
                    middle = len(batch.records) // 2
                    rest = Batch(batch.shard, batch.records[middle:], batch.failures, batch.invoked, kind)
                    batch.records = batch.records[:middle]
                    lane.begun.insert(1, rest)
                    return
                batch.failures += 1
        if self.settings.max_retries is not None and batch.failures > self.settings.max_retries:
            self._give_up(batch)
            lane.begun.popleft()

    def _failed(self, batch: Batch, answer: object) -> int | None:
        """The lowest sequence number that failed; None where all is done.

        services-kinesis-batchfailurereporting: an empty answer, null, or an empty list is a complete success; an
        identifier that is empty, null or misspelt is a complete failure.
        """
        if not self.settings.partial or not answer or not answer.get("batchItemFailures"):
            return None
        first = batch.records[0].number
        known = {record.sequence: record.number for record in batch.records}
        numbers = [known.get(one.get("itemIdentifier"), first) for one in answer["batchItemFailures"]]
        return min(numbers)

    def _give_up(self, batch: Batch) -> None:
        """kinesis-on-failure-destination: what is discarded goes there, and processing goes on behind it."""
        self.given_up.extend(batch.records)
        now = self.now()
        record = destination.invocation_record(
            function=self.settings.function, info=self.stream.batch_info, stream=self.settings.source,
            shard=batch.shard, records=batch.records, invoked=batch.invoked, answer=batch.error, now=now)
        key = destination.object_key(self.settings.uuid, batch.shard, now)
        self._keep(key, record)


def slot(partition_key: str, lanes: int) -> int:
    """with-kinesis: "Lambda still ensures in-order processing at the partition-key level"."""
    return int.from_bytes(hashlib.md5(partition_key.encode()).digest()[:8]) % lanes
