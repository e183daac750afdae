"""The stacks end to end: the daemon puts through the AWS SDK, the functions' own binary runs on Lambda's runtime
protocol, and what is in the tables and at the topic is compared with what this file knows. Sensors of a test begin with
a prefix of its own, so that all tests share one deployment."""

from __future__ import annotations

import base64
import json
import subprocess
import unittest
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import aws_kinesis_agg.aggregator

from programs import built

from . import daemon
from .deployment import EVERYTHING, Deployment
from .inbox import TopicDouble, WebInbox
from .mapping import Mapping
from .pipeline import Pipeline, metrics
from .readings import START, Series, house, seed_record
from .standin import Standin

# Nothing listens there, and a connection is refused at once.
NOWHERE = "http://127.0.0.1:1"


def setUpModule() -> None:
    global cloud, deployed
    standin = unittest.enterModuleContext(Standin())
    cloud = Pipeline(standin, Deployment(
        standin,
        data=EVERYTHING | {"ShardCount": "2"},
        # Few retries, so that giving up does not take long.
        detect=EVERYTHING | {"ParallelizationFactor": "2", "MaxRetryAttempts": "3"},
    ).deploy())
    # On a busy machine the stand-in may answer later than a function waits, and the model tries again at once. So only
    # what a test wants to be given up is given up; elsewhere what never succeeds is `Stuck`.
    deployed = cloud.detect.settings
    for mapping in (cloud.detect, cloud.alert):
        mapping.settings = replace(mapping.settings, max_retries=None)


def hot(prefix: str, count: int = 1, value: float = 104.5) -> list[str]:
    """A reading each of so many sensors, all too hot."""
    return [seed_record(f"{prefix}_{number:03d}", START, value) for number in range(count)]


def aggregate(lines: list[bytes], key: str) -> bytes:
    """Many user records in one, packed by the format's own library."""
    packer = aws_kinesis_agg.aggregator.RecordAggregator()
    for line in lines:
        packer.add_user_record(key, line)
    return packer.clear_and_get().get_contents()[2]


class SeedRecord(unittest.TestCase):
    def test_the_scripts_record_gives_items_with_its_keys_and_a_message_an_incident(self):
        series = Series()
        for number, value in enumerate([97.3, 103.9, 104.2, 98.0, 94.5]):
            series.add("DHT_001", START + timedelta(seconds=number), value)
        # As the script sent it: one record a reading, plain JSON, the device as the partition key.
        cloud.put_raw(*(line.encode() for line in series.lines), key="DHT_001")
        cloud.drain()
        items = {item["timestamp"]: item for item in cloud.anomalies("DHT_001")}
        for (device, time), kind in series.truth.items():
            item = items[time]
            self.assertEqual(item["deviceid"], device)
            self.assertEqual(item["anomalyDate"], "2024-05-01")
            self.assertIn(kind, item["anomalyType"].split(","))
            self.assertIsInstance(item["value"], Decimal)
        self.assertEqual(items["2024-05-01 10:00:01.123456"]["value"], Decimal("103.9"))
        self.assertEqual(items["2024-05-01 10:00:04.123456"]["value"], Decimal("94.5"))
        incident, = cloud.incidents("DHT_001")
        self.assertEqual((incident["words"], incident["anomalies"]), ("reads 94.5, below its limit of 96", 3))
        self.assertEqual((incident["state"], {item["incident"] for item in items.values()}), ("open", {incident["id"]}))
        self.assertEqual([one.attributes["change"] for one in cloud.messages("DHT_001")], ["opened", "worsened"])


class FiftyThousand(unittest.TestCase):
    READINGS = 50_000

    def test_every_injected_anomaly_is_found_stored_once_and_told_once_an_incident(self):
        series = house(sensors=100, each=self.READINGS // 100, faults=120, seed=7, prefix="HOUSE")
        self.assertEqual(len(series.lines), self.READINGS)
        cloud.put(series.lines)
        cloud.drain()
        self.assertEqual(len(cloud.readings("HOUSE")), self.READINGS)
        items = cloud.anomalies("HOUSE")
        found = {}
        for item in items:
            kinds = set(item["anomalyType"].split(",")) & {"Hot", "Cold"}
            if kinds:
                found[item["deviceid"], item["timestamp"]] = "".join(kinds)
        self.assertEqual(found, series.truth)
        self.assertEqual(len(items), len({(item["deviceid"], item["timestamp"]) for item in items}))
        incidents = {(item["sensor"], item["id"]) for item in cloud.incidents("HOUSE")}
        self.assertEqual({(item["deviceid"], item["incident"]) for item in items} - incidents, set())
        messages = cloud.messages("HOUSE")
        self.assert_told_once(messages, incidents)

    def assert_told_once(self, messages, incidents):
        """Each incident opened once, and no message twice."""
        twice = [one for one, count in Counter((one.subject, one.text) for one in messages).items() if count > 1]
        self.assertEqual(twice, [])
        opened = Counter(one.attributes["sensor"] for one in messages if one.attributes["change"] == "opened")
        self.assertEqual(opened, Counter(sensor for sensor, _ in incidents))


class Scores(unittest.TestCase):
    def test_every_reading_is_in_the_output_stream_with_its_score_and_in_the_table(self):
        series = house(sensors=20, each=150, faults=4, seed=3, prefix="SCORED")
        place = cloud.end_of_output()
        cloud.put(series.lines)
        cloud.drain()
        given = {(one["deviceid"], one["timestamp"]): one for one in map(json.loads, series.lines)}
        # Scores are put before the partition moves: a fold that loses the race for its partition leaves lines too, so the
        # last line about a reading counts.
        # So do readings of other sensors that arrive late.
        output = (one for one in cloud.output_since(place) if one.get("deviceid", "").startswith("SCORED"))
        scored = {(one["deviceid"], one["timestamp"]): one for one in output}
        self.assertEqual({key: {name: one[name] for name in given[key]} for key, one in scored.items()}, given)
        kinds = {key: set(one.get("anomalyType", "").split(",")) & {"Hot", "Cold"} for key, one in scored.items()}
        self.assertEqual({key: "".join(kind) for key, kind in kinds.items() if kind}, series.truth)
        for key, one in scored.items():
            self.assertGreaterEqual(one["anomaly_score"], 2 if kinds[key] else 0)
        self.assertEqual({key: float(value) for key, value in cloud.readings("SCORED").items()},
                         {key: one["value"] for key, one in given.items()})


class Topic(unittest.TestCase):
    def test_a_web_server_gets_what_the_queue_gets(self):
        with WebInbox(cloud.standin, cloud.topic) as web:
            cloud.put(hot("WEB"))
            cloud.drain()
            queued = cloud.messages("WEB")
            self.assertEqual(web.await_messages(len(queued)), queued)
        self.assertEqual([one.attributes["change"] for one in queued], ["opened"])

    def test_messages_have_a_short_subject_attributes_to_filter_by_and_a_form_for_sms(self):
        with TopicDouble() as topic:
            cloud.deployment.restart("alert", AWS_ENDPOINT_URL_SNS=topic.url)
            self.addCleanup(cloud.deployment.restart, "alert", AWS_ENDPOINT_URL_SNS=None)
            long = "SMS_" + "x" * 90
            record = json.loads(seed_record(long, START, 104.5)) | {"group": "g" * 120}
            cloud.put([json.dumps(record)])
            cloud.drain()
        published, = topic.published
        self.assertLess(len(published["Subject"]), 100)
        self.assertTrue(published["Subject"].isascii() and published["Subject"].isprintable(), published["Subject"])
        self.assertEqual(published["MessageStructure"], "json")
        forms = json.loads(published["Message"])
        self.assertEqual(set(forms), {"default", "email", "sms"})
        self.assertLessEqual(len(forms["sms"]), 160)
        self.assertIn("104.5", forms["sms"])
        self.assertIn("104.5", forms["email"])
        names = {value for name, value in published.items() if name.startswith("MessageAttributes") and "Name" in name}
        self.assertEqual(names, {"sensor", "group", "change", "kind", "score"})

    def test_a_message_whose_answer_was_lost_is_repeated_and_none_is_lost(self):
        with TopicDouble() as topic:
            topic.lose_answers = 1
            cloud.deployment.restart("alert", AWS_ENDPOINT_URL_SNS=topic.url)
            self.addCleanup(cloud.deployment.restart, "alert", AWS_ENDPOINT_URL_SNS=None)
            cloud.put(hot("LOST", 3))
            cloud.drain()
        subjects = Counter(one["Subject"] for one in topic.published)
        self.assertEqual((len(subjects), sorted(subjects.values())), (3, [1, 1, 2]))


class People(unittest.TestCase):
    def incidents(self, *arguments: str) -> str:
        """`temp-ingest incidents` over the deployed table."""
        run = subprocess.run([built("temp-ingest"), "incidents", "--table", cloud.incidents_table, *arguments], text=True,
                             capture_output=True, env=daemon.environment(cloud.standin, cloud.standin.folder))
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_the_command_a_message_names_shows_the_incident(self):
        cloud.put(hot("SHOWN"))
        cloud.drain()
        incident, = cloud.incidents("SHOWN")
        text = cloud.messages("SHOWN")[0].text
        self.assertIn(f"temp-ingest incidents --table {cloud.incidents_table} show {incident['id']}", text)
        shown = self.incidents("show", incident["id"])
        self.assertIn("SHOWN_000", shown)
        self.assertIn("104.5", shown)
        self.assertIn(incident["id"], self.incidents("list", "--json"))

    def test_nobody_is_told_of_a_sensor_that_is_muted(self):
        self.incidents("mute", "MUTED_000", "--for", "1h")
        cloud.put(hot("MUTED", 2))
        cloud.drain()
        self.assertEqual(len(cloud.incidents("MUTED")), 2)
        self.assertEqual({one.attributes["sensor"] for one in cloud.messages("MUTED")}, {"MUTED_001"})


    def page(self, table: str, **changes: str) -> daemon.Running:
        return daemon.Running(cloud.standin, cloud.stream, "wind_farm", cloud.folder(), DASHBOARD__INCIDENTS_TABLE=table,
                              **changes)

    def test_the_page_shows_the_scores_of_the_table(self):
        readings = cloud.deployment.variables("detect")["READINGS_TABLE"]
        produced = "temp_ingest_readings_produced_total"
        with self.page(cloud.incidents_table, DASHBOARD__READINGS_TABLE=readings) as page:
            page.await_metric(produced, 1)
            cloud.drain()
            sensor = min(sensor for sensor, _ in cloud.scored_readings("farm-"))
            self.assertEqual(json.loads(page.get(f"/readings?sensor={sensor}"))["time"], [], "nobody looked so far")
            page.await_metric(produced, page.metric(produced) + 30 * 4)
            cloud.drain()
            stored = {time.timestamp(): float(score) for (one, time), (_, score)
                      in cloud.scored_readings("farm-").items() if one == sensor}
            series = json.loads(page.get(f"/readings?sensor={sensor}"))
            scores = {time: score for time, score in zip(series["time"], series["score"]) if score is not None}
            self.assertGreater(len(scores), 1)
            self.assertEqual({time: stored[time] for time in scores}, scores)
            self.assertEqual(series["threshold"], 2)
        with self.page("nowhere", DASHBOARD__READINGS_TABLE="nowhere") as page:
            page.await_metric(produced, 1)
            page.get(f"/readings?sensor={sensor}")
            page.await_metric(produced, page.metric(produced) + 30 * 2)
            self.assertIn(f"Scores cannot be read: reading {sensor} of table nowhere failed: ",
                          page.get(f"/?sensor={sensor}"))

    def test_the_page_shows_the_incidents_of_the_table_and_takes_what_people_do_about_them(self):
        # The newest of all, so that it is among those shown.
        cloud.put([seed_record("PAGED_000", START + timedelta(days=40), 104.5)])
        cloud.drain()
        incident, = cloud.incidents("PAGED")
        with self.page(cloud.incidents_table) as page:
            page.await_metric("temp_ingest_readings_produced_total", 1)
            self.assertIn(f'{incident["id"]} true false false', page.get("/"))
            said = page.post("/incident", do="mute", id=incident["id"], **{"for": "1h"})
            self.assertIn(f"incident {incident['id']} of PAGED_000 muted until", said)
            self.assertIn(f'{incident["id"]} true false true', page.get("/"), "it is asked again at once")
            page.post("/incident", do="acknowledge", id=incident["id"])
        self.assertIn(f"{incident['id']}  seen ", self.incidents("list"))
        with self.page("nowhere") as missing:
            missing.await_metric("temp_ingest_readings_produced_total", 1)
            self.assertRegex(missing.get("/"), "Incidents cannot be read: reading incidents in table nowhere failed: ")


class Groups(unittest.TestCase):
    """Sensors that fail together, on several partitions. A partition keeps its own time; this is later than all else."""

    BEGIN = START + timedelta(days=30)

    def put(self, prefix: str, count: int, seconds: list[int], value: float) -> None:
        cloud.put([
            json.dumps(json.loads(seed_record(f"{prefix}_{number:03d}", self.BEGIN + timedelta(seconds=second),
                                              value + second % 7 / 10)) | {"group": f"room of {prefix}"})
            for second in seconds for number in range(count)])
        cloud.drain()

    def changes(self, prefix: str) -> list[tuple[str, str]]:
        return [(one.attributes["change"], one.attributes.get("sensors")) for one in cloud.messages(prefix)]

    def test_a_room_is_told_once_again_when_twice_as_many_fail_and_once_when_all_is_well(self):
        self.put("ROOM", 3, [0], 104.5)
        self.assertEqual(self.changes("ROOM"), [("opened", "3")])
        self.put("ROOM", 5, [1], 104.5)
        self.assertEqual(self.changes("ROOM"), [], "told by and by")
        self.put("ROOM", 6, [2], 104.5)
        self.assertEqual(self.changes("ROOM"), [("opened", "6")])
        self.put("ROOM", 6, list(range(30, 1500, 30)), 98.0)
        self.assertEqual(self.changes("ROOM"), [("resolved", "6")])
        self.assertEqual({(item["state"], item["notified"]) for item in cloud.incidents("ROOM")}, {("resolved", 2)})
        run = subprocess.run(
            [built("temp-ingest"), "incidents", "--table", cloud.incidents_table, "list", "--group", "room of ROOM"],
            text=True, capture_output=True, check=True, env=daemon.environment(cloud.standin, cloud.folder()))
        self.assertEqual(run.stdout.count("ROOM_00"), 6, run.stdout)

    def test_what_is_delivered_twice_or_again_is_told_once(self):
        for prefix, disturbance in [("BOTH", "twice"), ("AGAIN", "drop")]:
            with self.subTest(disturbance):
                once = iter([disturbance])
                cloud.alert.disturb = lambda _, once=once: next(once, None)
                self.addCleanup(setattr, cloud.alert, "disturb", lambda _: None)
                self.put(prefix, 4, [0], 104.5)
                self.assertIsNone(next(once, None), "it came twice")
                self.assertEqual(self.changes(prefix), [("opened", "4")])
                self.assertEqual({item["notified"] for item in cloud.incidents(prefix)}, {1})


class DecodeFailures(unittest.TestCase):
    def setUp(self) -> None:
        # A process of its own counts what is put here, all under one key.
        cloud.deployment.restart("detect")
        self.before = len(cloud.detect.invocations)

    def decode_failures(self, expected: int) -> int:
        """How much the function counted. A line of the log may come late: then with the next answer."""
        tries = iter(range(20))
        while ((counted := metrics(cloud.detect, self.before)["DecodeFailures"]) < expected
               and next(tries, None) is not None):
            cloud.put_raw(hot("NEXT")[0].encode(), key="NEXT_000")
            cloud.detect.drain()
        return counted

    def test_garbage_is_counted_and_skipped(self):
        garbage = [b"\x00\xff\xfe", b"{", b'{"deviceid": 7}', b"\xf3\x89\x9a\xc2 no aggregate"]
        cloud.put_raw(*garbage, hot("AFTER")[0].encode(), key="AFTER_000")
        cloud.drain()
        self.assertEqual(self.decode_failures(len(garbage)), len(garbage))
        self.assertEqual([item["deviceid"] for item in cloud.anomalies("AFTER")], ["AFTER_000"])
        self.assertEqual(cloud.detect.given_up, [])

    def test_a_bad_reading_inside_an_aggregate_harms_no_other(self):
        lines = [line.encode() for line in hot("INSIDE", 3)]
        lines.insert(1, b'{"sensor": "INSIDE_bad", "value": "warm"}')
        cloud.put_raw(aggregate(lines, "INSIDE"), key="INSIDE")
        cloud.drain()
        self.assertEqual({item["deviceid"] for item in cloud.anomalies("INSIDE")},
                         {"INSIDE_000", "INSIDE_001", "INSIDE_002"})
        self.assertEqual(self.decode_failures(1), 1)


class Failures(unittest.TestCase):
    def fail_times(self, handler: str, times: int, **changes: str) -> None:
        """The function runs with more variables than deployed for so many deliveries."""
        mapping = {"detect": cloud.detect, "alert": cloud.alert}[handler]
        cloud.deployment.restart(handler, **changes)
        left = iter(range(times))

        def mend(_):
            if next(left, None) is None:
                cloud.deployment.restart(handler, **dict.fromkeys(changes))
                mapping.disturb = lambda _: None

        mapping.disturb = mend

    def test_an_unreachable_table_is_tried_again_until_it_is_there(self):
        before = len(cloud.detect.invocations)
        self.fail_times("detect", 2, AWS_ENDPOINT_URL_DYNAMODB=NOWHERE)
        cloud.put_raw(*(line.encode() for line in hot("RETRY", 3)), key="RETRY")
        cloud.drain()
        self.check_tried_again(cloud.detect, before)
        self.assertEqual(len(cloud.anomalies("RETRY")), 3)
        self.assertEqual(len(cloud.messages("RETRY")), 3)

    def test_an_unreachable_outbox_is_tried_again_until_it_is_there(self):
        before = len(cloud.alert.invocations)
        self.fail_times("alert", 2, AWS_ENDPOINT_URL_DYNAMODB=NOWHERE)
        cloud.put_raw(*(line.encode() for line in hot("OUTBOX", 3)), key="OUTBOX")
        cloud.drain()
        self.check_tried_again(cloud.alert, before)
        self.assertEqual(len(cloud.anomalies("OUTBOX")), 3)
        self.assertEqual(len(cloud.messages("OUTBOX")), 3)

    def check_tried_again(self, mapping: Mapping, before: int) -> None:
        """Twice for the table that was not there; more often only where the machine was too busy."""
        failed = [bool(one.outcome.value["batchItemFailures"]) for one in mapping.invocations[before:]]
        self.assertEqual(failed[:2] + failed[-1:], [True, True, False])

    def give_up(self) -> list[dict]:
        """All there is in the stream fails for good; the invocation records that this left, in order."""
        parameter = cloud.deployment.variables("detect")["SETTINGS_PARAMETER"]
        s3, bucket, patient = cloud.standin.client("s3"), deployed.bucket, cloud.detect.settings
        before = self.objects()
        cloud.detect.settings = deployed
        cloud.deployment.restart("detect", SETTINGS_PARAMETER="/no/such/parameter")
        try:
            cloud.detect.drain()
        finally:
            cloud.detect.settings = patient
            cloud.deployment.restart("detect", SETTINGS_PARAMETER=parameter)
            cloud.detect.given_up.clear()
        records = [json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in self.objects() - before]
        return sorted(records, key=lambda record: int(record["KinesisBatchInfo"]["startSequenceNumber"]))

    def objects(self) -> set[str]:
        listing = cloud.standin.client("s3").get_paginator("list_objects_v2")
        pages = listing.paginate(Bucket=cloud.detect.settings.bucket)
        return {one["Key"] for page in pages for one in page.get("Contents", [])}

    def test_what_fails_for_good_goes_whole_to_the_failure_destination(self):
        before = len(cloud.detect.invocations)
        lines = [line.encode() for line in hot("DEAD", 4)]
        cloud.put_raw(*lines, key="DEAD")
        kept = [json.loads(record["payload"])["Records"] for record in self.give_up()]
        self.assertEqual([[base64.b64decode(one["kinesis"]["data"]) for one in records] for records in kept],
                         [[line] for line in lines])
        sizes = [len(one.records) for one in cloud.detect.invocations[before:]]
        self.assertEqual(sizes[:3], [4, 2, 1], "an error bisects the batch")
        self.assertEqual(Counter(sizes)[1], 4 * (deployed.max_retries + 1))
        # What came after it goes on.
        cloud.put_raw(*(line.encode() for line in hot("LIVES")), key="DEAD")
        cloud.drain()
        self.assertEqual((len(cloud.anomalies("DEAD")), len(cloud.anomalies("LIVES"))), (0, 1))

    def test_what_landed_there_is_driven_again(self):
        cloud.put(hot("REDRIVE", 4))
        folder = cloud.folder()
        folder.mkdir()
        for number, record in enumerate(self.give_up()):
            (folder / f"object-{number}").write_text(json.dumps(record))
        self.assertEqual(cloud.anomalies("REDRIVE"), [])
        config = folder / "config.toml"
        config.write_text(daemon.configuration(cloud.stream, "", folder))
        run = subprocess.run(
            [built("temp-ingest"), "dead-letter", "replay", "--config", config, "--from", *folder.glob("object-*")],
            text=True, capture_output=True, env=daemon.environment(cloud.standin, folder))
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.check_redriven("REDRIVE", 4)

    def test_records_of_others_are_driven_through_the_function(self):
        cloud.put_raw(*(line.encode() for line in hot("OTHERS", 2)), key="OTHERS")
        for record in self.give_up():
            answer = cloud.standin.client("lambda").invoke(
                FunctionName=cloud.deployment.functions["detect"], Payload=record["payload"].encode())
            self.assertEqual(json.load(answer["Payload"]), {"batchItemFailures": []})
        self.check_redriven("OTHERS", 2)

    def check_redriven(self, prefix: str, count: int) -> None:
        cloud.drain()
        sensors = [f"{prefix}_{number:03d}" for number in range(count)]
        self.assertEqual(sorted(item["deviceid"] for item in cloud.anomalies(prefix)), sensors)
        self.assertEqual(sorted(one.attributes["sensor"] for one in cloud.messages(prefix)), sensors)


class Duplicates(unittest.TestCase):
    def deliver(self, prefix: str, disturbance: str, *mappings: Mapping) -> Counter:
        """Puts five hot sensors with the first delivery of each mapping disturbed; how often each sensor was told."""
        before = [len(mapping.invocations) for mapping in mappings]
        for mapping in mappings:
            once = iter([disturbance])
            mapping.disturb = lambda _, once=once: next(once, None)
            self.addCleanup(setattr, mapping, "disturb", lambda _: None)
        cloud.put(hot(prefix, 5))
        cloud.drain()
        for mapping, count in zip(mappings, before):
            self.assertGreater(len(mapping.invocations) - count, 1, "a batch came twice")
        self.assertEqual((len(cloud.anomalies(prefix)), len(cloud.incidents(prefix))), (5, 5))
        return Counter(one.attributes["sensor"] for one in cloud.messages(prefix))

    def test_batches_whose_answers_are_lost_tell_nothing_twice(self):
        told = self.deliver("DROP", "drop", cloud.detect, cloud.alert)
        self.assertEqual(told, Counter(f"DROP_{number:03d}" for number in range(5)))

    def test_records_that_come_twice_at_once_tell_nothing_twice(self):
        told = self.deliver("TWICE", "twice", cloud.detect)
        self.assertEqual(told, Counter(f"TWICE_{number:03d}" for number in range(5)))

    def test_events_that_come_twice_at_once_tell_nothing_twice(self):
        told = self.deliver("EVENTS", "twice", cloud.alert)
        self.assertEqual(told, Counter(f"EVENTS_{number:03d}" for number in range(5)))


if __name__ == "__main__":
    unittest.main()
