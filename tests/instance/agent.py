"""What CodeDeploy's agent does with a revision: the hooks in its order and with its environment, and its way to install."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import yaml

from .machine import Machine

GROUP = "9f3e2a10-5b7c-4d21-8e60-0c1d2e3f4a5b"
ROOT = f"/opt/codedeploy-agent/deployment-root/{GROUP}"
# Its own default.
HOUR = 3600


class Failed(Exception):
    """A deployment ended at this event; what its hook printed."""

    def __init__(self, event: str, output: str):
        super().__init__(f"{event}:\n{output}")
        self.event, self.output = event, output


class Agent:
    """Deploys revisions to a machine, one after the other."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self.deployments = 0
        # The last revision that reached Install, whatever became of it: ApplicationStop is its hook.
        self.installed: Path | None = None
        self.copied: list[Path] = []
        self.printed: dict[str, str] = {}

    def deploy(self, revision: Path) -> dict[str, str]:
        """What each hook printed; the first that fails ends the deployment, and nothing is undone."""
        self.deployments += 1
        self.printed = {}
        if self.installed:
            self.hooks("ApplicationStop", self.installed)
        archive = self.inside(f"{ROOT}/d-{self.deployments}/deployment-archive")
        with zipfile.ZipFile(revision) as bundle:
            bundle.extractall(archive)
            for entry in bundle.infolist():
                (archive / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
        self.hooks("BeforeInstall", archive)
        self.install(archive)
        for event in ("AfterInstall", "ApplicationStart", "ValidateService"):
            self.hooks(event, archive)
        return self.printed

    def hooks(self, event: str, archive: Path) -> None:
        """Runs an event's scripts; one that leaves a child behind with its output open runs into its timeout."""
        appspec = yaml.safe_load((archive / "appspec.yml").read_text())
        variables = {
            "LIFECYCLE_EVENT": event,
            "DEPLOYMENT_ID": f"d-{self.deployments}",
            "APPLICATION_NAME": "temp-ingest",
            "DEPLOYMENT_GROUP_NAME": "instances",
            "DEPLOYMENT_GROUP_ID": GROUP,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }
        for hook in appspec.get("hooks", {}).get(event, []):
            script = "/" + str((archive / hook["location"]).relative_to(self.machine.root))
            words = (f"{name}={value}" for name, value in variables.items())
            command = self.machine.command("env", "--ignore-environment", "--chdir=/", *words, script)
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, timeout=hook.get("timeout", HOUR))
            except subprocess.TimeoutExpired as slow:
                raise Failed(event, f"timed out: {slow.stdout}") from slow
            self.printed[event] = self.printed.get(event, "") + done.stdout
            if done.returncode != 0:
                raise Failed(event, done.stdout)

    def install(self, archive: Path) -> None:
        """Removes what the last revision brought, then copies; a file that is there is handled as the appspec says."""
        self.installed = archive
        for path in self.copied:
            path.unlink(missing_ok=True)
        self.copied = []
        appspec = yaml.safe_load((archive / "appspec.yml").read_text())
        for entry in appspec["files"]:
            source, to = archive / entry["source"], self.inside(entry["destination"])
            files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
            for file in files:
                self.copy(file, to / (file.relative_to(source) if source.is_dir() else file.name), appspec)
        for entry in appspec.get("permissions", []):
            for path in self.inside(entry["object"]).glob(entry["pattern"]):
                path.chmod(int(str(entry["mode"]), 8))
                shutil.chown(path, entry["owner"], entry["group"])

    def copy(self, file: Path, to: Path, appspec: dict) -> None:
        behaviour = appspec.get("file_exists_behavior", "DISALLOW")
        if to.exists() and behaviour == "DISALLOW":
            raise Failed("Install", f"{to} is there already")
        if not to.exists() or behaviour == "OVERWRITE":
            to.parent.mkdir(parents=True, exist_ok=True)
            # In place, as the agent does: a program that runs refuses it.
            with file.open("rb") as source, to.open("wb") as target:
                shutil.copyfileobj(source, target)
            self.copied.append(to)

    def inside(self, path: str) -> Path:
        return self.machine.root / path.lstrip("/")
