"""Successive halving: points that do badly after a few epochs are not trained any further."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from lossdoc.subject import Point, Trial

if TYPE_CHECKING:
    from lossdoc.loop import Tick

KEPT = 3  # of so many points one goes on past a rung: the reduction factor that Li et al. use throughout


class Halving:
    """Decides which points go on: at each rung the best third, by the validation loss, of all that have come so far.

    Rungs are the ends of epochs, at a third of the training, a ninth and so on. A point is held against those that came
    before it and beside it, never made to wait (ASHA: L. Li et al., A system for massively parallel hyperparameter tuning,
    2018). So where points come side by side, or one after another, what is stopped can be repeated; where they come as
    workers happen to finish, it depends on that.
    """

    def __init__(self, epochs: int) -> None:
        self.rungs: list[int] = []
        while epochs >= KEPT:
            epochs //= KEPT
            self.rungs.append(epochs)
        self._came: dict[int, dict[int, float]] = {rung: {} for rung in self.rungs}
        self.stopped: set[int] = set()

    def know(self, trials: Iterable[Trial]) -> None:
        """Take note of trials that were trained before."""
        for trial in trials:
            losses = [] if trial.curve.val is None else trial.curve.val.value.tolist()
            for rung in self.rungs:
                if len(losses) >= rung:
                    self._came[rung][trial.point.index] = _comparable(losses[rung - 1])

    def watch(self, seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
        """Return the places of the points that have come to a rung and do not go on past it."""
        at_rung: dict[int, list[int]] = {}
        for place, (point, tick) in enumerate(seen):
            if tick.validation is not None and tick.epoch + 1 in self._came:
                at_rung.setdefault(tick.epoch + 1, []).append(place)
                self._came[tick.epoch + 1][point.index] = _comparable(tick.validation.loss)
        ended = [place for rung, places in at_rung.items() for place in places if not self._goes_on(rung, seen[place][0])]
        self.stopped |= {seen[place][0].index for place in ended}
        return ended

    def _goes_on(self, rung: int, point: Point) -> bool:
        came = sorted(self._came[rung].values())
        return self._came[rung][point.index] <= came[math.ceil(len(came) / KEPT) - 1]


def _comparable(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf
