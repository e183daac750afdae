"""Nobody gets in from outside, and it is on record who spoke with whom."""

from __future__ import annotations

from collections.abc import Iterator

from .rule import rule
from .template import Finding, Template

# Sources of traffic other than a range of IPv4 addresses or a security group.
OTHER_SOURCES = ("CidrIpv6", "SourcePrefixListId")


@rule
def nobody_comes_in_from_outside(template: Template) -> Iterator[Finding]:
    for group in template.resources("AWS::EC2::SecurityGroup"):
        ingress = group.at("Properties/SecurityGroupIngress")
        balanced = ingress.at("Fn::If")
        if balanced.exists:
            yield from balanced.at("0").must_be("HasBalance", why="without a load balancer nobody is let in")
            yield from balanced.at("2/Ref").must_be("AWS::NoValue", why="without a load balancer nobody is let in")
            for opening in balanced.at("1").items():
                only = "let in the load balancer and nobody else"
                yield from opening.at("SourceSecurityGroupId").must_exist(only)
                for other in ("CidrIp", *OTHER_SOURCES):
                    yield from opening.at(other).must_not_exist(only)
        elif ingress.exists:
            for opening in ingress.items():
                only = "let in this network, or the clients that a person names to the load balancer, and nobody else"
                yield from opening.at("CidrIp/Ref").must_be("Cidr", "ClientCidr", why=only)
                for other in OTHER_SOURCES:
                    yield from opening.at(other).must_not_exist(only)
                for port in ("FromPort", "ToPort"):
                    yield from opening.at(port).must_be(443, why="TLS is all that is let in")
    for opening in template.resources("AWS::EC2::SecurityGroupIngress"):
        yield Finding(opening, "move it into the security group: all who are let in are written there")


@rule
def ways_out_are_stated(template: Template) -> Iterator[Finding]:
    for group in template.resources("AWS::EC2::SecurityGroup"):
        for way in group.at("Properties/SecurityGroupEgress").items():
            for port in (way.at("FromPort"), way.at("ToPort")):
                if not port.equals(443) and not port.at("Ref").equals("HttpPort"):
                    yield Finding(port, "set it to 443, or to HttpPort from the load balancer to its instances: TLS is "
                                        "all that is needed, and a group that states no way out lets everything out")
    for way in template.resources("AWS::EC2::SecurityGroupEgress"):
        yield Finding(way, "move it into the security group: all ways out are written there")


@rule
def subnets_give_no_addresses(template: Template) -> Iterator[Finding]:
    for subnet in template.resources("AWS::EC2::Subnet"):
        yield from subnet.at("Properties/MapPublicIpOnLaunch").must_not_exist(
            "the launch template decides on a public address, not the subnet")


@rule
def networks_are_on_record(template: Template) -> Iterator[Finding]:
    flow_logs = template.resources("AWS::EC2::FlowLog")
    for network in template.resources("AWS::EC2::VPC"):
        if not any(log.at("Properties/ResourceId/Ref").equals(network.name) for log in flow_logs):
            yield Finding(network, "give it an AWS::EC2::FlowLog: without one nobody can say who spoke with whom")
    for log in flow_logs:
        yield from log.at("Properties/TrafficType").must_be("ALL", why="both what was let through and what was refused")


@rule
def endpoints_are_found_by_the_usual_names(template: Template) -> Iterator[Finding]:
    for endpoint in template.resources("AWS::EC2::VPCEndpoint"):
        if endpoint.at("Properties/VpcEndpointType").equals("Interface"):
            yield from endpoint.at("Properties/PrivateDnsEnabled").must_be(
                True, why="without private names programs still look for the service's public addresses")
            yield from endpoint.at("Condition").must_be(
                "HasEndpoints", why="an interface endpoint costs by the hour, so the parameter WithEndpoints decides")
