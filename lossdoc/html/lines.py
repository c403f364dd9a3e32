"""Curves as lines of an SVG: every point where there are few, the extremes of each column of pixels where there are many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossdoc.chart import Scale
from lossdoc.curve import Floats, Series

WIDTH, HEIGHT = 1000, 400  # units of every plot; it is stretched to the room that there is
COLUMNS = 500  # as many as a figure is wide in pixels, nearly: more points than two a column cannot be told apart
DOTTED = 40  # a curve of no more points shows each of them
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
MOST_TICKS = 5

Indexes = NDArray[np.intp]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it is, in percent from the left or the top, and what is written there."""

    at: float
    text: str


def kept(series: Series, x: Scale, columns: int = COLUMNS) -> Indexes:
    """Return which entries are drawn, in their order: of each column the least and the largest, and the first and the last.

    No extreme is lost, and nothing is averaged: all that is left out lies between two points of its own column, so that a
    line through what is kept covers the same pixels (Jugel et al., "M4", VLDB 2014). What is not finite is not drawn.
    """
    good = np.flatnonzero(np.isfinite(series.value))
    if len(good) <= 2 * columns:
        return good
    column = np.minimum((x.share(series.step[good]) * columns).astype(np.intp), columns - 1)
    order = np.lexsort((series.value[good], column))
    starts = np.flatnonzero(np.diff(column[order], prepend=-1))
    ends = np.append(starts[1:], len(order)) - 1
    return np.unique(good[np.concatenate((order[starts], order[ends], [0, len(good) - 1]))])


def path(series: Series, x: Scale, y: Scale, columns: int = COLUMNS) -> str:
    """Return the `d` of an SVG path through a series, in whole units; it breaks where what was logged is no number."""
    chosen = kept(series, x, columns)
    if not len(chosen):
        return ""
    lost = np.cumsum(~np.isfinite(series.value))
    across, down = across_of(series.step[chosen], x), down_of(series.value[chosen], y)
    breaks = np.flatnonzero(np.diff(lost[chosen])) + 1
    parts = zip(np.split(across, breaks), np.split(down, breaks), strict=True)
    return "".join(_segment(xs.tolist(), ys.tolist()) for xs, ys in parts)


def dots(series: Series, x: Scale, y: Scale) -> str:
    """Return a path of single points, which round ends of the line make dots of; empty for a curve of many."""
    finite = series.finite
    if len(finite) > DOTTED:
        return ""
    points = zip(across_of(finite.step, x).tolist(), down_of(finite.value, y).tolist(), strict=True)
    return "".join(f"M{left} {top}h0" for left, top in points)


def across_of(steps: Floats, x: Scale) -> Indexes:
    """Return where steps lie, in units from the left."""
    return np.rint(x.share(steps) * WIDTH).astype(np.intp)


def down_of(values: Floats, y: Scale) -> Indexes:
    """Return where values lie, in units from the top."""
    return np.rint((1 - y.share(values)) * HEIGHT).astype(np.intp)


def _segment(xs: list[int], ys: list[int]) -> str:
    """Return one unbroken stretch, as steps from point to point: half as long as with places."""
    made = [f"M{xs[0]} {ys[0]}"]
    for place in range(1, len(xs)):
        right, down = xs[place] - xs[place - 1], ys[place] - ys[place - 1]
        if down == 0 and right == 0:
            continue
        if down == 0:
            made.append(f"h{right}")
        elif right == 0:
            made.append(f"v{down}")
        else:
            made.append(f"l{right}{' ' if down > 0 else ''}{down}")
    return "".join(made if len(made) > 1 else [*made, "h0"])


def padded(scale: Scale, share: float = 0.05) -> Scale:
    """Return a scale that leaves so much room at both ends, so that no line runs along the edge."""
    if scale.log:
        room = (scale.high / scale.low) ** share
        low, high = scale.low / room, scale.high * room
    else:
        room = (scale.high / 2 - scale.low / 2) * 2 * share
        low, high = scale.low - room, scale.high + room
    return Scale(low, high, scale.log) if math.isfinite(low) and math.isfinite(high) and low < high else scale


def ticks(scale: Scale, most: int = MOST_TICKS, *, whole: bool = False, downward: bool = False) -> tuple[Tick, ...]:
    """Return at most so many round numbers along a scale; `whole` ones where it counts, `downward` for an upright axis."""
    values = _decades(scale, most) if scale.log else _even(scale, most, whole=whole)
    shares = scale.share(np.array(values)).tolist() if values else []
    return tuple(
        Tick(round(100 * (1 - share if downward else share), 2), number(value))
        for value, share in zip(values, shares, strict=True)
    )


def _decades(scale: Scale, most: int) -> list[float]:
    low, high = math.ceil(math.log10(scale.low) - 1e-9), math.floor(math.log10(scale.high) + 1e-9)
    apart = max(1, math.ceil((high - low + 1) / most))
    return [10.0**power for power in range(low, high + 1, apart)]


def _even(scale: Scale, most: int, *, whole: bool) -> list[float]:
    reach = scale.high / most - scale.low / most
    if not 0 < reach < math.inf:
        return []
    unit = 10.0 ** math.floor(math.log10(reach))
    apart = next((unit * nice for nice in NICE if unit * nice >= reach), 10 * unit)
    apart = max(apart, 1.0) if whole else apart
    if apart == 0 or abs(scale.low / apart) > 2**53:  # closer together than numbers of this size can tell
        return [scale.low, scale.high]
    first, last = math.ceil(scale.low / apart - 1e-9), math.floor(scale.high / apart + 1e-9)
    return [float(f"{apart * count:.12g}") for count in range(first, last + 1)]


def number(value: float) -> str:
    """Return a number as people write it, in four digits: 0.25, 12,000, 1e-06; NaN or ∞ where it is not finite."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "−∞" if value < 0 else "∞"
    short = float(f"{value:.4g}")
    if value == round(value) and abs(value) < 1e9:
        return f"{round(value):,}".replace("-", "−")
    return (f"{short:,.0f}" if 1e3 <= abs(short) < 1e9 else f"{short:g}").replace("-", "−")
