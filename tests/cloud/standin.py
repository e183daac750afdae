"""A stand-in for AWS in a process of its own: ministack, on a free port of this machine, all it keeps in one folder.

Traps, each met once:
- Its MQTT listener binds every interface, whatever the rest does: it is switched off.
- Functions inherit its environment, so it gets a small one of its own, and `AWS_ENDPOINT_URL` is how they find back.
- Its state, unpacked functions and pid file go to the temporary folder: two of them would share these.
- With AUTH=true policies count, also those that refuse whoever comes without TLS: so then it speaks TLS. Its own way to
  do so takes port 443 besides, so it is served by hypercorn's command line.
- Functions are its children: the whole process group is ended. Nothing is to be saved, so nobody is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

REGION = "eu-central-1"
# What stands for the account's root: with AUTH=true it may do everything, and is the only one without a policy.
ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
START_SECONDS = 60


class Standin:
    """Started by `with`, ended with its functions when that is left."""

    def __init__(self, auth: bool = False):
        self.auth = auth
        self.folder = Path(tempfile.mkdtemp(prefix="temp-ingest-cloud-"))
        self.log = self.folder / "ministack.log"
        self._process: subprocess.Popen | None = None
        # One for all: it reads the description of each service once.
        self._session = boto3.session.Session(region_name=REGION)
        self._clients: dict[tuple, object] = {}

    def __enter__(self) -> Standin:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> None:
        port = free_port()
        self.url = f"{'https' if self.auth else 'http'}://127.0.0.1:{port}"
        command = [sys.executable, "-m", "hypercorn", "ministack.app:app", "--workers", "0",
                   "--bind", f"127.0.0.1:{port}"]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "STATE_DIR": str(self.folder / "state"),
            "S3_DATA_DIR": str(self.folder / "s3"),
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "INFO",
            "AUTH": str(self.auth).lower(),
        }
        if self.auth:
            self._make_certificate()
            command += ["--certfile", str(self.certificate), "--keyfile", str(self._key)]
            environment["SSL_CERT_FILE"] = str(self.certificate)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )
        self._await_ready()

    def _await_ready(self) -> None:
        tls = ssl.create_default_context(cafile=self.certificate) if self.auth else None
        # A proxy of this machine's is for elsewhere.
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"ministack ended with {self._process.returncode}:\n{self.log.read_text()}")
            try:
                with direct.open(f"{self.url}/_ministack/health", timeout=5) as answer:
                    json.load(answer)
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise TimeoutError(f"ministack does not answer at {self.url} after {START_SECONDS} s:\n{self.log.read_text()}")

    def _make_certificate(self) -> None:
        self.certificate, self._key = self.folder / "server.crt", self.folder / "server.key"
        # A client of the functions' kind takes no certificate that is also an authority.
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stand-in",
             "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", self._key, "-out", self.certificate], check=True, capture_output=True)

    def stop(self) -> None:
        """Ends the process and every function it started, then removes what they kept."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # all of them have ended
            self._process.wait()
            self._process = None
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, service: str, credentials: dict | None = None):
        """A client of a service: as root, or with the credentials of somebody else."""
        credentials = credentials or ROOT
        key = (service, credentials["aws_access_key_id"])
        if key not in self._clients:
            self._clients[key] = self._session.client(
                service, **credentials, endpoint_url=self.url, verify=str(self.certificate) if self.auth else None,
                # Whoever calls decides about trying again: a second layer would hide what the first is there to see.
                config=Config(retries={"total_max_attempts": 1}, read_timeout=60, s3={"addressing_style": "path"},
                              proxies={}, parameter_validation=False, max_pool_connections=64),
            )
        return self._clients[key]

    def environment(self) -> dict[str, str]:
        """What a program needs to find this stand-in and no other account: over the environment of this process."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        if self.auth:
            inherited |= {"SSL_CERT_FILE": str(self.certificate), "AWS_CA_BUNDLE": str(self.certificate)}
        return inherited | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ROOT["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": ROOT["aws_secret_access_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
