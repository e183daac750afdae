"""Packs and unpacks aggregated records with aws_kinesis_agg, for kinesis_agg.rs.

`unpack`: a record in hexadecimal a line -> a JSON array of [partition key, explicit hash key, data] a line.
`pack`: such an array a line -> a record a line. Data is hexadecimal; an explicit hash key may be null.
"""

import base64
import json
import sys

try:
    from aws_kinesis_agg.aggregator import AggRecord
    from aws_kinesis_agg.deaggregator import deaggregate_records
except ImportError as error:
    sys.exit(f"{sys.executable}: {error}")


def pack(line):
    record = AggRecord()
    for partition_key, explicit_hash_key, data in json.loads(line):
        if not record.add_user_record(partition_key, bytes.fromhex(data), explicit_hash_key):
            sys.exit("a record to pack is larger than 1 MiB: make it smaller in kinesis_agg.rs")
    return record.get_contents()[2].hex()


def unpack(line):
    data = base64.b64encode(bytes.fromhex(line))
    record = {"kinesisSchemaVersion": "1.0", "sequenceNumber": "1", "approximateArrivalTimestamp": 0, "data": data}
    user_records = []
    for record in deaggregate_records([{"kinesis": record}]):
        record = record["kinesis"]
        if not record.get("aggregated"):
            sys.exit("aws_kinesis_agg takes a record for a plain one")
        data = base64.b64decode(record["data"]).hex()
        user_records.append([record["partitionKey"], record["explicitHashKey"], data])
    return json.dumps(user_records)


work = {"pack": pack, "unpack": unpack}[sys.argv[1]]
for line in sys.stdin:
    print(work(line.strip()))
