"""What a mapping gives up, as it stands in the S3 failure destination: kinesis-on-failure-destination and
services-dynamodb-errors of docs.aws.amazon.com/lambda/latest/dg/."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone


def instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def invocation_record(*, function: str, info: str, stream: str, shard: str, records: list, invoked: int, answer: str,
                      now: float) -> dict:
    """The invocation record with the whole event as text: "payload: <Whole Event>, only available in S3"."""
    return {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": function,
            # The only value the pages give; they name none for records that are too old.
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": invoked,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": answer},
        "version": "1.0",
        "timestamp": instant(now),
        info: {
            "shardId": shard,
            "startSequenceNumber": records[0].sequence,
            "endSequenceNumber": records[-1].sequence,
            "approximateArrivalOfFirstRecord": instant(records[0].arrived),
            "approximateArrivalOfLastRecord": instant(records[-1].arrived),
            "batchSize": len(records),
            "streamArn": stream,
        },
        "payload": json.dumps({"Records": [record.event for record in records]}),
    }


def object_key(mapping: str, shard: str, now: float) -> str:
    """`aws/lambda/<ESM-UUID>/<shardID>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<Random UUID>`."""
    at = datetime.fromtimestamp(now, timezone.utc)
    return f"aws/lambda/{mapping}/{shard}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"


def put(s3, bucket: str, key: str, record: dict) -> None:
    """Writes it with the function's role. "For an S3 destination: s3:PutObject and s3:ListBucket": both are used, so
    that a role that lacks one fails as it may there."""
    s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(record).encode())
