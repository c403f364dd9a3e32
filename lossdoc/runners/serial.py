"""One point after another, in this process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from lossdoc import loop, measuring, randomness, train
from lossdoc.curve import Curve
from lossdoc.runner import Runner, Work
from lossdoc.subject import Point, Subject, Trial


def run(work: Work) -> Iterator[Trial]:
    """Train the points in their order and yield each trial as it ends."""
    for point in work.points:
        yield run_point(work, point)


def run_point(work: Work, point: Point) -> Trial:
    """Train one point from its seed until the budget is spent, the loss is no longer finite, or the watch says stop."""
    subject, budget = work.make(point), work.budget
    log = loop.Log(subject)
    with randomness.seeded(point.seed):
        training = train.begin(subject, point.seed)
    feed = loop.epochs_of(subject, point.seed)
    for tick in loop.run(subject, training, feed, seed=point.seed, steps=budget.steps, epochs=budget.epochs):
        log.add(tick)
        if work.watch([(point, tick)]):
            break
    _validate_the_end(subject, training, log)
    last = log.ticks[-1]
    trial = trial_of(point, log.curve(), last.step if last.diverged else None)
    return replace(trial, model=training.model()) if work.models else trial


def _validate_the_end(subject: Subject, training: train.Training, log: loop.Log) -> None:
    """Measure the validation split once more where the run ended inside an epoch."""
    last = log.ticks[-1] if log.ticks else None
    if last is not None and last.validation is None and not last.diverged and "validation" in subject.sizes:
        log.ticks[-1] = replace(last, validation=measuring.evaluate(subject, training.model()))


def trial_of(point: Point, curve: Curve, diverged_at: int | None) -> Trial:
    """Return the trial of a run that has ended."""
    trial = Trial(point, curve, math.nan, math.nan, diverged_at)
    if diverged_at is not None:
        return trial
    if curve.val is None:
        return replace(trial, loss=trial.train_loss, metric=trial.train_accuracy)
    return replace(trial, loss=trial.val_loss, metric=trial.val_accuracy)


SERIAL = Runner(run)
