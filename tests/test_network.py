"""cfn/network.yaml on a stand-in: two zones, no way out of the private subnets but the endpoints, no way in at all."""

from __future__ import annotations

import unittest

from moto_stacks import CFN, Account

TEMPLATE = (CFN / "network.yaml").read_text()


class NetworkTest(unittest.TestCase):
    def setUp(self) -> None:
        self.account = Account()
        self.addCleanup(self.account.close)
        self.ec2 = self.account.client("ec2")

    def subnets(self, kind: str) -> list[dict]:
        ids = self.account.outputs("network")[f"{kind}SubnetIds"].split(",")
        return self.ec2.describe_subnets(SubnetIds=ids)["Subnets"]

    def ways_out(self, table: str) -> set[str]:
        table, = self.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
        return {route["GatewayId"] for route in table["Routes"]} - {"local"}

    def test_subnets_of_each_kind_are_in_two_zones_and_apart(self):
        self.account.deploy("network", TEMPLATE, Cidr="10.7.0.0/24")
        both = self.subnets("Public") + self.subnets("Private")
        self.assertEqual({one["CidrBlock"] for one in both},
                         {"10.7.0.0/26", "10.7.0.64/26", "10.7.0.128/26", "10.7.0.192/26"})
        for kind in ("Public", "Private"):
            self.assertEqual(len({one["AvailabilityZone"] for one in self.subnets(kind)}), 2, kind)

    def test_private_subnets_reach_what_has_an_endpoint_and_nothing_else(self):
        made = self.account.deploy("network", TEMPLATE)
        endpoints = self.ec2.describe_vpc_endpoints()["VpcEndpoints"]
        gateways = {one["VpcEndpointId"] for one in endpoints if one["VpcEndpointType"] == "Gateway"}
        interfaces = [one for one in endpoints if one["VpcEndpointType"] == "Interface"]
        private = {one["SubnetId"] for one in self.subnets("Private")}
        self.assertEqual(self.ways_out(made["PrivateRoutes"]), gateways)
        self.assertEqual(self.ways_out(made["PublicRoutes"]), gateways | {made["Gateway"]})
        for one in interfaces:
            self.assertEqual(set(one["SubnetIds"]), private, one["ServiceName"])
            self.assertTrue(one["PrivateDnsEnabled"], one["ServiceName"])
        names = {one["ServiceName"].split(".", 3)[3] for one in interfaces}
        self.assertLessEqual({"kinesis-streams", "ssm", "ssmmessages", "codedeploy", "codedeploy-commands-secure",
                              "autoscaling", "cloudformation", "logs", "monitoring", "sts"}, names)

    def test_without_endpoints_only_those_that_are_free_are_left(self):
        made = self.account.deploy("network", TEMPLATE, WithEndpoints="no")
        left = self.ec2.describe_vpc_endpoints()["VpcEndpoints"]
        self.assertEqual([one["VpcEndpointType"] for one in left], ["Gateway", "Gateway"])
        self.assertNotIn("EndpointSecurityGroup", made)

    def test_connections_are_logged_for_as_long_as_asked(self):
        made = self.account.deploy("network", TEMPLATE, FlowLogDays="3")
        log, = self.ec2.describe_flow_logs()["FlowLogs"]
        self.assertEqual(log["ResourceId"], made["Vpc"])
        group, = self.account.client("logs").describe_log_groups()["logGroups"]
        self.assertEqual((log["LogGroupName"], group["retentionInDays"]), (group["logGroupName"], 3))


if __name__ == "__main__":
    unittest.main()
