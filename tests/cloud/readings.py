"""Readings of a house of thermometers as lines of JSON, and the truth about which are out of bounds.

Made and judged here, in a few lines of Python: nothing of the project's own says what is right.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

LOWEST, HIGHEST = 96, 101
START = datetime(2024, 5, 1, 10, 0, 0, 123456, timezone.utc)
INTERVAL = timedelta(seconds=30)


@dataclass
class Series:
    lines: list[str] = field(default_factory=list)
    # Sensor and time as the table writes it: "Hot" or "Cold".
    truth: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, sensor: str, time: datetime, value: float) -> None:
        self.lines.append(seed_record(sensor, time, value))
        if value > HIGHEST:
            self.truth[sensor, stamp(time)] = "Hot"
        elif value < LOWEST:
            self.truth[sensor, stamp(time)] = "Cold"


def stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S.%f")


def seed_record(sensor: str, time: datetime, value: float) -> str:
    """The record of the script that this replaces, field for field."""
    return json.dumps({
        "timestamp": stamp(time), "datatype": "Temperature", "value": value, "deviceid": sensor,
        "date": time.strftime("%Y-%m-%d"), "lowest_temp": LOWEST, "highest_temp": HIGHEST,
    })


def house(sensors: int, each: int, faults: int, seed: int, prefix: str = "DHT") -> Series:
    """So many readings of each sensor, one after another as they would come, and so many faults: one to three readings
    out of bounds, never two faults of a sensor within an hour."""
    generator = random.Random(seed)
    names = [f"{prefix}_{number:03d}" for number in range(1, sensors + 1)]
    off = {}
    while faults > 0:
        name, begin = generator.choice(names), generator.randrange(each)
        near = range(begin - 120, begin + 124)
        if not any((name, index) in off for index in near):
            side = generator.choice([1, -1])
            for index in range(begin, min(begin + generator.randint(1, 3), each)):
                beyond = round(generator.uniform(0.5, 5), 1)
                off[name, index] = HIGHEST + beyond if side > 0 else LOWEST - beyond
            faults -= 1
    series = Series()
    for index in range(each):
        for number, name in enumerate(names):
            time = START + index * INTERVAL + number * timedelta(milliseconds=37)
            value = round(min(max(generator.gauss(98.5, 0.4), LOWEST), HIGHEST), 1)
            series.add(name, time, off.get((name, index), value))
    return series
