"""The model of the mapping does what AWS's pages promise: on streams of a few records, functions of a few lines."""

import json
import time
import unittest
from collections import deque

from .mapping import Answered, Errored, Mapping, Settings, Stuck, Unreached
from .stream import KinesisStream, Record, Shard

NOW = 1_700_000_000.0


class Given:
    """A stream in memory: lists of records by shard."""

    batch_info = "KinesisBatchInfo"

    def __init__(self, records, parents=None):
        self.unread = {shard: deque(batch) for shard, batch in records.items()}
        self.parents = parents or {}

    def shards(self):
        closed = set(self.parents.values())
        return [Shard(id, self.parents.get(id), id in closed) for id in self.unread]

    def read(self, shard):
        records = list(self.unread[shard.id])
        self.unread[shard.id].clear()
        shard.ended = shard.closed and not records
        return records

    filtered = staticmethod(KinesisStream.filtered)


def record(number, key="a", arrived=NOW, data="e30="):
    event = {"kinesis": {"sequenceNumber": f"{number:030d}", "partitionKey": key, "data": data}}
    return Record(event, f"{number:030d}", arrived, key)


def settings(**given):
    deployed = {
        "UUID": "mapping", "EventSourceArn": "stream", "FunctionArn": "function", "StartingPosition": "TRIM_HORIZON",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    return Settings.of(deployed | given)


class Case(unittest.TestCase):
    def run_mapping(self, records, function, disturb=lambda _: None, **given):
        """What was delivered, as lists of numbers, and the mapping; the function gets such a list."""
        delivered, kept = [], []

        def invoke(payload):
            numbers = [int(one["kinesis"]["sequenceNumber"]) for one in json.loads(payload)["Records"]]
            delivered.append(numbers)
            return function(numbers)

        stream = records if isinstance(records, Given) else Given({"shard": records})
        mapping = Mapping(settings(**given), stream, invoke, lambda key, what: kept.append((key, what)))
        mapping.disturb = disturb
        mapping.ahead = NOW - time.time()
        mapping.drain()
        self.kept = kept
        return delivered, mapping


def partial(*numbers):
    return Answered({"batchItemFailures": [{"itemIdentifier": f"{number:030d}"} for number in numbers]})


class Batches(Case):
    def test_a_batch_has_at_most_the_batch_size(self):
        delivered, _ = self.run_mapping([record(n) for n in range(5)], lambda _: Answered(None), BatchSize=2)
        self.assertEqual(delivered, [[0, 1], [2, 3], [4]])

    def test_a_batch_has_at_most_six_megabytes(self):
        big = "A" * 4_000_000
        delivered, _ = self.run_mapping([record(n, data=big) for n in range(3)], lambda _: Answered(None))
        self.assertEqual(delivered, [[0], [1], [2]])

    def test_a_partition_key_is_in_one_of_the_concurrent_batches(self):
        records = [record(n, key=f"key {n % 7}") for n in range(70)]
        delivered, _ = self.run_mapping(records, lambda _: Answered(None), ParallelizationFactor=4)
        self.assertGreater(len(delivered), 1)
        for key in range(7):
            holders = [batch for batch in delivered if any(n % 7 == key for n in batch)]
            self.assertEqual([n for n in holders[0] if n % 7 == key], list(range(key, 70, 7)))

    def test_children_of_a_shard_come_after_it(self):
        stream = Given({"child": [record(2)], "parent": [record(1)]}, {"child": "parent"})
        delivered, _ = self.run_mapping(stream, lambda _: Answered(None))
        self.assertEqual(delivered, [[1], [2]])

    def test_what_no_pattern_matches_is_never_sent(self):
        criteria = {"Filters": [{"Pattern": json.dumps({"partitionKey": ["b", {"prefix": "c"}]})}]}
        records = [record(1, "a"), record(2, "b"), record(3, "cd"), record(4, "dc")]
        delivered, mapping = self.run_mapping(records, lambda _: Answered(None), FilterCriteria=criteria)
        self.assertEqual(delivered, [[2, 3]])
        self.assertEqual(mapping.left, 0)


class Failures(Case):
    def test_after_a_partial_failure_the_rest_is_retried_from_the_lowest(self):
        answers = iter([partial(3, 2), partial(4), Answered({})])
        delivered, mapping = self.run_mapping([record(n) for n in range(1, 6)], lambda _: next(answers))
        self.assertEqual(delivered, [[1, 2, 3, 4, 5], [2, 3, 4, 5], [4, 5]])
        self.assertEqual(mapping.given_up, [])

    def test_an_identifier_that_is_none_of_the_batch_fails_all_of_it(self):
        for wrong in ("", None, "7", "no number"):
            answers = iter([Answered({"batchItemFailures": [{"itemIdentifier": wrong}]}), Answered(None)])
            delivered, _ = self.run_mapping([record(1), record(2)], lambda _: next(answers))
            self.assertEqual(delivered, [[1, 2], [1, 2]], wrong)

    def test_without_the_response_type_a_list_of_failures_means_nothing(self):
        delivered, _ = self.run_mapping([record(1)], lambda _: partial(1), FunctionResponseTypes=[])
        self.assertEqual(delivered, [[1]])

    def test_errors_halve_the_batch_until_the_bad_record_is_alone(self):
        def function(numbers):
            return Errored("Unhandled", "poison") if 3 in numbers else Answered(None)

        delivered, mapping = self.run_mapping(
            [record(n) for n in range(1, 5)], function, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1)
        self.assertEqual(delivered, [[1, 2, 3, 4], [1, 2], [3, 4], [3], [3], [4]])
        self.assertEqual([one.number for one in mapping.given_up], [3])

    def test_retries_are_counted_and_what_follows_goes_on(self):
        def function(numbers):
            return Errored("Unhandled", "poison") if 1 in numbers else Answered(None)

        delivered, _ = self.run_mapping([record(1), record(2)], function, BatchSize=1, MaximumRetryAttempts="2")
        self.assertEqual(delivered, [[1], [1], [1], [2]])

    def test_without_a_limit_it_is_said_that_nothing_moves(self):
        with self.assertRaisesRegex(Stuck, "with 1 records; its last answer: .*why it fails"):
            self.run_mapping([record(1)], lambda _: Errored("Unhandled", "why it fails"))

    def test_throttling_is_no_try(self):
        answers = iter([Unreached("429"), Unreached("429"), Answered(None)])
        delivered, mapping = self.run_mapping([record(1)], lambda _: next(answers), MaximumRetryAttempts=0)
        self.assertEqual((delivered, mapping.given_up), ([[1], [1], [1]], []))

    def test_records_that_are_too_old_are_given_up_unseen(self):
        records = [record(1, arrived=NOW - 61), record(2, arrived=NOW - 1)]
        delivered, mapping = self.run_mapping(records, lambda _: Answered(None), MaximumRecordAgeInSeconds=60)
        self.assertEqual(delivered, [[2]])
        self.assertEqual([one.number for one in mapping.given_up], [1])

    def test_what_is_given_up_is_kept_whole(self):
        self.run_mapping([record(8), record(9)], lambda _: Errored("Unhandled", "no"), MaximumRetryAttempts=1)
        (key, kept), = self.kept
        self.assertRegex(key, r"^aws/lambda/mapping/shard/2023/11/14/2023-11-14T22\.13\.\d\d-[0-9a-f-]{36}$")
        self.assertEqual(kept["requestContext"]["condition"], "RetryAttemptsExhausted")
        self.assertEqual(kept["requestContext"]["approximateInvokeCount"], 2)
        self.assertEqual(kept["responseContext"]["functionError"], "Unhandled")
        info = kept["KinesisBatchInfo"]
        self.assertEqual((int(info["startSequenceNumber"]), int(info["endSequenceNumber"])), (8, 9))
        self.assertEqual(info["batchSize"], 2)
        self.assertEqual(info["approximateArrivalOfFirstRecord"], "2023-11-14T22:13:20.000Z")
        self.assertEqual(json.loads(kept["payload"]), {"Records": [record(8).event, record(9).event]})

    def test_a_destination_of_another_kind_is_refused(self):
        with self.assertRaisesRegex(ValueError, "sqs"):
            settings(DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:eu-central-1:1:queue"}})


class Disturbances(Case):
    def test_a_batch_can_come_twice(self):
        delivered, _ = self.run_mapping([record(1)], lambda _: Answered(None), disturb=lambda _: "twice")
        self.assertEqual(delivered, [[1], [1]])

    def test_an_answer_can_be_lost(self):
        lost = iter(["drop"])
        delivered, _ = self.run_mapping([record(1)], lambda _: Answered(None), disturb=lambda _: next(lost, None))
        self.assertEqual(delivered, [[1], [1]])


if __name__ == "__main__":
    unittest.main()
