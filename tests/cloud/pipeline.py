"""All of it together: stream, functions by the models of their mappings, tables, topic. What tests put in and find."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from aws_kinesis_agg.deaggregator import deaggregate_records
from boto3.dynamodb.types import TypeDeserializer

from . import daemon
from .deployment import Deployment
from .inbox import Message, Queue
from .mapping import Answered, Mapping
from .readings import stamp
from .standin import Standin


class Pipeline:
    def __init__(self, standin: Standin, deployment: Deployment):
        self.standin = standin
        self.deployment = deployment
        self.detect = deployment.mapping("detect", deployment.outputs["StreamArn"])
        self.alert = deployment.mapping("alert")
        self.stream = self.detect.settings.source
        alert = deployment.variables("alert")
        self.anomalies_table = alert["ANOMALIES_TABLE"]
        self.incidents_table = alert["INCIDENTS_TABLE"]
        self.readings_table = deployment.variables("detect").get("READINGS_TABLE")
        self.topic = alert["TOPIC_ARN"]
        self.inbox = Queue(standin, self.topic)
        self._runs = 0

    def put(self, lines: list[str]) -> None:
        """Puts readings through the daemon."""
        daemon.put(self.standin, self.stream, lines, self.folder())

    def folder(self) -> Path:
        self._runs += 1
        return self.standin.folder / f"daemon-{self._runs}"

    def put_raw(self, *data: bytes, key: str = "raw") -> None:
        """Puts records as they are, as somebody else may."""
        answer = self.standin.client("kinesis").put_records(
            StreamARN=self.stream, Records=[{"Data": one, "PartitionKey": key} for one in data])
        if answer["FailedRecordCount"]:
            raise AssertionError(f"{answer['FailedRecordCount']} records were refused")

    def drain(self) -> None:
        """Until every record is handled and everything committed is told."""
        self.detect.drain()
        self.alert.drain()

    def items(self, table: str, name: str = "", prefix: str = "") -> list[dict]:
        """All items of a table, or those whose attribute of this name begins so, as plain values: numbers as Decimal.
        The service looks for them: all tests share the tables, and to take in all that is there costs most."""
        scan = {"TableName": table, "ConsistentRead": True}
        if name:
            scan |= {"FilterExpression": "begins_with(#name, :prefix)", "ExpressionAttributeNames": {"#name": name},
                     "ExpressionAttributeValues": {":prefix": {"S": prefix}}}
        pages = self.standin.client("dynamodb").get_paginator("scan").paginate(**scan)
        plain = TypeDeserializer().deserialize
        return [{name: plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]

    def anomalies(self, prefix: str) -> list[dict]:
        """The anomalies of the sensors whose ids begin so."""
        return self.items(self.anomalies_table, "deviceid", prefix)

    def incidents(self, prefix: str) -> list[dict]:
        """The incidents of the sensors whose ids begin so, without their single transitions and mutes."""
        return [item for item in self.items(self.incidents_table, "sensor", prefix)
                if "id" in item and "#" not in item["since"]]

    def end_of_output(self) -> str:
        """A place in the output stream, which has one shard: its end."""
        kinesis, name = self.standin.client("kinesis"), self.deployment.variables("detect")["OUTPUT_STREAM"]
        shard, = kinesis.list_shards(StreamName=name)["Shards"]
        return kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="LATEST")["ShardIterator"]

    def output_since(self, place: str) -> list[dict]:
        """The scored readings in the output stream from a place on."""
        records = self.standin.client("kinesis").get_records(ShardIterator=place)["Records"]
        return [json.loads(line) for record in records for line in record["Data"].splitlines()]

    def sent_since(self, invocations: int) -> list[dict]:
        """The readings that the function was given from an invocation on, unpacked by the format's own library."""
        events = [record.event for one in self.detect.invocations[invocations:] for record in one.records]
        return [json.loads(base64.b64decode(one["kinesis"]["data"])) for one in deaggregate_records(events)]

    def reading_items(self, prefix: str) -> list[dict]:
        """The items in the table of readings of the sensors whose ids begin so."""
        return self.items(self.readings_table, "sensor", prefix)

    def scored_readings(self, prefix: str) -> dict[tuple[str, datetime], tuple[Decimal | str, Decimal | None]]:
        """Value and score in the table of readings, by sensor and time, of the sensors whose ids begin so."""
        return {
            (item["sensor"], datetime.fromisoformat(f"{item['time']}Z") + timedelta(microseconds=int(offset))):
            (value, score)
            for item in self.reading_items(prefix)
            for offset, value, score in zip(item["offsets_us"], item["values"], item["scores"], strict=True)}

    def readings(self, prefix: str) -> dict[tuple[str, str], Decimal]:
        """The values in the table of readings, by sensor and time, of the sensors whose ids begin so."""
        return {(sensor, stamp(time)): value for (sensor, time), (value, _) in self.scored_readings(prefix).items()}

    def messages(self, prefix: str) -> list[Message]:
        """What came to the queue since the last time about the sensors whose ids begin so."""
        return [one for one in self.inbox.take() if one.attributes["sensor"].startswith(prefix)]


def metrics(mapping: Mapping, since: int = 0) -> Counter[str]:
    """The sum of every metric that the function wrote in the embedded format, from an invocation on. On a busy machine
    the stand-in may hand over a line with the next answer only: what must be exact is looked for elsewhere.
    """
    sums: Counter[str] = Counter()
    for invocation in mapping.invocations[since:]:
        if isinstance(invocation.outcome, Answered):
            sums.update(embedded(invocation.outcome))
    return sums


def embedded(outcome: Answered) -> Counter[str]:
    """The metrics of one invocation, from its log."""
    sums: Counter[str] = Counter()
    for line in outcome.log.splitlines():
        if line.startswith("{") and '"_aws"' in line:
            entry = json.loads(line)
            for directive in entry["_aws"]["CloudWatchMetrics"]:
                sums.update({metric["Name"]: entry[metric["Name"]] for metric in directive["Metrics"]})
    return sums
