"""The stacks come and go: deployed, deleted in reverse order, deployed again, with generated names and with given ones."""

from __future__ import annotations

import subprocess
import unittest

import aws_command
from programs import REPOSITORY

from .deployment import Deployment
from .standin import Standin

ALARMS_STACK = "temp-ingest-alarms"
GIVEN_NAMES = REPOSITORY / "cfn/parameters/m03p02.json"


class Stacks(unittest.TestCase):
    def setUp(self):
        self.standin = self.enterContext(Standin())

    def test_they_leave_nothing_behind_that_the_next_deployment_meets(self):
        for _ in range(2):
            deployment = Deployment(self.standin).deploy()
            deployment.stack(ALARMS_STACK, "alarms.yaml", {})
            self.assertEqual(len(self.kept(deployment)), 9)
            self.delete(deployment)

    def test_names_are_generated_unless_given(self):
        deployment = Deployment(self.standin)
        for file, named in ((None, False), (GIVEN_NAMES, True)):
            self.deploy_data(deployment, file)
            self.assertEqual(deployment.outputs["StreamName"] == "m03p02_raw_data_stream", named)
            self.assertEqual(deployment.outputs["AnomaliesTableName"] == "m03p02_anomaly_data", named)
            self.assertEqual(deployment.outputs["TopicArn"].endswith(":m03p02_anomaly_alerts"), named)
            self.delete_stack(deployment.DATA_STACK)

    def deploy_data(self, deployment: Deployment, file) -> None:
        command = [str(aws_command.folder() / "aws"), "cloudformation", "deploy", "--stack-name", deployment.DATA_STACK,
                   "--template-file", str(REPOSITORY / "cfn/data.yaml")]
        command += ["--parameter-overrides", f"file://{file}"] if file else []
        subprocess.run(command, env=self.standin.environment(), check=True, capture_output=True, text=True)
        stacks = self.standin.client("cloudformation").describe_stacks(StackName=deployment.DATA_STACK)["Stacks"]
        deployment.outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks[0]["Outputs"]}

    def kept(self, deployment: Deployment) -> list[str]:
        """What is there of what the stacks make, by asking each service."""
        client = self.standin.client
        functions = client("lambda")
        return [
            *client("kinesis").list_streams()["StreamNames"],
            *client("dynamodb").list_tables()["TableNames"],
            *(one["TopicArn"] for one in client("sns").list_topics()["Topics"]),
            *(one["FunctionName"] for one in functions.list_functions()["Functions"]),
            *(one["UUID"] for one in functions.list_event_source_mappings()["EventSourceMappings"]),
        ]

    def delete(self, deployment: Deployment) -> None:
        s3 = self.standin.client("s3")
        self.delete_stack(ALARMS_STACK)
        self.delete_stack(deployment.DETECT_STACK)
        for bucket in (deployment.outputs["CodeBucketName"], deployment.outputs["FailureBucketName"]):
            for one in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=one["Key"])
        self.delete_stack(deployment.DATA_STACK)
        self.assertEqual(self.kept(deployment), [])
        self.assertEqual(s3.list_buckets()["Buckets"], [])
        self.assertEqual(self.standin.client("logs").describe_log_groups()["logGroups"], [])
        self.assertEqual(self.standin.client("cloudwatch").describe_alarms()["MetricAlarms"], [])

    def delete_stack(self, name: str) -> None:
        api = self.standin.client("cloudformation")
        api.delete_stack(StackName=name)
        api.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


if __name__ == "__main__":
    unittest.main()
