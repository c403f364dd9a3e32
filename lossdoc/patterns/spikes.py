"""The pattern `spikes`."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import Shape, shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import batch_of_one, healthy, healthy_epochs, spiky


@rule(
    code="LC106",
    severity=Severity.WARNING,
    fires_on=(spiky, partial(spiky, seed=1, at=(300,))),
    quiet_on=(healthy, healthy_epochs, batch_of_one),
    mutes=("slow-start",),
)
def spikes(
    curve: Curve,
    *,
    learned: float = 0.1,
    lone: float = 0.5,
    log_tail: float = 2.5,
    crowd: float = 0.05,
    widest: float = 1.466,
) -> Evidence | None:
    """Single losses stand far above their neighbors, before and after.

    Looks like:
        A healthy curve with needles in it; the loss comes back within a few steps.

    Causes:
        - bad batches: wrong labels, outliers, corrupt files
        - the learning rate is near the edge of stability, or Adam's second moments lag behind
        - batches so small that one sample decides

    Confirm with:
        - lossdoc sanity model.yaml --select unscaled-inputs
        - look at the samples of the batches at these steps

    Try:
        - look at the data of those batches
        - clip the gradient's norm
        - lower the learning rate, or warm it up; for Adam lower beta2
        - a larger batch

    False alarms:
        Batches of one or a few samples have long tails: the test in the logarithm is there for them.

    Decided by:
        A loss stands above the median of its neighbors before *and* after by more than twelve means of an exponential
        tail (four times the residuals' 95th percentile, taken in each third of the run), and by more than `learned` of
        what was learned; at least one of them does so in the logarithm too, by `log_tail` times the 95th percentile (4.1
        sigma, 2e-5 a point, of log-normal noise). Where that percentile is `widest` (log 3.00/0.693, an exponential's over
        its median) or more, each loss is a single sample's, and nothing stands out of that. Two such places, or one that
        exceeds `lone` of what was learned; more than `crowd` of all points are no spikes but noise.

    Sources:
        - Chowdhery et al., PaLM, 2022, section 5.1 (loss spikes and bad batches)
        - Molybog et al., A theory on Adam instability in large-scale machine learning, 2023
    """
    s = shape(curve)
    if s.n < 20:
        raise NotApplicable(f"{s.n} points are too few to tell a spike from noise")
    least = max(learned * s.learned, 3 * s.noise)
    parts = np.array_split(s.residual, 3)
    tails = [max(series.tail_bound(part), least) for part in parts]
    bound = np.repeat(tails, [len(part) for part in parts])
    height = series.prominence(s.top, max(4, s.n // 40), bound)
    at = np.flatnonzero(height > bound)
    if not len(at):
        return None
    far = _far_in_log(s, log_tail, widest)[at]
    if not far.any():
        return None
    # points nearer than this belong to one spike that takes a while to come back
    first = at[np.diff(at, prepend=-s.n) > max(3, s.n // 100)]
    highest = float(height[at].max())
    if len(first) > max(3.0, crowd * s.n) or (len(first) < 2 and highest <= lone * s.learned):
        return None
    where = ", ".join(f"{s.x[place]:g}" for place in first[:4]) + (", ..." if len(first) > 4 else "")
    many = f"{len(first)} spikes, at steps {where}:" if len(first) > 1 else f"a spike at step {where},"
    summary = f"{many} up to {highest:.3g} above the curve"
    facts = {"spikes": float(len(first)), "highest": highest, "first_step": float(s.x[at[0]])}
    sure = certainty("spikes", float((height[at] / bound[at]).max()), highest / (learned * s.learned))
    return Evidence(summary, facts, (float(s.x[at[0]]), float(s.x[at[-1]])), sure)


def _far_in_log(s: Shape, times: float, widest: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Tell where the logarithm stands out too: everywhere for losses that can be negative, nowhere in noise too wide."""
    if s.top.min() < 0 or not s.middle.max() > 0:
        return np.ones(s.n, np.bool_)
    least = s.middle[s.middle > 0].min()
    ratio = np.log(np.maximum(s.top, least) / np.maximum(s.middle, least))
    usual = series.quantile(ratio, 0.95)
    return np.asarray((ratio > times * usual) & (usual < widest))
