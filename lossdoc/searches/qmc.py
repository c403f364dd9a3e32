"""Points of Sobol's sequence, scrambled by the seed: they fill the space more evenly than chance does."""

from __future__ import annotations

from typing import Any

from lossdoc.search import Planned, Search, Space
from lossdoc.subject import Point


def start(space: Space, points: int, seed: int) -> Planned:
    """Plan `points` points; the first is the configured one, where known: the others are held against it.

    The sequence is torch's, with Owen's scrambling. With n a power of two, each of n equal parts of every axis has one point
    (I. Sobol, 1967; A. Owen, Randomly permuted (t,m,s)-nets, 1995). Points do not depend on how many follow.
    """
    from torch.quasirandom import SobolEngine

    engine: Any = SobolEngine  # torch does not say what its arguments are
    shares = engine(len(space.axes), scramble=True, seed=seed).draw(points).tolist()
    drawn = [{path: axis.at(share) for (path, axis), share in zip(space.axes.items(), row, strict=True)} for row in shares]
    planned = [*([space.origin] if space.origin is not None else []), *drawn][:points]
    return Planned([Point(index, params, seed) for index, params in enumerate(planned)])


QMC = Search(start)
