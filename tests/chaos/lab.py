"""A place where everything can go wrong and nothing else is touched: namespaces of its own for processes, mounts and
network, with the endpoint behind a cable that can be cut, and a disk that can be full. It ends with its first one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

NEEDED = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
PORT = 4567
# The cable carries records, the other one only what the run asks of the endpoint: that is never cut.
CABLE, CONTROL = "10.77.0.2", "10.77.1.2"
DISK_BYTES = 40 << 20
SHARDS, MOST_SHARDS = 4, 16

FAR = f"""
set -e
sysctl --quiet --write net.ipv4.conf.all.route_localnet=1
ip address add {CABLE}/30 dev cable && ip link set cable up
ip address add {CONTROL}/30 dev control && ip link set control up
nft add table ip far
nft add chain ip far in '{{ type nat hook prerouting priority dstnat; }}'
nft add rule ip far in tcp dport {PORT} dnat to 127.0.0.1:{PORT}
"""
NEAR = """
set -e
ip link set lo up
ip link add cable type veth peer name cable netns {pid}
ip link add control type veth peer name control netns {pid}
ip address add 10.77.0.1/30 dev cable && ip link set cable up
ip address add 10.77.1.1/30 dev control && ip link set control up
nft add table inet near
nft add chain inet near out '{{ type filter hook output priority 0; }}'
nft add chain inet near in '{{ type filter hook input priority 0; }}'
"""


def missing() -> str | None:
    """Why this cannot be run here; None where it can."""
    if os.geteuid() != 0:
        return "only root may make namespaces; run it again with sudo"
    absent = sorted({package for tool, package in NEEDED.items() if not shutil.which(tool)})
    if not faketime():
        absent.append("faketime")
    return f"missing: {', '.join(absent)}; make tools installs it" if absent else None


def faketime() -> Path | None:
    """What moves the wall clock of a process, and leaves its monotonic one alone."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def enter(arguments: list[str], folder: Path) -> int:
    """Runs this package once more inside, with these arguments. All it starts ends with it."""
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
               sys.executable, "-m", "chaos", "--inside", str(folder), *arguments]
    return subprocess.run(command, cwd=Path(__file__).parents[1]).returncode


class Lab:
    """The inside: an endpoint at the far end of the cable, and a small disk."""

    def __init__(self, folder: Path, endpoint: Path, flags: list[str]) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.ledger = folder / "ledger.jsonl"
        self.shards, self.reshards = SHARDS, 0
        self.disk.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.disk)
        # Where libfaketime keeps a file for each process, also for those that were killed.
        run("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
        shell = f'ip link set lo up && exec "$@" --port {PORT} --ledger "{self.ledger}"'
        command = ["unshare", "--net", "sh", "-c", shell, "endpoint", endpoint, "--shards", str(SHARDS), *flags]
        self.endpoint = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        url = self.endpoint.stdout.readline()
        if not url:
            raise AssertionError("the endpoint did not start")
        run("sh", "-c", NEAR.format(pid=self.endpoint.pid))
        run("nsenter", "--target", self.endpoint.pid, "--net", "sh", "-c", FAR)

    # What the endpoint is asked.

    def command(self, *commands: object) -> None:
        self.ask("POST", "/_control", json.dumps(commands))

    def counters(self) -> dict:
        return self.ask("GET", "/_control/counters")

    def reshard(self) -> None:
        """Splits every shard in two, or merges every two into one, as an operator would ask for."""
        self.reshards += 1
        self.shards = self.shards * 2 if self.shards < MOST_SHARDS else self.shards // 2
        target = json.dumps({"StreamName": "readings", "TargetShardCount": self.shards})
        # With credentials that nobody had before, so that none of those that have expired.
        signed = f"AWS4-HMAC-SHA256 Credential=operator-{self.reshards}/20260101/eu-central-1/kinesis/aws4_request"
        headers = {"X-Amz-Target": "Kinesis_20131202.UpdateShardCount", "Authorization": signed}
        self.ask("POST", "/", target, headers)

    def ask(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> dict:
        for _ in range(500):
            connection = http.client.HTTPConnection(CONTROL, PORT, timeout=10)
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):
                # It is away, which is one of the faults.
                time.sleep(0.02)
            finally:
                connection.close()
        else:
            raise AssertionError("the endpoint stays away")
        if answer.status != 200:
            raise AssertionError(f"the endpoint refuses {body}: {text.decode()}")
        return json.loads(text)

    def stop(self) -> dict:
        """Ends the endpoint and tells its last counts."""
        self.endpoint.terminate()
        last = self.endpoint.communicate(timeout=30)[0].splitlines()[-1]
        return json.loads(last)

    # What is done to the cable and the disk.

    def cut(self) -> None:
        """Every packet is answered by a reset."""
        nft(f"add rule inet near out oifname cable tcp dport {PORT} reject with tcp reset")

    def lose(self, percent: int) -> None:
        """So many of a hundred packets never arrive, in both directions."""
        nft(f"add rule inet near out oifname cable numgen random mod 100 < {percent} drop",
            f"add rule inet near in iifname cable numgen random mod 100 < {percent} drop")

    def mend(self) -> None:
        nft("flush chain inet near out", "flush chain inet near in")

    def choke(self, kbit: int) -> None:
        run("tc", "qdisc", "replace", "dev", "cable", "root", "tbf", "rate", f"{kbit}kbit", "burst", "3000",
            "latency", "300ms")

    def release(self) -> None:
        run("tc", "qdisc", "del", "dev", "cable", "root")

    def fill(self, left: int) -> None:
        """Leaves only so many bytes of the disk free."""
        with (self.disk / "balloon").open("wb") as balloon:
            # The daemon may be faster, and then there is less.
            for _ in range(20):
                free = shutil.disk_usage(self.disk).free
                if free <= left:
                    break
                with contextlib.suppress(OSError):
                    os.posix_fallocate(balloon.fileno(), balloon.seek(0, os.SEEK_END), free - left)

    def empty(self) -> None:
        (self.disk / "balloon").unlink(missing_ok=True)


def nft(*commands: str) -> None:
    run("nft", "; ".join(commands))


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL)
