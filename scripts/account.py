"""`make deploy` and `make destroy`: everything in cfn/ into an AWS account, and out of it again.

Each command that it gives is printed first, and with DRY_RUN=1 only printed. It asks AWS by its own command line, of
either major version, so credentials and region are whatever `aws` finds. Each can be run twice, also after a failure.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# In the order they need each other.
STACKS = ("network", "data", "archive", "logs", "detect", "api", "alarms", "balance", "ingest", "observe")
# Those that are there only where WITH names them, or did once.
OPTIONAL = ("archive", "logs", "api", "balance")
DEPLOYMENT_SECONDS = 1800
# Over the longest drain that ingest.yaml allows by default.
DRAIN_SECONDS = 130 * 60


class Failed(Exception):
    """What went wrong, for a person."""


@dataclass
class Account:
    prefix: str
    dry_run: bool
    poll_seconds: float
    # Answers to the questions of the templates: one is given to every template that asks.
    answers: dict[str, str] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    _now: dict[str, dict] = field(default_factory=dict, init=False)

    def stack(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def aws(self, *arguments: str, quiet: bool = False) -> str:
        """Runs a command that changes something."""
        print("+ " + shlex.join(["aws", *arguments]), flush=True)
        if self.dry_run:
            return ""
        run = subprocess.run(["aws", *arguments], text=True, stdout=subprocess.PIPE if quiet else None)
        if run.returncode != 0:
            raise Failed(f"`aws {arguments[0]} {arguments[1]}` failed; the lines above say why")
        return run.stdout or ""

    def ask(self, *arguments: str, absent: str | None = None):
        """What a command answers that changes nothing: `None` where it says that what was asked for is `absent`."""
        if self.dry_run:
            print("? " + shlex.join(["aws", *arguments]), flush=True)
            return None
        run = subprocess.run(["aws", *arguments, "--output", "json"], text=True, capture_output=True)
        if run.returncode != 0:
            if absent and absent in run.stderr:
                return None
            raise Failed(f"`{shlex.join(['aws', *arguments])}` failed: {run.stderr.strip()}")
        return json.loads(run.stdout or "null")

    @cached_property
    def found(self) -> dict[str, dict]:
        """The stacks that were there at first."""
        listed = self.ask("cloudformation", "describe-stacks") or {"Stacks": []}
        return {one["StackName"]: one for one in listed["Stacks"] if one["StackStatus"] != "DELETE_COMPLETE"}

    def is_there(self, name: str) -> bool:
        """A dry run goes through all of them."""
        return self.dry_run or self.stack(name) in self.found

    def wants(self, name: str) -> bool:
        """Whether a stack is to be deployed: one that is optional, where it is there is kept up to date."""
        return name not in OPTIONAL or name in self.wanted or self.stack(name) in self.found

    def has_come_to_be(self, name: str) -> bool:
        """A stack whose creation failed has rolled back what it made, and has no outputs."""
        return self.dry_run or bool(self.found.get(self.stack(name), {}).get("Outputs"))

    def now(self, name: str) -> dict:
        """A stack as it is now, asked for once: nobody asks before it is deployed."""
        if name not in self._now:
            answer = self.ask("cloudformation", "describe-stacks", "--stack-name", self.stack(name))
            self._now[name] = answer["Stacks"][0]
        return self._now[name]

    def output(self, name: str, output: str) -> str:
        if self.dry_run:
            return f"<{output} of {self.stack(name)}>"
        for one in self.now(name).get("Outputs", []):
            if one["OutputKey"] == output:
                return one["OutputValue"]
        raise Failed(f"the stack {self.stack(name)} has no output {output}")

    def say_reasons(self, name: str, status: str) -> None:
        """Why a stack failed, by its own events; the newest come first."""
        said = self.ask("cloudformation", "describe-stack-events", "--stack-name", self.stack(name),
                        absent="does not exist") or {"StackEvents": []}
        for event in reversed(said["StackEvents"][:50]):
            if status in event["ResourceStatus"] and "cancelled" not in event.get("ResourceStatusReason", ""):
                print(f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason')}", file=sys.stderr)


def questions(template: Path) -> set[str]:
    """The parameters of a template."""
    section = re.search(r"^Parameters:\n((?:(?:  .*)?\n)+)", template.read_text(), re.MULTILINE)
    return set(re.findall(r"^  (\w+):", section[1], re.MULTILINE)) if section else set()


def deploy(account: Account, functions: Path, revision: Path) -> None:
    check_answers(account)
    identity = account.ask("sts", "get-caller-identity") or {"Account": "?", "Arn": "?"}
    print(f"deploying into account {identity['Account']} as {identity['Arn']}")
    deploy_stack(account, "network")
    deploy_stack(account, "data")
    bucket = account.output("data", "CodeBucketName")
    code, bundle = upload(account, functions, bucket, "functions"), upload(account, revision, bucket, "revisions")
    for name in filter(account.wants, STACKS[2:]):
        deploy_stack(account, name, CodeBucket=bucket, CodeKey=code)
    undo_drain(account)
    deploy_revision(account, bucket, bundle)
    print(f"""
{"Nothing was done." if account.dry_run else "Deployed."} An address that is told of incidents has to confirm: look for a message from AWS Notifications.
  dashboard   {account.output("observe", "DashboardName")} in CloudWatch
{score_line(account)}  an instance aws ssm start-session --target INSTANCE, then: systemctl status temp-ingest
  away again  make destroy{"" if account.prefix == "temp-ingest" else f" PREFIX={account.prefix}"}""")


def score_line(account: Account) -> str:
    return f"  scores      POST {account.output('api', 'ScoreUrl')}\n" if account.wants("api") else ""


def check_answers(account: Account) -> None:
    if unknown := sorted(set(account.wanted) - set(OPTIONAL)):
        raise Failed(f"there is no optional stack {', '.join(unknown)}; WITH takes {', '.join(OPTIONAL)}")
    asked = set().union(*(questions(REPOSITORY / f"cfn/{name}.yaml") for name in STACKS))
    if unknown := sorted(set(account.answers) - asked):
        raise Failed(f"no template asks for {', '.join(unknown)}; cfn/*.yaml have the parameters")


def deploy_stack(account: Account, name: str, **given: str) -> None:
    found = account.found.get(account.stack(name), {})
    # What never came to be cannot be updated.
    if found.get("StackStatus") in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
        delete_stack(account, name)
    template = REPOSITORY / f"cfn/{name}.yaml"
    asked = questions(template)
    there = [one for one in STACKS if account.wants(one)]
    given |= {f"{one.title()}Stack": account.stack(one) for one in there} | account.answers
    answers = [f"{key}={value}" for key, value in sorted(given.items()) if key in asked]
    command = ["cloudformation", "deploy", "--stack-name", account.stack(name), "--template-file", str(template),
               "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset"]
    try:
        account.aws(*command, *(["--parameter-overrides", *answers] if answers else []))
    except Failed:
        account.say_reasons(name, "FAILED")
        raise


def upload(account: Account, file: Path, bucket: str, folder: str) -> str:
    """Each build has a key of its own, so that CloudFormation and CodeDeploy see that it is another."""
    if account.dry_run and not file.exists():
        digest = "DIGEST"
    else:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    key = f"{folder}/{file.stem}-{digest}{file.suffix}"
    account.aws("s3", "cp", "--only-show-errors", str(file), f"s3://{bucket}/{key}")
    return key


def deploy_revision(account: Account, bucket: str, key: str) -> None:
    application = account.output("ingest", "ApplicationName")
    group = account.output("ingest", "DeploymentGroupName")
    where = ["--application-name", application, "--deployment-group-name", group]
    # A group takes one deployment at a time, and a new instance brings its own.
    under_way = account.ask("deploy", "list-deployments", *where, "--include-only-statuses", "Created", "Queued",
                            "InProgress") or {"deployments": []}
    for one in under_way["deployments"]:
        follow(account, one)
    made = account.aws("deploy", "create-deployment", *where, "--file-exists-behavior", "OVERWRITE", "--s3-location",
                       f"bucket={bucket},key={key},bundleType=zip", "--output", "json", quiet=True)
    deployment = json.loads(made)["deploymentId"] if made else "<the deployment's id>"
    ended = follow(account, deployment)
    if ended["status"] == "Succeeded":
        return
    reason = ended.get("errorInformation", {})
    print(f"{deployment} {ended['status'].lower()}: {reason.get('code')}: {reason.get('message')}", file=sys.stderr)
    if back := ended.get("rollbackInfo", {}).get("rollbackDeploymentId"):
        print(f"the revision before is brought back by {back}", file=sys.stderr)
        follow(account, back)
    raise Failed("the revision was not deployed")


def follow(account: Account, deployment: str) -> dict:
    """Tells each event of a deployment as it comes, until the deployment has ended."""
    seen: set[tuple[str, str, str]] = set()
    end = time.monotonic() + DEPLOYMENT_SECONDS
    while True:
        # Asked before the events: so none is missed of a deployment that has ended.
        answer = account.ask("deploy", "get-deployment", "--deployment-id", deployment)
        listed = account.ask("deploy", "list-deployment-targets", "--deployment-id", deployment)
        if account.dry_run:
            return {"status": "Succeeded"}
        if targets := listed["targetIds"]:
            told = account.ask("deploy", "batch-get-deployment-targets", "--deployment-id", deployment, "--target-ids",
                               *targets)
            for target in told["deploymentTargets"]:
                tell(target["instanceTarget"], seen)
        if answer["deploymentInfo"]["status"] in ("Succeeded", "Failed", "Stopped"):
            return answer["deploymentInfo"]
        if time.monotonic() > end:
            raise Failed(f"{deployment} has not ended after {DEPLOYMENT_SECONDS // 60} minutes")
        time.sleep(account.poll_seconds)


def tell(target: dict, seen: set[tuple[str, str, str]]) -> None:
    instance = target["targetId"].rsplit("/", 1)[-1]
    for event in target.get("lifecycleEvents", []):
        what = instance, event["lifecycleEventName"], event["status"]
        if event["status"] == "Pending" or what in seen:
            continue
        seen.add(what)
        print(f"  {instance}  {event['lifecycleEventName']:<20} {event['status']}", flush=True)
        why = event.get("diagnostics", {})
        if event["status"] == "Failed":
            print(f"    {why.get('errorCode')}: {why.get('message')}\n{why.get('logTail', '')}", file=sys.stderr)


def destroy(account: Account) -> None:
    protected = has_protection(account.found.get(account.stack("data"), {}))
    kept = ["  backups of the deleted tables, for 35 days, made by DynamoDB free of charge",
            "  the topic's own key, waiting seven days to be deleted, free of charge"]
    print(f"deleting {', '.join(map(account.stack, reversed(STACKS)))}, with all that they keep: readings, anomalies, "
          "incidents, revisions.\nIt stays, or goes later by itself:", *kept, sep="\n")
    if protected:
        print(f"  {account.stack('data')} with all its data, for it is protected")
    if not account.dry_run and os.environ.get("YES") != "1":
        if input(f"Type {account.prefix} to delete it: ") != account.prefix:
            raise Failed("nothing was deleted")
    delete_stack(account, "observe")
    drain(account)
    delete_stack(account, "ingest")
    delete_instance_alarms(account)
    for name in ("balance", "alarms", "api", "detect", "logs"):
        if name not in OPTIONAL or account.is_there(name):
            delete_stack(account, name)
    if not protected:
        if account.is_there("archive"):
            empty_buckets(account, "archive", "ArchiveBucketName")
            delete_stack(account, "archive")
        empty_buckets(account, "data", "CodeBucketName", "FailureBucketName")
        delete_stack(account, "data")
    delete_stack(account, "network")
    say_what_is_left(account, protected)


def empty_buckets(account: Account, name: str, *buckets: str) -> None:
    """S3 deletes no bucket that holds something."""
    if account.has_come_to_be(name):
        for bucket in buckets:
            account.aws("s3", "rm", "--only-show-errors", "--recursive", f"s3://{account.output(name, bucket)}")


def has_protection(data: dict) -> bool:
    return {"ParameterKey": "DeletionProtection", "ParameterValue": "yes"} in data.get("Parameters", [])


def drain(account: Account) -> None:
    """Lets every instance send its spool and go, while the stream is still there to take it."""
    if not account.has_come_to_be("ingest"):
        return
    group = account.output("ingest", "GroupName")
    account.aws("autoscaling", "update-auto-scaling-group", "--auto-scaling-group-name", group, "--min-size", "0",
                "--max-size", "0", "--desired-capacity", "0")
    end, said = time.monotonic() + DRAIN_SECONDS, None
    while True:
        answer = account.ask("autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", group)
        if account.dry_run or not answer["AutoScalingGroups"]:
            return
        left = [one["InstanceId"] for one in answer["AutoScalingGroups"][0]["Instances"]]
        if not left:
            return
        if left != said:
            print(f"  {', '.join(left)}: sending what is in the spool", flush=True)
            said = left
        if time.monotonic() > end:
            raise Failed(f"{', '.join(left)} are still there; `journalctl -u temp-ingest-drain` on them says why")
        time.sleep(account.poll_seconds)


def undo_drain(account: Account) -> None:
    """After a `destroy` that was stopped half way the group is empty, and its template has not changed."""
    group = account.output("ingest", "GroupName")
    answer = account.ask("autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", group)
    if account.dry_run or answer["AutoScalingGroups"][0]["MaxSize"] > 0:
        return
    size = {one["ParameterKey"]: one["ParameterValue"] for one in account.now("ingest")["Parameters"]}
    account.aws("autoscaling", "update-auto-scaling-group", "--auto-scaling-group-name", group, "--min-size",
                size["InstanceCount"], "--max-size", size["InstanceMaximum"])


def delete_instance_alarms(account: Account) -> None:
    """Those that instances made for themselves and could not delete any more."""
    answer = account.ask("cloudwatch", "describe-alarms", "--alarm-name-prefix", f"{account.stack('ingest')}-i-")
    if names := [one["AlarmName"] for one in (answer or {}).get("MetricAlarms", [])]:
        account.aws("cloudwatch", "delete-alarms", "--alarm-names", *names)


def delete_stack(account: Account, name: str) -> None:
    if not account.is_there(name):
        print(f"{account.stack(name)} is not there")
        return
    account.aws("cloudformation", "delete-stack", "--stack-name", account.stack(name))
    try:
        account.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", account.stack(name))
    except Failed:
        account.say_reasons(name, "DELETE_FAILED")
        raise


def say_what_is_left(account: Account, protected: bool) -> None:
    if protected:
        print(f"{account.stack('data')} is kept: a shard of its stream costs $0.36 a day, its tables $0.25 a GB and "
              "month. `make deploy SET=DeletionProtection=no`, then `make destroy`, deletes it.")
        return
    mine = f"{account.stack('data')}-"
    tables = (account.ask("dynamodb", "list-tables") or {}).get("TableNames", [])
    buckets = (account.ask("s3api", "list-buckets") or {}).get("Buckets", [])
    left = [f"table {one}: $0.25 a GB and month" for one in tables if one.startswith(mine)]
    left += [f"bucket {one['Name']}: $0.023 a GB and month" for one in buckets if one["Name"].startswith(mine)]
    if account.dry_run:
        print("nothing was done")
        return
    print("everything is deleted" if not left else
          "left over from updates that replaced them, with their data:\n  " + "\n  ".join(left))


def answers_of(environment: dict[str, str]) -> dict[str, str]:
    """From a parameter file, over it SET="Name=value ...", over it EMAIL."""
    listed = json.loads(Path(environment["PARAMETERS"]).read_text()) if environment.get("PARAMETERS") else []
    listed += shlex.split(environment.get("SET", ""))
    if environment.get("EMAIL"):
        listed.append(f"Email={environment['EMAIL']}")
    if wrong := [one for one in listed if "=" not in one]:
        raise Failed(f"{', '.join(wrong)}: answers are written Name=value")
    return dict(one.split("=", 1) for one in listed)


def main(arguments: list[str]) -> int:
    environment = dict(os.environ)
    try:
        account = Account(environment.get("PREFIX") or "temp-ingest", environment.get("DRY_RUN") == "1",
                          float(environment.get("POLL_SECONDS", "5")), answers_of(environment),
                          tuple(environment.get("WITH", "").split()))
        match arguments:
            case ["deploy"]:
                target = REPOSITORY / "target"
                deploy(account, target / "lambda/bootstrap.zip", target / "bundle/temp-ingest.zip")
            case ["destroy"]:
                destroy(account)
            case _:
                print("usage: account.py deploy|destroy", file=sys.stderr)
                return 2
    except (Failed, FileNotFoundError) as error:
        print(f"account.py: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("account.py: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
