"""Schedules: a factor on the learning rate at each step, by the step (from 0) and the total number of steps."""

import math
from collections.abc import Callable
from typing import ClassVar, Literal

from lossdoc.word import Count, NonNegative, Own, Positive, Share, Word, table


class ScheduleWord(Word):
    """A schedule of the learning rate."""

    kind: ClassVar[str] = "a schedule"


class OwnSchedule(ScheduleWord, Own):
    """The user's own schedule: f(step, total) -> factor, or a scheduler of torch's, which is stepped after every batch."""

    word: ClassVar[str] = "call"


class Schedule(ScheduleWord):
    """A schedule of lossdoc's own."""

    def __call__(self, step: int, total: int) -> float:
        """Return the factor on the learning rate."""
        raise NotImplementedError


class Constant(Schedule):
    """The learning rate as it is."""

    word: ClassVar[str] = "constant"

    def __call__(self, step: int, total: int) -> float:  # noqa: ARG002 - see Schedule
        """Return 1."""
        return 1.0


class Step(Schedule):
    """Times `factor` after every `every` steps."""

    word: ClassVar[str] = "step"
    every: Count
    factor: Positive = 0.1

    def __call__(self, step: int, total: int) -> float:  # noqa: ARG002 - see Schedule
        """Return factor^⌊step / every⌋."""
        return float(self.factor ** (step // self.every))


class Cosine(Schedule):
    """Down half a cosine to `end` times the rate (Loshchilov and Hutter 2016)."""

    word: ClassVar[str] = "cosine"
    shorthand: ClassVar[str | None] = "end"
    end: NonNegative = 0.0

    def __call__(self, step: int, total: int) -> float:
        """Return end + (1 − end)·(1 + cos(π·step / total)) / 2."""
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * _share(step, total))) / 2


class Exponential(Schedule):
    """Times the same number at every step, so that `end` times the rate is left at the last."""

    word: ClassVar[str] = "exponential"
    shorthand: ClassVar[str | None] = "end"
    end: Positive = 0.01

    def __call__(self, step: int, total: int) -> float:
        """Return end^(step / total)."""
        return float(self.end ** _share(step, total))


class Rising(Schedule):
    """Times the same number at every step, so that the last has `by` times the rate: a range test (Smith 2015).

    `steps` is how many steps it takes; without it, as many as there are.
    """

    word: ClassVar[str] = "rising"
    shorthand: ClassVar[str | None] = "by"
    by: Positive = 1e6
    steps: Count | None = None

    def __call__(self, step: int, total: int) -> float:
        """Return by^(step / (total − 1)): 1 at the first step, `by` at the last."""
        return float(self.by ** _share(step, (self.steps or total) - 1))


class Warmup(ScheduleWord):
    """Up in a straight line over the first `steps` steps, from there on as `then` says (Goyal et al. 2017)."""

    word: ClassVar[str] = "warmup"
    shorthand: ClassVar[str | None] = "steps"
    steps: Count
    then: ScheduleWord = Constant.model_construct()

    def before(self, then: Callable[[int, int], float]) -> Callable[[int, int], float]:
        """Return the schedule that goes up to 1 and on as `then`, which counts its steps from there."""

        def factor(step: int, total: int) -> float:
            return (step + 1) / self.steps if step < self.steps else then(step - self.steps, total - self.steps)

        return factor


class OneCycle(Schedule):
    """Up to the rate over the share `rise` of the training, then down to almost 0, half a cosine each (Smith 2018).

    It begins at the rate divided by `start` and ends at that divided by `end`, as torch's OneCycleLR does.
    """

    word: ClassVar[str] = "one_cycle"
    shorthand: ClassVar[str | None] = "rise"
    rise: Share = 0.3
    start: Positive = 25.0
    end: Positive = 1e4

    def __call__(self, step: int, total: int) -> float:
        """Return 1 / start at the first step, 1 after the rise, 1 / (start·end) at the last."""
        top, last = self.rise * total - 1, max(total - 1, 1)
        if step < top:
            return _half_cosine(1 / self.start, 1.0, step / top)
        return _half_cosine(1.0, 1 / (self.start * self.end), min((step - top) / max(last - top, 1e-9), 1.0))


class Cyclic(Schedule):
    """Up to `peak` times the rate and back within 2·`half` steps: the sudden rise gets out of saddle points (Smith 2015).

    `triangular2` halves the rise with every cycle, `exp_range` multiplies it by `gamma` at every step.
    """

    word: ClassVar[str] = "cyclic"
    half: Count
    peak: Positive = 10.0
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Positive = 0.999

    def __call__(self, step: int, total: int) -> float:  # noqa: ARG002 - see Schedule
        """Return 1 at both ends of a cycle and `peak` in its middle."""
        cycle, place = divmod(step, 2 * self.half)
        rise = 1 - abs(place / self.half - 1)
        damping = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**step}[self.mode]
        return 1 + (self.peak - 1) * rise * damping


def _half_cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _share(step: int, total: int) -> float:
    """Return how much of the training is over, 0 to 1."""
    return min(step / max(total, 1), 1.0)


SCHEDULES = table(Constant, Step, Cosine, Exponential, Rising, Warmup, OneCycle, Cyclic, OwnSchedule)
