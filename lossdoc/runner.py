"""The ways to train the points of a sweep: what a runner is given, what it gives back, and the choice of one by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lossdoc.errors import UserError
from lossdoc.members import Members
from lossdoc.subject import Point, Subject, Trial

if TYPE_CHECKING:
    from lossdoc.loop import Tick

SHOWN = 0.25  # seconds between two ticks without a validation that a watch is shown, where it costs something to show one

Watch = Callable[[Sequence[tuple[Point, "Tick"]]], Collection[int]]


def go_on(_seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
    """Return no place: the watch that ends nothing early."""
    return ()


def in_chunks(points: Sequence[Point], size: int) -> list[list[Point]]:
    """Return the points in their order, so many at a time."""
    return [list(points[first : first + size]) for first in range(0, len(points), size)]


def unheard(_text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Budget:
    """How long each point is trained: so many steps, or epochs, whichever is over first; None for no limit."""

    steps: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Work:
    """What a runner is given.

    `make` turns a point into the subject to train; it can be pickled, so that other processes and machines can call it.
    `watch(seen)` is called in the process of the caller with the ticks of points that have come equally far, and returns the
    places in `seen` of those to end early. It is called with every tick that measured the validation split, and beside that
    as often as the runner finds cheap: serial after every step, others a few times a second or not at all.
    `say` takes a line that a user should know, such as why a faster way was not gone. `jobs` is how many worker processes
    there may be, None for what the runner thinks best. `address` is that of a Ray cluster, None for this machine. With
    `models` the trials bring their trained models with them; only serial and vmapped do that.
    """

    make: Callable[[Point], Subject]
    points: Sequence[Point]
    budget: Budget
    watch: Watch = go_on
    jobs: int | None = None
    say: Callable[[str], object] = unheard
    address: str | None = None
    models: bool = False


@dataclass(frozen=True)
class Runner:
    """A way to train points: `run(work)` yields the trial of every point as soon as it has ended, in any order.

    The same points give the same curves in every runner. A trial whose loss is no longer finite ends there and is yielded
    with the step it died at. What was yielded is safe: an interrupt loses at most what was still in training. `needs` is a
    package that must be installed, and `missing` what to say where it is not.
    """

    run: Callable[[Work], Iterator[Trial]]
    needs: str | None = None
    missing: str = ""

    def must_be_able(self) -> None:
        """Find out before the work that a package is missing.

        Raises:
            UserError: when it is.
        """
        if self.needs is not None and find_spec(self.needs) is None:
            raise UserError.of(self.missing, kind="runner")

    @contextmanager
    def running(self, work: Work) -> Iterator[Iterator[Trial]]:
        """Run, and leave nothing of it behind, however the block is left: worker processes end with it."""
        trials = self.run(work)
        try:
            yield trials
        finally:
            if isinstance(trials, Generator):
                trials.close()


runners: Members[Runner] = Members("lossdoc.runners", Runner)
