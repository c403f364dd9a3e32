"""Measures of a loss that will not settle: peaks, setbacks, ground lost for good, wandering."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lossdoc.curve import Floats
from lossdoc.features import series
from lossdoc.features.shape import STILL, Shape


class Rise(NamedTuple):
    """A rise of the loss from one point to another (places from 0), and what noise alone could hardly make of it."""

    height: float
    low: int
    top: int
    noise: float


class Swing(NamedTuple):
    """The standard deviation of block means, and the F test's p that white noise varies so much."""

    size: float
    p: float


def peak(s: Shape) -> Rise:
    """Return the highest loss of the first half as a rise over the reference, and the late noise's tail bound.

    A rise of 0 where the curve just begins high: the first loss must lie a fifth below the peak, or the smooth curve must
    go up by a third of what was learned.
    """
    half = max(1, s.n // 2)
    top = int(s.y[:half].argmax())
    highest = float(s.y[top])
    late = s.y[half:]
    rose = s.y[0] < 0.8 * highest or series.draw_up(s.smooth) > 0.3 * s.learned
    return Rise(highest - s.reference if rose else 0.0, 0, top, series.tail_bound(late - series.median(late)))


def setback(s: Shape) -> Rise:
    """Return the largest rise of the smooth loss, and its noise; in a short log by epoch, the lesser of both losses' rises.

    An epoch's mean has hardly any noise of its own, and weights that jump show in both losses at once. Elsewhere sixty
    normal values range over 4.6 deviations; eight leave room for noise that is larger at the start.
    """
    top = int((s.y - np.minimum.accumulate(s.y)).argmax())
    low = int(s.y[: top + 1].argmin())
    if s.n <= 60 and s.val is not None and together(s):
        return Rise(min(series.draw_up(s.y), series.draw_up(s.val.value)), low, top, 0.0)
    return Rise(series.draw_up(s.smooth), low, top, 8 * series.noise(s.smooth))


def together(s: Shape) -> bool:
    """Tell whether training and validation of a log by epoch rise and fall together after the first third (1 %).

    Weights that jump move both; the noise of two sets of samples does not. The ranks of what differs from a straight line
    are correlated: by chance beyond 2.33 / sqrt(n - 1) in one case of a hundred.
    """
    if not s.by_epoch or s.val is None or len(s.val) != s.n:
        return False
    late = slice(s.n // 3, None)
    first, second = (series.ranks(values[late] - series.line(values[late])) for values in (s.y, s.val.value))
    spread = float(first.std() * second.std())
    shared = float(((first - first.mean()) * (second - second.mean())).mean())
    return len(first) > 2 and spread > 0 and shared / spread > 2.33 / math.sqrt(len(first) - 1)


def regret(s: Shape) -> Rise:
    """Return how far the end lies above the lowest level that was held as long, and the noise's tail bound."""
    lowest, low = s.lowest
    return Rise(s.end - lowest, low, s.n - 1, series.tail_bound(s.residual))


def late_trend(s: Shape) -> series.Trend:
    """Return the trend of the last two thirds."""
    return series.kendall(series.blocks(s.y[s.n // 3 :], 20))


def swing(s: Shape) -> Swing:
    """Return how the last two thirds wander: a descent that noise hides from a test is no swing.

    The size is that about a straight line, or about the nearest curve that only falls where it comes closer.
    """
    part = s.y[s.n // 3 :]
    straight = part - series.line(part)
    means = series.blocks(part, 20)
    size = min(float(series.blocks(straight, 20).std()), float((means - series.falling(means)).std()))
    return Swing(size, series.whiteness(straight)[1])


def jumps(s: Shape) -> float:
    """Return by which share of its level the loss rises again after its first fifth, the lesser of training and validation.

    0 without a validation loss, where the two do not move together, or where losses are not all positive.
    """

    def share(values: Floats) -> float:
        rest = values[len(values) // 5 :]
        return series.draw_up(rest) / series.median(rest) if rest.min() > 0 else 0.0

    return min(share(s.y), share(s.val.value)) if s.val is not None and together(s) else 0.0


def burst(s: Shape) -> float:
    """Return by what factor the first epoch's mean exceeds the second's; 0 for a log by steps, and below ten epochs."""
    if not s.by_epoch or s.n < 10 or s.y[1] <= 0:
        return 0.0
    return float(s.y[0] / s.y[1]) if s.end > 0.4 * series.median(s.y[1:4]) else 0.0


def stuck(s: Shape) -> float:
    """Return by what factor both losses end above a uniform guess, of a flat curve whose validation jumps; else 0.

    Fixed weights give the same validation loss each time, or nearly so: these weights do move.
    """
    if s.uniform is None or s.val is None or not s.flat or s.val_jumps < STILL:
        return 0.0
    ratio = min(s.end, s.val_end) / s.uniform
    return ratio if math.isfinite(ratio) else 0.0
