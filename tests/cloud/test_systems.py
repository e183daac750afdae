"""The example configurations as they are shipped, on the stacks: only the environment of the daemon differs, and the
functions have the `[detect]` table of the same file in their parameter.

All share one deployment, so each has a time of its own: a page goes by the newest time that it has seen, and one class
after another, in the order of their names, is later than all else.
"""

from __future__ import annotations

import unittest
from datetime import datetime, timezone
from decimal import Decimal

from . import daemon
from .deployment import Deployment
from .inbox import Message
from .pipeline import Pipeline
from .standin import Standin

Key = tuple[str, datetime]


def setUpModule() -> None:
    global cloud
    standin = Standin()
    unittest.addModuleCleanup(standin.stop)
    standin.start()
    everything = {"WithReadings": "yes", "WithOutputStream": "yes"}
    cloud = Pipeline(standin, Deployment(standin, data=everything, detect=everything).deploy())


def use_settings(name: str) -> None:
    """Gives the functions an example's `[detect]`, as docs/operations.md says, and does not wait for the minute."""
    file = daemon.example(name).read_text()
    cloud.standin.client("ssm").put_parameter(
        Name=cloud.deployment.variables("detect")["SETTINGS_PARAMETER"], Overwrite=True,
        Value=file[file.index("\n[detect]\n"):])
    cloud.deployment.restart("detect")


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
            self.assertIn(told["see more"].split()[-1], incidents[key]["id"])
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
