"""Can the network learn a few samples by heart? Step 4 of the checklist: one that cannot has a bug."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc import samples as samples_of
from lossdoc import train
from lossdoc.curve import Curve, Series
from lossdoc.diagnosis import examine_curve
from lossdoc.findings import Evidence, Finding, Report, Severity
from lossdoc.memorization import Attempt, Memorization
from lossdoc.rule import Rule, checks, examine, patterns
from lossdoc.subject import Batch, Subject, constant_rate

LEFT_OVER = 0.01  # of the targets' variance: what the notes' checklist leaves to a regression that knows its samples
MOST_STEPS = 2_000  # four times the slowest healthy case known: 532 steps, plain SGD at 0.01 from N(0, 0.01) on digits
PATIENCE = 25  # passes before a loss that sets no new record may count as stalled
SETTLING = 64  # passes that let running averages forget their start: 0.9^64 = 0.001 at batch normalization's usual momentum
FALL = 0.01  # a loss that has not fallen by this share of its first value is flat or rising

Watch = Callable[[train.Tick], object]


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
    plain = train.unregularized(subject)
    plain = replace(plain, recipe=replace(plain.recipe, schedule=constant_rate))
    task = _Task.of(plain, drawn, min(batch_size, drawn.size), subject.seed if seed is None else seed)
    limit = MOST_STEPS if steps is None else steps
    attempts = [_attempt(task, plain.recipe.hyper["lr"], limit, watch)]
    rates = _other_rates(attempts[0]) if task.measure is not None else []
    while attempts[-1].ended != "reached" and rates:
        attempts.append(_attempt(task, rates.pop(0), limit, watch))
    top = task.ceiling
    return Memorization(
        tuple(attempts), drawn.size, task.size, task.measure, task.goal, top.accuracy, top.loss, top.missed
    )


def _other_rates(first: Attempt) -> list[float]:
    """Return the rates to try next, the likelier first: a loss that left its range or rose asks for a smaller one."""
    low, high = first.lr / 10, first.lr * 10
    return [low, high] if first.ended == "diverged" or _course(first) == "rising" else [high, low]


@dataclass(frozen=True)
class _SquaredError:
    """The mean squared error, a measure that does not depend on the loss that is trained."""

    word: str = "mse"
    takes: Any = "values"
    reduction: Any = "mean"

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        if not isinstance(outputs, Tensor) or outputs.numel() != targets.numel():
            return torch.tensor(math.nan)
        return (outputs.reshape(targets.shape) - targets).square().mean()


@dataclass(frozen=True)
class _Task:
    """The samples to learn and what counts as knowing them."""

    subject: Subject
    drawn: Batch
    size: int
    seed: int
    measure: Any
    goal: float
    variance: float
    ceiling: samples_of.Ceiling

    @classmethod
    def of(cls, subject: Subject, drawn: Batch, size: int, seed: int) -> _Task:
        """Find out which measure the task knows; the goal is the best that any model can do, short of 1 % in a regression."""
        top = samples_of.ceiling(drawn, subject.task)
        asked = cls(subject, drawn, size, seed, None, math.nan, math.nan, top)
        if subject.task == "regression":
            targets = drawn.targets.double().reshape(drawn.size, -1)
            variance = float((targets - targets.mean(0)).square().mean())
            if variance > 0:
                share = top.loss / variance
                return replace(asked, measure="unexplained variance", goal=LEFT_OVER + share, variance=variance)
            return asked
        first = train.measure(subject, subject.build(seed), asked.batches(0)[0], training=True)
        return asked if math.isnan(first.accuracy) else replace(asked, measure="accuracy", goal=top.accuracy)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the samples as batches, in the order of an epoch."""
        with train.seeded(self.seed, epoch):
            return samples_of.split(self.drawn, self.size, torch.randperm(self.drawn.size))

    def feed(self) -> Iterator[tuple[int, Batch, bool]]:
        """Yield (epoch, batch, whether it is the epoch's last) for ever."""
        for epoch in itertools.count():
            batches = self.batches(epoch)
            yield from ((epoch, batch, index == len(batches)) for index, batch in enumerate(batches, 1))

    def losses(self, model: nn.Module, epoch: int, *, training: bool) -> train.Losses:
        """Return loss and accuracy over all the samples, in the batches of an epoch."""
        return self._mean(self.subject, model, epoch, training=training)

    def score(self, model: nn.Module, losses: train.Losses, epoch: int, *, training: bool) -> float:
        """Return what the measure says of the model: accuracy, or the share of the variance that is left; NaN without one."""
        if self.measure != "unexplained variance":
            return losses.accuracy
        squared = replace(self.subject, loss=_SquaredError())
        return self._mean(squared, model, epoch, training=training).loss / self.variance

    def reached(self, score: float) -> bool:
        """Whether a score is as good as the goal; both come from the same counts, so that only rounding needs a margin."""
        if self.measure == "accuracy":
            return score >= self.goal - 1e-9
        return self.measure is not None and score <= self.goal

    def _mean(self, subject: Subject, model: nn.Module, epoch: int, *, training: bool) -> train.Losses:
        with train.seeded(self.seed, epoch):
            measured = [(batch.size, train.measure(subject, model, batch, training=training)) for batch in self.batches(epoch)]
        return train.mean_losses(measured, subject.loss.reduction)


@dataclass
class _Course:
    """The losses and accuracies of an attempt so far, by step."""

    steps: list[int]
    losses: list[float]
    accuracies: list[float]

    def add(self, step: int, losses: train.Losses) -> None:
        """Note what was measured after a step."""
        self.steps.append(step)
        self.losses.append(losses.loss)
        self.accuracies.append(losses.accuracy)

    def stalled(self, patience: int) -> bool:
        """Tell whether the lowest loss is so long ago that nothing more is to be hoped for.

        That is: half of the attempt, and at least `patience` steps. Of losses that only fluctuate any is as likely to be the
        lowest as any other, so that one more doubling of the steps ends the attempt with probability 1/2; a loss that falls,
        however slowly, sets records all the time.
        """
        since = self.steps[-1] - self.steps[self.losses.index(min(self.losses))]
        return since > max(patience, self.steps[-1] / 2)

    def curve(self, task: _Task, subject: Subject) -> Curve:
        """Return it as a curve."""
        accuracy = Series.of(self.accuracies, self.steps, "train_accuracy").finite
        context = replace(
            train.context(subject),
            batch_size=task.size,
            steps_per_epoch=math.ceil(task.drawn.size / task.size),
            n_train=task.drawn.size,
            n_val=None,
        )
        others = {"train_accuracy": accuracy} if len(accuracy) else {}
        return Curve(Series.of(self.losses, self.steps, "train_loss"), None, others, context)


def _attempt(task: _Task, lr: float, limit: int, watch: Watch | None) -> Attempt:
    """Train from the start at one learning rate until the goal is reached, nothing improves, or the steps are spent."""
    recipe = task.subject.recipe
    subject = replace(task.subject, recipe=replace(recipe, changed={**recipe.changed, "lr": lr}))
    training = train.begin(subject, task.seed)
    course = _Course([], [], [])
    course.add(0, task.losses(training.model(), 0, training=True))
    per_epoch = len(task.batches(0))
    ended: Any = "out of steps"
    score = math.nan
    scores: dict[int, float] = {}
    for tick in train.run(subject, training, task.feed(), seed=task.seed, steps=limit, validate=False):
        losses = tick.train
        if not tick.diverged:
            if tick.step % per_epoch != 0 and tick.step != limit:
                continue
            losses = task.losses(training.model(), tick.epoch, training=True)
        course.add(tick.step, losses)
        if watch is not None:
            watch(replace(tick, train=losses))
        if not math.isfinite(losses.loss):
            ended = "diverged"
            break
        score = task.score(training.model(), losses, tick.epoch, training=True)
        if task.reached(score):
            ended = "reached"
            break
        if course.stalled(PATIENCE * per_epoch):
            ended = "stalled"
            break
    return Attempt(lr, course.curve(task, subject), ended, course.steps[-1], score, _evaluated(task, training.model()))


def _evaluated(task: _Task, model: nn.Module) -> float:
    """Return the score in evaluation mode, after running averages had the time to settle on the weights as they are now."""
    averages = any(getattr(module, "track_running_stats", False) for module in model.modules())
    model.train()
    with torch.no_grad():
        for batch in itertools.islice(itertools.cycle(task.batches(0)), SETTLING if averages else 0):
            train.call_model(model, batch)
    return task.score(model, task.losses(model, 0, training=False), 0, training=False)


def report(found: Memorization, rules: Iterable[Rule[Any]] | None = None, *, source: str | None = None) -> Report:
    """Return the verdict, with the reason why the curve of a failed attempt failed, and which learning rate made it."""
    asked = [rule for rule in checks.all() if rule.matter == "Memorization"] if rules is None else list(rules)
    notes = [] if found.contradictory == 0 else [_contradiction(found)]
    judged = examine("overfit", found, asked, source=source, notes=notes)
    named = {finding.name for finding in judged.findings}
    extra = [finding for finding in (*_reasons(found), *_rate(found)) if finding.name not in named]
    ordered = sorted((*judged.findings, *extra), key=lambda finding: finding.severity.rank)
    return replace(judged, findings=tuple(ordered))


def _contradiction(found: Memorization) -> str:
    what = "targets" if found.measure == "unexplained variance" else "labels"
    best = "" if math.isnan(found.best_accuracy) else f"{100 * found.best_accuracy:.1f} % is"
    best = best or f"a mean squared error of {found.best_loss:.3g} is"
    return f"{found.contradictory} cannot be right: some samples have identical inputs and different {what}, so {best} the best possible"


def _course(attempt: Attempt) -> str | None:
    """Return what a curve that never fell did, "rising" or "not-learning"; None where it fell."""
    values = attempt.curve.train.finite.value
    if len(values) < 2:
        return None
    change = (values[1:] - values[0]) / max(abs(float(values[0])), 1e-12)
    if change.min() < -FALL:
        return None
    return "rising" if change[-1] > FALL else "not-learning"


def _reasons(found: Memorization) -> Iterator[Finding]:
    """Yield why the attempt at the configured rate failed: what the patterns say, and what is certain without them.

    A step along the gradient lowers the loss if only it is short enough: one that rises at every rate, down to a tenth, is
    taken the wrong way, whatever becomes of it later.
    """
    first = found.attempts[0]
    if found.reached is not None:
        return
    named = set()
    if found.measure is not None:
        for finding in examine_curve(first.curve).findings:
            if finding.severity is not Severity.NOTE:
                named.add(finding.name)
                yield finding
    certain = ["non-finite"] if first.ended == "diverged" else []
    courses = {_course(attempt) for attempt in found.attempts}
    if courses == {"rising"} or not (named or certain):
        certain += [name for name in (_course(first),) if name is not None]
    for name in certain:
        if name not in named:
            yield patterns.get(name).finding(_certainty(name, first))


def _certainty(name: str, attempt: Attempt) -> Evidence:
    values = attempt.curve.train.value
    facts = {"first": float(values[0]), "last": float(values[-1]), "steps": float(attempt.steps), "lr": attempt.lr}
    told = {
        "non-finite": f"the loss left the range of numbers at step {attempt.steps}",
        "rising": f"the loss rose from {values[0]:.4g} to {values[-1]:.4g} in {attempt.steps} steps on the same few samples",
        "not-learning": f"the loss went from {values[0]:.4g} to {values[-1]:.4g} in {attempt.steps} steps on the same few samples",
    }
    return Evidence(told[name], facts, confidence=0.99)


def _rate(found: Memorization) -> Iterator[Finding]:
    """Yield that the configured learning rate is the trouble, where only another one made it."""
    made, first = found.reached, found.attempts[0]
    if made is None or made is first:
        return
    name, folder = ("lr-too-low", checks) if made.lr > first.lr else ("lr-too-high", patterns)
    facts = {"measured": first.lr, "expected": made.lr, "steps": float(made.steps)}
    summary = (
        f"learned by heart in {made.steps} steps at a learning rate of {made.lr:g}, "
        f"not in {first.steps} at the configured {first.lr:g} ({first.ended})"
    )
    evidence = Evidence(summary, facts, confidence=0.9, severity=Severity.WARNING)
    yield folder.get(name).finding(evidence)
