"""The archive as deployed: what the daemon puts and what it comes to are in the bucket, by the hour of their arrival.

The stand-in writes each record as an object, as it is. That Firehose unpacks it, ends its lines and compresses them is
read off the streams that are deployed; unpacked it is here.
"""

from __future__ import annotations

import base64
import json
import time
import unittest
from datetime import datetime, timedelta, timezone
from typing import Callable

from aws_kinesis_agg.deaggregator import deaggregate_records

from .deployment import Deployment
from .pipeline import Pipeline
from .readings import house
from .standin import Standin

STACK = "temp-ingest-archive"
SECONDS = 60
SCORES = {"WithOutputStream": "yes"}


class Archive(unittest.TestCase):
    def setUp(self) -> None:
        standin = self.enterContext(Standin())
        self.cloud = Pipeline(standin, Deployment(standin, data=SCORES, detect=SCORES).deploy())
        self.cloud.deployment.stack(STACK, "archive.yaml", SCORES)

    def test_every_reading_and_every_score_is_kept_as_it_was_put(self):
        self.check_streams()
        series = house(sensors=10, each=60, faults=3, seed=5)
        place, begun = self.cloud.end_of_output(), datetime.now(timezone.utc)
        self.cloud.put(series.lines)
        self.cloud.drain()
        hour = hours(begun, datetime.now(timezone.utc))
        raw = self.kept("raw/", hour, unpacked, len(series.lines))
        self.assertEqual(ordered(raw), ordered(map(json.loads, series.lines)))
        scored = self.kept("scored/", hour, bytes.splitlines, len(series.lines))
        self.assertEqual(ordered(scored), ordered(self.cloud.output_since(place)))
        self.assertEqual(self.objects("errors/"), {})

    def check_streams(self) -> None:
        client = self.cloud.standin.client("firehose")
        processors = {}
        for name in self.cloud.deployment.resources(STACK, "AWS::KinesisFirehose::DeliveryStream"):
            described = client.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
            bucket = described["Destinations"][0]["ExtendedS3DestinationDescription"]
            self.assertEqual(bucket["CompressionFormat"], "GZIP")
            source = described["Source"]["KinesisStreamSourceDescription"]["KinesisStreamARN"]
            processors[source] = bucket.get("ProcessingConfiguration", {}).get("Processors", [])
        # Scores are lines already.
        delimiter = {"Type": "AppendDelimiterToRecord",
                     "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]}
        outputs = self.cloud.deployment.outputs
        self.assertEqual(processors, {outputs["StreamArn"]: [delimiter], outputs["OutputStreamArn"]: []})

    def kept(self, prefix: str, hour: set[str], lines: Callable[[bytes], list[bytes]], least: int) -> list[dict]:
        """What the objects hold. The stand-in answers whoever puts a moment before it writes them."""
        end = time.monotonic() + SECONDS
        while True:
            objects = self.objects(prefix)
            readings = [json.loads(line) for data in objects.values() for line in lines(data)]
            if len(readings) >= least or time.monotonic() > end:
                break
        for key in objects:
            self.assertIn(key.removeprefix(prefix).rpartition("/")[0], hour)
            self.assertTrue(key.endswith(".jsonl.gz"), key)
        return readings

    def objects(self, prefix: str) -> dict[str, bytes]:
        s3, bucket = self.cloud.standin.client("s3"), self.cloud.deployment.outputs["ArchiveBucketName"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def hours(begin: datetime, end: datetime) -> set[str]:
    """The places of the hours from one instant to another."""
    count = int(end.timestamp()) // 3600 - int(begin.timestamp()) // 3600
    return {f"{begin + timedelta(hours=hour):year=%Y/month=%m/day=%d/hour=%H}" for hour in range(count + 1)}


def unpacked(record: bytes) -> list[bytes]:
    event = {"data": base64.b64encode(record).decode(), "kinesisSchemaVersion": "1.0", "partitionKey": "",
             "sequenceNumber": "1", "approximateArrivalTimestamp": 0}
    return [base64.b64decode(one["kinesis"]["data"]) for one in deaggregate_records([{"kinesis": event}])]


def ordered(readings) -> list[dict]:
    return sorted(readings, key=lambda one: (one["deviceid"], one["timestamp"]))


if __name__ == "__main__":
    unittest.main()
