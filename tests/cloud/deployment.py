"""The stacks of cfn/ deployed on a stand-in, and what a test needs of them: outputs, functions, mappings, roles.

Names are read from the stacks, never known: the templates are what is tested. Traps of the stand-in:
- `Enabled: false` of a mapping in a template is ignored, so its own mapping is switched off by the API.
- A resource it does not know may be "complete" without being there: no physical id, or the text "None", is an error.
"""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

import aws_command
from programs import REPOSITORY, functions_zip

from . import destination
from .mapping import Answered, Errored, Mapping, Settings, Unreached
from .standin import Standin
from .stream import stream

TABLE_STREAM_ACTIONS = {
    "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams",
}
# What data and functions have to be told to keep and pass on all there is.
EVERYTHING = {"WithReadings": "yes", "WithOutputStream": "yes"}


@dataclass
class Deployment:
    standin: Standin
    templates: Path = REPOSITORY / "cfn"
    # Parameters over the templates' defaults.
    data: dict[str, str] = field(default_factory=dict)
    detect: dict[str, str] = field(default_factory=dict)
    # With these there is also the stack of log groups, which have to exist.
    logs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict, init=False)
    # The zip of the functions.
    code: Path = field(init=False)
    # The functions' names by their handler, "detect" and "alert".
    functions: dict[str, str] = field(default_factory=dict, init=False)

    DATA_STACK = "temp-ingest-data"
    LOGS_STACK = "temp-ingest-logs"
    DETECT_STACK = "temp-ingest-detect"

    def deploy(self) -> Deployment:
        self.code = functions_zip(self.standin.folder)
        self.stack(self.DATA_STACK, "data.yaml", self.data)
        bucket = self.outputs["CodeBucketName"]
        self.standin.client("s3").upload_file(str(self.code), bucket, self.code.name)
        code = {"DataStack": self.DATA_STACK, "CodeBucket": bucket, "CodeKey": self.code.name}
        if self.logs:
            self.stack(self.LOGS_STACK, "logs.yaml", self.logs)
            code["LogsStack"] = self.LOGS_STACK
        self.stack(self.DETECT_STACK, "detect.yaml", code | self.detect)
        api = self.standin.client("lambda")
        for function in self.resources(self.DETECT_STACK, "AWS::Lambda::Function"):
            self.functions[api.get_function_configuration(FunctionName=function)["Handler"]] = function
        if set(self.functions) != {"detect", "alert"}:
            raise AssertionError(f"{self.DETECT_STACK} has the functions {self.functions}, not detect and alert")
        for mapping in api.list_event_source_mappings()["EventSourceMappings"]:
            api.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        if self.standin.auth:
            for handler in self.functions:
                self._let_root_assume(self.role(handler))
            self._widen_table_streams(self.role("alert"))
        return self

    def stack(self, name: str, template: str, parameters: dict[str, str]) -> None:
        """Creates or updates a stack by `aws cloudformation deploy`, and takes over its outputs."""
        command = [
            str(aws_command.folder() / "aws"), "cloudformation", "deploy", "--stack-name", name,
            "--template-file", str(self.templates / template),
            "--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset",
        ]
        if parameters:
            command += ["--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())]
        run = subprocess.run(command, env=self.standin.environment(), capture_output=True, text=True)
        api = self.standin.client("cloudformation")
        if run.returncode != 0:
            events = api.describe_stack_events(StackName=name)["StackEvents"]
            reasons = [f"{one['LogicalResourceId']}: {one['ResourceStatusReason']}" for one in events
                       if "FAILED" in one["ResourceStatus"] and one.get("ResourceStatusReason")]
            raise AssertionError(
                "\n".join([f"deploying {template} as {name} failed:", run.stdout, run.stderr, *reasons]))
        for resource in api.describe_stack_resources(StackName=name)["StackResources"]:
            if resource.get("PhysicalResourceId") in (None, "", "None"):
                raise AssertionError(f"{resource['LogicalResourceId']} ({resource['ResourceType']}) of {name} has no "
                                     "physical id: the stand-in says that it made it and did not")
        description, = api.describe_stacks(StackName=name)["Stacks"]
        self.outputs |= {one["OutputKey"]: one["OutputValue"] for one in description.get("Outputs", [])}

    def resources(self, stack: str, kind: str) -> list[str]:
        """The physical ids of a stack's resources of one type."""
        described = self.standin.client("cloudformation").describe_stack_resources(StackName=stack)
        return [one["PhysicalResourceId"] for one in described["StackResources"] if one["ResourceType"] == kind]

    def configuration(self, handler: str) -> dict:
        return self.standin.client("lambda").get_function_configuration(FunctionName=self.functions[handler])

    def variables(self, handler: str) -> dict[str, str]:
        """The function's environment."""
        return self.configuration(handler)["Environment"]["Variables"]

    def role(self, handler: str) -> str:
        return self.configuration(handler)["Role"].rsplit("/", 1)[-1]

    def restart(self, handler: str, **changes: str | None) -> None:
        """Ends the function's warm processes, as any update of its configuration does. `changes` are variables to set,
        or with None to leave out."""
        changed = self.variables(handler) | changes
        variables = {name: value for name, value in changed.items() if value is not None}
        self.standin.client("lambda").update_function_configuration(
            FunctionName=self.functions[handler], Environment={"Variables": variables})

    def mapping(self, handler: str, source: str | None = None, **changes) -> Mapping:
        """The model over the mapping that is deployed for a function and, where it has several, the ARN of a source;
        `changes` are settings other than deployed."""
        api = self.standin.client("lambda")
        listed = api.list_event_source_mappings(FunctionName=self.functions[handler])["EventSourceMappings"]
        listed = [one for one in listed if source in (None, one["EventSourceArn"])]
        if len(listed) != 1:
            raise AssertionError(f"{self.functions[handler]} has {len(listed)} event source mappings, not one")
        settings = Settings.of(listed[0] | changes)
        role = self.configuration(handler)["Role"]
        clients = self.assume(role)

        def invoke(payload: bytes) -> Answered | Errored | Unreached:
            try:
                answer = api.invoke(FunctionName=settings.function, Payload=payload, LogType="Tail")
                body = answer["Payload"].read()
            except (ClientError, BotoCoreError) as error:
                return Unreached(str(error))
            log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
            if "FunctionError" in answer:
                return Errored(answer["FunctionError"], body.decode()[:1000], log)
            return Answered(json.loads(body), log)

        def keep(key: str, record: dict) -> None:
            if settings.bucket is not None:
                destination.put(clients("s3"), settings.bucket, key, record)

        return Mapping(settings, stream(clients, settings.source, role, settings.start), invoke, keep)

    def assume(self, role: str):
        """Makes clients with a role's credentials, which Lambda gets the same way: lambda-intro-execution-role."""
        session = self.standin.client("sts").assume_role(RoleArn=role, RoleSessionName="mapping")["Credentials"]
        credentials = {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }
        return lambda service: self.standin.client(service, credentials)

    def _let_root_assume(self, role: str) -> None:
        """With AUTH=true the trust policy decides who assumes a role, and nobody outside AWS can be a service: so the
        account's root is let in beside lambda.amazonaws.com. What the role may do stays as deployed."""
        iam = self.standin.client("iam")
        policy = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        services = [one["Principal"].get("Service") for one in policy["Statement"]]
        if services != ["lambda.amazonaws.com"]:
            raise AssertionError(f"the role {role} is trusted to {services}, not to lambda.amazonaws.com alone")
        account = self.standin.client("sts").get_caller_identity()["Account"]
        policy["Statement"].append(
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"})
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(policy))

    def _widen_table_streams(self, role: str) -> None:
        """The stand-in authorizes the API of table streams on "*", so a role that names its stream could never read it.
        The resource is compared here and widened; which actions there are, the stand-in goes on to judge."""
        iam = self.standin.client("iam")
        table = self.outputs["PartitionsTableArn"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in policy["Statement"]:
                if set(as_list(statement["Action"])) & TABLE_STREAM_ACTIONS:
                    if not all(one.startswith(f"{table}/stream/") for one in as_list(statement["Resource"])):
                        raise AssertionError(f"{statement['Sid']} of {role} is not about the streams of {table} alone")
                    statement["Resource"] = "*"
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))


def as_list(value: str | list[str]) -> list[str]:
    """An element of a policy, which may be one text or a list of them."""
    return [value] if isinstance(value, str) else value
