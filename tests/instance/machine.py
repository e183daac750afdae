"""A machine with a real systemd: an overlay of this one's root, booted by systemd-nspawn, with a network of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Callable

# Longer than anything here takes; only a hang reaches it.
PATIENCE = 60


def missing() -> str | None:
    """Why no machine can be booted here; None where one can."""
    if os.geteuid() != 0:
        return "only root may boot a container; run it again with sudo"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is missing; make tools installs it"
    return None


def wait_until(what: str, is_true: Callable[[], object], patience: float = PATIENCE) -> float:
    """How many seconds it took until something was true."""
    started = time.monotonic()
    while not is_true():
        if time.monotonic() - started > patience:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - started


class Machine:
    """Booted by `with`; what happens in it leaves this machine as it was."""

    def __enter__(self) -> Machine:
        self.dir = Path(tempfile.mkdtemp(prefix="temp-ingest-machine-"))
        run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.dir)
        self.root = self.dir / "root"
        for name in ("root", "upper", "work"):
            (self.dir / name).mkdir()
        layers = f"lowerdir=/,upperdir={self.dir}/upper,workdir={self.dir}/work"
        run("mount", "-t", "overlay", "-o", layers, "overlay", self.root)
        self.forget_services()
        self.console = (self.dir / "console").open("wb")
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        # With its first process all others of the container end, and systemd-nspawn after them.
        if self.leader and self.nspawn.poll() is None:
            os.kill(self.leader, signal.SIGKILL)
        try:
            self.nspawn.wait(PATIENCE)
        finally:
            self.nspawn.kill()
        self.console.close()
        run("umount", "--recursive", self.dir)
        self.dir.rmdir()

    def boot(self) -> None:
        """Starts it, and waits until everything in it has started."""
        command = ["systemd-nspawn", "--quiet", "--directory", str(self.root), "--register=no", "--keep-unit",
                   "--private-network", "--link-journal=no", "--console=pipe", "--machine", uuid.uuid4().hex,
                   "/lib/systemd/systemd", "--unit=multi-user.target"]
        self.nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console,
                                       start_new_session=True)
        self.leader = 0
        wait_until("the machine has booted", self.has_booted)

    def has_booted(self) -> bool:
        if self.nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended:\n{(self.dir / 'console').read_text(errors='replace')}")
        # Its first children only prepare what the last one is given.
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        self.leader = int(children[-1]) if children else 0
        # Degraded: one of this system's own services has no place in a container.
        return bool(self.leader) and self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
            "running", "degraded")

    def reboot(self) -> None:
        """Down and up again. Not by `systemctl reboot`, which systemd-nspawn answers by itself, and only where /run is a
        tmpfs, which it is not wherever tests run."""
        self.run("systemctl", "poweroff", "--no-block", check=False)
        self.nspawn.wait(PATIENCE)
        self.boot()

    def forget_services(self) -> None:
        """None of this machine's own services is started in that one."""
        for place in ("etc/systemd/system", "etc/temp-ingest", "opt/temp-ingest", "opt/codedeploy-agent"):
            shutil.rmtree(self.root / place, ignore_errors=True)
        (self.root / "etc/systemd/system").mkdir(parents=True)
        for links in self.root.glob("etc/rc?.d"):
            shutil.rmtree(links)

    def command(self, *command: object) -> list[str]:
        """What runs a command inside, as root, in /."""
        inside = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        return inside + [str(word) for word in command]

    def run(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command inside and says what it printed."""
        done = subprocess.run(self.command(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done

    def write(self, path: str, text: str) -> None:
        """Writes a file that everybody may read."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def journal(self, unit: str) -> str:
        """All that a unit has said since the boot."""
        return self.run("journalctl", "--unit", unit, "--boot", "--no-pager", "--output", "cat").stdout

    def get(self, url: str) -> str:
        """One HTTP GET from inside."""
        return self.run("curl", "--silent", "--show-error", "--fail", "--max-time", "5", url).stdout


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)
