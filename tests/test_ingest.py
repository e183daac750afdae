"""cfn/ingest.yaml on a stand-in, and what its instances are told to do at their start and at their end.

moto knows neither alarms nor CodeDeploy in a template; cfn-lint judges these, and tests/test_deploy.py uses the alarm.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from cfnlint.decode import cfn_yaml

from moto_stacks import CFN, Account

NETWORK = (CFN / "network.yaml").read_text()
INGEST = cfn_yaml.load(str(CFN / "ingest.yaml"))
UNKNOWN = ("AWS::CloudWatch::Alarm", "AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup",
           "AWS::AutoScaling::ScalingPolicy")
# What ingest.yaml imports from data.yaml.
DATA = {"Resources": {"Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 1}},
                      "Bucket": {"Type": "AWS::S3::Bucket"},
                      "Incidents": {"Type": "AWS::DynamoDB::Table", "Properties": {
                          "TableName": "incidents", "BillingMode": "PAY_PER_REQUEST",
                          "KeySchema": [{"AttributeName": "sensor", "KeyType": "HASH"}],
                          "AttributeDefinitions": [{"AttributeName": "sensor", "AttributeType": "S"}]}}},
        "Outputs": {"Stream": {"Value": {"Fn::GetAtt": ["Stream", "Arn"]}, "Export": {"Name": "data-StreamArn"}},
                    "Bucket": {"Value": {"Ref": "Bucket"}, "Export": {"Name": "data-CodeBucketName"}},
                    # One table stands for both.
                    **{f"{one}{what}": {"Value": value, "Export": {"Name": f"data-{one}Table{what}"}}
                       for one in ("Incidents", "Readings")
                       for what, value in (("Name", {"Ref": "Incidents"}),
                                           ("Arn", {"Fn::GetAtt": ["Incidents", "Arn"]}))}}}


def known() -> str:
    """The template without what moto does not know."""
    gone = {name for name, one in INGEST["Resources"].items() if one["Type"] in UNKNOWN}
    resources = {name: one for name, one in INGEST["Resources"].items() if name not in gone}
    outputs = {name: one for name, one in INGEST["Outputs"].items() if one["Value"].get("Ref") not in gone}
    return json.dumps(INGEST | {"Resources": resources, "Outputs": outputs})


class StackTest(unittest.TestCase):
    def deploy(self, **parameters: str) -> dict[str, str]:
        self.account = Account()
        self.addCleanup(self.account.close)
        self.ec2 = self.account.client("ec2")
        both = {key: value for key, value in parameters.items() if key == "WithEndpoints"}
        self.account.deploy("network", NETWORK, **both)
        self.account.deploy("data", json.dumps(DATA))
        return self.account.deploy("ingest", known(), DataStack="data", NetworkStack="network", **parameters)

    def test_instances_start_in_the_private_subnets_as_many_as_asked(self):
        made = self.deploy(InstanceCount="2")
        group, = self.account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        self.assertEqual((group["AutoScalingGroupName"], len(group["Instances"])), (made["Instances"], 2))
        private = self.account.outputs("network")["PrivateSubnetIds"]
        self.assertEqual(set(group["VPCZoneIdentifier"].split(",")), set(private.split(",")))

    def test_without_endpoints_they_are_public_and_nobody_comes_in_all_the_same(self):
        made = self.deploy(WithEndpoints="no")
        group, = self.account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        public = self.account.outputs("network")["PublicSubnetIds"]
        self.assertEqual(set(group["VPCZoneIdentifier"].split(",")), set(public.split(",")))
        security, = self.ec2.describe_security_groups(GroupIds=[made["SecurityGroup"]])["SecurityGroups"]
        self.assertEqual(security["IpPermissions"], [])

    def test_a_newer_image_comes_by_its_public_parameter(self):
        made = self.deploy()
        version, = self.ec2.describe_launch_template_versions(
            LaunchTemplateId=made["LaunchTemplate"])["LaunchTemplateVersions"]
        data = version["LaunchTemplateData"]
        named = self.account.client("ssm").get_parameter(Name=INGEST["Parameters"]["Image"]["Default"])
        self.assertEqual(data["ImageId"], named["Parameter"]["Value"])
        self.assertEqual([one["Ebs"]["Encrypted"] for one in data["BlockDeviceMappings"]], [True, True])

    def test_they_are_told_the_stream_and_the_sources(self):
        made = self.deploy(Sources='[source.pipe]\nkind = "stdin"\n')
        version, = self.ec2.describe_launch_template_versions(
            LaunchTemplateId=made["LaunchTemplate"])["LaunchTemplateVersions"]
        told = base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()
        self.assertLess(len(told), 16_384, "what EC2 takes as user data")
        stream, = self.account.client("kinesis").list_streams()["StreamSummaries"]
        self.assertIn(f'sink = "kinesis"\n[kinesis]\nstream = "{stream["StreamARN"]}"\n[source.pipe]\n', told)
        self.assertNotIn("sts:AssumeRole", self.allowed())

    def test_they_may_assume_the_role_of_a_stream_of_another_account_and_no_other(self):
        stream = "arn:aws:kinesis:us-east-1:210987654321:stream/readings"
        role = "arn:aws:iam::210987654321:role/put-readings"
        made = self.deploy(OtherStreamArn=stream, StreamRoleArn=role, ExternalId="agreed-word", Sources="[log]\n")
        version, = self.ec2.describe_launch_template_versions(
            LaunchTemplateId=made["LaunchTemplate"])["LaunchTemplateVersions"]
        told = base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()
        self.assertIn(f'[kinesis]\nstream = "{stream}"\nrole_arn = "{role}"\nexternal_id = "agreed-word"\n[log]\n', told)
        self.assertEqual(self.allowed()["sts:AssumeRole"], role)

    def test_they_are_told_the_tables_that_the_page_shows(self):
        made = self.deploy(DashboardIncidents="yes", DashboardReadings="yes")
        version, = self.ec2.describe_launch_template_versions(
            LaunchTemplateId=made["LaunchTemplate"])["LaunchTemplateVersions"]
        told = base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()
        for name in ("INCIDENTS", "READINGS"):
            self.assertIn(f"\n[Service]\nEnvironment=TEMP_INGEST__DASHBOARD__{name}_TABLE=incidents\n", told)
        resources = {one["Sid"]: one["Resource"] for one in self.statements()}
        table = "arn:aws:dynamodb:eu-central-1:123456789012:table/incidents"
        self.assertEqual([resources["ShowIncidents"], resources["ListIncidents"], resources["FindIncidents"],
                          resources["ShowReadings"]],
                         [table, f"{table}/index/by_state", f"{table}/index/by_id", table])

    def statements(self) -> list[dict]:
        """What the instances may do, and to what."""
        iam = self.account.client("iam")
        role, = [role["RoleName"] for role in iam.list_roles()["Roles"] if "InstanceRole" in role["RoleName"]]
        # moto keeps a document with an AWS::NoValue in it as Python writes it.
        policy = ast.literal_eval(str(iam.get_role_policy(RoleName=role, PolicyName="ingest")["PolicyDocument"]))
        return [one for one in policy["Statement"] if one]

    def allowed(self) -> dict[str, object]:
        """What the instances may do, and to what; of statements with one action."""
        allowed = [one for one in self.statements() if isinstance(one["Action"], str)]
        return {one["Action"]: one["Resource"] for one in allowed}


class Script:
    """A program that user data writes, with everything it calls replaced: what was called is in `calls`."""

    PRELUDE = '#!/usr/bin/env bash\necho "$(basename "$0") $*" >>"$CALLS"\n'

    def __init__(self, test: unittest.TestCase, name: str, **programs: str):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config = self.folder / "config.toml"
        parts = INGEST["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
        told = parts["Fn::Base64"]["Fn::Join"][1][-1]
        text = re.search(rf"cat >/usr/local/sbin/{name} <<'END'\n(.*?)\nEND\n", told, re.DOTALL)[1]
        places = {"/run/": f"{self.folder}/", "/etc/temp-ingest/config.toml": str(self.config),
                  "/var/lib/temp-ingest-watch": str(self.folder / "seen"), "/opt/aws/amazon-cloudwatch-agent/bin/": ""}
        self.text = re.sub("|".join(places), lambda place: places[place[0]], text)
        for program, body in ({"sleep": ""} | programs).items():
            path = self.folder / program
            path.write_text(self.PRELUDE + body)
            path.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess:
        return subprocess.run(["bash", "-c", self.text], capture_output=True, text=True, timeout=30, env={
            "PATH": f"{self.folder}:{os.environ['PATH']}", "CALLS": str(self.folder / "calls"),
            "stack": "s", "drain_minutes": "1", "FOLDER": str(self.folder)})

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


class DrainTest(unittest.TestCase):
    IMDS = """[[ $1 == instance-id ]] && { echo i-1; exit; }
        [[ -e $FOLDER/asked ]] && echo Terminated || { touch "$FOLDER/asked"; echo InService; }"""
    AWS = "[[ $2 == describe* ]] && echo group || exit 0"
    # Inactive from the third time it is asked.
    SYSTEMCTL = """case $1 in
        show) echo >>"$FOLDER/shown"
              if (($(wc -l <"$FOLDER/shown") > 2)); then echo inactive; else echo active; fi
              echo success ;;
        is-failed) exit 1 ;;
    esac"""

    def script(self, **programs: str) -> Script:
        script = Script(self, "temp-ingest-drain",
                        **{"temp-ingest-imds": self.IMDS, "aws": self.AWS, "systemctl": self.SYSTEMCTL} | programs)
        script.config.write_text('sink = "kinesis"\n[source.a]\nkind = "stdin"\n[spool]\nmax_bytes = "2GiB"\n'
                                 '[ source.b ]\nkind = "stdin"\n')
        return script

    def test_it_waits_sends_the_spool_and_lets_the_instance_go(self):
        script = self.script()
        run = script.run()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(script.config.read_text(), 'sink = "kinesis"\n[spool]\nmax_bytes = "2GiB"\n')
        calls = script.calls
        hook = "--auto-scaling-group-name group --lifecycle-hook-name drain --instance-id i-1"
        completed = f"aws autoscaling complete-lifecycle-action {hook} --lifecycle-action-result CONTINUE"
        self.assertEqual(calls[-1], completed)
        self.assertEqual(calls.count(f"aws autoscaling record-lifecycle-action-heartbeat {hook}"), 2)
        self.assertLess(calls.index("sleep 10"), calls.index("systemctl restart temp-ingest"))
        self.assertIn("aws cloudwatch delete-alarms --alarm-names s-i-1-recover s-i-1-reboot", calls)

    def test_a_daemon_that_fails_meanwhile_is_started_again(self):
        failing = self.SYSTEMCTL.replace("is-failed) exit 1", "is-failed) exit 0").replace(
            "case $1 in", "[[ $1 == restart ]] && exit 1\ncase $1 in")
        script = self.script(systemctl=failing)
        run = script.run()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(script.calls.count("systemctl start temp-ingest"), 2)

    def test_a_stream_that_stays_away_holds_it_for_so_long_and_no_longer(self):
        stuck = self.SYSTEMCTL.replace("> 2", "> 999")
        script = self.script(systemctl=stuck)
        # Every nap is a minute of the script's own clock.
        script.text = script.text.replace("sleep 30", "sleep 30; SECONDS=$((SECONDS + 60))")
        run = script.run()
        self.assertEqual(run.returncode, 0)
        self.assertIn("the spool is not empty after 1 minutes", run.stderr)
        self.assertIn("complete-lifecycle-action", script.calls[-1])

    def test_without_a_daemon_it_lets_the_instance_go(self):
        script = self.script(systemctl="[[ $1 != cat ]]")
        run = script.run()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn("systemctl restart temp-ingest", script.calls)
        self.assertIn("complete-lifecycle-action", script.calls[-1])


class WatchTest(unittest.TestCase):
    FETCH = "amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c ssm:/s/cloudwatch-agent"

    def script(self, answer: str) -> Script:
        return Script(self, "temp-ingest-watch", aws=answer, **{"amazon-cloudwatch-agent-ctl": ""})

    def test_the_agent_gets_each_version_once(self):
        script = self.script("cat $FOLDER/version")
        for version, fetched in (("1", 1), ("1", 1), ("2", 2)):
            (script.folder / "version").write_text(version)
            run = script.run()
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(script.calls.count(self.FETCH), fetched)

    def test_before_there_is_one_it_waits(self):
        script = self.script("echo 'An error occurred (ParameterNotFound)' >&2; exit 254")
        run = script.run()
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn(self.FETCH, script.calls)

    def test_what_else_fails_is_said(self):
        run = self.script("echo AccessDenied >&2; exit 254").run()
        self.assertEqual((run.returncode, run.stderr.strip()), (1, "AccessDenied"))


class ShellTest(unittest.TestCase):
    def test_shellcheck_finds_nothing_in_what_they_are_told(self):
        told = INGEST["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
        text = told["Fn::Base64"]["Fn::Join"][1][-1]
        inner = re.findall(r"<<'END'\n(#!/usr/bin/env bash\n.*?)\nEND\n", text, re.DOTALL)
        self.assertEqual(len(inner), 3)
        # Variables come from the lines before, or from the unit's environment.
        for script in (f"#!/usr/bin/env bash\n{text}", *inner):
            run = subprocess.run(["shellcheck", "--exclude=SC2154", "-"], input=script, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout)


if __name__ == "__main__":
    unittest.main()
