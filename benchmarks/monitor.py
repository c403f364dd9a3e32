"""What a Monitor costs a logged point, and what it tells of runs in progress.

    python benchmarks/monitor.py                      # the cost, for runs of 30 to 100,000 points
    python benchmarks/monitor.py --curves FOLDER      # also: labelled curves, logged point by point as if in training

Times are those of the processor: what else runs on the machine does not count. FOLDER holds `index.json` and a CSV a
curve, as benchmarks/runs.py writes them.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from lossdoc import Monitor

LENGTHS = (30, 100, 300, 1_000, 3_000, 10_000, 100_000)
TIMES = 5
CONTEXT = {"n_classes": "classes", "steps_per_epoch": "steps_per_epoch", "batch_size": "batch_size", "n_train": "n_train",
           "n_val": "n_val", "lr": "lr", "per": "axis"}  # fmt: skip
NAMES = {"nan": "non-finite"}


def losses(points: int, seed: int) -> list[float]:
    """Return a noisy descent."""
    x = np.arange(points) / points
    return list(map(float, 2 * np.exp(-5 * x) + 0.2 + 0.05 * np.random.default_rng(seed).normal(size=points)))


def cost(points: int, seed: int) -> tuple[float, float]:
    """Return the microseconds that a logged point takes, over the whole run and at most at a single one."""
    watch, values = Monitor(classes=10, steps_per_epoch=50), losses(points, seed)
    most, start = 0.0, time.process_time()
    for step, value in enumerate(values, 1):
        before = time.process_time()
        watch.log(step, train=value, val=value if step % 50 == 0 else None)
        most = max(most, time.process_time() - before)
    return 1e6 * (time.process_time() - start) / points, 1e6 * most


def told(path: Path, context: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Return what is told of a curve while it grows: verdict, severity, and after which share of the run."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    heard: list[tuple[str, str, float]] = []

    def hear(report: Any) -> None:
        severity = report.findings[0].severity.value if report.primary != "healthy" else "none"
        heard.append((report.primary, severity, watch.points / len(rows)))

    watch = Monitor(on_change=hear, **context)
    for row in rows:
        train, val = (float(row[name]) if row.get(name) else None for name in ("train_loss", "val_loss"))
        watch.log(float(row["step"]), train=train, val=val)
    return heard


def judged(folder: Path) -> None:
    """Print how many of the labelled single runs are told rightly, and how many healthy ones wrongly."""
    listed = json.loads((folder / "index.json").read_text())
    items = [{"id": name, **each} for name, each in listed.items()] if isinstance(listed, dict) else listed
    single = [each for each in items if (each.get("runs") or 1) == 1 and each["label"] != "ambiguous"]
    right, shares, healthy, false = 0, [], 0, {"error": 0, "warning": 0}
    for each in single:
        known = {name: each[key] for key, name in CONTEXT.items() if each.get(key) is not None}
        heard = [one for one in told(folder / f"{each['id']}.csv", known) if one[0] != "healthy"]
        meant = {NAMES.get(name, name) for name in (each["label"], *each.get("also", ()))}
        if each["label"] == "healthy":
            healthy += 1
            for severity in false:
                false[severity] += any(one[1] == severity for one in heard)
            continue
        hits = [one[2] for one in heard if one[0] in meant]
        right += bool(hits)
        shares += hits[:1]
    print(f"{healthy} healthy runs: {false['error']} told of an error, {false['warning']} of a warning")
    sick = len(single) - healthy
    print(f"{sick} sick runs: {right} named while they grow, half of them before {100 * np.median(shares):.0f} % of the run")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path)
    arguments = parser.parse_args()
    cost(100, 0)  # rules are loaded once in a process
    print("points   µs a point (median, worst of 5 runs)   longest single call, ms")
    for points in LENGTHS:
        each = [cost(points, seed) for seed in range(TIMES)]
        means, longest = ([one[column] for one in each] for column in (0, 1))
        print(f"{points:7,d}   {np.median(means):9.1f} {max(means):9.1f}   {np.median(longest) / 1e3:27.1f}")
    if arguments.curves is not None:
        judged(arguments.curves)


if __name__ == "__main__":
    main()
