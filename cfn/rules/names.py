"""No resource has a fixed name: two deployments in one account never collide, and a replacement needs no free name."""

from __future__ import annotations

from collections.abc import Iterator

from .rule import rule
from .template import Finding, Template

TYPES = (
    "AWS::CloudWatch::Alarm", "AWS::DynamoDB::Table", "AWS::IAM::Role", "AWS::Kinesis::Stream", "AWS::Lambda::Function",
    "AWS::Logs::LogGroup", "AWS::S3::Bucket", "AWS::SNS::Topic", "AWS::SSM::Parameter",
)
# A parameter may give these, and nothing gives those.
GIVEN = ("BucketName", "FunctionName", "Name", "TableName", "TopicName")
GENERATED = ("AlarmName", "LogGroupName", "RoleName")
# Instances look for the agent's settings by this name, of which the stack's is a part.
AGENT_SETTINGS = "/${IngestStack}/cloudwatch-agent"


@rule
def names_are_the_persons(template: Template) -> Iterator[Finding]:
    for resource in template.resources(*TYPES):
        for key in GIVEN:
            name = resource.at(f"Properties/{key}")
            by_parameter = name.at("Fn::If/1/Ref").exists and name.at("Fn::If/2/Ref").equals("AWS::NoValue")
            for_the_agent = key == "Name" and name.at("Fn::Sub").equals(AGENT_SETTINGS)
            if name.exists and not by_parameter and not for_the_agent:
                yield Finding(name, "write !If [CONDITION, !Ref PARAMETER, !Ref AWS::NoValue]: CloudFormation "
                                    "generates the name, unless a parameter gives it")
        for key in GENERATED:
            yield from resource.at(f"Properties/{key}").must_not_exist("CloudFormation generates the name")
