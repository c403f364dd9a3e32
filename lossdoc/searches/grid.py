"""Every combination of evenly spread levels; the configured value is one of the levels where it lies in the range."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from lossdoc.search import Axis, Choices, Planned, Search, Space
from lossdoc.subject import Point


def start(space: Space, points: int, seed: int) -> Planned:
    """Plan a full grid of at most `points` points; the first axes get more levels where not all can have as many."""
    counts = level_counts(list(space.axes.values()), points)
    levels = [
        axis.levels(count, space.start.get(path)) for (path, axis), count in zip(space.axes.items(), counts, strict=True)
    ]
    grid = itertools.product(*levels)
    return Planned([Point(index, dict(zip(space.axes, values, strict=True)), seed) for index, values in enumerate(grid)])


def level_counts(axes: Sequence[Axis], points: int) -> list[int]:
    """Return how many levels each axis gets: as even as their product, at most `points`, allows."""
    most = [len(axis.values) if isinstance(axis, Choices) else points for axis in axes]
    counts = [1] * len(axes)
    while True:
        open_axes = [
            index
            for index, count in enumerate(counts)
            if count < most[index] and math.prod(counts) // count * (count + 1) <= points
        ]
        if not open_axes:
            return counts
        counts[min(open_axes, key=lambda index: (counts[index], index))] += 1


GRID = Search(start)
