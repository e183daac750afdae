"""A real Prometheus scrapes a real daemon: every query of the dashboard and every rule is answered."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent))
from programs import built

REPOSITORY = Path(__file__).resolve().parent.parent
MONITORING = REPOSITORY / "monitoring"
# Longer than anything here takes; only a hang reaches it.
PATIENCE = 60
# What a daemon with one simulated source and the embedded sink never has.
ELSEWHERE = ("temp_ingest_mqtt_", "temp_ingest_http_", "temp_ingest_readings_refused_total", "temp_ingest_malformed_total", "temp_ingest_shard_pace", "temp_ingest_refusals")

CONFIG = """
sink = "embedded"
linger = "10ms"
[source.house]
kind = "simulate"
profile = "temperature"
sensors = 10
interval = "100ms"
"""


def dashboard() -> list[tuple[str, str]]:
    """The title of each panel and one of its queries, with Grafana's variables filled in."""
    panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
    found = []
    for panel in panels:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "10s").replace("$instance", ".*")
            found.append((panel["title"], query))
    return found


def wait_until(what: str, is_true) -> object:
    """What it came to, once it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := is_true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Files(unittest.TestCase):
    def test_each_alert_is_tested(self):
        rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
        tests = (MONITORING / "alerts_test.yml").read_text()
        for rule in rules:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["alert"], tests)
        done = subprocess.run(["promtool", "test", "rules", "alerts_test.yml"], cwd=MONITORING, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = subprocess.run(["promtool", "check", "rules", "alerts.yml"], cwd=MONITORING, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_metric_is_one_of_the_daemons(self):
        known = set(re.findall(r'"(temp_ingest_\w+)"', (REPOSITORY / "src/telemetry/metrics.rs").read_text()))
        for name in ("alerts.yml", "grafana.json", "alerts_test.yml"):
            for metric in set(re.findall(r"temp_ingest_\w+", (MONITORING / name).read_text())):
                with self.subTest(file=name, metric=metric):
                    self.assertIn(re.sub(r"_(bucket|sum|count)$", "", metric), known)

    def test_each_documented_metric_is_shown(self):
        metrics = re.findall(r"^\| `(temp_ingest_\w+)` \|", (REPOSITORY / "docs/metrics.md").read_text(), re.MULTILINE)
        self.assertGreater(len(metrics), 20)
        queries = " ".join(query for _, query in dashboard())
        for metric in metrics:
            with self.subTest(metric):
                self.assertRegex(queries, rf"\b{metric}(_bucket)?\{{")

    def test_panels_do_not_overlap(self):
        panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
        places = set()
        for panel in panels:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            for place in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                self.assertNotIn(place, places, panel["title"])
                places.add(place)
        self.assertEqual(len(panels), len({panel["id"] for panel in panels}))


class Scraped(unittest.TestCase):
    """One daemon and one Prometheus for all of it."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="temp-ingest-monitoring-")))
        (self.folder / "config.toml").write_text(CONFIG)
        self.dashboard = f"127.0.0.1:{free_port()}"
        environment = os.environ | {"STATE_DIRECTORY": str(self.folder / "state"), "TEMP_INGEST__DASHBOARD__LISTEN": self.dashboard}
        self.daemon = self.start([built("temp-ingest"), "run", "--config", "config.toml"], environment)
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"] = [{"targets": [self.dashboard]}]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self.folder / "alerts.yml").write_text((MONITORING / "alerts.yml").read_text())
        self.prometheus = f"127.0.0.1:{free_port()}"
        self.start(["prometheus", "--config.file=prometheus.yml", f"--web.listen-address={self.prometheus}", "--storage.tsdb.path=data"], os.environ)

    def start(self, command: list[object], environment) -> subprocess.Popen:
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            process = subprocess.Popen([str(word) for word in command], cwd=self.folder, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def ask(self, path: str, **words: str) -> dict:
        """What Prometheus answers; nothing while it starts."""
        url = f"http://{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise AssertionError(f"{words}: {json.load(error)['error']}") from None
            return {}
        except OSError:
            return {}

    def query(self, query: str) -> list:
        return self.ask("query", query=query).get("result", [])

    def test_what_people_look_at_has_answers(self):
        wait_until("rates are known", lambda: self.query('rate(temp_ingest_readings_delivered_total[10s]) > 0'))
        for title, query in dashboard():
            with self.subTest(title, query=query):
                found = self.query(query)
                if "> 0" not in query and not any(name in query for name in ELSEWHERE):
                    self.assertTrue(found, "nothing is shown")
        [lost] = [self.query(query) for title, query in dashboard() if title == "Lost count of"]
        self.assertEqual(lost[0]["value"][1], "0")
        rules = wait_until("rules are evaluated", self.evaluated)
        self.assertEqual([(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"], [])
        self.assertEqual(self.query('ALERTS{alertstate="firing"}'), [])
        self.daemon.send_signal(signal.SIGTERM)
        wait_until("the daemon is missed", lambda: self.query('ALERTS{alertname="TempIngestDown", alertstate="pending"}'))

    def evaluated(self) -> list:
        groups = self.ask("rules").get("groups", [])
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if rules and all(rule["health"] != "unknown" for rule in rules) else []


if __name__ == "__main__":
    unittest.main()
