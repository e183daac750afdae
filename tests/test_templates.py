"""The templates agree with each other and with the repository, and each rule of cfn/rules sees what it is there for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

from cfnlint.decode import cfn_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CFN = REPOSITORY / "cfn"
RULES = CFN / "rules"
TEMPLATES = {path.name: cfn_yaml.load(str(path)) for path in sorted(CFN.glob("*.yaml"))}
GONE = object()

ROLE = "detect.yaml", "Resources/DetectRole/Properties/Policies/0/PolicyDocument/Statement"
TOPIC_POLICY = "data.yaml", "Resources/TopicPolicy/Properties/PolicyDocument/Statement"
KEY = "data.yaml", "Resources/TopicKey/Properties"

INSTANCE_ROLE = "ingest.yaml", "Resources/InstanceRole/Properties/Policies/0/PolicyDocument/Statement"
LAUNCH = "ingest.yaml", "Resources/LaunchTemplate/Properties/LaunchTemplateData"
DEPLOYMENTS = "ingest.yaml", "Resources/DeploymentGroup/Properties"

# A rule, and a change that breaks it: the template, the path of what is changed, and what it becomes.
BREAKS = [
    ("statements_say_what_they_are_for", ROLE, "0/Sid", GONE),
    ("statements_say_what_they_are_for", ROLE, "6/Fn::If/1/Sid", GONE),
    ("statements_are_plain", ROLE, "0/NotAction", "kinesis:PutRecord"),
    ("statements_are_plain", ROLE, "6/Fn::If/2", {"Sid": "Other", "Effect": "Allow", "Action": "s3:GetObject"}),
    ("actions_are_exact", ROLE, "1/Action/0", "dynamodb:*"),
    ("actions_are_exact", ROLE, "2/Action", "ssm:Get*"),
    ("actions_are_exact", ROLE, "6/Fn::If/1/Action", "*"),
    ("resources_are_exact", ROLE, "0/Resource", "*"),
    ("resources_are_exact", ROLE, "0/Resource", ["*"]),
    ("resources_are_exact", ROLE, "0/Resource", {"Fn::Sub": "arn:${AWS::Partition}:kinesis:*:*:stream/*"}),
    ("resources_are_exact", ROLE, "0/Resource", {"Fn::Sub": ["${Table}/*", {"Table": {"Ref": "Pages"}}]}),
    ("resources_are_exact", ROLE, "4/Resource", "*"),
    ("resources_are_exact", ROLE, "7/Fn::If/1/Resource", "*"),
    ("roles_have_no_policies_from_elsewhere", ("detect.yaml", "Resources/AlertRole/Properties"), "ManagedPolicyArns",
     ["arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess"]),
    ("rights_are_the_roles_own", ("detect.yaml", "Resources"), "More", {"Type": "AWS::IAM::Policy", "Properties": {}}),
    ("plain_connections_are_refused", TOPIC_POLICY, "1", GONE),
    ("plain_connections_are_refused", ("data.yaml", "Resources/CodeBucketPolicy/Properties/PolicyDocument/Statement"),
     "0/Condition/Bool/aws:SecureTransport", "true"),
    ("nobody_is_let_in_unnamed", TOPIC_POLICY, "0/Principal", "*"),
    ("nobody_is_let_in_unnamed", TOPIC_POLICY, "0/Condition", GONE),
    ("keys_rotate", KEY, "EnableKeyRotation", False),
    ("keys_rotate", KEY, "KeyPolicy/Statement/1/Principal", "*"),
    ("tables_can_be_restored", ("data.yaml", "Resources/Pages/Properties"), "PointInTimeRecoverySpecification", GONE),
    ("tables_can_be_restored", ("data.yaml", "Resources/Pages/Properties"), "DeletionProtectionEnabled", False),
    ("tables_are_encrypted", ("data.yaml", "Resources/Readings/Properties"), "SSESpecification/SSEEnabled", False),
    ("tables_are_encrypted", ("data.yaml", "Resources/Readings/Properties"), "SSESpecification/SSEType", GONE),
    ("tables_are_paid_by_use", ("data.yaml", "Resources/Pages/Properties"), "BillingMode", GONE),
    ("streams_are_encrypted_unless_told_otherwise", ("data.yaml", "Resources/OutputStream/Properties"),
     "StreamEncryption", GONE),
    ("streams_are_encrypted_unless_told_otherwise", ("data.yaml", "Parameters/StreamEncryption"), "Default", "NONE"),
    ("buckets_are_private", ("data.yaml", "Resources/CodeBucket/Properties"),
     "PublicAccessBlockConfiguration/BlockPublicPolicy", False),
    ("buckets_are_private", ("data.yaml", "Resources/CodeBucket/Properties"), "OwnershipControls", GONE),
    ("buckets_are_encrypted", ("data.yaml", "Resources/FailureBucket/Properties"), "BucketEncryption", GONE),
    ("buckets_have_a_policy", ("data.yaml", "Resources"), "FailureBucketPolicy", GONE),
    ("buckets_clean_up", ("data.yaml", "Resources/FailureBucket/Properties"), "LifecycleConfiguration/Rules/1", GONE),
    ("topics_are_encrypted", ("data.yaml", "Resources/Topic/Properties"), "KmsMasterKeyId", GONE),
    ("topics_are_encrypted", ("data.yaml", "Resources/Topic/Properties"), "KmsMasterKeyId", "alias/aws/sns"),
    ("topics_are_encrypted", ("data.yaml", "Resources"), "TopicPolicy", GONE),
    ("end_of_what_is_kept_is_stated", ("data.yaml", "Resources/Anomalies"), "DeletionPolicy", "Retain"),
    ("end_of_what_is_kept_is_stated", ("detect.yaml", "Resources/AlertLog"), "UpdateReplacePolicy", GONE),
    ("names_are_the_persons", ("data.yaml", "Resources/Pages/Properties"), "TableName", "pages"),
    ("names_are_the_persons", ("data.yaml", "Resources/Stream/Properties"), "Name", {"Ref": "StreamName"}),
    ("names_are_the_persons", ("data.yaml", "Resources/CodeBucket/Properties"), "BucketName", "code"),
    ("names_are_the_persons", ("data.yaml", "Resources/Topic/Properties"), "TopicName", "alerts"),
    ("names_are_the_persons", ("detect.yaml", "Resources/Detect/Properties"), "FunctionName", "temp-detect"),
    ("names_are_the_persons", ("detect.yaml", "Resources/DetectRole/Properties"), "RoleName", "detect"),
    ("names_are_the_persons", ("detect.yaml", "Resources/DetectLog/Properties"), "LogGroupName", "/aws/lambda/detect"),
    ("names_are_the_persons", ("alarms.yaml", "Resources/DetectLag/Properties"), "AlarmName", "lag"),
    ("functions_are_bounded", ("detect.yaml", "Resources/Alert/Properties"), "Timeout", GONE),
    ("functions_are_bounded", ("detect.yaml", "Resources/Alert/Properties"), "MemorySize", GONE),
    ("functions_are_bounded", ("detect.yaml", "Resources/Alert/Properties"), "Architectures", GONE),
    ("functions_have_logs_of_their_own", ("detect.yaml", "Resources/Detect/Properties"), "LoggingConfig", GONE),
    ("functions_have_logs_of_their_own", ("detect.yaml", "Resources/Detect/Properties"),
     "LoggingConfig/LogGroup", "/aws/lambda/detect"),
    ("functions_have_logs_of_their_own", ("detect.yaml", "Resources/Detect/Properties"),
     "LoggingConfig/ApplicationLogLevel", "WARN"),
    ("logs_end", ("detect.yaml", "Resources/AlertLog/Properties"), "RetentionInDays", GONE),
    ("mappings_lose_nothing", ("detect.yaml", "Resources/Records/Properties"), "FunctionResponseTypes", GONE),
    ("mappings_lose_nothing", ("detect.yaml", "Resources/Events/Properties"), "DestinationConfig", GONE),
    ("mappings_lose_nothing", ("detect.yaml", "Resources/Records/Properties"), "BisectBatchOnFunctionError", False),
    ("mappings_end_trying", ("detect.yaml", "Resources/Records/Properties"), "MaximumRecordAgeInSeconds", GONE),
    ("mappings_end_trying", ("detect.yaml", "Resources/Events/Properties"), "MaximumRetryAttempts", -1),
    ("mappings_end_trying", ("detect.yaml", "Parameters/MaxRecordAgeSeconds"), "MinValue", -1),
    ("mappings_are_counted", ("detect.yaml", "Resources/Events/Properties"), "MetricsConfig", GONE),
    ("alarms_say_what_to_do", ("alarms.yaml", "Resources/Poison/Properties"), "AlarmDescription", "Poison."),
    ("alarms_say_what_to_do", ("alarms.yaml", "Resources/Poison/Properties"), "AlarmDescription", GONE),
    ("alarms_tell_somebody", ("alarms.yaml", "Resources/Poison/Properties"), "AlarmActions", []),
    ("alarms_tell_somebody", ("alarms.yaml", "Resources/Poison/Properties"), "OKActions", GONE),
    ("alarms_know_silence", ("alarms.yaml", "Resources/Poison/Properties"), "TreatMissingData", GONE),
    ("nobody_comes_in_from_outside", ("network.yaml", "Resources/EndpointSecurityGroup/Properties"),
     "SecurityGroupIngress/0/CidrIp", "0.0.0.0/0"),
    ("nobody_comes_in_from_outside", ("network.yaml", "Resources/EndpointSecurityGroup/Properties"),
     "SecurityGroupIngress/0/FromPort", 22),
    ("nobody_comes_in_from_outside", ("network.yaml", "Resources"), "Opening",
     {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {}}),
    ("nobody_comes_in_from_outside", ("ingest.yaml", "Resources/SecurityGroup/Properties"),
     "SecurityGroupIngress/Fn::If/1/0/CidrIp", "0.0.0.0/0"),
    ("nobody_comes_in_from_outside", ("ingest.yaml", "Resources/SecurityGroup/Properties"),
     "SecurityGroupIngress/Fn::If/1/0/SourceSecurityGroupId", GONE),
    ("nobody_comes_in_from_outside", ("balance.yaml", "Resources/BalancerSecurityGroup/Properties"),
     "SecurityGroupIngress/0/CidrIp", "0.0.0.0/0"),
    ("ways_out_are_stated", ("balance.yaml", "Resources/BalancerSecurityGroup/Properties"),
     "SecurityGroupEgress/0/FromPort", 80),
    ("ways_out_are_stated", ("network.yaml", "Resources/EndpointSecurityGroup/Properties"), "SecurityGroupEgress", GONE),
    ("ways_out_are_stated", ("network.yaml", "Resources/EndpointSecurityGroup/Properties"),
     "SecurityGroupEgress/0/ToPort", 65535),
    ("subnets_give_no_addresses", ("network.yaml", "Resources/PublicSubnetA/Properties"), "MapPublicIpOnLaunch", True),
    ("networks_are_on_record", ("network.yaml", "Resources"), "FlowLog", GONE),
    ("networks_are_on_record", ("network.yaml", "Resources/FlowLog/Properties"), "TrafficType", "REJECT"),
    ("endpoints_are_found_by_the_usual_names", ("network.yaml", "Resources/KinesisEndpoint/Properties"),
     "PrivateDnsEnabled", GONE),
    ("endpoints_are_found_by_the_usual_names", ("network.yaml", "Resources/StsEndpoint"), "Condition", GONE),
    ("resources_are_exact", INSTANCE_ROLE, "2/Action/0", "s3:PutObject"),
    ("resources_are_exact", INSTANCE_ROLE, "1/Resource", "*"),
    ("roles_have_no_policies_from_elsewhere", ("ingest.yaml", "Resources/DeployRole/Properties"), "ManagedPolicyArns/0",
     {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess"}),
    ("metadata_needs_a_token", LAUNCH, "MetadataOptions", GONE),
    ("metadata_needs_a_token", LAUNCH, "MetadataOptions/HttpTokens", "optional"),
    ("metadata_needs_a_token", LAUNCH, "MetadataOptions/HttpPutResponseHopLimit", 2),
    ("volumes_are_encrypted", LAUNCH, "BlockDeviceMappings/1/Ebs/Encrypted", False),
    ("volumes_are_encrypted", LAUNCH, "BlockDeviceMappings/1/Ebs/DeleteOnTermination", GONE),
    ("instances_have_no_keys", LAUNCH, "KeyName", "mine"),
    ("instances_have_no_keys", LAUNCH, "ImageId", "ami-1"),
    ("instances_have_no_keys", ("ingest.yaml", "Parameters/Image"), "Type", "String"),
    ("instances_are_awaited_and_drained", ("ingest.yaml", "Resources/Instances"), "CreationPolicy", GONE),
    ("instances_are_awaited_and_drained", ("ingest.yaml", "Resources/Instances"), "UpdatePolicy", GONE),
    ("instances_are_awaited_and_drained", ("ingest.yaml", "Resources/Instances/Properties"),
     "LifecycleHookSpecificationList/0/LifecycleTransition", "autoscaling:EC2_INSTANCE_LAUNCHING"),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AutoRollbackConfiguration/Events", ["DEPLOYMENT_STOP_ON_ALARM"]),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AutoRollbackConfiguration/Enabled", False),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AlarmConfiguration", GONE),
    ("alarms_tell_somebody", ("observe.yaml", "Resources/Busy/Properties"), "OKActions", GONE),
    ("names_are_the_persons", ("observe.yaml", "Resources/AgentSettings/Properties"), "Name", "/temp-ingest/agent"),
]


def changed(template: dict, path: str, value: object) -> dict:
    """A copy with what is at the path replaced or, where the value is GONE, taken out."""
    copied = json.loads(json.dumps(template))
    *way, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    at = copied
    for step in way:
        at = at[step]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return copied


def texts(value: object, path: str = ""):
    """Every text of a template with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, f"{path}/{index}")
    elif isinstance(value, str):
        yield path, value


def failing(templates: list[dict]) -> list[set[str]]:
    """The rules that each template breaks, by one run of cfn-guard."""
    guard = shutil.which("cfn-guard")
    if guard is None:
        raise FileNotFoundError("cfn-guard is not installed: run `make templates`, which installs it")
    with tempfile.TemporaryDirectory() as folder:
        for number, template in enumerate(templates):
            Path(folder, f"{number}.json").write_text(json.dumps(template))
        run = subprocess.run(
            [guard, "validate", "--rules", str(RULES), "--data", folder,
             "--structured", "--output-format", "json", "--show-summary", "none"],
            capture_output=True, text=True,
        )
        # 19 is how cfn-guard says that some template breaks some rule.
        if run.returncode not in (0, 19):
            raise AssertionError(f"cfn-guard ended with {run.returncode}: {run.stderr}")
        broken = {Path(one["name"]).stem: {rule["Rule"]["name"] for rule in one["not_compliant"]}
                  for one in json.loads(run.stdout)}
    return [broken[str(number)] for number in range(len(templates))]


class RulesTest(unittest.TestCase):
    def test_each_rule_sees_what_breaks_it_and_nothing_else(self):
        mutants = [changed(TEMPLATES[name], f"{folder}/{path}", value) for _, (name, folder), path, value in BREAKS]
        for (rule, (name, folder), path, _), found in zip(BREAKS, failing(mutants), strict=True):
            with self.subTest(rule=rule, path=f"{name}: {folder}/{path}"):
                self.assertIn(rule, found)
                also = {"topics_are_encrypted", "buckets_have_a_policy"} if path.endswith("Policy") else set()
                self.assertLessEqual(found - {rule}, also)

    def test_every_rule_is_tried(self):
        rules = "".join(path.read_text() for path in RULES.glob("*.guard"))
        written = set(re.findall(r"^rule (\w+) when", rules, re.MULTILINE))
        self.assertEqual(written, {rule for rule, *_ in BREAKS})

    def test_what_is_shipped_breaks_none(self):
        for name, found in zip(TEMPLATES, failing(list(TEMPLATES.values())), strict=True):
            self.assertEqual(found, set(), name)


class TemplatesTest(unittest.TestCase):
    def test_nothing_names_an_account_a_region_or_a_partition(self):
        named = r"\b\d{12}\b|\b[a-z]{2}(-gov)?-(north|south|east|west|central)\w*-\d\b|arn:aws"
        for name, template in TEMPLATES.items():
            for path, text in texts(template):
                if path.endswith("/AllowedPattern"):
                    continue
                with self.subTest(template=name, path=path):
                    self.assertNotRegex(text, named)

    def test_each_can_be_deployed_without_a_bucket(self):
        # cloudformation/latest/UserGuide/cloudformation-limits.html: a template body in a request.
        for path in CFN.glob("*.yaml"):
            self.assertLess(path.stat().st_size, 51_200, path.name)

    def test_every_parameter_is_explained_and_grouped_once(self):
        for name, template in TEMPLATES.items():
            groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
            grouped = [parameter for group in groups for parameter in group["Parameters"]]
            self.assertEqual(sorted(grouped), sorted(template["Parameters"]), name)
            for parameter, definition in template["Parameters"].items():
                self.assertTrue(definition.get("Description"), f"{name}: {parameter}")

    def test_parameters_of_the_same_name_are_the_same_question(self):
        seen: dict[str, dict] = {}
        for name, template in TEMPLATES.items():
            for parameter, definition in template["Parameters"].items():
                asked = {key: value for key, value in definition.items() if key != "Description"}
                self.assertEqual(asked, seen.setdefault(parameter, asked), f"{name}: {parameter}")

    def test_parameter_files_answer_questions_that_are_asked(self):
        for path in CFN.glob("parameters/*.json"):
            for answer in json.loads(path.read_text()):
                name, value = answer.split("=", 1)
                asked = [one["Parameters"][name] for one in TEMPLATES.values() if name in one["Parameters"]]
                self.assertTrue(asked, f"{path.name}: no template has {name}")
                for definition in asked:
                    self.assertRegex(value, definition.get("AllowedPattern", ""))

    def test_what_is_imported_is_exported(self):
        exported = {output["Export"]["Name"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
                    for template in TEMPLATES.values() for output in template.get("Outputs", {}).values()}
        for name, template in TEMPLATES.items():
            for path, text in texts(template):
                if path.endswith("/Fn::ImportValue/Fn::Sub"):
                    self.assertIn(re.sub(r"^\$\{\w+Stack\}-", "", text), exported, f"{name}: {path}")

    def test_the_functions_start_with_the_settings_that_are_documented(self):
        settings = tomllib.loads(TEMPLATES["detect.yaml"]["Parameters"]["Settings"]["Default"])
        documented = tomllib.loads((REPOSITORY / "config/config.toml").read_text())
        self.assertEqual(settings["detect"], documented["detect"])

    def test_what_is_measured_and_shown_is_there(self):
        observe = TEMPLATES["observe.yaml"]["Resources"]
        agent = json.loads(observe["AgentSettings"]["Properties"]["Value"]["Fn::Sub"][0])
        json.loads(observe["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"][0])
        prometheus = agent["logs"]["metrics_collected"]["prometheus"]
        selectors = prometheus["emf_processor"]["metric_declaration"][0]["metric_selectors"]
        documented = set(re.findall(r"^\| `(temp_ingest_\w+)`", (REPOSITORY / "README.md").read_text(), re.MULTILINE))
        measured = {name for name in documented if any(re.search(one, name) for one in selectors)}
        used = {name for template in TEMPLATES.values() for path, text in texts(template)
                for name in re.findall(r"temp_ingest_\w+", text) if "AgentSettings" not in path}
        self.assertTrue(used)
        self.assertLessEqual(used, measured)
        # The file that the agent reads is written by the instance's user data.
        self.assertIn(prometheus["prometheus_config_path"], (CFN / "ingest.yaml").read_text())

    def test_every_alarm_refers_to_itself(self):
        alarms = {name: one["Properties"] for template in TEMPLATES.values()
                  for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"}
        self.assertTrue(alarms)
        operations = (REPOSITORY / "docs/operations.md").read_text()
        for name, alarm in alarms.items():
            self.assertTrue(re.search(rf"^\|[^|]*`{name}`", operations, re.MULTILINE), f"docs/operations.md has no {name}")
            self.assertRegex(alarm["AlarmDescription"], f"See {name} in docs/operations.md\\.$")


if __name__ == "__main__":
    unittest.main()
