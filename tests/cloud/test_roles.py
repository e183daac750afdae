"""The functions' roles suffice, and nothing in them is idle: with AUTH=true the stand-in lets a role do what its policy
says, and each permission that is taken away makes something fail. What to try is read from the deployed policies.

Settings are read again after a minute; they are changed here because that minute passes while permissions are tried."""

from __future__ import annotations

import base64
import copy
import json
import time
import unittest
from datetime import timedelta

from botocore.exceptions import ClientError

from .deployment import EVERYTHING, Deployment, as_list
from .mapping import Answered, Mapping
from .pipeline import Pipeline
from .readings import START, seed_record
from .standin import Standin

# What the stand-in does not ask for. Each is taken away as well, and must make no difference: the day one does, its
# reason is out of date.
NOT_ASKED_FOR = {
    "logs:CreateLogStream": "the stand-in keeps what functions log by itself, not with their role",
    "logs:PutLogEvents": "the stand-in keeps what functions log by itself, not with their role",
    "kms:Decrypt": "the stand-in encrypts nothing",
    "kms:GenerateDataKey": "the stand-in encrypts nothing",
}

# The sensor whose partition gets many entries.
LARGE = "LARGE"


def setUpModule() -> None:
    global cloud
    standin = unittest.enterModuleContext(Standin(auth=True))
    cloud = Pipeline(standin, Deployment(standin, data=EVERYTHING, detect=EVERYTHING).deploy())
    TunedSettings.begin()


class Daemon(unittest.TestCase):
    def test_it_puts_over_tls_and_all_of_it_is_told(self):
        cloud.put([seed_record(f"TLS{number}", START, 104.5) for number in range(3)])
        cloud.drain()
        self.assertEqual({item["deviceid"] for item in cloud.anomalies("TLS")}, {"TLS0", "TLS1", "TLS2"})
        self.assertEqual({one.attributes["sensor"] for one in cloud.messages("TLS")}, {"TLS0", "TLS1", "TLS2"})


class Permissions(unittest.TestCase):
    runs = 0
    readings = 0

    def test_the_roles_suffice_and_each_permission_is_needed(self):
        self.assertEqual(self.problems(), [], "with the roles as deployed")
        self.assertEqual(self.problems_of_large_partitions(), [], "with the roles as deployed")
        tried = 0
        for handler in ("detect", "alert"):
            role = cloud.deployment.role(handler)
            iam = cloud.standin.client("iam")
            self.assertEqual(iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"], [])
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                for index, statement in enumerate(policy["Statement"]):
                    for action in as_list(statement["Action"]):
                        tried += 1
                        with self.subTest(role=handler, statement=statement["Sid"], action=action):
                            self.assertNotIn("*", action, "an action that is not exact cannot be tried")
                            self.put(role, name, without(policy, index, action))
                            try:
                                self.check(action)
                            finally:
                                self.put(role, name, policy)
        self.assertGreater(tried, 20)
        self.assertEqual(self.problems(), [], "with the roles as deployed, in the end")

    def check(self, action: str) -> None:
        problems = self.problems_of_large_partitions() if action == "dynamodb:DeleteItem" else self.problems()
        if action in NOT_ASKED_FOR:
            self.assertEqual(problems, [], f"NOT_ASKED_FOR says: {NOT_ASKED_FOR[action]}")
        else:
            self.assertNotEqual(problems, [], "nothing fails without it: it is not needed, or nothing here needs it")

    def put(self, role: str, name: str, policy: dict) -> None:
        cloud.standin.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))

    def problems(self) -> list[str]:
        """What goes wrong on the way of a few readings through everything, from functions that start cold."""
        Permissions.runs += 1
        problems: list[str] = []
        name = f"ROLE{self.runs:03d}"
        for handler in ("detect", "alert"):
            cloud.deployment.restart(handler)
        try:
            detect = cloud.deployment.mapping("detect", StartingPosition="LATEST")
            alert = cloud.deployment.mapping("alert", StartingPosition="LATEST")
            detect.step()
            alert.step()
            output = cloud.end_of_output()
            # One reading all the way.
            self.record(name)
            problems += failures(detect) + failures(alert)
            # One that the alert function's mapping gives up, one that the other does.
            self.record(f"{name}-late")
            problems += failures(detect)
            alert.ahead = 1e9
            problems += failures(alert)
            self.record(f"{name}-never")
            detect.ahead = 1e9
            problems += failures(detect)
        except ClientError as error:
            return [*problems, str(error)]
        if [item["deviceid"] for item in cloud.anomalies(name)] != [name]:
            problems.append("the anomaly is not stored")
        if [item["state"] for item in cloud.incidents(name)] != ["open"]:
            problems.append("the incident is not open")
        if [message.attributes["sensor"] for message in cloud.messages(name)] != [name]:
            problems.append("nobody is told")
        if (len(detect.given_up), len(alert.given_up)) != (1, 1):
            problems.append("what was given up is not in the failure destination")
        if {sensor for sensor, _ in cloud.readings(name)} != {name, f"{name}-late"}:
            problems.append("readings are not stored")
        if len(cloud.output_since(output)) != 2:
            problems.append("scores are not in the output stream")
        return problems

    def record(self, sensor: str) -> None:
        cloud.put_raw(seed_record(sensor, START, 104.5).encode(), key=sensor)

    def problems_of_large_partitions(self) -> list[str]:
        """Whether a checkpoint that replaces one of several parts deletes these. A partition that large would take long,
        so the checkpoint of a small one is rewritten as one part of one, in the form that large ones have."""
        cloud.deployment.restart("detect")
        dynamodb, table = cloud.standin.client("dynamodb"), cloud.deployment.variables("detect")["PARTITIONS_TABLE"]
        key = {"partition": {"S": f"series/{LARGE}"}, "item": {"S": "checkpoint"}}
        part = key | {"item": {"S": "checkpoint/0000000000000000/0000"}}
        first = self.checkpoint(key) or self.fold_until_checkpoint(key, 0)
        dynamodb.put_item(TableName=table, Item=part | {"state": first["state"]})
        dynamodb.put_item(TableName=table, Item=key | {
            "version": first["version"], "parts": {"N": "1"}, "generation": {"S": "0000000000000000"}})
        cloud.deployment.restart("detect")
        self.fold_until_checkpoint(key, int(first["version"]["N"]))
        left = dynamodb.get_item(TableName=table, Key=part, ConsistentRead=True).get("Item")
        return ["parts of an old checkpoint are left"] if left else []

    def fold_until_checkpoint(self, key: dict, after: int) -> dict:
        """Puts readings of a partition, an invocation and so an entry each, until its checkpoint is later than `after`."""
        detect = cloud.deployment.mapping("detect", StartingPosition="LATEST", BatchSize=1)
        detect.step()
        for _ in range(10):
            readings = range(self.readings, self.readings + 20)
            Permissions.readings = readings.stop
            cloud.put_raw(*(seed_record(LARGE, START + number * timedelta(seconds=1), 98 + number % 7 / 10).encode()
                            for number in readings), key=LARGE)
            detect.drain()
            item = self.checkpoint(key)
            if item and int(item["version"]["N"]) > after:
                return item
        raise AssertionError(f"partition {LARGE} has no checkpoint after version {after} within 200 entries")

    def checkpoint(self, key: dict) -> dict | None:
        table = cloud.deployment.variables("detect")["PARTITIONS_TABLE"]
        return cloud.standin.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


class TunedSettings(unittest.TestCase):
    """A twin of the function that scores, warm from the beginning and never restarted."""

    NAME = "twin"
    BOUND_SECONDS = 90
    sensors = 0

    @classmethod
    def begin(cls) -> None:
        cls.tune("jump = 1000000")
        like = cloud.deployment.configuration("detect")
        api = cloud.standin.client("lambda")
        with cloud.deployment.code.open("rb") as code:
            api.create_function(
                FunctionName=cls.NAME, Code={"ZipFile": code.read()}, Environment=like["Environment"],
                **{name: like[name] for name in ("Runtime", "Handler", "Role", "Timeout", "MemorySize")})
        cls.before = cls.finds()
        cls.tune("jump = 1000000\nthreshold = 100")

    @classmethod
    def tune(cls, lines: str) -> None:
        cloud.standin.client("ssm").put_parameter(
            Name=cloud.deployment.variables("detect")["SETTINGS_PARAMETER"], Value=f"[detect]\n{lines}\n",
            Type="String", Overwrite=True)

    @classmethod
    def finds(cls) -> bool:
        """Whether it finds something in a new sensor's calm values with one at the end that is a little off."""
        cls.sensors += 1
        sensor = f"TUNED{cls.sensors:03d}"
        values = [20 + number * 7 % 11 / 50 for number in range(300)] + [22.5]
        records = [{
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "twin", "sequenceNumber": str(1000 + number),
                "data": base64.b64encode(json.dumps({
                    "sensor": sensor, "time": (START + number * timedelta(minutes=1)).isoformat(),
                    "kind": "temperature", "value": value}).encode()).decode(),
                "approximateArrivalTimestamp": START.timestamp()},
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"shardId-000000000000:{1000 + number}",
            "eventName": "aws:kinesis:record", "invokeIdentityArn": "", "awsRegion": "", "eventSourceARN": "",
        } for number, value in enumerate(values)]
        answer = json.load(cloud.standin.client("lambda").invoke(
            FunctionName=cls.NAME, Payload=json.dumps({"Records": records}).encode())["Payload"])
        if answer != {"batchItemFailures": []}:
            raise AssertionError(f"the twin answers {answer}")
        entries = cloud.standin.client("dynamodb").query(
            TableName=cloud.deployment.variables("detect")["PARTITIONS_TABLE"],
            KeyConditionExpression="#partition = :partition",
            ExpressionAttributeNames={"#partition": "partition"},
            ExpressionAttributeValues={":partition": {"S": f"series/{sensor}"}},
            ConsistentRead=True)["Items"]
        return any("events" in entry for entry in entries)

    def test_a_threshold_changed_in_the_parameter_counts_after_a_minute_without_a_restart(self):
        self.assertTrue(self.before)
        end = time.monotonic() + self.BOUND_SECONDS
        while (found := self.finds()) and time.monotonic() < end:
            time.sleep(0.5)
        self.assertFalse(found, f"the old threshold still counts after {self.BOUND_SECONDS} s")


def failures(mapping: Mapping) -> list[str]:
    """Does one round; what the function said that was not a success."""
    before = len(mapping.invocations)
    mapping.step()
    outcomes = [invocation.outcome for invocation in mapping.invocations[before:]]
    return [str(outcome) for outcome in outcomes
            if not (isinstance(outcome, Answered) and not outcome.value["batchItemFailures"])]


def without(policy: dict, index: int, action: str) -> dict:
    """The policy without one action of one statement; without the statement, where it has no other."""
    changed = copy.deepcopy(policy)
    left = [one for one in as_list(changed["Statement"][index]["Action"]) if one != action]
    if left:
        changed["Statement"][index]["Action"] = left
    else:
        del changed["Statement"][index]
    return changed


if __name__ == "__main__":
    unittest.main()
