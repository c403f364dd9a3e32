"""One run whose learning rate rises from step to step until the loss explodes: a rate for the price of a trial."""

from __future__ import annotations

from lossdoc.errors import UserError
from lossdoc.ranging import rising
from lossdoc.ranking import RATE
from lossdoc.search import Planned, Range, Search, Space
from lossdoc.subject import Point


def start(space: Space, _points: int, seed: int) -> Planned:
    """Plan the one run, from the lowest learning rate of the space to the highest; everything else stays as configured.

    Raises:
        UserError: when the space has no range of learning rates.
    """
    axis = space.axes.get(RATE)
    if not isinstance(axis, Range):
        raise UserError.of(f"a range test raises {RATE} from one number to another; a range of it is meant", kind="range")
    return Planned([Point(0, rising(axis), seed)])


RANGE_TEST = Search(start)
