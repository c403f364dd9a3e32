"""Are confidences what they say? `python benchmarks/calibration.py FOLDER [--fit]`, FOLDER as `runs.py` writes it.

A confidence is a logistic function of the logarithm of a margin, with two numbers a pattern (`features/certainty.py`).
They are fitted on the tasks marked dev and judged on the others, whose runs no threshold has seen either: a reliability
diagram and the expected calibration error of the primary verdict, all patterns together and each. `--fit` prints the
numbers for the module.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from labelled import Labelled, load
from numpy.typing import NDArray

from lossdoc.curve import Curve
from lossdoc.features.certainty import FITTED, MOST, USUAL
from lossdoc.features.shape import shape

Floats = NDArray[np.float64]
RIDGE = 2.0  # a prior as of a few cases: a pattern with few keeps near to the usual numbers


class Verdict(NamedTuple):
    """A verdict on a run: how sure it was, of what margin, and whether it was right."""

    pattern: str
    confidence: float
    right: bool


def verdict(run: Labelled, context: str) -> Verdict:
    """Return the verdict on a run, that of a healthy one included."""
    report = run.report(context)
    pattern = report.primary
    confidence = report.findings[0].evidence.confidence if report.findings else report.confidence or 1.0
    if pattern == "double-softmax" and context == "none":
        pattern = "double-softmax, guessed"
    if pattern == "healthy" and isinstance(run.things[context], Curve) and shape(run.things[context]).uniform is None:
        pattern = "healthy, no classes"
    return Verdict(pattern, confidence, report.primary in run.good)


def margins(verdicts: Sequence[Verdict]) -> Floats:
    """Return the logarithms of the margins that gave the confidences; those capped at `MOST` lie at the cap."""
    level, slope = FITTED.get(verdicts[0].pattern, USUAL)
    held = np.array([each.confidence for each in verdicts]).clip(1e-6, MOST)
    return np.clip((np.log(held / (1 - held)) - level) / slope, 0.0, math.log(100))


def fit(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    """Fit level and slope by penalized logistic regression (Newton's method), with a slope that is not negative."""
    x = np.c_[np.ones(len(verdicts)), margins(verdicts)]
    y = np.array([each.right for each in verdicts], float)
    prior = np.array([2.0, 1.0])
    w = prior.copy()
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        slope = x.T @ (p - y) + RIDGE * (w - prior) * (0.2, 1.0)
        bend = (x * (p * (1 - p))[:, None]).T @ x + RIDGE * np.diag((0.2, 1.0))
        move = np.linalg.solve(bend, slope)
        w = w - move / max(1.0, float(np.abs(move).max()))  # a full step from afar runs off
    return float(w[0]), max(0.05, float(w[1]))


def refit(verdicts: Sequence[Verdict], numbers: dict[str, tuple[float, float]]) -> list[Verdict]:
    """Return the verdicts with the confidence that other numbers give."""
    made = []
    for each in verdicts:
        level, slope = numbers.get(each.pattern, FITTED.get(each.pattern, USUAL))
        p = 1 / (1 + math.exp(-level - slope * float(margins([each])[0])))
        exact = each.pattern in {"non-finite", "inconclusive"}
        made.append(each if exact else each._replace(confidence=min(MOST, p)))
    return made


def error(verdicts: Iterable[Verdict], bins: int = 10) -> tuple[float, list[tuple[float, float, int]]]:
    """Return the expected calibration error over equal bins, and by bin: mean confidence, share of right ones, number."""
    held = [(each.confidence, each.right) for each in verdicts]
    rows = []
    for low in range(bins):
        inside = [(c, r) for c, r in held if low <= c * bins < low + 1 or (low == bins - 1 and c >= 1)]
        if inside:
            rows.append((float(np.mean([c for c, _ in inside])), float(np.mean([r for _, r in inside])), len(inside)))
    return sum(abs(c - r) * n for c, r, n in rows) / max(1, len(held)), rows


def by_pattern(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """Group verdicts by pattern, leaving out what is certain by definition."""
    groups: dict[str, list[Verdict]] = defaultdict(list)
    for each in verdicts:
        if each.pattern not in {"non-finite", "inconclusive"}:
            groups[each.pattern].append(each)
    return groups


def show(title: str, verdicts: Sequence[Verdict]) -> None:
    """Print the reliability diagram, the error of all and of each pattern."""
    total, rows = error(verdicts)
    print(f"{title}: {len(verdicts)} verdicts, expected calibration error {total:.3f}")
    for confidence, right, many in rows:
        print(f"    {confidence:.2f} said, {right:.2f} right {'#' * round(40 * right):40s} {many}")
    parts = sorted(by_pattern(verdicts).items())
    print("    by pattern: " + ", ".join(f"{name} {error(part)[0]:.2f} ({len(part)})" for name, part in parts))


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("folder", type=Path)
    parse.add_argument("--fit", action="store_true", help="print the numbers fitted to the tasks marked dev")
    args = parse.parse_args()
    runs = load(args.folder)
    halves: dict[str, list[Verdict]] = {"dev": [], "test": []}
    for context in ("light", "none"):
        for run in runs:
            halves[run.entry["split"]].append(verdict(run, context))
    numbers = {name: fit(part) for name, part in by_pattern(halves["dev"]).items()}
    for half, held in halves.items():
        show(f"{half}, as it is", held)
        show(f"{half}, fitted on dev", refit(held, numbers))
    if args.fit:
        for name, (level, slope) in sorted(numbers.items()):
            print(f'    "{name}": ({level:.2f}, {slope:.2f}),')


if __name__ == "__main__":
    main()
