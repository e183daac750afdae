"""Kills and everything else at once, then judgement."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from programs import built

from . import lab
from .client import Crowd
from .daemon import PATIENCE, Daemon, wait_until
from .faults import CHANCES, THROTTLE, Faults
from .judge import WRONG, Judge, Verdict

PHASES = 10


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000, help="at least so many by SIGKILL")
    parser.add_argument("--readings", type=int, default=1_000_000, help="at least so many acknowledged")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=None, help="that of an earlier run; else one is drawn, and said")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for ledger, log and state, else not kept")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    given = arguments()
    if given.inside:
        return Run(given, given.inside).run()
    why = lab.missing()
    if why:
        print(f"chaos: {why}", file=sys.stderr)
        return 2
    words = sys.argv[1:]
    if given.seed is None:
        words += ["--seed", str(random.randrange(1 << 32))]
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        return lab.enter(words, given.keep.resolve())
    with tempfile.TemporaryDirectory(prefix="temp-ingest-chaos-") as folder:
        return lab.enter(words, Path(folder))


class Run:
    """One run, inside its lab."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given = given
        flags = ["--throttle", str(THROTTLE), "--seed", str(given.seed), "--slow-millis", "300"]
        self.lab = lab.Lab(folder, built("kinesis-fake"), flags)
        self.daemon = Daemon(built("temp-ingest"), self.lab)
        self.faults = Faults(self.lab, self.daemon, random.Random(given.seed))
        self.faults.be_usual()
        self.crowd = Crowd(given.clients, given.seed, folder)
        self.started = time.monotonic()

    def run(self) -> int:
        given = self.given
        print(f"chaos with --seed {given.seed}: {given.kills:,} kills, {given.readings:,} readings, "
              f"{given.clients} clients; of all requests {sum(CHANCES.values()):.0%} go wrong by chance", flush=True)
        self.start()
        for phase in range(1, PHASES + 1):
            self.go_on_until(phase / PHASES)
            self.tell(f"phase {phase}/{PHASES}")
        self.calm()
        self.tell("all delivered")
        self.daemon.stop()
        counters = self.lab.stop()
        acknowledged, answers = self.crowd.results()
        verdict = Judge(acknowledged).read(self.lab.ledger)
        self.tell("ledger read")
        folded = self.fold()
        self.tell("folded again")
        return self.report(counters, answers, verdict, folded)

    def tell(self, what: str) -> None:
        kills, faults = self.faults.counts["kill -9"], self.faults.counts.total()
        print(f"{time.monotonic() - self.started:7.1f} s  {what:14}  {faults:6,} faults, {kills:5,} of them kills, "
              f"{self.crowd.shared.total():9,} readings acknowledged", flush=True)

    # ----- What goes wrong -----

    def go_on_until(self, share: float) -> None:
        """Faults, one after the other and many at once, until so much of all kills and readings is done."""
        kills = round(self.given.kills * share)
        while self.faults.counts["kill -9"] < kills or self.crowd.shared.total() < self.given.readings * share:
            enough = self.faults.counts["kill -9"] >= kills
            kind = self.faults.next({"kill -9"} if enough else set())
            if kind in ("kill -9", "SIGTERM"):
                self.start()
            self.work()

    def work(self) -> None:
        """Lets the daemon work a little, at least as much as is its share of the readings after so many kills."""
        share = min(1.0, (self.faults.counts["kill -9"] + 1) / self.given.kills)
        wanted = round(self.given.readings * share)
        self.crowd.shared.allowed.value = wanted + self.given.readings // 100 + 5_000
        until = time.monotonic() + self.faults.rng.uniform(0, 0.3)
        stuck = time.monotonic() + PATIENCE
        behind = self.given.readings * (share - 0.02)
        while time.monotonic() < until or self.crowd.shared.total() < behind:
            self.faults.end_overdue()
            self.watch()
            if time.monotonic() > stuck:
                raise AssertionError(f"nothing is acknowledged any more; standing: {self.standing()}")
            time.sleep(0.02)

    def watch(self) -> None:
        if self.daemon.has_ended():
            raise AssertionError("the daemon ended by itself; its log says why")
        self.crowd.check()
        self.daemon.scrape()

    def standing(self) -> list[str]:
        return [kind for kind, standing in self.faults.standing.items() if standing.until]

    def start(self) -> None:
        """Starts it until it is ready. On a full disk it may have to refuse; systemd would try again, too."""
        self.daemon.start()

        def is_ready() -> bool:
            self.faults.end_overdue()
            if self.daemon.has_ended():
                if not self.faults.standing["disk full"].until:
                    raise AssertionError("the daemon does not start; its log says why")
                self.daemon.refused_starts += 1
                self.faults.end_all()
                self.daemon.start()
            return self.daemon.is_ready()

        wait_until("the daemon is ready", is_ready)

    def calm(self) -> None:
        """Everything is mended, every client ends its batch, and everything is delivered."""
        self.faults.end_all()
        self.faults.be_kind()
        self.crowd.finish(PATIENCE)

        def is_done() -> bool:
            counts = self.daemon.scrape()
            return counts is not None and counts["spooled"] == counts["in_flight"] == 0

        wait_until("all is delivered", is_done)

    # ----- Judgement -----

    def fold(self) -> dict[str, int]:
        """What the handler makes of the ledger."""
        state = self.lab.folder / "folded"
        state.mkdir()
        done = subprocess.run([built("examples/fold"), self.lab.ledger, state], stdout=subprocess.PIPE,
                              text=True, check=True)
        return json.loads(done.stdout)

    def report(self, counters: dict, answers: dict[str, int], verdict: Verdict, folded: dict[str, int]) -> int:
        rows = sorted(self.faults.counts.items(), key=lambda row: -row[1])
        rows += [(f"request: {fault}", times) for fault, times in sorted(counters["faults"].items())]
        rows += [("record throttled by its shard", counters["throttled"])]
        table("fault", rows)
        table("answer to a client", sorted(answers.items()))
        counts = verdict.counts
        table("", [
            ("starts, refused on a full disk", f"{self.daemon.starts:,}, {self.daemon.refused_starts:,}"),
            ("scrapes that added up", self.daemon.scrapes),
            ("unacknowledged, given up on a full disk", self.daemon.given_up),
            ("readings acknowledged", self.crowd.shared.total()),
            ("readings in the ledger", counts["readings"]),
            ("distinct", counts["distinct readings"]),
            ("repeated", counts["repeated readings"]),
            ("records, repeated of them", f"{counts['records']:,}, {counts['repeated records']:,}"),
            *((name, counts[name]) for name in WRONG),
            ("handler: readings folded", folded["readings"]),
            ("handler: repeated records recognised", folded["repeated_records"]),
            ("handler: readings late or repeated", folded["late"]),
            ("handler: unreadable", folded["decode_failures"]),
        ])
        for name, examples in verdict.examples.items():
            for example in examples:
                print(f"{name}: {example}")
        good = verdict.is_good() and folded["readings"] == counts["distinct readings"] == self.crowd.shared.total() \
            and folded["repeated_records"] == counts["repeated records"] and folded["decode_failures"] == 0
        print(f"{'good' if good else 'NOT GOOD'}: --seed {self.given.seed}", flush=True)
        return 0 if good else 1


def table(title: str, rows: list[tuple[str, object]]) -> None:
    print(f"\n{title}" if title else "")
    for name, value in rows:
        print(f"  {name:40} {value:>14,}" if isinstance(value, int) else f"  {name:40} {value:>14}")


if __name__ == "__main__":
    sys.exit(main())
