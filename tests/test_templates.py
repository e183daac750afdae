"""The templates agree with each other and with the repository."""

from __future__ import annotations

import json
import re
import tomllib
import unittest
from pathlib import Path

from cfnlint.decode import cfn_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CFN = REPOSITORY / "cfn"
TEMPLATES = {path.name: cfn_yaml.load(str(path)) for path in sorted(CFN.glob("*.yaml"))}


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
        documented = set(re.findall(r"^\| `(temp_ingest_\w+)`", (REPOSITORY / "docs/metrics.md").read_text(), re.MULTILINE))
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
