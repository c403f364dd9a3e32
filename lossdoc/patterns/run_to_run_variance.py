"""The pattern `run-to-run-variance`."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossdoc.curve import Runs
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import alike, scattered


@rule(
    code="LC115",
    severity=Severity.ERROR,
    fires_on=(scattered, partial(scattered, ends=(0.1, 1.2, 0.1, 0.9))),
    quiet_on=(alike, partial(alike, runs=3)),
)
def run_to_run_variance(runs: Runs, *, share: float = 0.1, sigmas: float = 5.0) -> Evidence | None:
    """Several runs of the very same network end at different losses.

    Looks like:
        A fan of curves (figure 11 of the notes) instead of a bundle.

    Causes:
        - the last activation is applied twice: each run misses other classes
        - the learning rate is near the edge: some runs are thrown off
        - an initialization that leaves units dead in some runs
        - a random split of a small data set

    Confirm with:
        - lossdoc sanity model.yaml --select double-softmax
        - train twice with the same seed: the two losses must agree

    Try:
        - feed logits to the loss
        - lower the learning rate, or warm it up
        - initialize properly: He for ReLU, Xavier for tanh
        - report the mean and the spread over seeds, never the best run

    False alarms:
        Runs of different lengths or settings in one file: they are not the same network.

    Decided by:
        The ends (medians of the last tenth) of three runs or more have a standard deviation above `share` of what the
        runs learned in the median, and above `sigmas` times the standard error of such an end.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 11
        - Bouthillier et al., Accounting for variance in machine learning benchmarks, 2021
    """
    shapes = [shape(curve) for curve in runs.curves if len(curve.train.finite) >= 7]
    if len(shapes) < 3:
        raise NotApplicable(f"{len(shapes)} runs of seven points or more are too few to compare")
    ends = np.array([s.end for s in shapes])
    spread, learned = float(ends.std(ddof=1)), series.median(np.array([s.learned for s in shapes]))
    # the median of k normal values has 1.25 times the standard error of their mean
    error = series.median(np.array([1.25 * s.noise / np.sqrt(max(3, s.n // 10)) for s in shapes]))
    if not (spread > share * learned and spread > sigmas * error):
        return None
    facts = {"runs": float(len(shapes)), "lowest": float(ends.min()), "highest": float(ends.max()), "spread": spread}
    summary = f"{len(shapes)} runs of the same network end between {ends.min():.3g} and {ends.max():.3g}"
    span = (float(shapes[0].x[0]), float(max(s.x[-1] for s in shapes)))
    return Evidence(summary, facts, span, certainty("run-to-run-variance", spread / (share * learned)))
