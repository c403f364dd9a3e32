"""What a sweep varies when nothing is said, and between which ends: from the configured values, and from a range test."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable
from lossdoc.features.rising import Suggestion, suggest
from lossdoc.ranking import RATE, finished
from lossdoc.runner import Budget, Runner, Watch, Work, go_on, unheard
from lossdoc.search import Axis, Choices, Range, Space
from lossdoc.subject import Penalty, Point, Subject, Trial, Trials

DECADES = 100.0  # two decades to either side of the configured value: a rate that is off by more is found by the edge
L2 = "regularization.l2"
DECAY = "optimizer.weight_decay"
LOWEST, HIGHEST = 1e-6, 10.0  # rates between which a range test looks: no usual optimizer learns outside of them
STEPS = 150  # of a range test: some twenty a decade, so that a bell of a quarter decade averages five losses
SEEDS = 3  # runs of a range test: their median heeds no single one
BELOW, ABOVE = 20.0, 10.0  # a sweep reaches so far to either side of what is suggested: two decades and a bit
BEFORE = 4.0  # the lowest loss comes late: momentum 0.9 averages over ten steps, in which the rate rises threefold


@dataclass(frozen=True)
class RangeTest:
    """What several range tests say together; `found` has an entry for each run that gave an answer.

    The rates are medians over these runs, so that no single one decides.
    """

    found: tuple[Suggestion, ...]
    runs: int
    low: float
    high: float

    @property
    def steepest(self) -> float:
        """The rate at which the loss falls fastest."""
        return _middle([one.steepest for one in self.found])

    @property
    def valley(self) -> float:
        """The rate in the middle of the longest fall."""
        return _middle([one.valley for one in self.found])

    @property
    def ceiling(self) -> float | None:
        """The rate at which half of the fall is lost again, None where most runs never came to it."""
        known = [one.ceiling if one.ceiling is not None else math.inf for one in self.found]
        found = _middle(known)
        return found if math.isfinite(found) else None

    def range(self) -> Range:
        """Return between which rates a sweep should look."""
        low, high = sorted((self.valley, self.steepest))
        return Range(_rounded(low / BELOW), _rounded(max(min(high * ABOVE, self.ceiling or math.inf), high * 2)))

    @property
    def suggested(self) -> dict[str, Any]:
        """The values to train with: the middle of the fall, but well before the lowest loss, from where on it explodes."""
        lowest = _middle([one.lowest for one in self.found])
        return {RATE: _rounded(min(self.valley, lowest / BEFORE))}

    def told(self) -> str:
        """Say what came out."""
        at, lasts = self.ceiling, f"it lasts to {self.high:.2g}"
        end = lasts if at is None else f"half of it is lost again at {at:.2g}"
        return f"the loss falls fastest at {self.steepest:.2g}, the middle of its fall is {self.valley:.2g}, and {end}"


def rising(rates: Range, steps: int = STEPS) -> dict[str, Any]:
    """Return the values of a point whose rate rises through a range, by the same factor at each of so many steps."""
    return {RATE: rates.low, "schedule": {"rising": {"by": rates.high / rates.low, "steps": steps}}}


def rises(point: Point) -> bool:
    """Tell whether a point is a range test."""
    schedule = point.params.get("schedule")
    return isinstance(schedule, Mapping) and "rising" in schedule and RATE in point.params


def read(trials: Sequence[Trial]) -> RangeTest:
    """Return what trials with a rising rate say together.

    Raises:
        NotApplicable: when in half of them or more the loss never falls by more than noise.
    """
    found = []
    for trial in trials:
        one = suggest(rates_of(trial), trial.curve.train.value)
        found += [one] if one is not None else []
    if 2 * len(found) <= len(trials):
        few = "it" if len(trials) == 1 else f"{len(trials) - len(found)} of {len(trials)} runs"
        raise NotApplicable(f"the loss of {few} never fell by more than noise while the rate rose")
    low = float(trials[0].point.params[RATE])
    return RangeTest(tuple(found), len(trials), low, low * float(trials[0].point.params["schedule"]["rising"]["by"]))


def rates_of(trial: Trial) -> Floats:
    """Return the learning rate of each logged loss (n,) of a range test."""
    word = trial.point.params["schedule"]["rising"]
    shares = (trial.curve.train.step - 1) / max(word["steps"] - 1, 1)
    return np.asarray(trial.point.params[RATE] * word["by"] ** shares, dtype=np.float64)


def tested(rate: float) -> Range:
    """Return between which rates to look: where optimizers learn, widened to two decades around the configured one."""
    return Range(min(LOWEST, rate / DECADES), max(HIGHEST, rate * DECADES))


def range_test(
    make: Callable[[Point], Subject],
    rates: Range,
    runner: Runner,
    seeds: Sequence[int],
    *,
    watch: Watch = go_on,
    say: Callable[[str], object] = unheard,
) -> RangeTest:
    """Train one run a seed through a range of rates, and return what they say; nothing is written down.

    Raises:
        NotApplicable: when they give no answer.
    """
    points = [Point(0, rising(rates), seed) for seed in seeds]
    return read(list(runner.run(Work(make, points, Budget(steps=STEPS), watch, say=say))))


def refined(space: Space, trials: Sequence[Trial]) -> Space:
    """Return the space around the best of some trials: a third of each range, the best of the choices.

    A value outside of its range, such as a configured 0 on a logarithmic one, leaves the range as it is.
    """
    good = finished(Trials(tuple(trials)))
    if not good:
        return Space(space.axes)
    best = good[0].trial.point.params
    return Space({path: _around(axis, best[path]) for path, axis in space.axes.items()})


def _around(axis: Axis, value: Any) -> Axis:
    if isinstance(axis, Choices):
        return Choices((value,))
    here = axis.share(value)
    if not 0 <= here <= 1:
        return axis
    return Range(axis.at(max(here - 1 / 6, 0.0)), axis.at(min(here + 1 / 6, 1.0)), axis.log)


def default_space(subject: Subject, rates: Range | None = None) -> Space:
    """Return what is varied when nothing is said: the learning rate, and the strength of the regularization.

    The learning rate has the range `rates`; where there is none, and for the other, a range reaches two decades to either
    side of the configured value. Where there is no regularization yet, it reaches from a penalty of a thousandth of the
    first loss, which is without effect, to one as large as that loss, which dominates. A user's own training step knows of
    no penalties: then it is the learning rate alone.
    """
    rate = float(subject.recipe.hyper["lr"])
    axes: dict[str, Range | Choices] = {RATE: rates or Range(rate / DECADES, rate * DECADES)}
    start: dict[str, Any] = {RATE: rate}
    decay = float(subject.recipe.hyper.get("weight_decay", 0.0))
    l2 = _l2(subject)
    if decay > 0:
        axes[DECAY], start[DECAY] = Range(decay / DECADES, decay * DECADES), decay
    elif l2 is not None and l2.coefficient > 0:
        axes[L2], start[L2] = Range(l2.coefficient / DECADES, l2.coefficient * DECADES), float(l2.coefficient)
    elif subject.recipe.step is None:
        strongest = _decade(_dominating_l2(subject))
        axes[L2], start[L2] = Range(strongest / 1_000, strongest), 0.0
    return Space(axes, start)


def shortened(subject: Subject, budget: Budget) -> float:
    """Return by how much a budget is smaller than the configured training; 1 where it is not, or nobody knows."""
    from lossdoc.loop import planned_steps

    whole = planned_steps(subject, subject.recipe.max_steps, subject.recipe.epochs)
    short = planned_steps(subject, budget.steps, budget.epochs)
    if whole == 0 or short == 0:  # the length of an epoch is not known
        return max(1.0, subject.recipe.epochs / budget.epochs) if budget.epochs else 1.0
    return max(1.0, whole / short)


def configured(subject: Subject, paths: Iterable[str]) -> dict[str, Any]:
    """Return the configured values of those paths that the subject knows: hyperparameters and the L2 strength."""
    l2 = _l2(subject)
    known: dict[str, Any] = {f"optimizer.{name}": value for name, value in subject.recipe.hyper.items()}
    known[L2] = 0.0 if l2 is None else float(l2.coefficient)
    return {path: known[path] for path in paths if path in known}


def _l2(subject: Subject) -> Penalty | None:
    return next((penalty for penalty in subject.recipe.penalties if penalty.word == "l2" and not penalty.own), None)


def _dominating_l2(subject: Subject) -> float:
    """Return the coefficient c at which c/2 · ‖w‖² of a fresh model is as large as its loss on the first batch."""
    from lossdoc import measuring

    model = subject.build(subject.seed)
    batch = next(iter(subject.batches("train", subject.seed)))
    loss = measuring.measure(subject, model, batch, training=True).loss
    squares = sum(float(weight.detach().square().sum()) for weight in model.parameters() if weight.ndim > 1)
    usable = math.isfinite(loss) and loss > 0 and squares > 0
    return 2 * loss / squares if usable else 0.1


def _decade(value: float) -> float:
    """Return the power of ten next to a positive number."""
    return float(10.0 ** round(math.log10(value)))


def _middle(values: Sequence[float]) -> float:
    """Return the median of rates, between two of them by their logarithms."""
    return math.exp(median(math.log(value) for value in values))


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")
