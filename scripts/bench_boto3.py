#!/usr/bin/env python3
"""What `make bench` compares the daemon with: readings by boto3, as the scripts it replaces put them.

    bench_boto3.py put_records|put_record SENSORS COUNT

The readings are as long as those of the other rows. Endpoint, region and credentials come from the environment.
"""
import datetime
import json
import random
import sys

import boto3


def reading(number, sensors):
    return json.dumps(
        {
            "sensor": f"{number % sensors + 1:03}",
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            "kind": "temperature",
            "unit": "°C",
            "value": round(random.gauss(21, 2), 2),
            "group": "living-room",
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def main():
    call, sensors, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    kinesis = boto3.client("kinesis")
    if call == "put_record":
        for number in range(count):
            data = reading(number, sensors)
            kinesis.put_record(StreamName="readings", PartitionKey=str(number % sensors), Data=data)
        return
    for first in range(0, count, 500):
        records = [
            {"Data": reading(number, sensors), "PartitionKey": str(number % sensors)}
            for number in range(first, min(first + 500, count))
        ]
        kinesis.put_records(StreamName="readings", Records=records)


if __name__ == "__main__":
    main()
