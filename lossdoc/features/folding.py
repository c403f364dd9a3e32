"""Folding a series at a period: does it repeat?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Floats
from lossdoc.features.distributions import f_tail


class Wave(NamedTuple):
    """A period in points, the share of the variance that one mean wave explains (adjusted R²), and the F test's p."""

    period: float
    share: float
    p: float


def fold(values: Floats, period: float, bins: int = 30) -> Wave:
    """Test whether values repeat: analysis of variance over the phase in a period (in points, may be fractional).

    Two or more periods are folded as one where that makes a whole number of points, so that each has a phase of its own.
    The phase whose mean differs most is left out: a wave shows in the others too. Where neighbors' noise is correlated by r,
    as under a running mean, both degrees of freedom are divided by (1 + r²) / (1 - r²).
    """
    length = _whole(period, min(bins, len(values) / 3))
    count = max(2, min(bins, math.floor(length + 1e-6)))
    phase = np.minimum((np.arange(len(values)) % length) / length * count, count - 1).astype(np.intp)
    if len(values) <= count + 1:
        return Wave(period, 0.0, 1.0)
    means = _means(values, phase, count)
    r = _neighbors(values, round(length))
    keep = phase != int(np.abs(means - values.mean()).argmax())
    values, phase, many, n = values[keep], phase[keep], count - 1, int(keep.sum())
    total = float(((values - values.mean()) ** 2).sum()) if n else 0.0
    if n <= many + 1 or many < 2 or not total > 0:
        return Wave(period, 0.0, 1.0)
    left = float(((values - means[phase]) ** 2).sum())
    share = 1 - (left / (n - many)) / (total / (n - 1))
    ratio = ((total - left) / (many - 1)) / (left / (n - many)) if left > 0 else math.inf
    alike = (1 + r * r) / (1 - r * r)
    return Wave(period, share, f_tail(ratio, (many - 1) / alike, (n - many) / alike))


def _means(values: Floats, phase: NDArray[np.intp], count: int) -> Floats:
    many = np.bincount(phase, minlength=count)
    means: Floats = np.bincount(phase, values, minlength=count) / np.maximum(many, 1)
    return means


def _whole(period: float, most: float) -> float:
    """Return that multiple of a period, up to the fourth and `most`, which is nearest to a whole number."""
    multiples = [period] + [many * period for many in (2, 3, 4) if many * period <= most]
    return min(multiples, key=lambda length: round(abs(length - round(length)), 6))


def _neighbors(values: Floats, lag: int) -> float:
    """Return the correlation of neighbors' noise, from 0 to 0.95: of differences a period apart, free of its wave."""
    noise = values[lag:] - values[:-lag]
    square = float((noise**2).sum())
    return min(0.95, max(0.0, float((noise[1:] * noise[:-1]).sum()) / square)) if square > 0 else 0.0
