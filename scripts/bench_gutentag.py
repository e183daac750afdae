#!/usr/bin/env python3
"""Labelled series by GutenTAG, a base oscillation and a kind of anomaly each, through `temp-ingest backtest`.

    bench_gutentag.py TEMP_INGEST WORK

WORK is a folder for series and scores. The configuration is ours, the seed fixed: the same series every time. The series have
no sampling time; they are handed over as one reading a minute. Prints what is found of each kind and of each oscillation.
"""
import contextlib
import io
import os
import subprocess
import sys
import warnings
from collections import defaultdict
from statistics import median

import numpy

SEED = 20240101
LENGTH = 10_000
# Begin and length of the anomalies; an extremum and nothing else has length 1.
PLACES = [(5_000, 100), (8_000, 100)]
# So many points after an anomaly an alarm still belongs to it: the way back.
GRACE = 10

OSCILLATIONS = {
    "sine": {"frequency": 2.0, "variance": 0.05},
    "cosine": {"frequency": 2.0, "variance": 0.05},
    "square": {"frequency": 2.0, "variance": 0.05},
    "sawtooth": {"frequency": 2.0, "variance": 0.05},
    "dirichlet": {"frequency": 2.0, "variance": 0.05},
    "ecg": {"frequency": 2.0, "variance": 0.05},
    "random-walk": {"amplitude": 1.0, "variance": 0.05},
    "cylinder-bell-funnel": {"avg-pattern-length": 50, "variance": 0.05},
    "polynomial": {"polynomial": [1.0, 0.0002], "variance": 0.05},
    "random-mode-jump": {"frequency": 40.0, "variance": 0.05},
    "mls": {"amplitude": 1.0},
}
KINDS = {
    "amplitude": {"amplitude_factor": 2.0},
    "extremum": {"min": False, "local": False},
    "frequency": {"frequency_factor": 3.0},
    "mean": {"offset": 1.0},
    "pattern": {},
    "pattern-shift": {"shift_by": 10, "transition_window": 10},
    "platform": {"value": 0.5},
    "trend": {"oscillation": {"kind": "polynomial", "polynomial": [0.0, 0.02]}},
    "variance": {"variance": 0.5},
    "mode-correlation": {},
}


def main():
    program, work = sys.argv[1:]
    found, late, opened, points = defaultdict(list), [], defaultdict(lambda: [0, 0]), 0
    for oscillation, kind, series in generate():
        path = os.path.join(work, f"{oscillation}-{kind}.csv")
        begun, alarms = judge(program, path, series["value"])
        points += len(series["value"])
        truth = spans(series["label"])
        for first, last in truth:
            hit = next((alarm for alarm in alarms if first <= alarm <= last), None)
            found[kind].append(hit is not None)
            found["on " + oscillation].append(hit is not None)
            late += [] if hit is None else [hit - first]
        for place in begun:
            right = any(first <= place <= last + GRACE for first, last in truth)
            opened[kind][right] += 1
            opened["on " + oscillation][right] += 1
    report(found, late, opened, points)


def generate():
    """The oscillation, the kind, and values with labels, of every pair that GutenTAG supports."""
    from gutenTAG import GutenTAG
    from gutenTAG.utils.compatibility import Compatibility

    for oscillation, figures in OSCILLATIONS.items():
        for kind, parameters in KINDS.items():
            if not Compatibility.check(kind, oscillation):
                continue
            anomalies = [
                {"exact-position": place, "length": 1 if kind == "extremum" else length, "channel": 0,
                 "kinds": [{"kind": kind, **parameters}]}
                for place, length in PLACES
            ]
            config = {"timeseries": [{
                "name": f"{oscillation}-{kind}", "length": LENGTH, "anomalies": anomalies,
                "base-oscillations": [{"kind": oscillation, **figures}],
            }]}
            # One generator a series: the others do not move its random numbers. Some draw from numpy's own.
            numpy.random.seed(SEED)
            maker = GutenTAG(n_jobs=1, seed=SEED)
            with contextlib.redirect_stderr(io.StringIO()):  # A progress bar each.
                maker.load_config_dict(config)
                frame = maker.generate(return_timeseries=True)[0].timeseries
            values = [column for column in frame.columns if column not in ("timestamp", "is_anomaly")]
            yield oscillation, kind, {"value": frame[values[0]].tolist(), "label": frame["is_anomaly"].tolist()}


def judge(program, path, values):
    """The points at which incidents open, and at which there is an alarm."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("timestamp,value\n")
        for place, value in enumerate(values):
            day, minute = divmod(place, 1440)
            file.write(f"2024-01-{day + 1:02} {minute // 60:02}:{minute % 60:02}:00,{value!r}\n")
    told = subprocess.run([program, "backtest", path], check=True, capture_output=True, text=True).stdout
    begun, alarms, last = [], [], ""
    for place, row in enumerate(told.splitlines()[1:]):
        _, _, score, incident = row.split(",")
        if float(score) >= 2.0:
            alarms.append(place)
        if incident and incident != last:
            begun.append(place)
            last = incident
    return begun, alarms


def spans(labels):
    """The first and the last point of each run of labels."""
    runs = []
    for place, label in enumerate(labels):
        if not label:
            continue
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return runs


def report(found, late, opened, points):
    print(f"{'':28}{'anomalies':>10}{'found':>8}{'incidents':>11}{'false':>7}")
    for name in found:
        wrong, right = opened[name]
        print(f"{name:28}{len(found[name]):10}{sum(found[name]):8}{wrong + right:11}{wrong:7}")
    hits = [hit for kind in KINDS for hit in found.get(kind, [])]
    wrong = sum(opened[kind][0] for kind in KINDS)
    right = sum(opened[kind][1] for kind in KINDS)
    print(f"recall {sum(hits) / len(hits):.3f} of {len(hits)}, precision of incidents {right / max(right + wrong, 1):.3f}, "
          f"delay {median(late) if late else 0:.0f} points in the median, "
          f"{wrong * 10_000 / points:.2f} false incidents per 10,000 points")


if __name__ == "__main__":
    # It warns of its own use of what newer libraries deprecate.
    warnings.simplefilter("ignore")
    main()
