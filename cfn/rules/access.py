"""Who may do what: the least privilege, and nothing is public."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .rule import rule
from .template import Finding, Node, Template

# The Sids of statements that have to name all objects of a bucket, or a resource whose full name is not known.
NAMES_A_WHOLE_FOLDER = (
    "KeepWhatIsGivenUp", "FindPartitionsStream", "ReadRevisions", "WatchItself", "EndWhenDrained", "KeepReadings",
)
# The Sids of statements whose actions have no resource that a policy could name: cloudwatch:PutMetricData, for one, is
# about no metric.
HAS_NO_RESOURCE = ("AnswerCodeDeploy", "OpenSessions", "PutMetrics", "FindItsGroup")
ACTIONS_WITHOUT_RESOURCE = (
    "autoscaling:DescribeAutoScalingInstances",
    "cloudwatch:PutMetricData",
    "codedeploy-commands-secure:GetDeploymentSpecification",
    "codedeploy-commands-secure:PollHostCommand",
    "codedeploy-commands-secure:PutHostCommandAcknowledgement",
    "codedeploy-commands-secure:PutHostCommandComplete",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
# CodeDeploy and API Gateway accept no role with less.
MANAGED_POLICIES = (
    "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSCodeDeployRole",
    "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
)
# How the policy of a resource says "any action", by the type of the policy.
ANY_ACTION = {"AWS::S3::BucketPolicy": "s3:*", "AWS::SNS::TopicPolicy": "sns:Publish"}
WILDCARD = re.compile(r"[*?]")


def written_statements(template: Template) -> Iterator[Node]:
    """The items of the roles' own policies: a statement, or an Fn::If that adds one."""
    for role in template.resources("AWS::IAM::Role"):
        if role.at("Properties/Policies").exists:
            for policy in role.at("Properties/Policies").items():
                yield from policy.at("PolicyDocument/Statement").items()


def statements(template: Template) -> Iterator[Node]:
    """What the roles may do, always or on a condition."""
    for statement in written_statements(template):
        yield statement.at("Fn::If/1") if statement.at("Fn::If").exists else statement


def must_name_somebody(principal: Node, why: str) -> Iterator[Finding]:
    if not principal.is_map or any(text.equals("*") for text in principal.texts()):
        yield Finding(principal, f"name the service or account: {why}")


@rule
def statements_say_what_they_are_for(template: Template) -> Iterator[Finding]:
    for statement in statements(template):
        yield from statement.at("Sid").must_exist("a Sid that says what the statement is for")


@rule
def statements_are_plain(template: Template) -> Iterator[Finding]:
    for statement in statements(template):
        if not statement.is_map:
            yield Finding(statement, "write a statement: a map of Sid, Effect, Action and Resource")
        for key in ("NotAction", "NotResource"):
            yield from statement.at(key).must_not_exist("say what is allowed, not what is not")
    for statement in written_statements(template):
        if statement.at("Fn::If").exists:
            yield from statement.at("Fn::If/2/Ref").must_be(
                "AWS::NoValue", why="a condition adds a statement; it does not choose between two")


@rule
def actions_are_exact(template: Template) -> Iterator[Finding]:
    for statement in statements(template):
        for action in statement.at("Action").items():
            if not isinstance(action.value, str) or WILDCARD.search(action.value):
                yield Finding(action, "name each action: a reader has to see what a role may do, not guess it")


@rule
def resources_are_exact(template: Template) -> Iterator[Finding]:
    for statement in statements(template):
        sid = statement.at("Sid").value
        if sid in HAS_NO_RESOURCE and "Fn::If" not in statement.path:
            for action in statement.at("Action").items():
                if action.value not in ACTIONS_WITHOUT_RESOURCE:
                    yield Finding(action, "move it to a statement that names its resource: only actions without one "
                                          "may be allowed on all")
            continue
        for resource in statement.at("Resource").items():
            if not resource.is_map:
                yield Finding(resource, "refer to the resource: a plain text names one account's, or all")
            elif sid not in NAMES_A_WHOLE_FOLDER and any(WILDCARD.search(text.value) for text in resource.texts()):
                yield Finding(resource, "name one resource, or add the Sid to NAMES_A_WHOLE_FOLDER and say why")


@rule
def roles_have_no_policies_from_elsewhere(template: Template) -> Iterator[Finding]:
    for role in template.resources("AWS::IAM::Role"):
        if role.at("Properties/ManagedPolicyArns").exists:
            for policy in role.at("Properties/ManagedPolicyArns").items():
                yield from policy.at("Fn::Sub").must_be(
                    *MANAGED_POLICIES, why="a managed policy allows more than is needed, and changes without us")


@rule
def rights_are_the_roles_own(template: Template) -> Iterator[Finding]:
    for policy in template.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
        yield Finding(policy, "move the statements into the role: all that it may do is written there")


@rule
def plain_connections_are_refused(template: Template) -> Iterator[Finding]:
    for kind, action in ANY_ACTION.items():
        for policy in template.resources(kind):
            if not any(
                statement.at("Effect").equals("Deny")
                and statement.at("Principal").equals("*")
                and statement.at("Action").equals(action)
                and statement.at("Condition/Bool/aws:SecureTransport").equals("false")
                for statement in policy.at("Properties/PolicyDocument/Statement").items()
            ):
                yield Finding(policy, f'deny {action} to "*" where aws:SecureTransport is "false": only TLS is let in')


@rule
def nobody_is_let_in_unnamed(template: Template) -> Iterator[Finding]:
    for policy in template.resources(*ANY_ACTION):
        for statement in policy.at("Properties/PolicyDocument/Statement").items():
            if not statement.at("Effect").equals("Deny"):
                yield from must_name_somebody(statement.at("Principal"), "no resource is public")
                yield from statement.at("Condition").must_exist(
                    "a service is let in only on behalf of this account (aws:SourceAccount)")


@rule
def keys_rotate(template: Template) -> Iterator[Finding]:
    for key in template.resources("AWS::KMS::Key"):
        yield from key.at("Properties/EnableKeyRotation").must_be(True, why="an old key protects less")
        for statement in key.at("Properties/KeyPolicy/Statement").items():
            yield from must_name_somebody(statement.at("Principal"), "a key is not for everybody")
