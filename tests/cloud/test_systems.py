"""The example configurations as they are shipped, on the stacks: only the environment of the daemon differs, and the
functions have the `[detect]` table of the same file in their parameter.

All share one deployment, so each has a time of its own: a partition goes by the newest time it has seen, and one class
after another, in the order of their names, is later than all else.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import time
import unittest
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from programs import built

from . import daemon
from .broker import Broker
from .deployment import EVERYTHING, Deployment
from .inbox import Message
from .pipeline import Pipeline
from .standin import Standin
from .writes import Writes

Key = tuple[str, datetime]
DELIVERED = "temp_ingest_readings_delivered_total"


def setUpModule() -> None:
    global cloud
    standin = unittest.enterModuleContext(Standin())
    cloud = Pipeline(standin, Deployment(standin, data=EVERYTHING, detect=EVERYTHING).deploy())


def use_settings(name: str) -> None:
    """Gives the functions an example's `[detect]`, as docs/operations.md says, and does not wait for the minute."""
    file = daemon.example(name).read_text()
    cloud.standin.client("ssm").put_parameter(
        Name=cloud.deployment.variables("detect")["SETTINGS_PARAMETER"], Overwrite=True,
        Value=file[file.index("\n[detect]\n"):])
    cloud.deployment.restart("detect")


def command(*arguments: str) -> str:
    """What a person who asks `temp-ingest` is answered."""
    run = subprocess.run([built("temp-ingest"), *arguments], text=True, capture_output=True,
                         env=daemon.environment(cloud.standin, cloud.standin.folder))
    if run.returncode != 0:
        raise AssertionError(f"{arguments} ended with {run.returncode}:\n{run.stderr}")
    return run.stdout


def run(name: str, **changes: str) -> None:
    daemon.run_example(cloud.standin, cloud.stream, name, cloud.folder(), **changes)


def by_key(readings: list[dict]) -> dict[Key, dict]:
    return {(one["sensor"], datetime.fromisoformat(one["time"])): one for one in readings}


def anomaly_keys(prefix: str) -> set[Key]:
    return {(one["deviceid"], moment(one["timestamp"])) for one in cloud.anomalies(prefix)}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def fields(message: Message) -> dict[str, str]:
    """The two columns of a message's text."""
    return {line[:13].strip(): line[13:] for line in message.text.splitlines()[2:]}


def rounded(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


class Clickstream(unittest.TestCase):
    START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    WINDOW, LATENESS = timedelta(seconds=10), timedelta(seconds=5)
    # An hour to learn from, and a fault behind it.
    RATE, MINUTES = 4, 85

    def test_a_click_through_rate_is_that_of_its_windows_and_a_change_of_it_is_stored_and_told(self):
        use_settings("clickstream")
        invocations, events = len(cloud.detect.invocations), self.RATE * self.MINUTES * 60
        run("clickstream", SOURCE__WEB__SENSORS="1", SOURCE__WEB__RATE=str(self.RATE), SOURCE__WEB__SPEED="max",
            SOURCE__WEB__START=self.START.isoformat(), SOURCE__WEB__COUNT=str(events))
        cloud.drain()
        sent = cloud.sent_since(invocations)
        self.assertEqual(len(sent), events)
        stored = cloud.scored_readings("site-001/click_through_rate")
        rates = self.rates(sent)
        self.assertEqual({end: round(float(value), 9) for (_, end), (value, _) in stored.items()}, rates)
        self.assertEqual({type(score) for _, score in stored.values()}, {Decimal})
        self.check_told(rates)

    def rates(self, sent: list[dict]) -> dict[datetime, float]:
        """Clicks for each hundred impressions, by the end of each window that the last event has closed."""
        clicks, impressions = Counter(), Counter()
        for one in sent:
            at = datetime.fromisoformat(one["time"])
            end = at - (at - self.START) % self.WINDOW + self.WINDOW
            clicks[end] += one["event"]["browseraction"] == "Click"
            impressions[end] += one["event"]["browseraction"] == "Impression"
        closed = max(datetime.fromisoformat(one["time"]) for one in sent) - self.LATENESS
        return {end: round(clicks[end] / shown * 100, 9) for end, shown in impressions.items() if shown and end <= closed}

    def check_told(self, rates: dict[datetime, float]) -> None:
        incidents = {moment(one["since"]): one for one in cloud.incidents("site-001")}
        opened = [one for one in cloud.messages("site-001") if one.attributes["change"] == "opened"]
        self.assertGreater(len(opened), 0)
        usual = statistics.median(rates.values())
        for message in opened:
            told = fields(message)
            since = moment(told["since"].removesuffix(" UTC"))
            self.assertGreater(rates[since], 3 * usual)
            self.assertIn(f"click through rate jumped to {rounded(rates[since])} % where ", told["now"])
            self.assertEqual((told["see more"].split()[-1], incidents[since]["sensor"]),
                             (incidents[since]["id"], "site-001/click_through_rate"))


class SmartHome(unittest.TestCase):
    START = datetime(2026, 4, 1, 12, tzinfo=timezone.utc)
    ROOMS, EACH = 10, 360
    CALM, FIRE = 90, 3

    def kitchen(self) -> dict[Key, float]:
        """What a device says, once a minute: an hour and a half of about 21 °C, then a fire."""
        calm = [round(21 + (minute * 37 % 11 - 5) * 0.02, 2) for minute in range(self.CALM)]
        values = calm + [58.0 + number for number in range(self.FIRE)]
        return {("kitchen/temperature", self.START + timedelta(minutes=minute)): value
                for minute, value in enumerate(values)}

    def test_every_reading_of_devices_and_rooms_is_stored_and_read_back_and_a_fire_is_told(self):
        use_settings("smart_home")
        kitchen, invocations = self.kitchen(), len(cloud.detect.invocations)
        with Broker(cloud.folder()) as broker, daemon.Running(
                cloud.standin, cloud.stream, "smart_home", cloud.folder(),
                SOURCE__ZIGBEE__SERVERS=json.dumps([broker.url]), SOURCE__ROOMS__SPEED="max", SOURCE__ROOMS__SEED="1",
                SOURCE__ROOMS__START=self.START.isoformat(), SOURCE__ROOMS__COUNT=str(self.ROOMS * self.EACH)) as house:
            house.await_metric("temp_ingest_mqtt_connected", 1)
            # The rooms first: between two messages of the kitchen they would be an hour ahead, and it silent.
            house.await_metric(DELIVERED, self.ROOMS * self.EACH)
            broker.publish("zigbee2mqtt/kitchen", [
                json.dumps({"temperature": value, "linkquality": 90, "last_seen": at.isoformat()})
                for (_, at), value in kitchen.items()])
            house.await_metric(DELIVERED, self.ROOMS * self.EACH + len(kitchen))
        cloud.drain()
        sent = by_key(cloud.sent_since(invocations))
        self.assertEqual(len(sent), self.ROOMS * self.EACH + len(kitchen))
        for sensor in sorted({sensor for sensor, _ in sent}):
            self.check_read_back(sensor, {key: one for key, one in sent.items() if key[0] == sensor})
        self.assertEqual({key: one["value"] for key, one in sent.items() if key in kitchen}, kitchen)
        self.check_told()

    def test_what_stored_readings_cost_is_what_the_command_says(self):
        use_settings("smart_home")
        with Writes(cloud.standin) as writes:
            cloud.deployment.restart("detect", AWS_ENDPOINT_URL_DYNAMODB=writes.url)
            self.addCleanup(cloud.deployment.restart, "detect", AWS_ENDPOINT_URL_DYNAMODB=None)
            # So long the function waits for more; each is later than the one before.
            for day, window in enumerate([1, 10, 100, 300], 10):
                with self.subTest(window=window):
                    writes.sizes.clear()
                    cloud.put(self.devices(timedelta(days=day), window))
                    invocations = len(cloud.detect.invocations)
                    cloud.detect.drain()
                    self.assertEqual(len(cloud.detect.invocations), invocations + 1)
                    self.check_cost(writes, window)

    def devices(self, after: timedelta, seconds: int) -> list[str]:
        """What ten devices say about once a second, to the microsecond, as real ones do: never at whole seconds."""
        numbers = random.Random(seconds)
        lines = []
        for second in range(seconds):
            for device in range(self.ROOMS):
                at = self.START + after + timedelta(seconds=second, microseconds=numbers.randrange(10**6))
                lines.append(json.dumps({
                    "sensor": f"room-{device}/temperature", "time": at.isoformat(), "kind": "temperature",
                    "unit": "°C", "value": round(numbers.gauss(21, 0.5), 2), "group": f"room-{device}"}))
        return lines

    def check_cost(self, writes: Writes, window: int) -> None:
        """Units and bytes a reading. The command is to say no less, and not much more."""
        sizes, readings = writes.sizes[cloud.readings_table], self.ROOMS * window
        self.assertEqual(len(sizes), self.ROOMS)
        units, stored = self.said(window)
        self.assertAlmostEqual(writes.units(cloud.readings_table) / readings, units, delta=0.01 * units)
        # dynamodb/pricing: "a per-item storage overhead of 100 bytes to account for indexing".
        measured = (sum(sizes) + 100 * len(sizes)) / readings
        self.assertTrue(0.85 * stored <= measured <= stored, f"{measured} bytes, not {stored}")

    def said(self, window: int) -> tuple[float, float]:
        """What `temp-ingest cost` says of a reading that is kept: write units, and bytes in the table."""
        days, seconds = 30, 730 * 3600
        with_readings, without = (
            json.loads(command(
                "cost", "--rate", str(self.ROOMS), "--size", "120", "--sensors", str(self.ROOMS), "--batch-window",
                str(window), "--batch-size", "10000", "--readings-days", str(kept), "--format", "json"),
            )["columns"][0]["quantities"] for kept in (days, 0))
        more = {name: with_readings[name] - without[name] for name in ("write_units", "table_gb")}
        return more["write_units"] / (self.ROOMS * seconds), more["table_gb"] * 2**30 / (self.ROOMS * days * 86_400)

    def check_read_back(self, sensor: str, sent: dict[Key, dict]) -> None:
        """By the command, with a score of each; and it is few items that have it."""
        begin, end = self.START.isoformat(), (self.START + timedelta(hours=2)).isoformat()
        lines = command("readings", sensor, "--table", cloud.readings_table, "--from", begin, "--to", end).splitlines()
        read = by_key([json.loads(line) for line in lines])
        self.assertEqual({key: {name: one.get(name) for name in sent[key]} for key, one in read.items()}, sent)
        self.assertTrue(all(one["score"] >= 0 for one in read.values()))
        items = cloud.reading_items(sensor)
        self.assertLess(len(items), len(sent) / 10)
        self.assertTrue(all(item["expires"] > time.time() + 29 * 86_400 for item in items), "they go after 30 days")

    def check_told(self) -> None:
        incident, = cloud.incidents("kitchen/temperature")
        self.assertEqual((incident["state"], moment(incident["since"])),
                         ("open", self.START + timedelta(minutes=self.CALM)))
        message, *_ = cloud.messages("kitchen/temperature")
        told = fields(message)
        self.assertEqual((message.attributes["change"], told["group"], told["value"]), ("opened", "kitchen", "58 °C"))
        self.assertIn(f"show {incident['id']}", told["see more"])


class WindFarm(unittest.TestCase):
    START = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
    TURBINES, EACH = 30, 400
    THRESHOLD = 2

    def test_every_reading_is_scored_and_stored_and_a_message_names_site_speed_score_and_the_usual_range(self):
        use_settings("wind_farm")
        invocations, place = len(cloud.detect.invocations), cloud.end_of_output()
        run("wind_farm", SOURCE__FARM__SPEED="max", SOURCE__FARM__INTERVAL="10s",
            SOURCE__FARM__START=self.START.isoformat(), SOURCE__FARM__COUNT=str(self.TURBINES * self.EACH))
        cloud.drain()
        sent = by_key(cloud.sent_since(invocations))
        self.assertEqual((len(sent), len({sensor for sensor, _ in sent})), (self.TURBINES * self.EACH, self.TURBINES))
        scored = by_key(cloud.output_since(place))
        self.assertEqual({key: {name: one.get(name) for name in sent[key]} for key, one in scored.items()}, sent)
        self.check_stored(scored)
        above = {key for key, one in scored.items() if one["anomaly_score"] >= self.THRESHOLD}
        self.assertEqual(above, anomaly_keys("farm-"))
        self.check_told(scored, above)

    def check_stored(self, scored: dict[Key, dict]) -> None:
        """Numbers, not texts as the seed stored; many to an item."""
        stored = cloud.scored_readings("farm-")
        self.assertEqual({type(number) for pair in stored.values() for number in pair}, {Decimal})
        self.assertEqual({type(one["anomaly_score"]) for one in scored.values()}, {float})
        self.assertEqual({key: float(value) for key, (value, _) in stored.items()},
                         {key: one["value"] for key, one in scored.items()})
        for key, (_, score) in stored.items():
            self.assertAlmostEqual(float(score), scored[key]["anomaly_score"], delta=0.00501)

    def check_told(self, scored: dict[Key, dict], above: set[Key]) -> None:
        incidents = {(one["sensor"], moment(one["since"])): one for one in cloud.incidents("farm-")}
        opened = [one for one in cloud.messages("farm-")
                  if one.attributes["change"] == "opened" and "sensors" not in one.attributes]
        speeds = 0
        for message in opened:
            told = fields(message)
            key = told["sensor"], moment(told["since"].removesuffix(" UTC"))
            self.assertEqual(told["see more"].split()[-1], incidents[key]["id"])
            if " where " not in told["now"]:
                continue
            speeds += 1
            self.assertIn(key, above)
            reading = scored[key]
            expected = f"{rounded(reading['expected_lowest'])} to {rounded(reading['expected_highest'])} m/s"
            self.assertEqual((told["group"], told["value"], told["expected"]),
                             (reading["group"], f"{rounded(reading['value'])} m/s", expected))
            self.assertIn(f"{rounded(reading['value'])} m/s where {expected} is usual", told["now"])
            self.assertTrue(told["score"].startswith(f"{reading['anomaly_score']:.1f} "), told["score"])
            self.assertIn(f"{key[0]} in {reading['group']}", message.subject)
        self.assertGreater(speeds, 2, [one.subject for one in opened])


if __name__ == "__main__":
    unittest.main()
