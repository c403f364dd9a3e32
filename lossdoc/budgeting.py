"""How a budget is divided: at most so much for each stage, and all that is left for the experiments that prove causes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.experiments import EXPERIMENTS, FEWEST, Experiments, paced, planned
from lossdoc.following import OutOfTimeError
from lossdoc.rule import Rule
from lossdoc.samples import thinned
from lossdoc.subject import Subject

SHARES = {"sanity": 0.5, "overfit": 0.1, "training": 0.1}  # of a budget at most: the rest is for experiments, which prove
PROJECTED = 0.2  # of a stage's time after which is reckoned whether the rest of the training fits in
TUNES = "left out: it tunes and proves no cause, for which the budget is; `lossdoc sweep` does it by itself"
SEEDS = 5  # of an experiment: a paired t test of 3 needs 2.5 times as large a gain for the same p
FEW_SEEDS = 3  # where a step takes long: the user's own, a seed at a time, or a large network in little time
SLOW = 0.05  # seconds a step of all seeds from which on fewer seeds are the better use of the time
AGAIN, WORTH = 0.8, 1.5  # of the time that is left, where short trainings showed nothing, and how much longer is worth it
SOME = 15.0  # seconds that the checks before any training get in any case: some answer is better than none


def share_of(name: str, now: float, began: float, end: float) -> float:
    """Return when a stage must end that begins now, where all of it may take from `began` to `end`."""
    whole = SHARES.get(name, 1.0) * (end - began)
    return now + max(whole, SOME) if name == "sanity" else min(end, now + whole)


@dataclass
class Bench:
    """Where the experiments of a case are made; each is made once, for all the stages that want to know."""

    made: Experiments | None = None

    def experiments(self, subject: Subject, until: float, deadline: float, many: int = EXPERIMENTS) -> Experiments:
        """Return the experiments, so short that the `many` that may be asked for fit into the time that is left.

        None is begun that would not end until `until`, and none goes on after `deadline`.
        """
        if self.made is None:
            self.made = self._made(subject, SEEDS if subject.recipe.step is None else FEW_SEEDS, until, many)
        self.made.until, self.made.deadline = until, deadline
        return self.made

    def lengthen(self, began: float, end: float) -> None:
        """Make the experiments longer that were made since `began`, where time is left for clearly longer ones."""
        if self.made is None:
            return
        now = time.monotonic()
        factor = min(self.made.shortened, AGAIN * (end - now) / (now - began))
        if factor >= WORTH:
            self.made = replace(self.made, steps=int(self.made.steps * factor), done={})

    def _made(self, subject: Subject, seeded: int, until: float, many: int) -> Experiments:
        """Plan the experiments from so many seeds, from fewer where the trainings would get too short."""
        seeds = tuple(range(subject.seed, subject.seed + seeded))
        try:
            warm = Experiments(thinned(subject, "validation", 1), seeds[:FEW_SEEDS], 1)
            warm.tried("warm", warm.subject)  # what is done for the first time takes longer
            few = self._planned(subject, seeds[:FEW_SEEDS], until, many)
            light = few.pace.step * seeded < SLOW * FEW_SEEDS
            made = self._planned(subject, seeds, until, many) if light and seeded > FEW_SEEDS else few
        except (NotApplicable, UserError, UserCodeError):
            return Experiments(subject, seeds, 1)  # the first experiment says why
        return few if made.steps < min(FEWEST, few.steps) else made

    def _planned(self, subject: Subject, seeds: tuple[int, ...], until: float, many: int) -> Experiments:
        pace = paced(subject, seeds)
        return Experiments(subject, seeds, planned(subject, pace, max(until - time.monotonic(), 1.0), many), pace=pace)


def ending(one: Rule[Any], until: float) -> Rule[Any]:
    """Return a check that does not begin after the end of its time; the cheap ones need none to speak of."""
    if math.isinf(until):
        return one

    @wraps(one.judge)
    def judge(subject: Subject) -> Any:
        if time.monotonic() > until:
            raise NotApplicable("the share of the budget for sanity was spent")
        return one.judge(subject)

    return replace(one, judge=judge)


@dataclass
class Fits:
    """Breaks off a training of so many steps as soon as it is plain that it will not end in time."""

    until: float
    steps: int | None
    began: float = field(default_factory=time.monotonic)

    def __call__(self, step: int) -> None:
        """Reckon after a part of the time.

        Raises:
            OutOfTimeError: saying that it will not do.
        """
        now = time.monotonic()
        if not self.steps or now - self.began < PROJECTED * (self.until - self.began):
            return
        if (now - self.began) * self.steps / max(1, step) > self.until - self.began:
            raise OutOfTimeError("its share of the budget is too small for all its steps; a larger --budget has room for it")
