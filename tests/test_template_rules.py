"""Each rule of cfn/rules sees what it is there for, by each of its checks, and what is shipped breaks none."""

from __future__ import annotations

import contextlib
import copy
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
from cfn import rules
from cfn.rules.__main__ import main

CFN = REPOSITORY / "cfn"
TEMPLATES = {path.name: rules.load(path) for path in sorted(CFN.glob("*.yaml"))}
GONE = object()

ROLE = "detect.yaml", "Resources/DetectRole/Properties/Policies/0/PolicyDocument/Statement"
INSTANCE_ROLE = "ingest.yaml", "Resources/InstanceRole/Properties/Policies/0/PolicyDocument/Statement"
DEPLOY_ROLE = "ingest.yaml", "Resources/DeployRole/Properties"
TOPIC_POLICY = "data.yaml", "Resources/TopicPolicy/Properties/PolicyDocument/Statement"
BUCKET_POLICY = "data.yaml", "Resources/CodeBucketPolicy/Properties/PolicyDocument/Statement"
KEY = "data.yaml", "Resources/TopicKey/Properties"
DATA = "data.yaml", "Resources"
PARTITIONS = "data.yaml", "Resources/Partitions/Properties"
READINGS = "data.yaml", "Resources/Readings/Properties"
STREAM = "data.yaml", "Resources/OutputStream/Properties"
CODE = "data.yaml", "Resources/CodeBucket/Properties"
FAILURES = "data.yaml", "Resources/FailureBucket/Properties"
TOPIC = "data.yaml", "Resources/Topic/Properties"
DETECT = "detect.yaml", "Resources/Detect/Properties"
ALERT = "detect.yaml", "Resources/Alert/Properties"
RECORDS = "detect.yaml", "Resources/Records/Properties"
EVENTS = "detect.yaml", "Resources/Events/Properties"
DECODE_FAILURES = "alarms.yaml", "Resources/DecodeFailures/Properties"
BUSY = "observe.yaml", "Resources/Busy/Properties"
IDLE = "observe.yaml", "Resources/Idle/Properties"
LAUNCH = "ingest.yaml", "Resources/LaunchTemplate/Properties/LaunchTemplateData"
GROUP = "ingest.yaml", "Resources/Instances"
DEPLOYMENTS = "ingest.yaml", "Resources/DeploymentGroup/Properties"
NETWORK = "network.yaml", "Resources"
FROM_NETWORK = "network.yaml", "Resources/EndpointSecurityGroup/Properties"
FROM_BALANCER = "ingest.yaml", "Resources/SecurityGroup/Properties"
FROM_CLIENTS = "balance.yaml", "Resources/BalancerSecurityGroup/Properties"

NO_VALUE = {"Ref": "AWS::NoValue"}
REFUSAL = {"Sid": "RefuseWithoutTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
           "Condition": {"Bool": {"aws:SecureTransport": "false"}}}

# The rules that a change breaks, which are one but for a few, and the change: the template and its part, the path from
# there to what is changed, and what it becomes.
BREAKS = [
    ("statements_say_what_they_are_for", ROLE, "0/Sid", GONE),
    ("statements_say_what_they_are_for", ROLE, "6/Fn::If/1/Sid", GONE),
    ("statements_are_plain", ROLE, "0/NotAction", "kinesis:PutRecord"),
    ("statements_are_plain", ROLE, "0/NotResource", "*"),
    ("statements_are_plain", ROLE, "6/Fn::If/1/NotAction", "kinesis:PutRecord"),
    ("statements_are_plain", ROLE, "6/Fn::If/2", {"Sid": "Other", "Effect": "Allow", "Action": "s3:GetObject"}),
    ("statements_are_plain statements_say_what_they_are_for actions_are_exact resources_are_exact", ROLE, "0", "all"),
    ("statements_are_plain statements_say_what_they_are_for actions_are_exact resources_are_exact",
     ("detect.yaml", "Resources/DetectRole/Properties/Policies/0/PolicyDocument"), "Statement", []),
    ("statements_are_plain statements_say_what_they_are_for actions_are_exact resources_are_exact",
     ("detect.yaml", "Resources/DetectRole/Properties"), "Policies", {"Fn::If": ["HasKey", [], NO_VALUE]}),
    ("actions_are_exact", ROLE, "1/Action/0", "dynamodb:*"),
    ("actions_are_exact", ROLE, "1/Action/0", "dynamodb:???Item"),
    ("actions_are_exact", ROLE, "1/Action/0", {"Fn::Sub": "dynamodb:GetItem"}),
    ("actions_are_exact", ROLE, "2/Action", "ssm:Get*"),
    ("actions_are_exact", ROLE, "2/Action", GONE),
    ("actions_are_exact", ROLE, "6/Fn::If/1/Action", "*"),
    ("resources_are_exact", ROLE, "0/Resource", "*"),
    ("resources_are_exact", ROLE, "0/Resource", ["*"]),
    ("resources_are_exact", ROLE, "0/Resource", GONE),
    ("resources_are_exact", ROLE, "0/Resource", {"Fn::Sub": "arn:${AWS::Partition}:kinesis:*:*:stream/*"}),
    ("resources_are_exact", ROLE, "0/Resource", {"Fn::Sub": "arn:${AWS::Partition}:s3:::cod?"}),
    ("resources_are_exact", ROLE, "0/Resource", {"Fn::Sub": ["${Table}/*", {"Table": {"Ref": "Partitions"}}]}),
    ("resources_are_exact", ROLE, "0/Resource", {"Fn::Join": ["/", [{"Ref": "Partitions"}, "*"]]}),
    ("resources_are_exact", ROLE, "4/Resource", "*"),
    ("resources_are_exact", ROLE, "7/Fn::If/1/Resource", "*"),
    ("resources_are_exact", INSTANCE_ROLE, "1/Resource", "*"),
    ("resources_are_exact", INSTANCE_ROLE, "2/Action/0", "s3:PutObject"),
    ("resources_are_exact", INSTANCE_ROLE, "10/Fn::If/1",
     {"Sid": "PutMetrics", "Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*"}),
    ("roles_have_no_policies_from_elsewhere", ("detect.yaml", "Resources/AlertRole/Properties"), "ManagedPolicyArns",
     ["arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess"]),
    ("roles_have_no_policies_from_elsewhere", DEPLOY_ROLE, "ManagedPolicyArns/0",
     {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess"}),
    ("roles_have_no_policies_from_elsewhere", DEPLOY_ROLE, "ManagedPolicyArns/1", {"Ref": "Another"}),
    ("rights_are_the_roles_own", ("detect.yaml", "Resources"), "More", {"Type": "AWS::IAM::Policy", "Properties": {}}),
    ("rights_are_the_roles_own", ("detect.yaml", "Resources"), "More", {"Type": "AWS::IAM::ManagedPolicy"}),
    ("rights_are_the_roles_own", ("detect.yaml", "Resources"), "More", {"Type": "AWS::IAM::RolePolicy"}),
    ("plain_connections_are_refused", TOPIC_POLICY, "1", GONE),
    ("plain_connections_are_refused", TOPIC_POLICY, "1/Principal", {"Service": "s3.amazonaws.com"}),
    ("plain_connections_are_refused", TOPIC_POLICY, "1/Action", "sns:Subscribe"),
    ("plain_connections_are_refused", BUCKET_POLICY, "0/Action", "s3:GetObject"),
    ("plain_connections_are_refused", BUCKET_POLICY, "0/Condition/Bool/aws:SecureTransport", "true"),
    ("plain_connections_are_refused nobody_is_let_in_unnamed", BUCKET_POLICY, "0/Effect", "Allow"),
    ("nobody_is_let_in_unnamed", TOPIC_POLICY, "0/Principal", "*"),
    ("nobody_is_let_in_unnamed", TOPIC_POLICY, "0/Principal", {"Service": "sns.amazonaws.com", "AWS": ["*"]}),
    ("nobody_is_let_in_unnamed", TOPIC_POLICY, "0/Principal", GONE),
    ("nobody_is_let_in_unnamed", TOPIC_POLICY, "0/Condition", GONE),
    ("keys_rotate", KEY, "EnableKeyRotation", False),
    ("keys_rotate", KEY, "EnableKeyRotation", 1),
    ("keys_rotate", KEY, "KeyPolicy/Statement/1/Principal", "*"),
    ("keys_rotate", KEY, "KeyPolicy/Statement/1/Principal", {"AWS": "*"}),

    ("tables_can_be_restored", PARTITIONS, "PointInTimeRecoverySpecification", GONE),
    ("tables_can_be_restored", PARTITIONS, "DeletionProtectionEnabled", False),
    ("tables_are_encrypted", READINGS, "SSESpecification/SSEEnabled", False),
    ("tables_are_encrypted", READINGS, "SSESpecification/SSEType", GONE),
    ("tables_are_paid_by_use", PARTITIONS, "BillingMode", GONE),
    ("streams_are_encrypted_unless_told_otherwise", STREAM, "StreamEncryption", GONE),
    ("streams_are_encrypted_unless_told_otherwise", STREAM, "StreamEncryption/Fn::If/0", "HasKey"),
    ("streams_are_encrypted_unless_told_otherwise", STREAM, "StreamEncryption/Fn::If/1", NO_VALUE),
    ("streams_are_encrypted_unless_told_otherwise", ("data.yaml", "Conditions/HasStreamEncryption"), "Fn::Equals/0",
     {"Ref": "StreamMode"}),
    ("streams_are_encrypted_unless_told_otherwise", ("data.yaml", "Conditions/HasStreamEncryption"), "Fn::Equals/1",
     "NONE"),
    ("streams_are_encrypted_unless_told_otherwise", ("data.yaml", "Parameters/StreamEncryption"), "Default", "NONE"),
    ("buckets_are_private", CODE, "PublicAccessBlockConfiguration", GONE),
    ("buckets_are_private", CODE, "PublicAccessBlockConfiguration/BlockPublicAcls", False),
    ("buckets_are_private", CODE, "PublicAccessBlockConfiguration/BlockPublicPolicy", False),
    ("buckets_are_private", CODE, "PublicAccessBlockConfiguration/IgnorePublicAcls", False),
    ("buckets_are_private", CODE, "PublicAccessBlockConfiguration/RestrictPublicBuckets", False),
    ("buckets_are_private", CODE, "OwnershipControls", GONE),
    ("buckets_are_private", CODE, "OwnershipControls/Rules", []),
    ("buckets_are_private", CODE, "OwnershipControls/Rules/0/ObjectOwnership", "ObjectWriter"),
    ("buckets_are_encrypted", FAILURES, "BucketEncryption", GONE),
    ("buckets_are_encrypted", CODE, "BucketEncryption/ServerSideEncryptionConfiguration/0",
     {"BucketKeyEnabled": True}),
    ("buckets_have_a_policy", DATA, "FailureBucketPolicy", GONE),
    ("buckets_have_a_policy", DATA, "More", {"Type": "AWS::S3::BucketPolicy", "Properties": {
        "Bucket": {"Ref": "CodeBucket"}, "PolicyDocument": {"Statement": [REFUSAL]}}}),
    ("buckets_have_a_policy", DATA, "More", {"Type": "AWS::S3::BucketPolicy", "Properties": {
        "Bucket": {"Fn::ImportValue": "Archive"}, "PolicyDocument": {"Statement": [REFUSAL]}}}),
    ("buckets_clean_up", FAILURES, "LifecycleConfiguration/Rules/1", GONE),
    ("buckets_clean_up", CODE, "LifecycleConfiguration", GONE),
    ("topics_are_encrypted", TOPIC, "KmsMasterKeyId", GONE),
    ("topics_are_encrypted", TOPIC, "KmsMasterKeyId", "alias/aws/sns"),
    ("topics_are_encrypted", TOPIC, "KmsMasterKeyId/Fn::If/2", "alias/aws/sns"),
    ("topics_are_encrypted", DATA, "TopicPolicy", GONE),
    ("topics_are_encrypted", ("data.yaml", "Resources/TopicPolicy/Properties"), "Topics", [{"Ref": "Another"}]),
    ("end_of_what_is_kept_is_stated", ("data.yaml", "Resources/Anomalies"), "DeletionPolicy", "Retain"),
    ("end_of_what_is_kept_is_stated", ("data.yaml", "Resources/Stream"), "DeletionPolicy", GONE),
    ("end_of_what_is_kept_is_stated", ("data.yaml", "Resources/CodeBucket"), "UpdateReplacePolicy", GONE),
    ("end_of_what_is_kept_is_stated", ("data.yaml", "Resources/TopicKey"), "DeletionPolicy", GONE),
    ("end_of_what_is_kept_is_stated", ("detect.yaml", "Resources/AlertLog"), "UpdateReplacePolicy", GONE),

    ("metadata_needs_a_token", LAUNCH, "MetadataOptions", GONE),
    ("metadata_needs_a_token", LAUNCH, "MetadataOptions/HttpTokens", "optional"),
    ("metadata_needs_a_token", LAUNCH, "MetadataOptions/HttpPutResponseHopLimit", 2),
    ("metadata_needs_a_token", LAUNCH, "MetadataOptions/HttpPutResponseHopLimit", True),
    ("volumes_are_encrypted", LAUNCH, "BlockDeviceMappings/1/Ebs/Encrypted", False),
    ("volumes_are_encrypted", LAUNCH, "BlockDeviceMappings/1/Ebs/Encrypted", "true"),
    ("volumes_are_encrypted", LAUNCH, "BlockDeviceMappings/1/Ebs/DeleteOnTermination", GONE),
    ("instances_have_no_keys", LAUNCH, "KeyName", "mine"),
    ("instances_have_no_keys", LAUNCH, "ImageId", "ami-1"),
    ("instances_have_no_keys", ("ingest.yaml", "Parameters/Image"), "Type", "String"),
    ("instances_are_awaited_and_drained", GROUP, "CreationPolicy", GONE),
    ("instances_are_awaited_and_drained", GROUP, "UpdatePolicy", GONE),
    ("instances_are_awaited_and_drained", GROUP, "UpdatePolicy/AutoScalingRollingUpdate/WaitOnResourceSignals", False),
    ("instances_are_awaited_and_drained", GROUP, "Properties/LifecycleHookSpecificationList", GONE),
    ("instances_are_awaited_and_drained", GROUP, "Properties/LifecycleHookSpecificationList/0/LifecycleTransition",
     "autoscaling:EC2_INSTANCE_LAUNCHING"),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AutoRollbackConfiguration/Events", ["DEPLOYMENT_STOP_ON_ALARM"]),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AutoRollbackConfiguration/Events", ["DEPLOYMENT_FAILURE"]),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AutoRollbackConfiguration/Enabled", False),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AlarmConfiguration", GONE),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AlarmConfiguration/Enabled", False),
    ("deployments_are_rolled_back", DEPLOYMENTS, "AlarmConfiguration/Alarms", []),

    ("names_are_the_persons", PARTITIONS, "TableName", "partitions"),
    ("names_are_the_persons", PARTITIONS, "TableName/Fn::If/1", "partitions"),
    ("names_are_the_persons", PARTITIONS, "TableName/Fn::If/2", "partitions"),
    ("names_are_the_persons", ("data.yaml", "Resources/Stream/Properties"), "Name", {"Ref": "StreamName"}),
    ("names_are_the_persons", CODE, "BucketName", "code"),
    ("names_are_the_persons", TOPIC, "TopicName", "alerts"),
    ("names_are_the_persons", TOPIC, "TopicName", {"Fn::Sub": "/${IngestStack}/cloudwatch-agent"}),
    ("names_are_the_persons", DETECT, "FunctionName", "temp-detect"),
    ("names_are_the_persons", ("detect.yaml", "Resources/DetectRole/Properties"), "RoleName", "detect"),
    ("names_are_the_persons", ("detect.yaml", "Resources/DetectLog/Properties"), "LogGroupName", "/aws/lambda/detect"),
    ("names_are_the_persons", ("alarms.yaml", "Resources/DetectLag/Properties"), "AlarmName", "lag"),
    ("names_are_the_persons", ("observe.yaml", "Resources/AgentSettings/Properties"), "Name", "/temp-ingest/agent"),

    ("nobody_comes_in_from_outside", FROM_NETWORK, "SecurityGroupIngress", "anybody"),
    ("nobody_comes_in_from_outside", FROM_NETWORK, "SecurityGroupIngress/0/CidrIp", "0.0.0.0/0"),
    ("nobody_comes_in_from_outside", FROM_NETWORK, "SecurityGroupIngress/0/CidrIpv6", "::/0"),
    ("nobody_comes_in_from_outside", FROM_NETWORK, "SecurityGroupIngress/0/SourcePrefixListId", "pl-1"),
    ("nobody_comes_in_from_outside", FROM_NETWORK, "SecurityGroupIngress/0/FromPort", 22),
    ("nobody_comes_in_from_outside", FROM_NETWORK, "SecurityGroupIngress/0/ToPort", 65535),
    ("nobody_comes_in_from_outside", FROM_CLIENTS, "SecurityGroupIngress/0/CidrIp", "0.0.0.0/0"),
    ("nobody_comes_in_from_outside", FROM_BALANCER, "SecurityGroupIngress/Fn::If/0", "HasEndpoints"),
    ("nobody_comes_in_from_outside", FROM_BALANCER, "SecurityGroupIngress/Fn::If/1/0/SourceSecurityGroupId", GONE),
    ("nobody_comes_in_from_outside", FROM_BALANCER, "SecurityGroupIngress/Fn::If/1/0/CidrIp", "0.0.0.0/0"),
    ("nobody_comes_in_from_outside", FROM_BALANCER, "SecurityGroupIngress/Fn::If/1/0/CidrIpv6", "::/0"),
    ("nobody_comes_in_from_outside", FROM_BALANCER, "SecurityGroupIngress/Fn::If/2", [{"CidrIp": "0.0.0.0/0"}]),
    ("nobody_comes_in_from_outside", NETWORK, "Opening", {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {}}),
    ("ways_out_are_stated", FROM_NETWORK, "SecurityGroupEgress", GONE),
    ("ways_out_are_stated", FROM_NETWORK, "SecurityGroupEgress", []),
    ("ways_out_are_stated", FROM_NETWORK, "SecurityGroupEgress/0/ToPort", 65535),
    ("ways_out_are_stated", FROM_CLIENTS, "SecurityGroupEgress/0/FromPort", 80),
    ("ways_out_are_stated", FROM_CLIENTS, "SecurityGroupEgress/0/FromPort", {"Ref": "AnotherPort"}),
    ("ways_out_are_stated", NETWORK, "Way", {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {}}),
    ("subnets_give_no_addresses", ("network.yaml", "Resources/PublicSubnetA/Properties"), "MapPublicIpOnLaunch", True),
    ("networks_are_on_record", NETWORK, "FlowLog", GONE),
    ("networks_are_on_record", NETWORK, "FlowLog/Properties/ResourceId", {"Ref": "Another"}),
    ("networks_are_on_record", NETWORK, "FlowLog/Properties/TrafficType", "REJECT"),
    ("endpoints_are_found_by_the_usual_names", NETWORK, "KinesisEndpoint/Properties/PrivateDnsEnabled", GONE),
    ("endpoints_are_found_by_the_usual_names", NETWORK, "StsEndpoint/Condition", GONE),

    ("functions_are_bounded", ALERT, "Timeout", GONE),
    ("functions_are_bounded", ALERT, "MemorySize", GONE),
    ("functions_are_bounded", ALERT, "Architectures", GONE),
    ("functions_have_logs_of_their_own", DETECT, "LoggingConfig", GONE),
    ("functions_have_logs_of_their_own", DETECT, "LoggingConfig/LogGroup", "/aws/lambda/detect"),
    ("functions_have_logs_of_their_own", DETECT, "LoggingConfig/LogFormat", "Text"),
    ("functions_have_logs_of_their_own", DETECT, "LoggingConfig/ApplicationLogLevel", "WARN"),
    ("logs_end", ("detect.yaml", "Resources/AlertLog/Properties"), "RetentionInDays", GONE),
    ("mappings_lose_nothing", RECORDS, "FunctionResponseTypes", GONE),
    ("mappings_lose_nothing", RECORDS, "FunctionResponseTypes", []),
    ("mappings_lose_nothing", EVENTS, "DestinationConfig", GONE),
    ("mappings_lose_nothing", RECORDS, "BisectBatchOnFunctionError", False),
    ("mappings_end_trying", RECORDS, "MaximumRecordAgeInSeconds", GONE),
    ("mappings_end_trying", EVENTS, "MaximumRetryAttempts", -1),
    ("mappings_end_trying", ("detect.yaml", "Parameters/MaxRecordAgeSeconds"), "MinValue", -1),
    ("mappings_end_trying", ("detect.yaml", "Parameters/MaxRecordAgeSeconds"), "MinValue", 59),
    ("mappings_end_trying", ("detect.yaml", "Parameters/MaxRetryAttempts"), "MinValue", -1),
    ("mappings_end_trying", ("detect.yaml", "Parameters/MaxRetryAttempts"), "MinValue", GONE),
    ("mappings_are_counted", EVENTS, "MetricsConfig", GONE),
    ("mappings_are_counted", EVENTS, "MetricsConfig/Metrics", []),
    ("alarms_say_what_to_do", DECODE_FAILURES, "AlarmDescription", "Decode failures."),
    ("alarms_say_what_to_do", DECODE_FAILURES, "AlarmDescription", GONE),
    ("alarms_tell_somebody", DECODE_FAILURES, "AlarmActions", []),
    ("alarms_tell_somebody", DECODE_FAILURES, "AlarmActions", GONE),
    ("alarms_tell_somebody", DECODE_FAILURES, "OKActions", GONE),
    ("alarms_tell_somebody", DECODE_FAILURES, "OKActions", None),
    ("alarms_tell_somebody", DECODE_FAILURES, "OKActions", ""),
    ("alarms_tell_somebody", DECODE_FAILURES, "OKActions", {}),
    ("alarms_tell_somebody", BUSY, "OKActions", GONE),
    ("alarms_tell_somebody", IDLE, "AlarmActions", [{"Ref": "FewerInstances"}, {"Ref": "OperationsTopicArn"}]),
    ("alarms_know_silence", DECODE_FAILURES, "TreatMissingData", GONE),
    ("alarms_know_silence", DECODE_FAILURES, "TreatMissingData", "missing"),
]

# Changes in the same form that break no rule.
ACCEPTED = [
    (ROLE, "0/Resource", [{"Fn::GetAtt": ["Stream", "Arn"]}, {"Ref": "StreamArn"}]),
    (ROLE, "0/Resource", {"Fn::Select": [0, [{"Ref": "StreamArn"}]]}),
    (CODE, "LifecycleConfiguration/Rules/1", {"Id": "expiry", "Status": "Enabled", "ExpirationInDays": 7}),
    (GROUP, "Properties/LifecycleHookSpecificationList/1",
     {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"}),
    (DEPLOYMENTS, "AutoRollbackConfiguration/Events", ["DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_FAILURE"]),
    (PARTITIONS, "TableName", GONE),
    (FROM_NETWORK, "SecurityGroupIngress", GONE),
    (RECORDS, "FunctionResponseTypes/1", "Another"),
    (RECORDS, "MetricsConfig/Metrics/1", "ErrorCount"),
    (DECODE_FAILURES, "TreatMissingData", "breaching"),
    (DECODE_FAILURES, "AlarmActions",
     {"Fn::If": ["HasOwnTopic", [{"Ref": "OperationsTopicArn"}], [{"Ref": "Another"}]]}),
]


def changed(template: rules.Template, path: str, value: object) -> rules.Template:
    """A copy with what is at the path replaced or, where the value is GONE, taken out."""
    document = copy.deepcopy(template.value)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    at = document
    for step in way:
        at = at[step]
    if value is GONE:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return rules.Template(template.file, document)


def broken(template: rules.Template) -> set[str]:
    """The rules that a template breaks."""
    return {violation.rule for violation in rules.violations(template)}


class RulesTest(unittest.TestCase):
    def test_each_rule_sees_what_breaks_it_and_nothing_else(self):
        for expected, (name, part), path, value in BREAKS:
            with self.subTest(rules=expected, path=f"{name}: {part}/{path}"):
                self.assertEqual(broken(changed(TEMPLATES[name], f"{part}/{path}", value)), set(expected.split()))

    def test_every_rule_is_tried(self):
        self.assertEqual(set(rules.RULES), {rule for expected, *_ in BREAKS for rule in expected.split()})

    def test_what_is_as_good_breaks_none(self):
        for (name, part), path, value in ACCEPTED:
            with self.subTest(path=f"{name}: {part}/{path}"):
                self.assertEqual(rules.violations(changed(TEMPLATES[name], f"{part}/{path}", value)), [])

    def test_what_is_shipped_breaks_none(self):
        for name, template in TEMPLATES.items():
            self.assertEqual(rules.violations(template), [], name)


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "template.yaml"

    def test_it_accepts_what_is_shipped(self):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.assertEqual(main([str(path) for path in CFN.glob("*.yaml")]), 0)
        self.assertEqual(printed.getvalue(), "")

    def test_it_prints_each_violation(self):
        self.file.write_text((CFN / "data.yaml").read_text().replace("PAY_PER_REQUEST", "PROVISIONED"))
        run = subprocess.run([sys.executable, "-m", "cfn.rules", CFN / "detect.yaml", self.file], cwd=REPOSITORY,
                             capture_output=True, text=True)
        found = rules.violations(rules.load(self.file))
        self.assertEqual([one.path.split("/")[1] for one in found],
                         ["Partitions", "Anomalies", "Incidents", "Readings"])
        self.assertEqual((run.returncode, run.stderr), (1, ""))
        self.assertEqual(run.stdout.splitlines(), [str(one) for one in found])

    def test_it_says_where_a_violation_is_and_how_to_mend_it(self):
        text = (CFN / "data.yaml").read_text()
        for old, new, at, message in [
            # Its own line where the template has what is wrong, be it a value, an item of a list or a short form,
            ("BillingMode: PAY_PER_REQUEST", "BillingMode: PROVISIONED", "BillingMode: PROVISIONED",
             'tables_are_paid_by_use: Resources/Partitions/Properties/BillingMode: set it to "PAY_PER_REQUEST": '),
            ("Principal: {Service: cloudwatch.amazonaws.com}", 'Principal: {AWS: "*"}', 'Principal: {AWS: "*"}',
             "keys_rotate: Resources/TopicKey/Properties/KeyPolicy/Statement/1/Principal: name the service or "),
            ("Name: !If [HasPartitionsTableName, ", "Name: !If [HasPartitionsTableName, partitions, ",
             "Name: !If [HasPartitionsTableName",
             "names_are_the_persons: Resources/Partitions/Properties/TableName: write !If "),
            ("          - {Id: unfinished, ", "          - {Id: unfinished} # ", "        Rules:\n          - {Id: ex",
             "buckets_clean_up: Resources/FailureBucket/Properties/LifecycleConfiguration/Rules: add a rule with "),
            # else that of the innermost part that it has.
            ("      EnableKeyRotation: true\n", "", "    Properties:\n      Description: !Sub The messages",
             "keys_rotate: Resources/TopicKey/Properties/EnableKeyRotation: set it to true: "),
            ("      Topics: [!Ref Topic]\n", "      Topics: []\n", "  Topic:\n",
             "topics_are_encrypted: Resources/Topic: give it an AWS::SNS::TopicPolicy, "),
        ]:
            with self.subTest(message=message):
                self.assertIn(old, text)
                self.assertIn(at, one := text.replace(old, new, 1))
                self.file.write_text(one)
                line = one[:one.rindex(at)].count("\n") + 1
                found, = map(str, rules.violations(rules.load(self.file)))
                self.assertTrue(found.startswith(f"{self.file}:{line}: {message}"), f"{line}: {found}")

    def test_it_refuses_what_is_no_template(self):
        for text, why in [("Resources: [", "as a template"), ("A: 1\nA: 2\n", "as a template"), ("", "no Resources"),
                          ("- 1\n", "no Resources"), ("Resources: []\n", "no Resources"), (None, "No such file")]:
            with self.subTest(text=text), contextlib.redirect_stderr(io.StringIO()) as printed:
                self.file.unlink(missing_ok=True)
                if text is not None:
                    self.file.write_text(text)
                self.assertEqual(main([str(self.file), str(CFN / "data.yaml")]), 2)
                self.assertRegex(printed.getvalue(), rf"(?s){self.file}.*{why}")


if __name__ == "__main__":
    unittest.main()
