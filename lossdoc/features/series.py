"""Robust measures of a series: levels, noise, trend, whiteness, shares of the descent, residuals, periods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Floats
from lossdoc.features.distributions import f_tail

FEW = 32  # values that are sorted sooner than parted
SIGMA = 1.4826  # the standard deviation of a normal sample in units of its median absolute deviation: 1 / 0.6745


class Trend(NamedTuple):
    """Kendall's rank correlation with time: `tau` from -1 (falls throughout) to 1, and its `z` under no trend."""

    tau: float
    z: float


def medians(table: Floats) -> Floats:
    """Return the medians along the last axis; numpy's own median takes 20 ms to import, and longer for few values."""
    n = table.shape[-1]
    middle = n // 2
    parted = table.copy()
    if n < FEW:
        parted.sort()
    else:
        parted.partition(middle if n % 2 else (middle - 1, middle))
    return parted[..., middle] if n % 2 else parted[..., middle - 1] / 2 + parted[..., middle] / 2


def median(values: Floats) -> float:
    """Return the median of the values, NaN of none."""
    return float(medians(values)) if len(values) else math.nan


def quantile(values: Floats, share: float) -> float:
    """Return the value below which a share of the values lies, interpolated as numpy does; NaN of none."""
    if not len(values):
        return math.nan
    place = share * (len(values) - 1)
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    parted = values.copy()
    parted.partition((below, above))
    return float(parted[below] * (1 - (place - below)) + parted[above] * (place - below))


def blocks(values: Floats, count: int) -> Floats:
    """Return the medians of `count` consecutive blocks whose lengths differ by one at most; fewer values stay."""
    if len(values) <= count:
        return values
    size, longer = divmod(len(values), count)
    cut = longer * (size + 1)
    first = medians(values[:cut].reshape(longer, size + 1)) if longer else np.empty(0)
    return np.concatenate((first, medians(values[cut:].reshape(count - longer, size))))


def extremes(values: Floats, count: int) -> Floats:
    """Return the maxima of the blocks of `blocks`."""
    if len(values) <= count:
        return values
    size, longer = divmod(len(values), count)
    starts = np.arange(count) * size + np.minimum(np.arange(count), longer)
    return np.maximum.reduceat(values, starts)


def median_of_three(values: Floats) -> Floats:
    """Return the running median of three, the ends unchanged: single outliers are gone, steps stay."""
    if len(values) < 3:
        return values
    middle = medians(np.stack((values[:-2], values[1:-1], values[2:]), axis=-1))
    return np.concatenate((values[:1], middle, values[-1:]))


def second_differences(values: Floats) -> Floats:
    """Return (y[i-1] - 2 y[i] + y[i+1]) / sqrt(6): it has the deviation of white noise, and is 0 for a straight line."""
    return (values[:-2] - 2 * values[1:-1] + values[2:]) / math.sqrt(6)


def noise(values: Floats) -> float:
    """Return the standard deviation of the noise around whatever is locally straight, robustly; 0 below three values."""
    return SIGMA * median(np.abs(second_differences(values))) if len(values) > 2 else 0.0


@lru_cache(maxsize=64)
def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the later and the earlier place of each pair of `n` places."""
    later, earlier = np.tril_indices(n, -1)
    return later, earlier


def kendall(values: Floats) -> Trend:
    """Return Kendall's tau-b with time and its z, corrected for ties; O(n²), meant for some twenty block medians.

    z is 0 where all values are equal. Source: Kendall, Rank Correlation Methods, 1970, section 3 and 4.
    """
    n = len(values)
    if n < 2:
        return Trend(0.0, 0.0)
    later, earlier = (values[places] for places in _pairs(n))
    rises, falls = np.count_nonzero(later > earlier), np.count_nonzero(later < earlier)
    score, pairs = float(rises - falls), n * (n - 1) / 2
    tied = lost = 0.0
    if rises + falls < pairs:
        _, ties = np.unique(values, return_counts=True)
        tied = float((ties * (ties - 1) / 2).sum())
        lost = float((ties * (ties - 1) * (2 * ties + 5)).sum())
    if tied >= pairs:
        return Trend(0.0, 0.0)
    variance = (n * (n - 1) * (2 * n + 5) - lost) / 18
    corrected = math.copysign(max(abs(score) - 1, 0.0), score)  # continuity
    return Trend(score / math.sqrt(pairs * (pairs - tied)), corrected / math.sqrt(variance))


def whiteness(values: Floats) -> tuple[float, float]:
    """Return by what factor block means vary more than white noise would, and the p of that (F test); (1, 1) if too short.

    The blocks are about sqrt(n) long; normality is not needed much, as means are compared.
    """
    n = len(values)
    count = max(2, min(30, math.isqrt(n)))
    size = n // count
    if size < 2:
        return 1.0, 1.0
    table = values[n - count * size :].reshape(count, size)
    means = np.add.reduce(table, axis=1, keepdims=True) / size
    squares = np.square(table - means)
    within = float(np.add.reduce(np.add.reduce(squares, axis=1) / (size - 1)) / count)
    between = size * float(means[:, 0].var(ddof=1))
    if not within > 0:
        return (1.0, 1.0) if not between > 0 else (math.inf, 0.0)
    return between / within, f_tail(between / within, count - 1, count * (size - 1))


def tail_bound(values: Floats) -> float:
    """Return what hardly any of these deviations should exceed: twelve means of an exponential tail, 6e-6 a point.

    The tail of a sample's log-likelihood is exponential at worst; its 95th percentile is 3.0 means, four of it are twelve.
    Below 100 points the 75th percentile (1.386 means) stands in, so that a quarter of the points may be outliers.
    """
    if len(values) < 100:
        return 8.66 * quantile(values, 0.75)
    return 4 * quantile(values, 0.95)


def steady(values: Floats, trend: Trend | None = None, *, p: float = 0.005, z: float = 2.58) -> bool:
    """Tell whether values look like white noise around a constant: no trend (1 %), no drift of block means, no outliers.

    Nor are the first two or three the highest of all: by chance they are in one of C(n, 2) or C(n, 3) orders. `trend` is
    that of twenty blocks, where it is known.
    """
    if len(values) == 0 or values.min() == values.max():
        return True
    if not abs((trend or kendall(blocks(values, 20))).z) < z:
        return False
    if any(values[:k].min() > values[k:].max(initial=-math.inf) and p * math.comb(len(values), k) > 1 for k in (2, 3)):
        return False
    above = values - median(values)
    return whiteness(values)[1] > p and bool(above.max() <= tail_bound(above))


def jaggedness(values: Floats) -> float:
    """Return the mean absolute second difference: what a smooth curve has none of; the mean, for jitter has a long tail."""
    return float(np.abs(second_differences(values)).mean()) if len(values) > 2 else 0.0


def prominence(values: Floats, width: int, bound: Floats | float = 0.0) -> Floats:
    """Return how far each value stands above both the median of the `width` values before it and of those after it.

    It is measured where it may exceed the `bound`, 0 or more, and is 0 elsewhere. Beyond the ends the first and the last
    value go on, so that these two stand above nothing.
    """
    n = len(values)
    # the medians of a window are no less than the least value of the two blocks that it lies in
    lowest = np.minimum.reduceat(values, np.arange(0, n, width))
    pairs = np.minimum(lowest[:-1], lowest[1:])
    at = np.arange(n) // width
    before, after = np.concatenate((lowest[:1], pairs))[at], np.concatenate((pairs, lowest[-1:]))[at]
    places = np.flatnonzero(values - np.maximum(before, after) > bound)
    result = np.zeros(n)
    if len(places):
        padded = np.concatenate((np.full(width, values[0]), values, np.full(width, values[-1])))
        near = windows(padded, width)
        result[places] = values[places] - np.maximum(medians(near[places]), medians(near[places + width + 1]))
    return result


def draw_up(values: Floats) -> float:
    """Return the largest rise above the lowest value before it."""
    return float((values - np.minimum.accumulate(values)).max()) if len(values) else 0.0


def late_share(smooth: Floats, part: float) -> float:
    """Return which share of the way from the first to the last value is made in the last `part`; of a straight line, `part`.

    The turn and the end are medians of three values, or single ones in a curve of few, of which three would be a tenth and
    more. NaN where there is no way down.
    """
    over = 3 if len(smooth) >= 30 else 1
    at = min(len(smooth) - 1, round((len(smooth) - 1) * (1 - part)))
    turn, end = median(smooth[max(0, at - over // 2) : at + over // 2 + 1]), median(smooth[-over:])
    drop = float(smooth[0]) - end
    return (turn - end) / drop if drop > 0 else math.nan


def first_below(smooth: Sequence[float], level: float) -> float:
    """Return where a curve of few points first falls below a level, from 0, interpolated; NaN where it never does."""
    here = next((place for place, value in enumerate(smooth) if value <= level), None)
    if not here:
        return math.nan if here is None else 0.0
    before, after = smooth[here - 1], smooth[here]
    return here - 1 + (before - level) / (before - after)


def line(values: Floats) -> Floats:
    """Return the straight line nearest to values by least squares."""
    time = np.arange(len(values)) - (len(values) - 1) / 2
    slope = float((time * values).sum()) / max(float((time**2).sum()), 1e-300)
    fitted: Floats = values.mean() + slope * time
    return fitted


def falling(values: Floats) -> Floats:
    """Return the nearest values by least squares that never rise: neighbors in the wrong order share their mean.

    Source: Ayer et al., An empirical distribution function for sampling with incomplete information, 1955.
    """
    pools: list[tuple[float, int]] = []
    for value in values.tolist():
        total, many = value, 1
        while pools and pools[-1][0] * many <= total * pools[-1][1]:
            before, count = pools.pop()
            total, many = total + before, many + count
        pools.append((total, many))
    means, counts = [total / many for total, many in pools], [many for _, many in pools]
    return np.repeat(means, counts)


def bulge(values: Floats) -> float:
    """Return the quadratic term of least squares, turned round: positive for what falls faster and faster.

    It is measured on the orthonormal parabola, so that it has the deviation of the noise of one value. What falls fast and
    then slower, as an exponential does, is negative.
    """
    n = len(values)
    if n < 3:
        return 0.0
    time = np.arange(n) - (n - 1) / 2
    parabola = time**2 - (n * n - 1) / 12
    return -float((parabola * values).sum() / math.sqrt(float((parabola**2).sum())))


def windows(values: Floats, width: int, stride: int = 1) -> Floats:
    """Return a view of every window of `width`, or of one in `stride`; numpy's own way takes longer than their medians."""
    flat = np.ascontiguousarray(values, np.float64)
    many = (len(flat) - width) // stride + 1
    return np.ndarray((many, width), np.float64, flat, strides=(stride * flat.itemsize, flat.itemsize))


def running_median(values: Floats, width: int) -> Floats:
    """Return the medians of a window of `width`, taken at every tenth of it and interpolated; shorter at the ends."""
    n = len(values)
    width = min(width, n)
    half, stride = width // 2, max(1, width // 10)
    inner = medians(windows(values, width, stride))
    edge = max(1, half // 2)
    ends = (median(values[: 2 * edge]), median(values[n - 2 * edge :]))
    centers = np.empty(len(inner) + 2)
    centers[0], centers[-1] = edge // 2, n - 1 - edge // 2
    centers[1:-1] = half + stride * np.arange(len(inner))
    return np.interp(np.arange(n), centers, np.concatenate((ends[:1], inner, ends[1:])))


def sliding_medians(values: Floats, width: int) -> Floats:
    """Return the medians of all windows of `width`, one for each fourth of it; of all values, where they are fewer."""
    width = min(width, len(values))
    return medians(windows(values, width, max(1, width // 4)))


def ranks(values: Floats) -> Floats:
    """Return the ranks from 0, ties in order of appearance."""
    result = np.empty(len(values))
    result[np.argsort(values, kind="stable")] = np.arange(len(values))
    return result


def likely_periods(values: Floats, least: float = 0.2, many: int = 3) -> NDArray[np.intp]:
    """Return the lags of the highest peaks of autocorrelation above `least`: `many` at most, to a third of the length."""
    n = len(values)
    centered = values - values.mean()
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centered, size)) ** 2
    correlation = np.fft.irfft(power, size)[: n // 3 + 2]
    if not correlation[0] > 0:
        return np.empty(0, np.intp)
    correlation = correlation / correlation[0]
    inner = correlation[1:-1]
    high = inner * n / (n - np.arange(1, len(correlation) - 1)) > least  # the sum over fewer pairs, made comparable
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]) & high) + 1
    return peaks[np.argsort(-correlation[peaks])][:many]  # as summed: a period comes before its multiples
