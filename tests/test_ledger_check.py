"""Each kind of wrong is put into a ledger, and must be found: `python3 -m unittest discover tests`."""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import unittest
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import ledger_check
from ledger_check import MAGIC, messages_pb2

HALF = 1 << 127
SHARDS = {"shards": [{"shard": "a", "start": "0", "end": str(HALF - 1)}, {"shard": "b", "start": str(HALF), "end": str(2 * HALF - 1)}]}


def reading(sensor, second, **more):
    return {"sensor": sensor, "time": f"2026-01-01T00:00:{second:02}.000000Z", "kind": "temperature", "value": 20.5, **more}


def aggregate(readings, producer="00000000000000aa", number=1, explicit="0"):
    message = messages_pb2.AggregatedRecord()
    message.partition_key_table.append("2/0")
    message.explicit_hash_key_table.append(explicit)
    for index, fields in enumerate(readings):
        record = message.records.add(partition_key_index=0, explicit_hash_key_index=0, data=json.dumps(fields).encode())
        if index == 0:
            record.tags.add(key="producer", value=producer)
            record.tags.add(key="number", value=str(number))
    body = message.SerializeToString()
    return MAGIC + body + hashlib.md5(body).digest()


class Ledger:
    def __init__(self):
        self.lines = [json.dumps(SHARDS)]

    def put(self, data, key="2/0", explicit="0", shard="a", sequence=None):
        index = len(self.lines) - 1
        self.lines.append(json.dumps({
            "index": index, "request": 1, "shard": shard, "sequence": sequence or f"{index:056}", "partition_key": key,
            "explicit_hash_key": explicit, "arrival_millis": 0, "data": base64.b64encode(data).decode(),
        }))
        return self

    def counts(self, expected=None):
        return self.report(expected).counts

    def report(self, expected=None):
        positions = None
        if expected is not None:
            positions = defaultdict(list)
            for place, fields in enumerate(expected):
                positions[ledger_check.Reading(dict(fields)).key].append(place)
        return ledger_check.check(self.lines, positions)


class LedgerCheck(unittest.TestCase):
    def setUp(self):
        self.readings = [reading(f"s{index % 2}", index) for index in range(6)]

    def wrong(self, counts):
        return {name: counts[name] for name in [*ledger_check.ALWAYS_WRONG, "missing_numbers"] if counts[name]}

    def test_all_is_well(self):
        ledger = Ledger().put(aggregate(self.readings[:4])).put(aggregate(self.readings[4:], number=2))
        counts = ledger.counts(self.readings)
        self.assertEqual(self.wrong(counts), {})
        self.assertEqual((counts["records"], counts["user_readings"], counts["distinct_readings"]), (2, 6, 6))
        self.assertEqual((counts["expected"], counts["lanes"], counts["producers"]), (6, 1, 1))

    def test_repeated_record_is_told_and_right(self):
        data = aggregate(self.readings)
        counts = Ledger().put(data).put(data).counts(self.readings)
        self.assertEqual((self.wrong(counts), counts["repeated_records"], counts["repeated_readings"]), ({}, 1, 0))

    def test_repeated_with_different_bytes(self):
        counts = Ledger().put(aggregate(self.readings)).put(aggregate(self.readings[:5])).counts(self.readings)
        self.assertEqual(self.wrong(counts), {"repeated_with_different_bytes": 1})

    def test_lost_and_invented(self):
        other = reading("s0", 59)
        report = Ledger().put(aggregate([*self.readings[:5], other])).report(self.readings)
        self.assertEqual(self.wrong(report.counts), {"lost": 1, "invented": 1})
        self.assertEqual(report.examples["lost"][0]["time"], self.readings[5]["time"])

    def test_a_reading_changed_on_its_way_is_lost_and_invented(self):
        changed = [*self.readings[:5], {**self.readings[5], "value": 20.6}]
        self.assertEqual(self.wrong(Ledger().put(aggregate(changed)).counts(self.readings)), {"lost": 1, "invented": 1})

    def test_packed_anew_is_a_repeated_reading(self):
        ledger = Ledger().put(aggregate(self.readings)).put(aggregate(self.readings[:2], producer="bb"))
        counts = ledger.counts(self.readings)
        self.assertEqual((self.wrong(counts), counts["repeated_readings"]), ({}, 2))

    def test_equal_readings_are_counted(self):
        twice = [self.readings[0], self.readings[0]]
        self.assertEqual(self.wrong(Ledger().put(aggregate(twice)).counts(twice)), {})
        self.assertEqual(self.wrong(Ledger().put(aggregate(twice[:1])).counts(twice)), {"lost": 1})

    def test_out_of_order(self):
        swapped = [self.readings[2], self.readings[0], *self.readings[3:], self.readings[1]]
        for expected in (self.readings, None):
            self.assertEqual(self.wrong(Ledger().put(aggregate(swapped)).counts(expected)), {"out_of_order": 2})

    def test_order_is_the_expected_one_even_against_event_time(self):
        late = [self.readings[2], self.readings[0]]
        self.assertEqual(self.wrong(Ledger().put(aggregate(late)).counts(late)), {})

    def test_a_record_sent_again_late_is_not_out_of_order(self):
        first, second = aggregate(self.readings[:4]), aggregate(self.readings[4:], number=2)
        self.assertEqual(self.wrong(Ledger().put(first).put(second).put(first).counts(self.readings)), {})

    def test_numbers_must_begin_at_one_and_rise_without_gaps(self):
        ledger = Ledger()
        for number, fields in zip((2, 5), self.readings):
            ledger.put(aggregate([fields], number=number))
        report = ledger.report()
        self.assertEqual(self.wrong(report.counts), {"missing_numbers": 3})
        self.assertIn("1 and 2 more", report.examples["missing_numbers"][0])
        overtaken = Ledger().put(aggregate(self.readings[4:], number=2)).put(aggregate(self.readings[:1], number=1))
        self.assertEqual(overtaken.counts()["records_out_of_order"], 1)

    def test_places(self):
        user = Ledger().put(aggregate(self.readings, explicit=str(HALF)))
        self.assertEqual(self.wrong(user.counts(self.readings)), {"user_records_outside_their_shard": 6})
        record = Ledger().put(aggregate(self.readings), explicit=str(HALF))
        self.assertEqual(self.wrong(record.counts(self.readings)), {"records_outside_their_shard": 1})

    def test_plain_records_carry_their_identity_inside(self):
        fields = reading("s0", 1, producer="00000000000000aa", number=1)
        data = json.dumps(fields).encode()
        shard = "a" if ledger_check.hash_of("s0", None) < HALF else "b"
        ledger = Ledger().put(data, "s0", None, shard).put(data, "s0", None, shard)
        counts = ledger.counts([reading("s0", 1)])
        self.assertEqual((self.wrong(counts), counts["repeated_records"]), ({}, 1))

    def test_seed_a_form(self):
        fields = {"timestamp": "2024-05-01 10:00:00.123456", "datatype": "Temperature", "value": 97, "deviceid": "DHT_001"}
        earlier = {**fields, "timestamp": "2024-05-01 10:00:00"}
        self.assertEqual(self.wrong(Ledger().put(aggregate([fields, earlier])).counts()), {"out_of_order": 1})
        as_float = {**fields, "value": 97.0}
        self.assertEqual(self.wrong(Ledger().put(aggregate([as_float])).counts([fields])), {})

    def test_damage(self):
        data = bytearray(aggregate(self.readings))
        data[-1] ^= 1
        self.assertEqual(Ledger().put(bytes(data)).counts()["damaged_records"], 1)
        self.assertEqual(Ledger().put(b"no json").counts()["undecodable_readings"], 1)
        cut = Ledger().put(aggregate(self.readings))
        cut.lines.append('{"index": 1, "requ')
        self.assertEqual(self.wrong(cut.counts(self.readings)), {"damaged_lines": 1})
        sunk = Ledger().put(aggregate(self.readings[:4])).put(aggregate(self.readings[4:], number=2), sequence="0" * 56)
        self.assertEqual(self.wrong(sunk.counts(self.readings)), {"sequence_numbers_not_rising": 1})

    def test_the_exit_code_tells(self):
        with tempfile.TemporaryDirectory() as directory:
            ledger, expected = Path(directory, "ledger"), Path(directory, "expected")
            expected.write_text("".join(json.dumps(fields) + "\n" for fields in self.readings))
            for kept, code in ((6, 0), (5, 1)):
                ledger.write_text("\n".join(Ledger().put(aggregate(self.readings[:kept])).lines) + "\n")
                command = [sys.executable, ledger_check.__file__, ledger, "--expected", expected]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, json.loads(done.stdout)["lost"]), (code, 6 - kept))
            command = [sys.executable, ledger_check.__file__, Path(directory, "missing")]
            self.assertEqual(subprocess.run(command, capture_output=True, check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
