"""Clients that post readings, one batch after the other, each until it is acknowledged, and remember what was."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import random
import threading
import time
from pathlib import Path

PORT = 8080
TOKEN = "a-token-of-the-chaos-run"
SENSORS = 5
LARGEST = 400
# Longer than the daemon takes for an answer, so that it is mostly the daemon who gives up.
TIMEOUT = 6.0


def name(client: int, sensor: int) -> str:
    return f"client-{client:02}/sensor-{sensor}"


def reading(sensor: str, number: int) -> dict:
    """The reading of a number: its value, and the hundredth of a second of the time it carries."""
    seconds, hundredths = divmod(number, 100)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    instant = f"2026-01-{1 + hours // 24:02}T{hours % 24:02}:{minutes:02}:{seconds:02}.{hundredths:02}0000Z"
    return {"sensor": sensor, "time": instant, "kind": "count", "value": number}


class Client:
    """One that waits for each answer before it posts again."""

    def __init__(self, index: int, seed: int, shared: Shared) -> None:
        self.index = index
        self.rng = random.Random(f"{seed}/{index}")
        self.shared = shared
        self.acknowledged = {name(index, sensor): 0 for sensor in range(SENSORS)}
        self.answers: dict[str, int] = {}
        self.connection: http.client.HTTPConnection | None = None
        # One that names its requests is answered for what it has sent before; one that does not sends it again.
        self.names_requests = index % 3 != 2

    def run(self) -> None:
        batch = 0
        while not self.shared.stop.is_set():
            if self.shared.total() >= self.shared.allowed.value:
                time.sleep(0.02)
                continue
            batch += 1
            self.post_until_acknowledged(batch)

    def post_until_acknowledged(self, batch: int) -> None:
        readings, counts = [], dict(self.acknowledged)
        for _ in range(self.rng.choice((1, self.rng.randint(2, 50), self.rng.randint(50, LARGEST)))):
            sensor = name(self.index, self.rng.randrange(SENSORS))
            readings.append(reading(sensor, counts[sensor]))
            counts[sensor] += 1
        if self.rng.random() < 0.3:
            kind, body = "application/json", json.dumps(readings[0] if len(readings) == 1 else readings)
        else:
            kind, body = "application/x-ndjson", "".join(json.dumps(one) + "\n" for one in readings)
        headers = {"Content-Type": kind, "Authorization": f"Bearer {TOKEN}"}
        if self.names_requests:
            headers["Idempotency-Key"] = f"client-{self.index}-batch-{batch}"
        while True:
            wait = self.post(body.encode(), headers)
            if wait is None:
                break
            time.sleep(wait * self.rng.uniform(0.5, 1))
        self.acknowledged = counts
        with self.shared.acknowledged.get_lock():
            self.shared.acknowledged[self.index] += len(readings)

    def post(self, body: bytes, headers: dict[str, str]) -> float | None:
        """Tries once: None where it is acknowledged, else how many seconds to wait."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT)
            self.connection.request("POST", "/readings", body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.count(type(error).__name__)
            self.close()
            return 0.05
        self.count(str(answer.status))
        if answer.will_close:
            self.close()
        if 200 <= answer.status < 300:
            return None
        if answer.status == 408:
            # Cut off while it was sent: the daemon was frozen meanwhile.
            return 0.05
        if answer.status not in (429, 503):
            raise AssertionError(f"client {self.index} was answered {answer.status}: {text.decode(errors='replace')}")
        if answer.getheader("Retry-After") is None:
            raise AssertionError(f"{answer.status} without Retry-After: {text.decode(errors='replace')}")
        # It is asked to wait for whole seconds; this is a hurry.
        return 0.1

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def count(self, answer: str) -> None:
        self.answers[answer] = self.answers.get(answer, 0) + 1


class Shared:
    """What the clients and the run tell each other."""

    def __init__(self, clients: int) -> None:
        self.acknowledged = multiprocessing.Array("q", clients)
        # The clients stop posting at so many readings, until it is raised.
        self.allowed = multiprocessing.Value("q", 0)
        self.stop = multiprocessing.Event()

    def total(self) -> int:
        return sum(self.acknowledged[:])


class Crowd:
    """Clients in processes, each with a few threads."""

    THREADS = 4

    def __init__(self, clients: int, seed: int, folder: Path) -> None:
        self.folder = folder
        self.shared = Shared(clients)
        groups = [range(first, min(first + self.THREADS, clients)) for first in range(0, clients, self.THREADS)]
        self.processes = [multiprocessing.Process(target=work, args=(group, seed, self.shared, folder), daemon=True)
                          for group in groups]
        for process in self.processes:
            process.start()

    def check(self) -> None:
        if any(process.exitcode for process in self.processes):
            raise AssertionError("a client was answered what it should not be; see above")

    def finish(self, patience: float) -> None:
        """Every client ends with the batch it is at."""
        self.shared.stop.set()
        for process in self.processes:
            process.join(patience)
            if process.exitcode != 0:
                raise AssertionError(f"a client did not end: {process.exitcode}")

    def results(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many readings of each sensor were acknowledged, and how often what was answered."""
        acknowledged, answers = {}, {}
        for file in sorted(self.folder.glob("client-*.json")):
            result = json.loads(file.read_text())
            acknowledged |= result["acknowledged"]
            for answer, times in result["answers"].items():
                answers[answer] = answers.get(answer, 0) + times
        return acknowledged, answers


def work(group: range, seed: int, shared: Shared, folder: Path) -> None:
    clients = [Client(index, seed, shared) for index in group]
    failed = []

    def run(client: Client) -> None:
        try:
            client.run()
        except BaseException as error:
            failed.append(error)
            raise
        (folder / f"client-{client.index}.json").write_text(
            json.dumps({"acknowledged": client.acknowledged, "answers": client.answers}))

    threads = [threading.Thread(target=run, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive() and not failed:
            thread.join(0.2)
    raise SystemExit(1 if failed else 0)
