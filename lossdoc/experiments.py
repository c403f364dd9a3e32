"""Experiments on a subject: trained as it is and with one thing changed, from the same seeds, and compared."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean, stdev
from typing import Any, Literal

import torch
from torch import Tensor

from lossdoc import loop, train
from lossdoc.calling import call_model
from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable
from lossdoc.features.distributions import f_tail
from lossdoc.runner import Budget, Watch, Work, go_on, runners
from lossdoc.subject import Batch, Point, Split, Subject, Trial
from lossdoc.threads import cores, threads

Measure = Literal["accuracy", "explained variance", "fall of the loss"]
EXPERIMENTS = 12  # that a budget should be enough for: the subject as it is, and so many changes
FEWEST = 100  # steps: in fewer a sound network may not have learned enough to be told from a sick one
USUAL = 2_000  # steps of one training where nothing asks for fewer: the slowest sound learner by heart needs 532
PROBED = 6  # steps that are timed, and five times as many: the difference is free of what a training costs to set up
HEAVY = 3e-3  # seconds a step from which on more threads pay


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

    `p` is one-sided, of a paired t test; 1 where there is one seed.
    """

    mean: float
    error: float
    p: float
    seeds: int

    @classmethod
    def between(cls, before: Sequence[float], after: Sequence[float], samples: int | None = None) -> Gain:
        """Compare scores seed by seed; the error is at least that of counting `samples` (McNemar 1947).

        Where a gain of d was measured on n samples, at least d·n of them changed sides: the standard error is √(d/n) or
        more.
        """
        apart = [new - old for old, new in zip(before, after, strict=True)]
        mean = fmean(apart)
        counted = math.sqrt(min(abs(mean), 1.0) / samples) / math.sqrt(len(apart)) if samples else 0.0
        if len(apart) < 2:
            return cls(mean, math.inf, 1.0, len(apart))
        error = max(stdev(apart) / math.sqrt(len(apart)), counted, 1e-9)
        tail = f_tail((mean / error) ** 2, 1, len(apart) - 1) / 2
        return cls(mean, error, tail if mean > 0 else 1 - tail, len(apart))


@dataclass
class Experiments:
    """What a subject does when it is trained, as it is and with one thing changed; each experiment is made once.

    `steps` is the length of one training. `until` is the time (of `time.monotonic`) when no new experiment may begin whose
    end lies behind it, infinite for no limit. `watch` is shown the ticks.
    """

    subject: Subject
    seeds: tuple[int, ...]
    steps: int
    until: float = math.inf
    watch: Watch = go_on
    done: dict[str, Experiment] = field(default_factory=dict)
    seconds: float = 0.0  # that a step of one seed takes

    @cached_property
    def samples(self) -> int | None:
        """How many samples the scores are counted on, None where it is not known."""
        return self.subject.sizes.get("validation", self.subject.sizes.get("train"))

    @property
    def baseline(self) -> Experiment:
        """The subject as it is.

        Raises:
            NotApplicable: when the time does not suffice even for that.
        """
        return self.tried("as it is", self.subject)

    @cached_property
    def chance(self) -> float:
        """What a model scores that knows the targets' distribution and nothing of the inputs."""
        return _chance(self.subject, _measure(self.subject))

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
            taken = (time.monotonic() - began) / (steps * len(self.seeds))
            self.seconds = max(self.seconds, taken) if self.seconds else taken
        return self.done[name]

    def gain(self, after: Experiment) -> Gain:
        """Compare an experiment with the subject as it is."""
        return Gain.between(self.baseline.scores, after.scores, self.samples if after.measure == "accuracy" else None)

    def afford(self, steps: int) -> None:
        """Refuse what would not end in time.

        Raises:
            NotApplicable: saying so.
        """
        if time.monotonic() + self.seconds * steps * len(self.seeds) > self.until:
            raise NotApplicable("the time that is left does not suffice to try it (`--budget` gives more)")

    def _trained(self, name: str, subject: Subject, steps: int) -> Experiment:
        measure = _measure(self.subject)
        chance = _chance(subject, measure) if measure != "fall of the loss" else 0.0
        with threads(cores() if self.seconds > HEAVY else 1):
            if measure == "explained variance" and not _tells_variance(subject):
                runs = [_scored(subject, seed, steps, chance) for seed in self.seeds]
            else:
                variance = {split: _variance(subject, split) for split in _splits(subject)} if "var" in measure else {}
                runs = [
                    (trial, _score(trial, measure, variance, chance, "validation"), _score(trial, measure, variance, chance))
                    for trial in _trials(subject, self.seeds, steps, self.watch)
                ]
        trials, scores, known = zip(*runs, strict=True)
        return Experiment(name, subject, trials, scores, known, measure, steps)


def planned(subject: Subject, seeds: Sequence[int], seconds: float = math.inf) -> int:
    """Return how many steps one training may last so that `EXPERIMENTS` of them take so many seconds.

    Never more than the configured training, never fewer than `FEWEST` where that is longer.
    """
    whole = loop.planned_steps(subject, subject.recipe.max_steps, subject.recipe.epochs) or USUAL
    if math.isinf(seconds):
        return min(whole, USUAL)
    probe = Experiments(subject, tuple(seeds), steps=PROBED)
    times = []
    for name, longer in (("warm", 1.0), ("short", 1.0), ("long", 5.0)):
        began = time.monotonic()
        probe.tried(name, subject, longer=longer)
        times.append(time.monotonic() - began)
    _, short, long = times
    step = max((long - short) / (4 * PROBED), 1e-6)
    room = seconds / EXPERIMENTS - max(short - PROBED * step, 0.0)
    return min(whole, USUAL, max(FEWEST, int(room / step)))


def _trials(subject: Subject, seeds: Sequence[int], steps: int, watch: Watch) -> list[Trial]:
    """Train with all seeds at once where the model allows it."""
    points = [Point(index, {}, seed) for index, seed in enumerate(seeds)]
    work = Work(lambda _point: subject, points, Budget(steps=steps), watch)
    name = "serial" if len(seeds) == 1 else "vmapped"
    return sorted(runners.get(name).run(work), key=lambda trial: trial.point.index)


def _measure(subject: Subject) -> Measure:
    """Return how a subject is scored: by what does not depend on its loss, where the task knows of such a thing."""
    if subject.task == "regression":
        return "explained variance"
    with train.seeded(subject.seed):
        batch = next(iter(subject.batches("train", 0)))
        first = train.measure(subject, subject.build(subject.seed), batch, training=False)
    return "fall of the loss" if math.isnan(first.accuracy) else "accuracy"


def _tells_variance(subject: Subject) -> bool:
    """Tell whether a loss is the mean squared error itself, from which the explained variance follows."""
    return subject.loss.word == "mse" and subject.loss.reduction == "mean" and subject.recipe.step is None


def _splits(subject: Subject) -> tuple[Split, ...]:
    return ("train", "validation") if "validation" in subject.sizes else ("train",)


def _targets(subject: Subject, split: Split) -> Tensor:
    return torch.cat([batch.targets.double().reshape(batch.size, -1) for batch in train.whole(subject, split)])


def _variance(subject: Subject, split: Split) -> float:
    """Return the mean squared deviation of a split's targets from their mean."""
    targets = _targets(subject, split)
    return float((targets - targets.mean(0)).square().mean())


def _chance(subject: Subject, measure: Measure) -> float:
    if measure != "accuracy":
        return 0.0
    batches = list(train.whole(subject, "validation" if "validation" in subject.sizes else "train"))
    labels = torch.cat([batch.targets.reshape(-1) for batch in batches])
    return float(torch.unique(labels, return_counts=True)[1].max() / len(labels))


def _score(trial: Trial, measure: Measure, variance: dict[Split, float], chance: float, split: Split = "train") -> float:
    """Return what a trial reached on a split (on the training split where there is no other), at least −1."""
    validation = split == "validation" and trial.curve.val is not None
    if trial.diverged_at is not None:
        return chance
    if measure == "accuracy":
        return trial.val_accuracy if validation else trial.train_accuracy
    loss = trial.val_loss if validation else trial.train_loss
    if measure == "explained variance":
        return _explained(loss, variance["validation" if validation else "train"])
    first = float(trial.curve.train.value[0])
    return max(-1.0, (first - loss) / max(abs(first), 1e-12))


def _explained(error: float, variance: float) -> float:
    return max(-1.0, 1.0 - error / variance) if variance > 0 else 0.0


def _scored(subject: Subject, seed: int, steps: int, chance: float) -> tuple[Trial, float, float]:
    """Train one seed and measure the squared error of the model's own answers, whatever the loss is."""
    log = loop.Log(subject)
    with train.seeded(seed):
        training = train.begin(subject, seed)
    for tick in loop.run(subject, training, loop.epochs_of(subject, seed), seed=seed, steps=steps):
        log.add(tick)
    curve = log.curve()
    trial = Trial(Point(0, {}, seed), curve, math.nan, math.nan, log.ticks[-1].step if log.ticks[-1].diverged else None)
    if trial.diverged_at is not None:
        return trial, chance, chance
    scores = [_explained(_squared_error(subject, training, split), _variance(subject, split)) for split in _splits(subject)]
    return replace(trial, loss=trial.train_loss, metric=scores[-1]), scores[-1], scores[0]


def _squared_error(subject: Subject, training: train.Training, split: Split) -> float:
    """Return the mean squared error over a split; infinite where outputs and targets do not match."""
    model = training.model()
    errors = [_error(model, batch) for batch in train.whole(subject, split)]
    total = sum(size for _, size in errors)
    return sum(error * size for error, size in errors) / total


def _error(model: Any, batch: Batch) -> tuple[float, int]:
    outputs = _answers(model, batch)
    if not isinstance(outputs, Tensor) or outputs.numel() != batch.targets.numel():
        return math.inf, batch.size
    apart = outputs.reshape(batch.targets.shape).double() - batch.targets.double()
    error = float(apart.square().mean())
    return (error if math.isfinite(error) else math.inf), batch.size


def _answers(model: Any, batch: Batch) -> Any:
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            return train.logits_in(call_model(model, batch))
    finally:
        model.train(before)
