"""Points drawn at random, each by its seed and index alone: a hundred distinct values of every axis for a hundred points."""

from __future__ import annotations

from lossdoc.search import Planned, Search, Space, draw
from lossdoc.subject import Point


def start(space: Space, points: int, seed: int) -> Planned:
    """Plan `points` random points; the first is the configured one, where known: the others are held against it.

    Random points beat a grid where only some of the axes matter, since no two share a value (Bergstra & Bengio 2012).
    """
    drawn = [draw(space, seed, index) for index in range(points)]
    if space.origin is not None and points > 0:
        drawn[0] = Point(0, space.origin, seed)
    return Planned(drawn)


RANDOM = Search(start)
