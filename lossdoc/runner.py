"""The ways to train the points of a sweep: what a runner is given, what it gives back, and the choice of one by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lossdoc.members import Members
from lossdoc.subject import Point, Subject, Trial

if TYPE_CHECKING:
    from lossdoc.loop import Tick

Watch = Callable[[Point, "Tick"], bool]


def go_on(_point: Point, _tick: Tick) -> bool:
    """Return False: the watch that stops nothing."""
    return False


@dataclass(frozen=True)
class Budget:
    """How long each point is trained: so many steps, or epochs, whichever is over first; None for no limit."""

    steps: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Work:
    """What a runner is given.

    `make` turns a point into the subject to train; it can be pickled, so that other processes and machines can call it.
    `watch(point, tick)` is called in the process of the caller after every step (a runner far away may call it less often)
    and returns True to end that trial early. `jobs` is how many workers there may be, None for as many as there are cores.
    """

    make: Callable[[Point], Subject]
    points: Sequence[Point]
    budget: Budget
    watch: Watch = go_on
    jobs: int | None = None


@dataclass(frozen=True)
class Runner:
    """A way to train points: `run(work)` yields the trial of every point as soon as it has ended, in any order.

    The same points give the same curves in every runner. A trial whose loss is no longer finite ends there and is yielded
    with the step it died at. What was yielded is safe: an interrupt loses at most what was still in training.
    """

    run: Callable[[Work], Iterator[Trial]]


runners: Members[Runner] = Members("lossdoc.runners", Runner)
