"""A log group subscribed as deployed: envelopes on its stream become incidents that are stored and told."""

from __future__ import annotations

import gzip
import json
import unittest

from .deployment import Deployment
from .pipeline import Pipeline
from .standin import Standin

GROUP = "/app/house"
START_MS = 1_700_000_040_000


def ordinary(number: int) -> str:
    kind = number * 7 % 11
    if kind < 6:
        return f"GET /rooms/{number} took {number % 90} ms"
    if kind < 9:
        return f"POST /rooms/{number % 9}/temperature took {number % 70} ms"
    return f"cache refreshed: {number} entries"


def envelope(lines: dict[int, str], kind: str = "DATA_MESSAGE") -> bytes:
    """As CloudWatch Logs writes it: lines by their numbers, about five a second."""
    return gzip.compress(json.dumps({
        "messageType": kind, "owner": "123456789012", "logGroup": GROUP, "logStream": "i-1",
        "subscriptionFilters": ["all"],
        "logEvents": [{"id": f"{number:056}", "timestamp": START_MS + number * 200 + number * 31 % 97, "message": line}
                      for number, line in lines.items()]}).encode())


class Logs(unittest.TestCase):
    def setUp(self) -> None:
        standin = self.enterContext(Standin())
        standin.client("logs").create_log_group(logGroupName=GROUP)
        self.deployment = Deployment(standin, logs={"LogGroup1": GROUP}).deploy()
        self.cloud = Pipeline(standin, self.deployment)
        self.records = self.deployment.mapping("detect", self.deployment.outputs["LogsStreamArn"])

    def put(self, *envelopes: bytes) -> None:
        answer = self.cloud.standin.client("kinesis").put_records(
            StreamARN=self.deployment.outputs["LogsStreamArn"],
            Records=[{"Data": one, "PartitionKey": str(number)} for number, one in enumerate(envelopes)])
        self.assertEqual(answer["FailedRecordCount"], 0)
        self.records.drain()
        self.cloud.alert.drain()

    def test_a_line_never_seen_is_an_incident_that_is_stored_and_told(self):
        self.check_subscription()
        numbers = range(2_000)
        usual = [envelope({number: ordinary(number) for number in numbers[start:start + 100]})
                 for start in numbers[::100]]
        self.put(envelope({0: "CWL CONTROL MESSAGE"}, "CONTROL_MESSAGE"), *usual)
        self.assertEqual(self.cloud.incidents(GROUP), [])
        new = envelope({2_000: "panicked at src/main.rs: index out of bounds"})
        # The second time it is known.
        self.put(new, new)
        incident, = self.cloud.incidents(GROUP)
        self.assertEqual((incident["sensor"], incident["state"], incident["anomalies"]), (f"{GROUP}/lines", "open", 1))
        message, = self.cloud.messages(GROUP)
        self.assertEqual(message.attributes["change"], "opened")
        self.assertIn(GROUP, message.text)

    def check_subscription(self) -> None:
        client = self.cloud.standin.client
        subscription, = client("logs").describe_subscription_filters(logGroupName=GROUP)["subscriptionFilters"]
        self.assertEqual(subscription["destinationArn"], self.deployment.outputs["LogsStreamArn"])
        role = client("iam").get_role(RoleName=subscription["roleArn"].rsplit("/", 1)[-1])["Role"]
        trusted, = role["AssumeRolePolicyDocument"]["Statement"]
        self.assertEqual(trusted["Principal"], {"Service": "logs.amazonaws.com"})
        source = trusted["Condition"]["StringLike"]["aws:SourceArn"]
        self.assertTrue(all(one.endswith(f":log-group:{GROUP}:*") for one in source), source)


if __name__ == "__main__":
    unittest.main()
