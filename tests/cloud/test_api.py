"""POST /score as it is deployed: with a key, then signed; its answers by what was asked; and a role that may read
partitions and no more."""

from __future__ import annotations

import copy
import json
import ssl
import unittest
import urllib.error
import urllib.request
from datetime import timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .deployment import Deployment, as_list
from .pipeline import Pipeline
from .readings import START
from .standin import REGION, ROOT, Standin

API_STACK = "temp-ingest-api"
MODEL = "/app/house"
# What the stand-in does not ask for.
NOT_ASKED_FOR = {"logs:CreateLogStream", "logs:PutLogEvents"}


def setUpModule() -> None:
    global cloud
    standin = unittest.enterModuleContext(Standin(auth=True))
    cloud = Pipeline(standin, Deployment(standin).deploy())
    deploy()
    cloud.put_raw(*(json.dumps(reading(number, usual(number))).encode() for number in range(200)))
    cloud.detect.drain()


def deploy(**parameters: str) -> None:
    deployment = cloud.deployment
    code = {"CodeBucket": deployment.outputs["CodeBucketName"], "CodeKey": deployment.code.name}
    deployment.stack(API_STACK, "api.yaml", code | parameters)


def usual(number: int) -> list[float]:
    load = number * 7 % 11
    return [load, 2 * load + number * 5 % 3 / 10, 40 + number % 5, number % 4]


def reading(number: int, values: list[float]) -> dict:
    time = START + number * timedelta(minutes=1)
    return {"sensor": MODEL, "time": time.isoformat(), "kind": "log", "value": values}


def ask(body: str | dict, query: str = "", key: str | None = None, sign: bool = False) -> tuple[int, dict]:
    """Status and body of an answer."""
    outputs = cloud.deployment.outputs
    stage = outputs["ScoreUrl"].rsplit("/", 2)[1]
    url = f"{cloud.standin.url}/restapis/{outputs['ApiId']}/{stage}/_user_request_/score{query}"
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = {"Content-Type": "application/json"} | ({"x-api-key": key} if key else {})
    if sign:
        signed = AWSRequest("POST", url, headers, data)
        credentials = Credentials(ROOT["aws_access_key_id"], ROOT["aws_secret_access_key"])
        SigV4Auth(credentials, "execute-api", REGION).add_auth(signed)
        headers = dict(signed.headers)
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cloud.standin.certificate)))
    try:
        with direct.open(urllib.request.Request(url, data, headers), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Score(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        key = cloud.deployment.outputs["ApiKeyId"]
        cls.key = cloud.standin.client("apigateway").get_api_key(apiKey=key, includeValue=True)["value"]

    def ask(self, body: str | dict, query: str = "") -> tuple[int, dict]:
        return ask(body, query, self.key)

    def test_a_series_is_scored_in_order(self):
        values = [20 + number * 7 % 11 / 10 for number in range(400)]
        values[300] = 60
        status, said = self.ask({"values": values, "interval": "30s"})
        self.assertEqual((status, len(said["scores"])), (200, 400))
        self.assertEqual(said["anomalies"][0]["index"], 300)
        self.assertGreaterEqual(said["scores"][300], 2)

    def test_a_vector_is_scored_by_what_its_model_has_learnt_and_nothing_moves(self):
        parted = usual(200)
        parted[1] = -20
        before = cloud.items(cloud.deployment.variables("detect")["PARTITIONS_TABLE"])
        status, said = self.ask({"data": usual(200), "model": MODEL})
        self.assertEqual((status, said["anomaly"], said["model"]), (200, False, MODEL))
        status, said = self.ask({"data": parted}, f"?model={MODEL}")
        self.assertEqual((status, said["anomaly"]), (200, True))
        self.assertGreaterEqual(said["score"], 2)
        self.assertEqual(cloud.items(cloud.deployment.variables("detect")["PARTITIONS_TABLE"]), before)

    def test_what_is_wrong_is_said(self):
        for body, status, error, detail in (
                ("", 400, "not_json", "no JSON object"),
                ({"values": []}, 400, "empty", "values is empty"),
                ('{"values":[1,1e999]}', 400, "not_finite", "values[1]"),
                ({"data": [1, 2, 3, 4]}, 400, "fields", "none is named"),
                ({"data": [1, 2], "model": MODEL}, 400, "wrong_length", "have 4"),
                ({"data": [1, 2, 3, 4], "model": "nobody"}, 404, "unknown_model", '"nobody"')):
            with self.subTest(body=body):
                found, said = self.ask(body)
                self.assertEqual((found, said["error"]), (status, error))
                self.assertIn(detail, said["detail"])
                self.assertTrue(said["remedy"])

    def test_nobody_is_answered_without_the_key(self):
        for key in (None, "wrong"):
            status, said = ask({"values": [1]}, key=key)
            self.assertEqual(status, 403, said)
            self.assertNotIn("scores", said)

    def test_the_role_may_read_partitions_and_no_permission_of_it_is_idle(self):
        role, = (one for one in cloud.deployment.resources(API_STACK, "AWS::IAM::Role") if "ScoreRole" in one)
        iam = cloud.standin.client("iam")
        name, = iam.list_role_policies(RoleName=role)["PolicyNames"]
        policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        tried = [(index, action) for index, one in enumerate(policy["Statement"]) for action in as_list(one["Action"])]
        self.assertEqual(len(tried), 4)
        for index, action in tried:
            changed = copy.deepcopy(policy)
            statement = changed["Statement"][index]
            statement["Action"] = [one for one in as_list(statement["Action"]) if one != action]
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(changed))
            try:
                status, said = self.ask({"data": usual(200), "model": MODEL})
            finally:
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
            with self.subTest(action=action):
                if action in NOT_ASKED_FOR:
                    self.assertEqual(status, 200, said)
                else:
                    self.assertEqual((status, said["error"]), (500, "internal"))
                    self.assertTrue(said["request_id"])
                    self.assertNotRegex(json.dumps(said), r"(?i)dynamodb|arn:|denied|table")


class Signed(unittest.TestCase):
    """After the others: the stack is another one then."""

    def test_whoever_signs_is_answered_and_nobody_else(self):
        deploy(AuthorizationType="AWS_IAM")
        self.addCleanup(deploy)
        self.assertEqual(ask({"values": [1]}, sign=True), (200, {"scores": [0.0], "anomalies": []}))
        self.assertEqual(ask({"values": [1]})[0], 403)


if __name__ == "__main__":
    unittest.main()
