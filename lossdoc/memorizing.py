"""Learning a few samples by heart: the same ones in every epoch, at one learning rate after another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc import calling, loop, measuring, randomness, regularization, train
from lossdoc import samples as samples_of
from lossdoc.curve import Curve, Series
from lossdoc.memorization import Attempt, Ended, Measure, Memorization
from lossdoc.subject import Batch, Subject, constant_rate

LEFT_OVER = 0.01  # of the targets' variance: what the notes' checklist leaves to a regression that knows its samples
MOST_STEPS = 2_000  # four times the slowest healthy case known: 532 steps, plain SGD at 0.01 from N(0, 0.01) on digits
PATIENCE = 25  # passes before a loss that sets no new record may count as stalled
SETTLING = 64  # passes that let running averages forget their start: 0.9^64 = 0.001 at batch normalization's usual momentum

Watch = Callable[[loop.Tick], object]


def memorize(
    subject: Subject,
    *,
    samples: int = 64,
    batch_size: int = 16,
    steps: int | None = None,
    seed: int | None = None,
    watch: Watch | None = None,
) -> Memorization:
    """Train on the same few samples, without regularization and dropout, until the model knows them by heart.

    Where it does not get there at the configured learning rate, it is tried at ten times and a tenth of it. The learning
    rate's schedule is left out: it would be stretched over a number of steps that nobody knows beforehand. `watch` is told
    the loss and the accuracy over all the samples after every pass.

    Raises:
        UserError: when there is nothing to train on.
        UserCodeError: when the user's own code raises.
    """
    drawn = samples_of.collect(subject, samples)
    plain = regularization.unregularized(subject)
    plain = replace(plain, recipe=replace(plain.recipe, schedule=constant_rate))
    top = samples_of.ceiling(drawn, plain.task)
    size = min(batch_size, drawn.size)
    task = _Task(plain, drawn, size, subject.seed if seed is None else seed, steps, top).with_goal()
    attempts = [_attempt(task, plain.recipe.hyper["lr"], watch)]
    rates = _other_rates(attempts[0]) if task.measure is not None else []
    while attempts[-1].ended != "reached" and rates:
        attempts.append(_attempt(task, rates.pop(0), watch))
    return Memorization(tuple(attempts), drawn.size, size, task.measure, task.goal, top.accuracy, top.loss, top.missed)


def _other_rates(first: Attempt) -> list[float]:
    """Return the rates to try next, the likelier first: a loss that left its range or rose asks for a smaller one."""
    low, high = (float(f"{first.lr * factor:.12g}") for factor in (0.1, 10.0))  # 1e-05, not 9.999999999999999e-06
    losses = first.curve.train.value
    return [low, high] if first.ended == "diverged" or losses[-1] > losses[0] else [high, low]


@dataclass(frozen=True)
class _SquaredError:
    """The mean squared error, a measure that does not depend on the loss that is trained."""

    word: str = "mse"
    takes: Any = "values"
    reduction: Any = "mean"

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        if not isinstance(outputs, Tensor) or outputs.numel() != targets.numel():
            return torch.tensor(math.nan)
        error: Tensor = outputs.reshape(targets.shape) - targets
        return error.square().mean()


@dataclass(frozen=True)
class _Task:
    """The samples to learn and what counts as knowing them."""

    subject: Subject
    drawn: Batch
    size: int
    seed: int
    steps: int | None
    ceiling: samples_of.Ceiling
    measure: Measure | None = None
    goal: float = math.nan
    variance: float = math.nan

    def with_goal(self) -> _Task:
        """Find out which measure the task knows; the goal is what the best model can do, in a regression but for 1 %."""
        if self.subject.task == "regression":
            targets = self.drawn.targets.double().reshape(self.drawn.size, -1)
            variance = float((targets - targets.mean(0)).square().mean())
            if not variance > 0:
                return self
            goal = LEFT_OVER + self.ceiling.loss / variance
            return replace(self, measure="unexplained variance", goal=goal, variance=variance)
        first = measuring.measure(self.subject, self.subject.build(self.seed), self.batches(0)[0], training=True)
        return self if math.isnan(first.accuracy) else replace(self, measure="accuracy", goal=self.ceiling.accuracy)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the samples as batches, in the order of an epoch."""
        with randomness.seeded(self.seed, epoch):
            return samples_of.split(self.drawn, self.size, torch.randperm(self.drawn.size))

    def feed(self) -> Iterator[tuple[int, Batch, bool]]:
        """Yield (epoch, batch, whether it is the epoch's last) for ever."""
        for epoch in itertools.count():
            batches = self.batches(epoch)
            yield from ((epoch, batch, index == len(batches)) for index, batch in enumerate(batches, 1))

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches that the samples make."""
        return len(self.batches(0))

    def judge(self, model: nn.Module, epoch: int, *, training: bool) -> tuple[measuring.Losses, float]:
        """Return the losses over all the samples, in the batches of an epoch, and the score (NaN without a measure)."""
        losses = self._mean(self.subject, model, epoch, training=training)
        if self.measure != "unexplained variance":
            return losses, losses.accuracy
        squared = self._mean(replace(self.subject, loss=_SquaredError()), model, epoch, training=training)
        return losses, squared.loss / self.variance

    def reached(self, score: float) -> bool:
        """Whether a score is as good as the goal; both come from the same counts, so that only rounding needs a margin."""
        if self.measure == "accuracy":
            return score >= self.goal - 1e-9
        return self.measure is not None and score <= self.goal

    def _mean(self, subject: Subject, model: nn.Module, epoch: int, *, training: bool) -> measuring.Losses:
        with randomness.seeded(self.seed, epoch):
            measured = [
                (batch.size, measuring.measure(subject, model, batch, training=training)) for batch in self.batches(epoch)
            ]
        return measuring.mean_losses(measured, subject.loss.reduction)


@dataclass
class _Course:
    """What was measured of an attempt so far, by step, over all the samples together."""

    steps: list[int]
    losses: list[float]
    accuracies: list[float]
    scores: list[float]

    def add(self, step: int, losses: measuring.Losses, score: float) -> None:
        """Note what was measured after a step."""
        self.steps.append(step)
        self.losses.append(losses.loss)
        self.accuracies.append(losses.accuracy)
        self.scores.append(score)

    def ended(self, task: _Task, limit: int) -> Ended | None:
        """Say how the attempt has ended, None while it is worth going on."""
        if not math.isfinite(self.losses[-1]):
            return "diverged"
        if task.reached(self.scores[-1]):
            return "reached"
        if self._stalled(PATIENCE * task.steps_per_epoch):
            return "stalled"
        return "out of steps" if self.steps[-1] >= limit else None

    def _stalled(self, patience: int) -> bool:
        """Tell whether the lowest loss is so long ago that nothing more is to be hoped for.

        That is: half of the attempt, and at least `patience` steps. Of losses that only fluctuate any is as likely to be the
        lowest as any other, so that one more doubling of the steps ends the attempt with probability 1/2; a loss that falls,
        however slowly, sets records all the time.
        """
        since = self.steps[-1] - self.steps[self.losses.index(min(self.losses))]
        return since > max(patience, self.steps[-1] / 2)

    def nearly_there(self, goal: float) -> bool:
        """Tell whether the score, at the pace of the attempt's second half, reaches the goal before the steps double."""
        before, now = self.scores[len(self.scores) // 2], self.scores[-1]
        return (now - before) * (goal - now) > 0 and abs(now - before) >= abs(goal - now)

    def curve(self, task: _Task, subject: Subject) -> Curve:
        """Return it as a curve."""
        accuracy = Series.of(self.accuracies, self.steps, "train_accuracy").finite
        context = replace(
            loop.context(subject),
            batch_size=task.size,
            steps_per_epoch=task.steps_per_epoch,
            n_train=task.drawn.size,
            n_val=None,
        )
        others = {"train_accuracy": accuracy} if len(accuracy) else {}
        return Curve(Series.of(self.losses, self.steps, "train_loss"), None, others, context)


def _attempt(task: _Task, lr: float, watch: Watch | None) -> Attempt:
    """Train from the start at one learning rate until the goal is reached, nothing improves, or the steps are spent."""
    recipe = task.subject.recipe
    subject = replace(task.subject, recipe=replace(recipe, changed={**recipe.changed, "lr": lr}))
    training = train.begin(subject, task.seed)
    limit = MOST_STEPS if task.steps is None else task.steps
    course = _Course([], [], [], [])
    course.add(0, *task.judge(training.model(), 0, training=True))
    ended: Ended | None = None
    for tick in loop.run(subject, training, task.feed(), seed=task.seed, validate=False):
        if not tick.diverged and tick.step % task.steps_per_epoch != 0 and tick.step < limit:
            continue
        losses, score = (tick.train, math.nan) if tick.diverged else task.judge(training.model(), tick.epoch, training=True)
        course.add(tick.step, losses, score)
        if watch is not None:
            watch(replace(tick, train=losses))
        ended = course.ended(task, limit)
        if ended == "out of steps" and task.steps is None and course.nearly_there(task.goal):
            limit, ended = 2 * limit, None
        if ended is not None:
            break
    evaluated = _evaluated(task, training.model())
    return Attempt(lr, course.curve(task, subject), ended or "diverged", course.steps[-1], course.scores[-1], evaluated)


def _evaluated(task: _Task, model: nn.Module) -> float:
    """Return the score in evaluation mode, after running averages had the time to settle on the weights as they are now."""
    averages = any(getattr(module, "track_running_stats", False) for module in model.modules())
    model.train()
    with torch.no_grad():
        for batch in itertools.islice(itertools.cycle(task.batches(0)), SETTLING if averages else 0):
            calling.call_model(model, batch)
    return task.judge(model, 0, training=False)[1]
