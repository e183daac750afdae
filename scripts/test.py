#!/usr/bin/env python3
"""`make test`: everything CI checks, side by side as far as two cores allow, and a table of what took how long.

A step starts once all that it needs has succeeded. Its output goes to target/test/STEP.log, and to the terminal when it
fails; the other steps go on, so that one run shows all failures. `ONLY=python` (a part of a step's name) runs those steps
and what they need. Exit 0 when everything passed, 1 otherwise.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
LOGS = REPOSITORY / "target/test"
PYTHON = REPOSITORY / "target/venv/bin/python"
CARGO = os.environ.get("CARGO", "cargo")
# A build keeps every core busy; a test waits for sockets, disks and other processes half of its time.
SLOTS = 2 * (os.cpu_count() or 1)
# No step takes a third of it; what is still running then hangs, and is ended so that its log can be read.
DEADLINE_SECONDS = 40 * 60

# Clippy compiles our crates and rustdoc reads them in the same build, which is made once: nothing in it serves a later one.
BUILD = {"RUSTC_WORKSPACE_WRAPPER": str(REPOSITORY / "scripts/checked_rustc.py"), "CARGO_INCREMENTAL": "0",
         "CARGO_PROFILE_DEV_DEBUG": "false"}

# Python tests that run no program of ours, so they need not wait for the build.
WITHOUT_PROGRAMS = {"chaos.test_judge", "cloud.test_mapping", "test_balance", "test_deploy", "test_ingest",
                    "test_ledger_check", "test_network", "test_template_rules", "test_templates", "test_tidy",
                    "tidy.test_rules"}
# The slowest first, so that none of them is left over at the end.
SLOW_FIRST = ("test_deploy", "cloud.test_systems", "instance.test_packages", "cloud.test_pipeline",
              "instance.test_instance", "chaos.test_chaos", "cloud.test_roles", "cloud.test_stacks")


@dataclass
class Step:
    name: str
    command: list[str]
    needs: tuple[str, ...] = ()
    # How many slots it takes.
    slots: int = 1
    folder: Path = REPOSITORY
    environment: dict[str, str] = field(default_factory=dict)
    # Steps that are known only now that this one has succeeded.
    then: Callable[[], list[Step]] = list


@dataclass
class Ended:
    name: str
    passed: bool
    seconds: float
    processor_seconds: float
    tests: int = 0
    failures: int = 0
    skipped: list[str] = field(default_factory=list)


def steps() -> list[Step]:
    build = [CARGO, "test", "--workspace", "--locked", "--no-run", "--message-format", "json-render-diagnostics"]
    return [
        Step("tools", ["make", "--no-print-directory", "tools"]),
        Step("build", build, slots=SLOTS - 1, then=rust, environment=BUILD),
        Step("format", [CARGO, "fmt", "--all", "--check"]),
        Step("python packages", ["make", "--no-print-directory", str(PYTHON.relative_to(REPOSITORY))], ("tools",)),
        Step("browser", ["make", "--no-print-directory", "browser"], ("tools",)),
        Step("shell scripts", ["bash", "-c", "shellcheck --external-sources .ci/run scripts/*.sh codedeploy/hooks/*.sh "
                               "packages/*/*.sh"], ("tools",)),
        Step("templates", ["make", "--no-print-directory", "templates"], ("python packages",)),
        Step("workflows", ["make", "--no-print-directory", "workflows"], ("python packages",)),
        Step("warnings", ["sh", "-c", f"! grep -v '^{{\"' {LOGS}/build.log | grep -A 20 '^warning'"], ("build",)),
        *python(),
    ]


def rust() -> list[Step]:
    """A step for every test program that was built, the one with the daemon's own tests first."""
    found = []
    for line in (LOGS / "build.log").read_text().splitlines():
        artifact = json.loads(line) if line.startswith("{") else {}
        if artifact.get("reason") == "compiler-artifact" and artifact["profile"]["test"] and artifact["executable"]:
            package = Path(artifact["manifest_path"]).parent
            crate = package.name if package != REPOSITORY else "daemon"
            name = f"rust {crate} {'lib' if 'lib' in artifact['target']['kind'] else artifact['target']['name']}"
            environment = {"CARGO_MANIFEST_DIR": str(package), "PYTHON": str(PYTHON)}
            found.append(Step(name, [artifact["executable"]], ("python packages", "browser"), 1, package, environment))
    return sorted(found, key=lambda step: (not step.name.startswith("rust daemon"), step.name))


def python() -> list[Step]:
    """A step for every module of Python tests: each has ports, folders and stand-ins of its own."""
    tests = REPOSITORY / "tests"
    modules = [".".join(path.relative_to(tests).with_suffix("").parts) for path in tests.rglob("test_*.py")]
    order = {module: place for place, module in enumerate(SLOW_FIRST)}
    modules.sort(key=lambda module: (order.get(module, len(order)), module))
    return [Step(f"python {module}", [str(PYTHON), "-m", "unittest", "--verbose", module],
                 ("python packages",) if module in WITHOUT_PROGRAMS else ("build", "python packages"),
                 environment={"PYTHONPATH": str(tests)})
            for module in modules]


class Run:
    """Steps under way, and what became of the others."""

    def __init__(self, waiting: list[Step]):
        self.waiting = waiting
        self.running: dict[int, tuple[Step, float, subprocess.Popen]] = {}
        self.ended: dict[str, Ended] = {}

    def all(self) -> list[Ended]:
        started = time.monotonic()
        while self.waiting or self.running:
            self.start_ready()
            if not self.running:
                break
            if time.monotonic() - started > DEADLINE_SECONDS:
                self.end_all()
            self.wait_for_one()
        return list(self.ended.values())

    def start_ready(self) -> None:
        for step in list(self.waiting):
            free = SLOTS - sum(running.slots for running, *_ in self.running.values())
            ready = all(name in self.ended and self.ended[name].passed for name in step.needs)
            if not ready:
                continue
            if step.slots > free and self.running:
                # Nothing overtakes it, or smaller steps would take every slot that comes free.
                return
            self.waiting.remove(step)
            self.start(step)

    def start(self, step: Step) -> None:
        with log(step.name).open("wb") as output:
            # In a session of its own, so that it is ended with all that it has started.
            process = subprocess.Popen(step.command, cwd=step.folder, env=os.environ | step.environment, stdout=output,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        self.running[process.pid] = step, time.monotonic(), process

    def wait_for_one(self) -> None:
        pid, status, usage = os.wait4(-1, 0)
        if pid not in self.running:
            return
        step, started, process = self.running.pop(pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        output = log(step.name).read_text(errors="replace")
        ended = Ended(step.name, process.returncode == 0, time.monotonic() - started, usage.ru_utime + usage.ru_stime,
                      *count(output))
        self.ended[step.name] = ended
        print(f"{'ok    ' if ended.passed else 'FAILED'} {step.name} ({ended.seconds:.0f} s)", flush=True)
        if ended.passed:
            self.waiting[:0] = step.then()
        else:
            print("\n".join(f"    {line}" for line in shown(output)), flush=True)

    def end_all(self) -> None:
        for pid, (step, *_) in self.running.items():
            print(f"{step.name} has not ended after {DEADLINE_SECONDS // 60} minutes: ended", flush=True)
            os.killpg(pid, signal.SIGKILL)


def log(name: str) -> Path:
    return LOGS / f"{name.replace(' ', '-')}.log"


def shown(output: str) -> list[str]:
    """What a person needs of a failed step: what its tools said, without the build's records."""
    return [line for line in output.splitlines() if not line.startswith('{"')][-200:]


def count(output: str) -> tuple[int, int, list[str]]:
    """Tests that ran, those that failed, and why some did not run, from the closing lines of cargo test or unittest."""
    ran = failed = 0
    # The last one: some tests run their own program again, which prints such a line too.
    for passed, failures in re.findall(r"^test result: .*? (\d+) passed; (\d+) failed", output, re.MULTILINE)[-1:]:
        ran, failed = ran + int(passed) + int(failures), failed + int(failures)
    if found := re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE):
        ran += int(found[1])
        closing = output[found.end():]
        failed += sum(int(number) for number in re.findall(r"(?:failures|errors)=(\d+)", closing))
    return ran, failed, re.findall(r"^(NOT RUN: .*)$", output, re.MULTILINE)


def chosen(part: str) -> list[Step]:
    """The steps with this part in their names, and what they need."""
    every = {step.name: step for step in steps()}
    wanted: dict[str, Step] = {}

    def want(step: Step) -> None:
        for name in step.needs:
            want(every[name])
        wanted[step.name] = step

    for step in every.values():
        if part in step.name or (part.startswith("rust") and step.name in ("build", "python packages", "browser")):
            want(step)
    return [step for step in every.values() if step.name in wanted]


def report(ended: list[Ended], left: list[Step], seconds: float) -> bool:
    """Prints the table; true when everything ran and passed."""
    print(f"\n{'step':<34}{'seconds':>9}{'processor':>11}{'tests':>8}")
    for one in sorted(ended, key=lambda one: -one.seconds):
        mark = "" if one.passed else "  FAILED"
        print(f"{one.name:<34}{one.seconds:>9.1f}{one.processor_seconds:>11.1f}{one.tests or '':>8}{mark}")
    print(f"{'all':<34}{seconds:>9.1f}{sum(one.processor_seconds for one in ended):>11.1f}"
          f"{sum(one.tests for one in ended):>8}")
    for step in left:
        missing = [name for name in step.needs if not any(one.name == name and one.passed for one in ended)]
        print(f"not run: {step.name}, which needs: {', '.join(missing)}")
    for reason in dict.fromkeys(reason for one in ended for reason in one.skipped):
        print(reason)
    failed = sum(one.failures for one in ended)
    failed_steps = [one.name for one in ended if not one.passed]
    if failed_steps:
        print(f"failed: {', '.join(failed_steps)}; see {LOGS}")
    print(f"{sum(one.tests for one in ended) - failed} passed, {max(failed, len(failed_steps))} failed")
    return not failed_steps and not left


def main() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    run = Run(chosen(os.environ.get("ONLY", "")))
    try:
        ended = run.all()
    except KeyboardInterrupt:
        run.end_all()
        return 130
    return 0 if report(ended, run.waiting, time.monotonic() - started) else 1


if __name__ == "__main__":
    sys.exit(main())
