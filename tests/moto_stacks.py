"""Stacks on moto, the stand-in for AWS that knows networks and instances. It says "complete" also of what it does not know
and gives that no physical id, or the text "None": an error here. It does not know Fn::Cidr, which is answered here."""

from __future__ import annotations

import ipaddress
import itertools
import json
import logging
import re
import urllib.request
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
logging.getLogger("werkzeug").setLevel(logging.ERROR)
CFN = Path(__file__).resolve().parents[1] / "cfn"


class Account:
    """An empty one, on a free port of this machine; ended by `close`."""

    def __init__(self):
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        # What moto keeps belongs to the process, not to the server.
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).close()

    def close(self) -> None:
        self._server.stop()

    def client(self, service: str):
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test",
                            aws_secret_access_key="test")

    def deploy(self, name: str, template: str, **parameters: str) -> dict[str, str]:
        """Creates a stack. Answers with the physical ids by the names in the template."""
        api = self.client("cloudformation")
        api.create_stack(StackName=name, TemplateBody=subnetted(template, parameters), Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()])
        made = {}
        for one in api.describe_stack_resources(StackName=name)["StackResources"]:
            if "LogicalResourceId" not in one:
                continue  # its condition is false
            if one.get("PhysicalResourceId") in (None, "", "None"):
                raise AssertionError(f"{one['LogicalResourceId']} ({one['ResourceType']}) of {name} has no physical id")
            made[one["LogicalResourceId"]] = one["PhysicalResourceId"]
        return made

    def outputs(self, name: str) -> dict[str, str]:
        stack, = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def subnetted(template: str, parameters: dict[str, str]) -> str:
    """The template with each `!Cidr [!Ref PARAMETER, COUNT, BITS]` answered."""
    def answer(match: re.Match) -> str:
        name, count, bits = match.groups()
        default = re.search(rf"^  {name}:\n(?:    .*\n)*?    Default: (\S+)", template, re.MULTILINE)
        network = ipaddress.ip_network(parameters.get(name, default and default[1]))
        return json.dumps([str(one) for one in itertools.islice(network.subnets(new_prefix=32 - int(bits)), int(count))])
    return re.sub(r"!Cidr \[!Ref (\w+), (\d+), (\d+)\]", answer, template)
