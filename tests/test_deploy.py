"""`make deploy` and `make destroy`, as a person types them, against a stand-in for an account.

No stand-in takes CodeDeploy in a template, nor the flow log of a network (tests/test_network.py has that on
another): the templates are deployed without these. The service CodeDeploy itself is replaced by the one here, which
answers as its API reference says and deploys nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cloud.standin import Standin

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

import account  # noqa: E402
import aws_command  # noqa: E402

UNKNOWN = {"network.yaml": ["FlowLog"], "ingest.yaml": ["Application", "DeploymentGroup"]}
# What the optional stacks ask for.
OPTIONS = ("LogGroup1=/app/house ClientCidr=203.0.113.0/24 "
           "CertificateArn=arn:aws:acm:eu-central-1:000000000000:certificate/0")


class CodeDeploy(ThreadingHTTPServer):
    """Answers for deployments that end as they are told to, one event further each time somebody asks."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.calls: list[tuple[str, dict]] = []
        self.fails = False
        self._asked = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, action: str, asked: dict) -> dict:
        self.calls.append((action, asked))
        match action:
            case "ListDeployments":
                return {"deployments": []}
            case "CreateDeployment":
                self._asked = 0
                return {"deploymentId": "d-1"}
            case "GetDeployment":
                self._asked += 1
                back = asked["deploymentId"] == "d-back"
                status = "InProgress" if self._asked < 2 else "Failed" if self.fails and not back else "Succeeded"
                info = {"status": status}
                if status == "Failed":
                    info["errorInformation"] = {"code": "HEALTH_CONSTRAINTS", "message": "too many failed"}
                    info["rollbackInfo"] = {"rollbackDeploymentId": "d-back"}
                return {"deploymentInfo": info}
            case "ListDeploymentTargets":
                return {"targetIds": ["i-1"]}
            case "BatchGetDeploymentTargets":
                fails = self.fails and asked["deploymentId"] == "d-1"
                last = {"lifecycleEventName": "ValidateService", "status": "Pending"}
                if self._asked >= 2:
                    last["status"] = "Failed" if fails else "Succeeded"
                    if fails:
                        last["diagnostics"] = {"errorCode": "ScriptFailed", "message": "exit code 1",
                                               "logTail": "a reading of its own did not arrive"}
                events = [{"lifecycleEventName": "BeforeInstall", "status": "Succeeded"}, last]
                return {"deploymentTargets": [{"deploymentTargetType": "InstanceTarget", "instanceTarget": {
                    "targetId": "arn:aws:ec2:eu-central-1:000000000000:instance/i-1", "lifecycleEvents": events}}]}
        raise AssertionError(f"CodeDeploy was asked for {action}")


class Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(self.server.answer(self.headers["X-Amz-Target"].split(".")[1], asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def without(text: str, resources: list[str]) -> str:
    """A template without some of its resources; where an output refers to one, it is its name."""
    for name in resources:
        text, count = re.subn(rf"^  {name}:\n(?:    .*\n|\n(?=    ))+", "", text, flags=re.MULTILINE)
        assert count == 1, name
        text = text.replace(f"Value: !Ref {name},", f"Value: {name},")
    return text


class Checkout:
    """What `make` has after a build: scripts, templates, the functions' zip and a bundle."""

    def __init__(self, test: unittest.TestCase, environment: dict[str, str]):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "scripts").mkdir()
        shutil.copy(REPOSITORY / "scripts/account.py", self.folder / "scripts")
        shutil.copytree(REPOSITORY / "cfn", self.folder / "cfn")
        for name, resources in UNKNOWN.items():
            template = self.folder / "cfn" / name
            template.write_text(without(template.read_text(), resources))
        for file in ("target/lambda/bootstrap.zip", "target/bundle/temp-ingest.zip"):
            (self.folder / file).parent.mkdir(parents=True)
            with zipfile.ZipFile(self.folder / file, "w") as made:
                made.writestr("bootstrap", "#!/bin/sh\n")
        self.environment = environment | {"PATH": f"{aws_command.folder()}:{os.environ['PATH']}", "POLL_SECONDS": "0"}

    def run(self, command: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess:
        program = str(self.folder / "scripts/account.py")
        return subprocess.run([sys.executable, program, command], input=typed, text=True, capture_output=True,
                              env=self.environment | variables, timeout=300)


class AccountTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.standin = cls.enterClassContext(Standin())
        cls.codedeploy = CodeDeploy()
        cls.addClassCleanup(cls.codedeploy.server_close)
        cls.addClassCleanup(cls.codedeploy.shutdown)

    def setUp(self) -> None:
        self.codedeploy.calls.clear()
        self.codedeploy.fails = False
        endpoint = {"AWS_ENDPOINT_URL_CODEDEPLOY": self.codedeploy.url}
        self.checkout = Checkout(self, self.standin.environment() | endpoint)
        self.cloudformation = self.standin.client("cloudformation")

    def run_well(self, command: str, **variables: str) -> str:
        run = self.checkout.run(command, **variables)
        self.assertEqual(run.returncode, 0, f"{run.stdout}\n{run.stderr}")
        return run.stdout

    def stacks(self) -> list[str]:
        """Those that are there, in the order in which they came."""
        found = self.cloudformation.describe_stacks()["Stacks"]
        found = [one for one in found if one["StackStatus"] != "DELETE_COMPLETE"]
        return [one["StackName"] for one in sorted(found, key=lambda one: one["CreationTime"])]

    def test_there_and_back_twice(self):
        self.standin.client("logs").create_log_group(logGroupName="/app/house")
        said = self.run_well("deploy", EMAIL="somebody@example.com", WITH="api logs balance archive", SET=OPTIONS)
        names = ["network", "data", "archive", "logs", "detect", "api", "alarms", "balance", "ingest", "observe"]
        expected = [f"temp-ingest-{name}" for name in names]
        self.assertEqual(self.stacks(), expected)
        for stack in expected:
            for one in self.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]:
                self.assertNotIn(one.get("PhysicalResourceId"), (None, "", "None"), f"{stack}: {one}")
        self.assertRegex(said, r"i-1  BeforeInstall +Succeeded\n  i-1  ValidateService +Succeeded\n")
        self.check_revision()
        # Nothing else has changed, but the next revision is a bad one.
        self.check_failure()
        self.run_well("destroy", YES="1")
        self.assertEqual(self.stacks(), [])
        self.assertEqual(self.standin.client("s3").list_buckets()["Buckets"], [])
        self.assertIn("temp-ingest-data is not there", self.run_well("destroy", YES="1"))
        self.run_well("deploy")
        self.assertEqual(self.stacks(), [stack for stack in expected if stack.split("-")[-1] not in account.OPTIONAL])
        self.run_well("destroy", YES="1")

    def check_failure(self) -> None:
        self.codedeploy.fails = True
        run = self.checkout.run("deploy")
        self.codedeploy.fails = False
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stdout, r"i-1  ValidateService +Failed")
        for said in ("ScriptFailed: exit code 1", "a reading of its own did not arrive", "brought back by d-back",
                     "HEALTH_CONSTRAINTS: too many failed", "the revision was not deployed"):
            self.assertIn(said, run.stderr)

    def check_revision(self) -> None:
        created = dict(self.codedeploy.calls)["CreateDeployment"]
        self.assertEqual((created["applicationName"], created["deploymentGroupName"], created["fileExistsBehavior"]),
                         ("Application", "DeploymentGroup", "OVERWRITE"))
        where = created["revision"]["s3Location"]
        self.assertRegex(where["key"], r"^revisions/temp-ingest-[0-9a-f]{16}\.zip$")
        self.standin.client("s3").head_object(Bucket=where["bucket"], Key=where["key"])
        email, = self.standin.client("sns").list_subscriptions()["Subscriptions"]
        self.assertEqual(email["Endpoint"], "somebody@example.com")

    def test_it_asks_before_it_deletes(self):
        self.cloudformation.create_stack(StackName="mine-alarms", TemplateBody='{"Resources": {"Topic": {"Type": '
                                         '"AWS::SNS::Topic"}}}')
        for typed in ("", "temp-ingest\n"):
            run = self.checkout.run("destroy", typed=typed, PREFIX="mine")
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("mine-alarms", self.stacks())
        run = self.checkout.run("destroy", typed="mine\n", PREFIX="mine")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.stacks(), [])

    def test_a_protected_stack_is_kept_and_said(self):
        self.cloudformation.create_stack(
            StackName="p-data", TemplateBody=(self.checkout.folder / "cfn/data.yaml").read_text(),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": "DeletionProtection", "ParameterValue": "yes"}])
        said = self.run_well("destroy", YES="1", PREFIX="p")
        self.assertIn("p-data is kept: a shard of its stream costs $0.36 a day", said)
        self.assertEqual(self.stacks(), ["p-data"])
        self.cloudformation.update_stack(
            StackName="p-data", UsePreviousTemplate=True, Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": "DeletionProtection", "ParameterValue": "no"}])
        self.run_well("destroy", YES="1", PREFIX="p")
        self.assertEqual(self.stacks(), [])

    def test_a_stack_that_cannot_be_made_says_why(self):
        template = self.checkout.folder / "cfn/network.yaml"
        template.write_text(template.read_text().replace("!Select [1, !Cidr", "!Select [9, !Cidr"))
        run = self.checkout.run("deploy", PREFIX="broken")
        self.assertEqual(run.returncode, 1)
        self.assertIn("`aws cloudformation deploy` failed", run.stderr)
        self.cloudformation.delete_stack(StackName="broken-network")

    def test_the_command_line_of_these_tests_does_as_the_real_one(self):
        def both(*arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess:
            real, ours = (
                subprocess.run([folder / "aws", *arguments], input=typed, text=True, capture_output=True,
                               cwd=self.checkout.folder, env=self.checkout.environment | variables)
                for folder in (Path(sys.executable).parent, aws_command.folder()))
            self.assertEqual((ours.returncode, ours.stdout, ours.stderr), (real.returncode, real.stdout, real.stderr))
            return real

        self.assertEqual(both("sts", "get-caller-identity", "--query", "Account", AWS_DEFAULT_OUTPUT="text").stdout,
                         "000000000000\n")
        (self.checkout.folder / "name").write_text("nowhere")
        run = both("cloudformation", "describe-stacks", "--stack-name", "file://name", "--output", "json")
        self.assertGreater(run.returncode, 2)
        self.assertIn("nowhere does not exist", run.stderr)
        self.assertEqual(both("s3", "mv", "-").returncode, 2)
        s3 = self.standin.client("s3")
        s3.create_bucket(Bucket="typed", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self.assertEqual(both("s3", "cp", "-", "s3://typed/reading", typed="a reading").returncode, 0)
        self.assertEqual(both("s3", "cp", "s3://typed/reading", "-").stdout, "a reading")
        s3.delete_object(Bucket="typed", Key="reading")
        s3.delete_bucket(Bucket="typed")


class DryRunTest(unittest.TestCase):
    def commands(self, command: str, **variables: str) -> list[str]:
        checkout = Checkout(self, {"DRY_RUN": "1", "PATH": ""})
        # There is nothing to call: whoever tried would fail.
        shutil.rmtree(checkout.folder / "target")
        checkout.environment["PATH"] = str(checkout.folder)
        run = checkout.run(command, **variables)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("nothing was done", run.stdout.lower())
        return [line[2:] for line in run.stdout.splitlines() if line.startswith("+ ")]

    def test_a_stack_that_is_optional_comes_where_it_is_named(self):
        commands = self.commands("deploy")
        self.assertFalse(any("-api " in one or "temp-ingest-logs" in one for one in commands))
        commands = self.commands("deploy", WITH="balance api logs archive", SET=OPTIONS)
        deployed = [re.search(r"--stack-name temp-ingest-(\S+)", one) for one in commands]
        self.assertEqual([one[1] for one in deployed if one],
                         list(account.STACKS))
        told = [one for one in commands if "LogsStack=temp-ingest-logs" in one]
        self.assertEqual(len(told), 2)
        run = Checkout(self, {"DRY_RUN": "1"}).run("deploy", WITH="apis")
        self.assertIn("there is no optional stack apis; WITH takes archive, logs, api, balance", run.stderr)

    def test_deploy_prints_every_command_in_order(self):
        commands = self.commands("deploy")
        self.assertEqual([re.match(r"aws (\S+ \S+)(?: --stack-name (\S+))?", one).groups() for one in commands], [
            ("cloudformation deploy", "temp-ingest-network"), ("cloudformation deploy", "temp-ingest-data"),
            ("s3 cp", None), ("s3 cp", None),
            *(("cloudformation deploy", f"temp-ingest-{name}") for name in ("detect", "alarms", "ingest", "observe")),
            ("deploy create-deployment", None)])

    def test_destroy_prints_every_command_in_the_other_order(self):
        commands = self.commands("destroy")
        deleted = [one.split()[-1] for one in commands if " delete-stack " in one]
        self.assertEqual(deleted, [f"temp-ingest-{name}" for name in reversed(account.STACKS)])
        emptied = [commands.index(one) for one in commands if " s3 rm " in one and " --recursive " in one]
        self.assertEqual(len(emptied), 3)
        self.assertLess(max(emptied), commands.index("aws cloudformation delete-stack --stack-name temp-ingest-data"))
        drained = next(number for number, one in enumerate(commands) if "--desired-capacity 0" in one)
        self.assertLess(drained, commands.index("aws cloudformation delete-stack --stack-name temp-ingest-ingest"))

    def test_one_answer_reaches_every_template_that_asks(self):
        commands = self.commands("deploy", SET="WithReadings=yes WithEndpoints=no", PREFIX="house")
        told = {re.search(r"--stack-name house-(\S+)", one)[1] for one in commands if "WithReadings=yes" in one}
        self.assertEqual(told, {"data", "detect"})
        told = {re.search(r"--stack-name house-(\S+)", one)[1] for one in commands if "WithEndpoints=no" in one}
        self.assertEqual(told, {"network", "ingest"})
        self.assertTrue(any("DataStack=house-data" in one for one in commands))

    def test_an_answer_to_no_question_is_refused(self):
        run = Checkout(self, {"DRY_RUN": "1"}).run("deploy", SET="WithReading=yes")
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.assertIn("no template asks for WithReading", run.stderr)

    def test_the_names_of_a_file_are_taken(self):
        names = str(REPOSITORY / "cfn/parameters/m03p02.json")
        commands = self.commands("deploy", PARAMETERS=names, EMAIL="a@example.com")
        data = next(one for one in commands if "--stack-name temp-ingest-data " in one)
        self.assertIn(" Email=a@example.com StreamName=m03p02_raw_data_stream TopicName=m03p02_anomaly_alerts", data)


class DrainTest(unittest.TestCase):
    """A group whose instances go one by one; the stand-in starts none."""

    class Scripted(account.Account):
        def __init__(self, groups: list[list[str]], size: int = 0):
            super().__init__("p", False, 0.0)
            self.groups, self.size, self.changes, self.created = groups, size, [], True

        def aws(self, *arguments: str, quiet: bool = False) -> str:
            self.changes.append(" ".join(arguments[1:]))
            return ""

        def ask(self, *arguments: str, absent: str | None = None):
            if arguments[1] == "describe-stacks":
                parameters = [{"ParameterKey": "InstanceCount", "ParameterValue": "2"},
                              {"ParameterKey": "InstanceMaximum", "ParameterValue": "5"}]
                outputs = [{"OutputKey": "GroupName", "OutputValue": "g"}] if self.created else []
                return {"Stacks": [{"StackName": "p-ingest", "StackStatus": "UPDATE_COMPLETE", "Outputs": outputs,
                                    "Parameters": parameters}]}
            instances = [{"InstanceId": one} for one in (self.groups.pop(0) if self.groups else [])]
            return {"AutoScalingGroups": [{"Instances": instances, "MaxSize": self.size}]}

    def test_it_waits_until_the_last_instance_has_gone(self):
        scripted = self.Scripted([["i-1", "i-2"], ["i-1"], ["i-1"], []])
        with contextlib.redirect_stdout(io.StringIO()) as said:
            account.drain(scripted)
        self.assertEqual(scripted.groups, [])
        self.assertEqual(said.getvalue().splitlines(), ["  i-1, i-2: sending what is in the spool",
                                                        "  i-1: sending what is in the spool"])

    def test_a_stack_that_never_came_to_be_has_nothing_to_drain(self):
        scripted = self.Scripted([["i-1"]])
        scripted.created = False
        account.drain(scripted)
        self.assertEqual(scripted.changes, [])

    def test_a_deployment_after_it_fills_the_group_again(self):
        scripted = self.Scripted([])
        account.undo_drain(scripted)
        self.assertEqual(scripted.changes,
                         ["update-auto-scaling-group --auto-scaling-group-name g --min-size 2 --max-size 5"])
        scripted = self.Scripted([], size=5)
        account.undo_drain(scripted)
        self.assertEqual(scripted.changes, [])


if __name__ == "__main__":
    unittest.main()
