"""Where two curves part: block by block, against the noise of both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lossdoc.curve import Floats, Series
from lossdoc.errors import NotApplicable
from lossdoc.features.distributions import f_tail
from lossdoc.features.series import median

FEWEST, BLOCKS, LEAST = 7, 20, 3  # points in common, most blocks, points a block: a line and one degree of freedom
UNITS = 1.15  # losses whose ratio is constant and farther from 1 than this are measured in different units


@dataclass(frozen=True)
class Parting:
    """Two curves compared in the blocks of the stretch that they share, each array of shape (blocks,).

    `start` and `end` are the blocks' steps, `difference` is the first curve's loss less the second's at their middles,
    `noise` the standard deviation of the difference of two single values, `outside` tells which blocks
    differ by more than noise, `level` by how much the last one must differ to count.
    """

    start: Floats
    end: Floats
    difference: Floats
    noise: Floats
    outside: np.ndarray[tuple[int], np.dtype[np.bool_]]
    level: float

    @property
    def lasting(self) -> int | None:
        """The first block from which on all differ, and in the same direction; None where the last one hardly does."""
        if not abs(self.difference[-1]) > self.level:
            return None
        same = self.outside & (np.sign(self.difference) == np.sign(self.difference[-1]))
        differing = np.append(np.flatnonzero(~same), -1).max() + 1
        return None if differing == len(same) else int(differing)


def parting(mine: Series, good: Series, *, share: float, p: float) -> Parting:
    """Compare two curves of finite values at the same steps, whatever the intervals at which they were logged.

    A straight line is fitted to each curve in each block. A block differs where the lines' middles do by more than Student's
    t allows at `p`, shared out among the blocks (Bonferroni). The last one must also do so by more than a `share` of what
    the good curve falls: by less the seeds of one network differ too.

    Raises:
        NotApplicable: when they have too few steps in common, or are measured in different units.
    """
    low, high = max(mine.step[0], good.step[0]), min(mine.step[-1], good.step[-1])
    pair = [_within(each, low, high) for each in (mine, good)]
    fewest = min(map(len, pair))
    if fewest < FEWEST:
        raise NotApplicable(f"the two runs have {fewest} points in a stretch of steps that both have: too few to compare")
    sparse = min(pair, key=len).step
    edges = sparse[np.linspace(0, len(sparse), max(2, min(BLOCKS, fewest // LEAST)) + 1).astype(int)[:-1]]
    fits = [_Fits.of(each, edges) for each in pair]
    full = np.minimum(fits[0].count, fits[1].count) >= LEAST
    if full.sum() < 2:
        raise NotApplicable("the steps of the two runs hardly lie beside each other")
    a, b = (fit.at(full) for fit in fits)
    difference = a.middle - b.middle
    error = np.sqrt(a.variance * a.inflation / a.count + b.variance * b.inflation / b.count)
    _same_units(a.middle, b.middle, error)
    freedom = 3.0 * (a.count + b.count - 4)  # a block's noise is that of its neighbors too
    fallen = share * abs(b.middle[0] - b.middle.min())
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.nan_to_num((difference / error) ** 2, posinf=np.inf)  # 0 / 0: two lines that are one
    chance = [f_tail(square, 1, free) for square, free in zip(squares.tolist(), freedom.tolist(), strict=True)]
    outside = np.array(chance) < p / len(difference)
    ends = np.append(edges[1:], high)
    return Parting(edges[full], ends[full], difference, np.sqrt(a.variance + b.variance), outside, float(fallen))


def _within(series: Series, low: float, high: float) -> Series:
    keep = (series.step >= low) & (series.step <= high)
    return Series(series.step[keep], series.value[keep], series.name)


@dataclass(frozen=True)
class _Fits:
    """A line in each block: its middle, the variance around it, the number of points; what correlation adds to errors."""

    middle: Floats
    variance: Floats
    count: Floats
    inflation: float

    def at(self, blocks: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> _Fits:
        variance = self.variance[blocks]
        near = np.convolve(np.pad(variance, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
        return _Fits(self.middle[blocks], near, self.count[blocks], self.inflation)

    @classmethod
    def of(cls, series: Series, edges: Floats) -> _Fits:
        parts = np.split(np.arange(len(series)), np.searchsorted(series.step, edges[1:]))
        middles = (edges + np.append(edges[1:], series.step[-1])) / 2
        rows, residuals = [], []
        for part, middle in zip(parts, middles, strict=True):
            if len(part) < LEAST:
                rows.append((math.nan, math.nan, float(len(part))))
                continue
            x, y = series.step[part] - middle, series.value[part]
            center, mean = x.mean(), y.mean()
            spread = float(((x - center) ** 2).sum())
            slope = float(((x - center) * (y - mean)).sum()) / spread if spread > 0 else 0.0
            left = y - mean - slope * (x - center)
            rows.append((mean - slope * center, float((left**2).sum()) / (len(part) - 2), float(len(part))))
            residuals.append(left)
        middle, variance, count = np.array(rows).T
        return cls(middle, variance, count, _inflation(residuals))


def _inflation(residuals: list[Floats]) -> float:
    """Return (1 + r) / (1 - r) for the correlation r of neighbors: by so much a smoothed curve's means vary more."""
    square = sum(float((each**2).sum()) for each in residuals)
    beside = sum(float((each[1:] * each[:-1]).sum()) for each in residuals)
    r = min(0.95, max(0.0, beside / square)) if square > 0 else 0.0
    return (1 + r) / (1 - r)


def _same_units(mine: Floats, good: Floats, error: Floats) -> None:
    """Refuse losses of which one is the other times a constant, all along a curve that moves by half of itself or more.

    A ratio is constant where it stays within a tenth of its logarithm or three standard errors of the usual one.
    """
    if not (mine.min() > 0 and good.min() > 0 and good.max() > 1.5 * good.min()):
        return
    ratio = np.log(mine / good)
    usual = median(ratio)
    if abs(usual) > math.log(UNITS) and (np.abs(ratio - usual) < 0.1 * abs(usual) + 3 * error / mine).all():
        times = f"{math.exp(usual):.3g} times"
        raise NotApplicable(f"the losses are in different units: throughout, the run's are {times} the good one's")
