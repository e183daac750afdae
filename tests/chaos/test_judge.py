"""Each kind of wrong is put into a ledger, and the judge of the chaos run must find it, and nothing else."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_ledger_check import HALF, SHARDS, aggregate

from .client import name, reading
from .judge import WRONG, Judge

SENSOR = name(1, 0)


class Ledger:
    def __init__(self) -> None:
        self.lines = [SHARDS]

    def put(self, numbers: list[int], producer: str = "a", number: int = 1, **more: object) -> None:
        """A record of these readings."""
        changes = more.pop("changes", {})
        readings = [reading(SENSOR, one) | changes for one in numbers]
        data = base64.b64encode(more.pop("data", None) or aggregate(readings, producer, number)).decode()
        index = len(self.lines) - 1
        self.lines.append({"index": index, "shard": "a", "sequence": str(100 + index), "partition_key": "2/0",
                           "explicit_hash_key": "0", "arrival_millis": 1, "data": data} | more)

    def verdict(self, acknowledged: int):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
            return Judge({SENSOR: acknowledged}).read(path)


class JudgeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.ledger = Ledger()

    def found(self, acknowledged: int, *wrong: str) -> dict[str, int]:
        verdict = self.ledger.verdict(acknowledged)
        found = [one for one in WRONG if verdict.counts[one]]
        self.assertEqual(found, sorted(wrong, key=WRONG.index), verdict.examples)
        self.assertEqual(verdict.is_good(), not wrong)
        return verdict.counts

    def test_what_was_repeated_is_counted_and_not_wrong(self):
        self.ledger.put([0, 1])
        self.ledger.put([0, 1])
        # Posted again to the next daemon, by a client that was not answered.
        self.ledger.put([1, 2], "b")
        counts = self.found(3)
        self.assertEqual(counts["distinct readings"], 3)
        self.assertEqual((counts["repeated readings"], counts["repeated records"]), (3, 1))

    def test_a_lost_reading(self):
        self.ledger.put([0, 2])
        self.assertEqual(self.found(3, "lost")["lost"], 1)

    def test_a_reading_that_nobody_sent(self):
        self.ledger.put([0, 1])
        self.found(1, "invented")

    def test_another_value(self):
        self.ledger.put([0], changes={"kind": "temperature"})
        self.found(1, "altered")

    def test_another_time(self):
        self.ledger.put([0], changes={"time": "2026-01-01T00:00:00.000001Z"})
        self.found(1, "altered")

    def test_out_of_order_in_a_record(self):
        self.ledger.put([1, 0])
        self.found(2, "out of order", "out of order by producer")

    def test_out_of_order_among_producers(self):
        self.ledger.put([1])
        self.ledger.put([0], "b")
        self.found(2, "out of order")

    def test_out_of_order_by_a_producer_though_it_was_there_before(self):
        self.ledger.put([0, 1])
        self.ledger.put([1], "b", 1)
        self.ledger.put([0], "b", 2)
        self.found(2, "out of order by producer")

    def test_numbers_out_of_order(self):
        self.ledger.put([0], number=2)
        self.ledger.put([1], number=1)
        self.found(2, "records out of order")

    def test_other_bytes_of_one_identity(self):
        self.ledger.put([0, 1])
        self.ledger.put([0])
        self.found(2, "same identity, other bytes")

    def test_a_record_that_is_no_aggregate(self):
        self.ledger.put([0])
        self.ledger.put([], data=b"{}")
        self.found(1, "damaged records")

    def test_a_shard_that_the_record_does_not_belong_to(self):
        self.ledger.put([0], data=aggregate([reading(SENSOR, 0)], "a", 1, str(HALF)))
        self.found(1, "outside its shard")

    def test_sequence_numbers_that_fall(self):
        self.ledger.put([0])
        self.ledger.put([1], number=2, sequence="1")
        self.found(2, "sequence numbers not rising")


if __name__ == "__main__":
    unittest.main()
