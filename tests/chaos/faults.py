"""What goes wrong: each kind a fault of its own, begun and ended by the run, and counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Callable

from .daemon import Daemon
from .lab import Lab

# How likely each is for a request, and what of it all the time. A quarter of all requests goes wrong.
CHANCES = {"partial": 0.08, "internal_failure": 0.02, "unavailable": 0.03, "throttled": 0.03, "limit_exceeded": 0.01,
           "reset_before": 0.02, "reset_after": 0.02, "timeout_before": 0.002, "timeout_after": 0.004, "slow": 0.03,
           "truncated": 0.02, "expired_token": 0.01}
# Throughput of a shard, as a multiple of Kinesis' own.
THROTTLE = 0.1


class Standing:
    """A fault that lasts: one of its kind at a time."""

    def __init__(self, begin: Callable[[], object], end: Callable[[], object], longest: float) -> None:
        self.begin, self.end, self.longest = begin, end, longest
        self.until: float | None = None


class Faults:
    """Draws what goes wrong next. The same seed draws the same; what it meets is another moment each time."""

    def __init__(self, lab: Lab, daemon: Daemon, rng: random.Random) -> None:
        self.lab, self.daemon, self.rng = lab, daemon, rng
        self.counts: Counter[str] = Counter()
        self.standing = {
            "network cut": Standing(lab.cut, lab.mend, 1.0),
            "packets lost": Standing(lambda: lab.lose(rng.randint(5, 60)), lab.mend, 2.0),
            "network choked": Standing(lambda: lab.choke(rng.choice((200, 1_000, 4_000))), lab.release, 3.0),
            "disk full": Standing(lambda: lab.fill(rng.choice((0, 100_000, 3_000_000))), lab.empty, 2.0),
            "clock step": Standing(lambda: daemon.set_clock(self.step()), lambda: daemon.set_clock(0), 3.0),
            # It comes back by itself; until then it can be asked nothing.
            "endpoint away": Standing(lambda: lab.command({"outage": {"millis": rng.randint(50, 800)}}),
                                      lambda: None, 1.0),
            "every request refused": Standing(self.refuse, self.be_usual, 1.5),
            "throttled hard": Standing(lambda: lab.command({"throttle": THROTTLE / rng.choice((5, 20))}),
                                       lambda: lab.command({"throttle": THROTTLE}), 2.0),
            "credentials expired": Standing(lambda: lab.command({"credentials": "expire"}),
                                            lambda: lab.command({"credentials": "renew"}), 1.0),
            "stream deleted": Standing(lambda: lab.command("delete_stream"), lambda: lab.command("create_stream"), 1.0),
        }
        # How often each is drawn; a kill is most likely by far.
        self.weights = {"kill -9": 12.0, "SIGTERM": 1.0, "SIGSTOP": 1.5, "SIGHUP": 1.5, "stream resharded": 1.0}
        self.weights |= dict.fromkeys(self.standing, 1.0)
        # Each is met once before any is met again.
        self.unmet = list(self.weights)
        rng.shuffle(self.unmet)

    def next(self, without: set[str]) -> str:
        """Begins a fault that is none of these, and says which."""
        kinds = [kind for kind in self.weights if kind not in without]
        if self.unmet:
            kind = self.unmet.pop()
        else:
            kind = self.rng.choices(kinds, [self.weights[kind] for kind in kinds])[0]
        self.begin(kind)
        return kind

    def begin(self, kind: str) -> None:
        standing = self.standing.get(kind)
        if standing and standing.until:
            return
        self.counts[kind] += 1
        if standing:
            standing.begin()
            standing.until = time.monotonic() + self.rng.uniform(0.05, standing.longest)
        elif kind == "kill -9":
            self.daemon.kill()
        elif kind == "SIGTERM":
            self.daemon.stop(disk_is_full=bool(self.standing["disk full"].until))
        elif kind == "SIGSTOP":
            self.daemon.freeze()
            # As long as it lasts: the fault itself.
            time.sleep(self.rng.uniform(0.05, 1.5))
            self.daemon.thaw()
        elif kind == "SIGHUP":
            self.daemon.reload()
        else:
            # Refused while the stream is deleted.
            self.end(lambda standing: standing is self.standing["stream deleted"])
            self.lab.reshard()

    def end_overdue(self) -> None:
        self.end(lambda standing: standing.until < time.monotonic())

    def end_all(self) -> None:
        self.end(lambda standing: True)

    def end(self, is_due: Callable[[Standing], bool]) -> None:
        for standing in self.standing.values():
            if standing.until and is_due(standing):
                standing.end()
                standing.until = None

    def step(self) -> int:
        """How far the wall clock is off: from seconds to months, forward and back."""
        return self.rng.choice((-1, 1)) * self.rng.choice((2, 90, 4_000, 90_000, 8_000_000))

    def refuse(self) -> None:
        kind = self.rng.choice(("unavailable", "internal_failure", "throttled", "access_denied", "reset_after", "slow"))
        self.lab.command({"chances": {kind: 1.0}})

    def be_usual(self) -> None:
        self.lab.command({"chances": CHANCES})

    def be_kind(self) -> None:
        """Nothing is wrong with the endpoint any more."""
        self.lab.command({"chances": {}}, {"throttle": None}, {"credentials": "renew"}, "create_stream")
