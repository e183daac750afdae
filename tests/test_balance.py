"""cfn/balance.yaml on a stand-in: readings come in by the load balancer alone, over two zones, with TLS.

moto knows no alarms in a template and answers at no listener: cfn-lint judges these."""

from __future__ import annotations

import json
import unittest

from cfnlint.decode import cfn_yaml

from moto_stacks import CFN, Account
from test_ingest import DATA, NETWORK, known

BALANCE = cfn_yaml.load(str(CFN / "balance.yaml"))


def without_alarms() -> str:
    resources = {name: one for name, one in BALANCE["Resources"].items() if one["Type"] != "AWS::CloudWatch::Alarm"}
    # moto gives its target groups no name in full.
    text = json.dumps(BALANCE | {"Resources": resources})
    return text.replace("${Targets.TargetGroupFullName}", "targetgroup/one")


class Balanced:
    """An account with network, load balancer and instances."""

    def __init__(self, test: type[unittest.TestCase], **parameters: str):
        self.account = Account()
        test.addClassCleanup(self.account.close)
        self.account.deploy("network", NETWORK)
        self.account.deploy("data", json.dumps(DATA))
        certificate = self.account.client("acm").request_certificate(DomainName="ingest.example.com")["CertificateArn"]
        self.made = self.account.deploy(
            "balance", without_alarms(), NetworkStack="network", DataStack="data", CertificateArn=certificate,
            ClientCidr="203.0.113.0/24", **parameters)
        self.made |= self.account.deploy("ingest", known(), DataStack="data", NetworkStack="network",
                                         BalanceStack="balance")
        self.elb = self.account.client("elbv2")
        self.balancer, = self.elb.describe_load_balancers()["LoadBalancers"]

    def stands_in(self, kind: str) -> bool:
        """Whether it is in the subnets of that kind, and these in two zones."""
        zones = self.balancer["AvailabilityZones"]
        subnets = self.account.outputs("network")[f"{kind}SubnetIds"].split(",")
        return {zone["SubnetId"] for zone in zones} == set(subnets) and len({zone["ZoneName"] for zone in zones}) == 2


class BalanceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.here = Balanced(cls, HttpPort="9999")

    def test_it_stands_in_two_zones_and_speaks_tls(self):
        self.assertTrue(self.here.stands_in("Public"))
        self.assertEqual(self.here.balancer["Scheme"], "internet-facing")
        arn = self.here.balancer["LoadBalancerArn"]
        listener, = self.here.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        self.assertEqual((listener["Port"], listener["Protocol"]), (443, "HTTPS"))

    def test_the_groups_instances_are_its_targets_and_asked_for_their_health(self):
        group, = self.here.account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        target, = self.here.elb.describe_target_groups()["TargetGroups"]
        self.assertEqual(group["TargetGroupARNs"], [target["TargetGroupArn"]])
        self.assertEqual((target["HealthCheckPath"], target["Port"]), ("/healthz", 9999))
        delay = {one["Key"]: one["Value"] for one in self.here.elb.describe_target_group_attributes(
            TargetGroupArn=target["TargetGroupArn"])["Attributes"]}
        # The daemon's own drain takes 25 s by default, and a request under way 30 s.
        self.assertGreaterEqual(int(delay["deregistration_delay.timeout_seconds"]), 30)

    def test_nobody_but_the_load_balancer_reaches_an_instance(self):
        opened, = self.entries("SecurityGroup")
        self.assertEqual((opened["FromPort"], opened["ToPort"], opened["IpRanges"]), (9999, 9999, []))
        let_in = [one["GroupId"] for one in opened["UserIdGroupPairs"]]
        self.assertEqual(let_in, [self.here.made["BalancerSecurityGroup"]])
        opened, = self.entries("BalancerSecurityGroup")
        self.assertEqual((opened["FromPort"], [one["CidrIp"] for one in opened["IpRanges"]]), (443, ["203.0.113.0/24"]))

    def entries(self, group: str) -> list[dict]:
        found = self.here.account.client("ec2").describe_security_groups(GroupIds=[self.here.made[group]])
        return found["SecurityGroups"][0]["IpPermissions"]


class InternalTest(unittest.TestCase):
    def test_it_stands_in_the_private_subnets(self):
        self.assertTrue(Balanced(type(self), Scheme="internal").stands_in("Private"))


if __name__ == "__main__":
    unittest.main()
