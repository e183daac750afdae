#!/usr/bin/env python3
"""How long the functions' program takes from its start to its first poll of the Lambda runtime API, and its memory then.

Usage: measure_start.py BOOTSTRAP [STARTS]
"""
import http.server
import os
import statistics
import subprocess
import sys
import threading
import time


class Runtime(http.server.BaseHTTPRequestHandler):
    """Holds the first poll for ever, as the service does while there is no event."""

    polled = threading.Event()
    at = 0.0

    def do_GET(self):
        Runtime.at = time.perf_counter()
        Runtime.polled.set()
        threading.Event().wait()

    def log_message(self, *_):
        pass


def peak_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def start(bootstrap: str, address: str, handler: str) -> tuple[float, int]:
    environment = {
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": "measured",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "measured",
        "AWS_SECRET_ACCESS_KEY": "measured",
        "_HANDLER": handler,
        "PARTITIONS_TABLE": "partitions",
        "SETTINGS_PARAMETER": "settings",
        "ANOMALIES_TABLE": "anomalies",
        "INCIDENTS_TABLE": "incidents",
        "TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:topic",
    }
    Runtime.polled.clear()
    begun = time.perf_counter()
    with subprocess.Popen([bootstrap], env=environment, stdout=subprocess.DEVNULL) as process:
        if not Runtime.polled.wait(timeout=30):
            process.kill()
            sys.exit(f"{handler}: no poll within 30 s")
        memory = peak_kib(process.pid)
        process.kill()
    return Runtime.at - begun, memory


def main() -> None:
    bootstrap = os.path.abspath(sys.argv[1])
    starts = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    for handler in ("detect", "alert"):
        measured = [start(bootstrap, address, handler) for _ in range(starts)]
        times = sorted(1000 * took for took, _ in measured)
        memory = max(peak for _, peak in measured) / 1024
        print(
            f"{handler}: from start to first poll, {starts} starts: median {statistics.median(times):.1f} ms, "
            f"slowest {times[-1]:.1f} ms; {memory:.1f} MiB at that moment"
        )


if __name__ == "__main__":
    main()
