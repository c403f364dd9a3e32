"""Experiments on a subject: trained as it is and with one thing changed, from the same seeds, and compared."""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean, median, stdev

from torch import Tensor, nn

from lossdoc import loop, randomness, train
from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable
from lossdoc.features.distributions import f_tail, normal_tail
from lossdoc.runner import Budget, Watch, Work, go_on, runners
from lossdoc.samples import thinned
from lossdoc.scoring import JUDGED, Measure, Yardstick
from lossdoc.subject import Point, Subject, Trial
from lossdoc.threads import cores, threads

EXPERIMENTS = 8  # that a budget should be enough for: the subject as it is, and so many changes
FEWEST = 100  # steps: in fewer a sound network may not have learned enough to be told from a sick one
USUAL = 2_000  # steps of one training where nothing asks for fewer: the slowest sound learner by heart needs 532
LEAST = 3  # experiments that must be possible: as it is, and at two other learning rates
PROBED = 0.5  # seconds for which the pace is taken
TICKS = 3  # at least, so that what a step takes is told apart from what is done before the first one
REPEATED = 5  # seeds of the very same training, as in the notes' figure 11
WATCHED = 10  # steps over which it is seen how far the weights move
TURNED = 12  # differences of which all 4,096 ways to turn the signs are gone through
HEAVY = 3e-3  # seconds a step from which on more threads pay
LATE = "the time that is left does not suffice to try it (`--budget` gives more)"


@dataclass(frozen=True)
class Experiment:
    """Trainings of one subject, one a seed: `scores` and `train_scores` have an entry a seed, on validation and training.

    A score is what `measure` says: 1 is perfect. One that diverged scores what knowing nothing scores.
    """

    name: str
    subject: Subject
    trials: tuple[Trial, ...]
    scores: tuple[float, ...]
    train_scores: tuple[float, ...]
    measure: Measure
    steps: int

    @property
    def score(self) -> float:
        """The mean score over the seeds."""
        return fmean(self.scores)

    @property
    def train_score(self) -> float:
        """The mean score on the training split."""
        return fmean(self.train_scores)

    @property
    def diverged(self) -> float:
        """The share of the seeds whose numbers left their range."""
        return fmean(trial.diverged_at is not None for trial in self.trials)

    @property
    def curve(self) -> Curve:
        """The curve of the first seed."""
        return self.trials[0].curve


@dataclass(frozen=True)
class Gain:
    """By how much a change raised the score: mean and standard error over the seeds, and how probable it is by chance.

    `p` is one-sided: of a paired t test, or twice that of all ways to turn the signs of the differences (Fisher 1935) where
    this is smaller, as when some seeds gain much and others little; 1 where there is one seed.
    """

    mean: float
    error: float
    p: float
    seeds: int

    @classmethod
    def between(cls, before: Sequence[float], after: Sequence[float], samples: int | None = None) -> Gain:
        """Compare scores seed by seed; `p` and the error also heed that they were counted on `samples`, all on the same.

        Where a gain of d was measured on n samples, at least d·n of them changed sides: its standard error is √(d/n) or
        more, however many seeds agree (McNemar 1947). `p` is the larger one of both tests.
        """
        apart = [new - old for old, new in zip(before, after, strict=True)]
        mean = fmean(apart)
        if len(apart) < 2:
            return cls(mean, math.inf, 1.0, len(apart))
        counted = math.sqrt(min(abs(mean), 1.0) / samples) if samples else 0.0
        between = max(stdev(apart) / math.sqrt(len(apart)), 1e-9)
        tail = f_tail((mean / between) ** 2, 1, len(apart) - 1) / 2
        tail = min(tail, 2 * _turned(apart)) if mean > 0 else tail
        if counted > 0:
            tail = max(tail, normal_tail(abs(mean) / counted))
        return cls(mean, max(between, counted), tail if mean > 0 else 1 - tail, len(apart))


def _turned(apart: Sequence[float]) -> float:
    """Return in what share of all ways to turn the signs of differences their sum is as large; 1 for more than `TURNED`."""
    if len(apart) > TURNED:
        return 1.0
    sums = [sum(way) for way in itertools.product(*((each, -each) for each in apart))]
    return fmean(one >= sum(apart) - 1e-12 for one in sums)


@dataclass(frozen=True)
class Pace:
    """What a training from all the seeds takes: `fixed` seconds, whatever its length, and so many for each step."""

    fixed: float = 0.0
    step: float = 0.0

    def seconds(self, steps: int) -> float:
        """Return how long a training of so many steps takes."""
        return self.fixed + self.step * steps


@dataclass
class Experiments:
    """What a subject does when it is trained, as it is and with one thing changed; each experiment is made once.

    `steps` is the length of one training. `until` is the time (of `time.monotonic`) when no new experiment may begin whose
    end lies behind it, `deadline` that at which one is broken off; infinite for no limit. `watch` is shown the ticks.
    """

    subject: Subject
    seeds: tuple[int, ...]
    steps: int
    until: float = math.inf
    deadline: float = math.inf
    watch: Watch = go_on
    done: dict[str, Experiment] = field(default_factory=dict)
    pace: Pace = Pace()

    @cached_property
    def samples(self) -> int | None:
        """How many answers the accuracies are counted on, a text's token by token; None where nothing is counted."""
        return sum(self.yardstick.labels) or None

    @property
    def baseline(self) -> Experiment:
        """The subject as it is.

        Raises:
            NotApplicable: when the time does not suffice even for that.
        """
        return self.tried("as it is", self.subject)

    @cached_property
    def yardstick(self) -> Yardstick:
        """What the subject is scored by."""
        return Yardstick.of(self._own)

    @cached_property
    def _own(self) -> Subject:
        """The subject as it is judged; its part of the validation split is read once."""
        return _judged(self.subject)

    @property
    def chance(self) -> float:
        """What a model scores that knows the targets' distribution and nothing of the inputs."""
        return self.yardstick.chance

    @property
    def shortened(self) -> float:
        """By how much these trainings are shorter than the configured one; 1 where they are not, or nobody knows."""
        recipe = self.subject.recipe
        return max(1.0, loop.planned_steps(self.subject, recipe.max_steps, recipe.epochs) / self.steps)

    @property
    def trained(self) -> nn.Module:
        """The subject's model as it is, trained with the first seed.

        Raises:
            NotApplicable: when the time does not suffice.
        """
        model = self.baseline.trials[0].model
        assert model is not None  # noqa: S101 - it was asked for, and kept
        return model

    @cached_property
    def repeated(self) -> Experiment:
        """The subject as it is, trained with five seeds (or as many as there are, where there are more).

        Raises:
            NotApplicable: when the time left does not suffice.
        """
        base = self.baseline
        extra = tuple(max(self.seeds) + 1 + more for more in range(REPEATED - len(self.seeds)))
        if not extra:
            return base
        self.afford(self.steps)
        more = replace(self, seeds=extra, done={}).baseline
        scores, known = (*base.scores, *more.scores), (*base.train_scores, *more.train_scores)
        return replace(base, trials=(*base.trials, *more.trials), scores=scores, train_scores=known)

    @cached_property
    def update_ratios(self) -> dict[str, float]:
        """log10(|Δw| / |w|) of each weight tensor at a step, the median over the first steps; −inf where none moves.

        The schedule is left out: a warm-up would make every rate look low.
        """
        subject, seed = self.subject, self.seeds[0]
        with randomness.seeded(seed):
            training = train.begin(subject, seed)
        before, moves = _weights(training.model()), defaultdict[str, list[float]](list)
        for step, (epoch, batch, _) in enumerate(itertools.islice(loop.epochs_of(subject, seed), WATCHED)):
            with randomness.seeded(seed, step):
                training.step(batch, 1.0, epoch)
            after = _weights(training.model())
            for name, weight in after.items():
                moves[name].append(float((weight - before[name]).norm() / before[name].norm().clamp_min(1e-30)))
            before = after
        ratios = {name: median(each) for name, each in moves.items()}
        return {name: math.log10(ratio) if ratio > 0 else -math.inf for name, ratio in ratios.items()}

    def tried(self, name: str, subject: Subject, *, longer: float = 1.0) -> Experiment:
        """Train a changed subject with every seed, `longer` times as long as usual.

        Raises:
            NotApplicable: when the time left does not suffice.
            UserError: when what was changed does not fit together.
        """
        if name not in self.done:
            steps = max(1, round(self.steps * longer))
            self.afford(steps)
            began = time.monotonic()
            self.done[name] = self._trained(name, subject, steps)
            taken = max(0.0, time.monotonic() - began - self.pace.fixed) / steps
            if not self.done[name].diverged:  # what ends early tells nothing of the pace
                self.pace = replace(self.pace, step=(self.pace.step + taken) / 2 if self.pace.step else taken)
        return self.done[name]

    def gain(self, after: Experiment) -> Gain:
        """Compare an experiment with the subject as it is."""
        return Gain.between(self.baseline.scores, after.scores, self.samples if after.measure == "accuracy" else None)

    def afford(self, steps: int, costs: float = 1.0) -> None:
        """Refuse what would not end in time, where it costs so many times what the subject itself does.

        Raises:
            NotApplicable: saying so.
        """
        if time.monotonic() + costs * self.pace.seconds(steps) > self.until:
            raise NotApplicable(LATE)

    def room(self, many: int) -> float:
        """Return by how much longer so many trainings may be, so that they take half of the time that is left.

        Never longer than the configured training; infinite time makes room for that.
        """
        seconds = (self.until - time.monotonic()) / 2 / many - self.pace.fixed
        fitting = seconds / self.pace.step / self.steps if self.pace.step else math.inf
        return max(1.0, min(self.shortened, fitting))

    def _in_time(self, seen: Sequence[tuple[Point, loop.Tick]]) -> Collection[int]:
        """Show ticks to the watch, unless the time is over: the pace that promised to end in time was not kept."""
        if time.monotonic() > self.deadline:
            raise NotApplicable(LATE)
        return self.watch(seen)

    def _trained(self, name: str, subject: Subject, steps: int) -> Experiment:
        judged = self._own if subject is self.subject else _judged(subject)
        stick = replace(self.yardstick, subject=judged)
        with threads(cores() if self.pace.step > HEAVY * len(self.seeds) else 1):
            trials = _trials(judged, self.seeds, steps, self._in_time)
            scores = [(stick.of_trial(one, stick.split), stick.of_trial(one, "train")) for one in trials]
        ours, known = zip(*scores, strict=True)
        kept = trials[:1] if subject is self.subject else []  # one model is enough: many take memory
        bare = [replace(one, model=None) for one in trials[len(kept) :]]
        return Experiment(name, subject, (*kept, *bare), ours, known, stick.measure, steps)


def _judged(subject: Subject) -> Subject:
    """Return a subject whose validation takes no longer than it must."""
    return thinned(subject, "validation", JUDGED)


def planned(subject: Subject, pace: Pace, seconds: float = math.inf, many: int = EXPERIMENTS) -> int:
    """Return how many steps one training may last, so that so many of them take so many seconds.

    Never more than the configured training; up to `FEWEST` where only three of that length fit in.
    """
    whole = loop.planned_steps(subject, subject.recipe.max_steps, subject.recipe.epochs) or USUAL
    if math.isinf(seconds):
        return min(whole, USUAL)
    fitting, few = (int((seconds / each - pace.fixed) / pace.step) for each in (many, LEAST))
    return max(1, min(whole, USUAL, max(fitting, min(FEWEST, few))))


def paced(subject: Subject, seeds: Sequence[int]) -> Pace:
    """Return what trainings from these seeds take, by one that is ended after a moment.

    Its learning rate is 0, so that it does not diverge; where it does nevertheless, `FEWEST` steps are taken to last as long
    as what is done before them.

    Raises:
        UserError: when the subject cannot be trained as it is.
        UserCodeError: when the user's own code raises.
    """
    began, seen, turns = time.monotonic(), [(time.monotonic(), 0)], 1  # seeds take turns where they cannot be stacked

    def stop(ticks: Sequence[tuple[Point, loop.Tick]]) -> range:
        nonlocal turns
        now, step = time.monotonic(), ticks[0][1].step
        if turns > 1 or step < seen[-1][1]:  # another begins, and is ended: the first has told what there is to know
            turns += 1
            return range(len(ticks))
        seen.append((now, step))
        return range(len(ticks) if now > began + PROBED and len(seen) > TICKS else 0)

    still = _at_rest(subject)
    probe = Experiments(still, tuple(seeds), steps=USUAL, watch=stop).tried("probe", still)
    taken, steps = time.monotonic() - began, len(probe.curve.train)
    (first, early), (last, late) = seen[1 % len(seen)], seen[-1]
    if probe.diverged:
        return Pace(taken, taken / FEWEST)
    step = max((last - first) / (late - early) if late > early else taken / steps, 1e-6)
    return Pace(max(0.0, taken - step * (steps + turns - 1)), step * turns)


def _at_rest(subject: Subject) -> Subject:
    """Return the subject trained without moving."""
    recipe = subject.recipe
    rest = {"lr": 0.0} if "lr" in recipe.hyper else {}
    return replace(subject, recipe=replace(recipe, changed={**recipe.changed, **rest}))


def _trials(subject: Subject, seeds: Sequence[int], steps: int, watch: Watch) -> list[Trial]:
    """Train with all seeds at once where the model allows it."""
    points = [Point(index, {}, seed) for index, seed in enumerate(seeds)]
    work = Work(lambda _point: subject, points, Budget(steps=steps), watch, models=True)
    name = "serial" if len(seeds) == 1 else "vmapped"
    return sorted(runners.get(name).run(work), key=lambda trial: trial.point.index)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the tensors of weights, without biases and the like."""
    learned = ((name, each) for name, each in model.named_parameters() if each.requires_grad and each.ndim > 1)
    return {name: each.detach().clone() for name, each in learned}
