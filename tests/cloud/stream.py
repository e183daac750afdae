"""Shards as an event source mapping reads them: with the function's role, each record in the form functions get it in.

The two kinds of stream differ in what is asked and in the shape of a record, so each is a class with the same face.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cached_property

# API_GetRecords: at most 10,000 records a call, of a table's stream 1,000.
KINESIS_READ = 10_000
TABLE_READ = 1_000


@dataclass(frozen=True, eq=False)
class Record:
    """One record, as it stands in the event."""

    event: dict
    sequence: str
    arrived: float
    partition_key: str

    @property
    def number(self) -> int:
        return int(self.sequence)

    @cached_property
    def size(self) -> int:
        return len(json.dumps(self.event))


@dataclass
class Shard:
    id: str
    parent: str | None
    closed: bool
    iterator: str | None = None
    ended: bool = False


def listed(shards: list[dict]) -> list[Shard]:
    """Shards as both services describe them."""
    return [
        Shard(shard["ShardId"], shard.get("ParentShardId"), "EndingSequenceNumber" in shard["SequenceNumberRange"])
        for shard in shards
    ]


class KinesisStream:
    """with-kinesis: "Lambda polls each shard in your Kinesis stream for records"."""

    batch_info = "KinesisBatchInfo"

    def __init__(self, clients, arn: str, role: str, start: str):
        self._client = clients("kinesis")
        self.arn, self._role, self._start = arn, role, start

    def shards(self) -> list[Shard]:
        """The shards there are. Calls all that with-kinesis lists under "execution role permissions", so that a role
        that lacks one fails here as it would there; SubscribeToShard only serves consumers with enhanced fan-out."""
        self._client.describe_stream(StreamARN=self.arn)
        self._client.describe_stream_summary(StreamARN=self.arn)
        answer = self._client.list_shards(StreamARN=self.arn)
        return listed(answer["Shards"])

    def read(self, shard: Shard) -> list[Record]:
        if shard.iterator is None:
            shard.iterator = self._client.get_shard_iterator(
                StreamARN=self.arn, ShardId=shard.id, ShardIteratorType=self._start)["ShardIterator"]
        answer = self._client.get_records(ShardIterator=shard.iterator, StreamARN=self.arn, Limit=KINESIS_READ)
        # A shard that is split or merged ends when it is read out. The stand-in removes it at once, with what it holds:
        # so resharding is tested on the model alone, in test_mapping.py.
        shard.ended = shard.closed and not answer["Records"] and not answer["MillisBehindLatest"]
        shard.iterator = answer.get("NextShardIterator")
        return [self._record(shard, record) for record in answer["Records"]]

    def _record(self, shard: Shard, record: dict) -> Record:
        arrived = record["ApproximateArrivalTimestamp"].timestamp()
        sequence = canonical(record["SequenceNumber"])
        event = {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record["PartitionKey"],
                "sequenceNumber": sequence,
                "data": base64.b64encode(record["Data"]).decode(),
                "approximateArrivalTimestamp": arrived,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard.id}:{sequence}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._role,
            "awsRegion": self.arn.split(":")[3],
            "eventSourceARN": self.arn,
        }
        return Record(event, sequence, arrived, record["PartitionKey"])

    @staticmethod
    def filtered(record: Record) -> dict:
        """with-kinesis-filtering: the pattern sees the record with its data decoded where that is JSON."""
        fields = dict(record.event["kinesis"])
        try:
            fields["data"] = json.loads(base64.b64decode(fields["data"]))
        except ValueError:
            pass
        return fields


class TableStream:
    """with-ddb: "Lambda polls shards in your DynamoDB stream for records at a base rate of 4 times per second".

    The stand-in has the API of table streams, with one shard a table that never closes.
    """

    batch_info = "DDBStreamBatchInfo"

    def __init__(self, clients, arn: str, _role: str, start: str):
        self._client = clients("dynamodbstreams")
        self.arn, self._start = arn, start

    def shards(self) -> list[Shard]:
        """The shards there are. Calls all that with-ddb-create-package lists as permissions, as above."""
        self._client.list_streams(TableName=self.arn.split("/")[1])
        answer = self._client.describe_stream(StreamArn=self.arn)["StreamDescription"]
        return listed(answer["Shards"])

    def read(self, shard: Shard) -> list[Record]:
        if shard.iterator is None:
            shard.iterator = self._client.get_shard_iterator(
                StreamArn=self.arn, ShardId=shard.id, ShardIteratorType=self._start)["ShardIterator"]
        answer = self._client.get_records(ShardIterator=shard.iterator, Limit=TABLE_READ)
        shard.iterator = answer.get("NextShardIterator")
        shard.ended = shard.iterator is None
        return [self._record(record) for record in answer["Records"]]

    def _record(self, record: dict) -> Record:
        change = record["dynamodb"]
        arrived = change["ApproximateCreationDateTime"].timestamp()
        sequence = canonical(change["SequenceNumber"])
        event = {
            "eventID": record["eventID"],
            "eventName": record["eventName"],
            "eventVersion": record["eventVersion"],
            "eventSource": record["eventSource"],
            "awsRegion": record["awsRegion"],
            "dynamodb": wire(change) | {"ApproximateCreationDateTime": arrived, "SequenceNumber": sequence},
            "eventSourceARN": self.arn,
        }
        # with-ddb: "Lambda still ensures in-order processing at the item (partition and sort key) level".
        return Record(event, sequence, arrived, json.dumps(event["dynamodb"]["Keys"], sort_keys=True))

    @staticmethod
    def filtered(record: Record) -> dict:
        return record.event


def canonical(sequence: str) -> str:
    """The stand-in pads sequence numbers with zeros, which no stream of AWS does."""
    return str(int(sequence))


def wire(value):
    """A value of the SDK as JSON carries it: binary attributes in Base64."""
    match value:
        case dict():
            return {key: wire(inner) for key, inner in value.items()}
        case list():
            return [wire(inner) for inner in value]
        case bytes():
            return base64.b64encode(value).decode()
        case _ if hasattr(value, "timestamp"):
            return value.timestamp()
        case _:
            return value


def stream(clients, arn: str, role: str, start: str) -> KinesisStream | TableStream:
    """The stream of an ARN; `clients` makes a client of a service with the credentials of the function's role."""
    kinds = {"kinesis": KinesisStream, "dynamodb": TableStream}
    return kinds[arn.split(":")[2]](clients, arn, role, start)
