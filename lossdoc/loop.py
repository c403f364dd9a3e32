"""The loop around the training step: epoch after epoch, a tick a step, and the curve that they make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lossdoc.curve import Context, Curve, Series
from lossdoc.errors import UserError
from lossdoc.measuring import MOST_BATCHES, Losses, evaluate
from lossdoc.randomness import seeded
from lossdoc.subject import Batch, Subject
from lossdoc.train import OwnTraining, Training

Fed = TypeVar("Fed")  # one batch, or those of many points joined


@dataclass(frozen=True)
class Tick:
    """One step of a run: counted from 1, with its epoch from 0, its losses, and the validation's where it was measured."""

    step: int
    epoch: int
    train: Losses
    validation: Losses | None = None

    @property
    def diverged(self) -> bool:
        """Whether a loss is not a finite number."""
        losses = [self.train.loss] + ([] if self.validation is None else [self.validation.loss])
        return not all(math.isfinite(loss) for loss in losses)


def epochs_of(subject: Subject, seed: int) -> Iterator[tuple[int, Batch, bool]]:
    """Yield (epoch, batch, whether it is the epoch's last) for ever, in each epoch's own order."""
    epoch = 0
    while True:
        waiting: Batch | None = None
        for batch in subject.batches("train", seed * 1_000 + epoch):
            if waiting is not None:
                yield epoch, waiting, False
            waiting = batch
        if waiting is None:
            raise UserError.of("the training split has no batches", kind="data")
        yield epoch, waiting, True
        epoch += 1


def run(
    subject: Subject,
    training: Training,
    feed: Iterable[tuple[int, Batch, bool]],
    *,
    seed: int,
    steps: int | None = None,
    epochs: int | None = None,
    validate: bool = True,
) -> Iterator[Tick]:
    """Train and yield a tick after every step, until the steps or epochs are over or the loss is no longer finite.

    Validation is measured after each epoch's last step, where there is a validation split.
    """
    has_validation = validate and "validation" in subject.sizes
    total = planned_steps(subject, steps, epochs)
    if isinstance(training, OwnTraining):
        training.total = total
    for step, (epoch, batch, last) in enumerate(within(subject, feed, steps, epochs)):
        with seeded(seed, step):
            losses = training.step(batch, subject.recipe.schedule(step, total), epoch)
            validation = evaluate(subject, training.model()) if has_validation and last else None
        tick = Tick(step + 1, epoch, losses, validation)
        yield tick
        if tick.diverged:
            return


def within(
    subject: Subject, feed: Iterable[tuple[int, Fed, bool]], steps: int | None, epochs: int | None
) -> Iterator[tuple[int, Fed, bool]]:
    """Yield what a feed yields, (epoch, batch, whether it is the epoch's last), until the steps or epochs are over.

    Raises:
        UserError: when epochs are counted, and the first one has no end.
    """
    for step, (epoch, batch, last) in enumerate(feed):
        if (steps is not None and step >= steps) or (epochs is not None and epoch >= epochs):
            return
        if step >= MOST_BATCHES and steps is None and epoch == 0 and subject.sizes.get("train", 0) is None:
            message = f"the training data had no end after {MOST_BATCHES:,} batches, so there are no epochs"
            hint = "say in steps how long to train: train.max_steps, and sweep.steps for a sweep"
            raise UserError.of(f"{message}; {hint}", kind="endless")
        yield epoch, batch, last


def planned_steps(subject: Subject, steps: int | None, epochs: int | None) -> int:
    """Return how many steps a run will take, as a schedule needs to know; 0 where the data's length is not known."""
    per_epoch = steps_per_epoch(subject)
    planned = [steps] if steps is not None else []
    if epochs is not None and per_epoch is not None:
        planned.append(math.ceil(epochs * per_epoch))
    return min(planned, default=0)


def steps_per_epoch(subject: Subject) -> int | None:
    """Return the number of batches in an epoch, None where it is not known."""
    samples = subject.sizes.get("train")
    return None if samples is None or subject.batch_size is None else math.ceil(samples / subject.batch_size)


@dataclass
class Log:
    """Collects the ticks of one run and makes a curve of them."""

    subject: Subject
    ticks: list[Tick] = field(default_factory=list)

    def add(self, tick: Tick) -> None:
        """Keep one more tick."""
        self.ticks.append(tick)

    def curve(self) -> Curve:
        """Return the run so far as a curve whose axis counts steps."""
        measured = [(tick.step, tick.validation.loss, tick.validation.accuracy) for tick in self.ticks if tick.validation]
        return curve_of(
            context(self.subject),
            [tick.train.loss for tick in self.ticks],
            [tick.train.accuracy for tick in self.ticks],
            measured,
        )


def curve_of(known: Context, losses: object, accuracies: object, validation: Sequence[tuple[int, float, float]]) -> Curve:
    """Return the curve of a run: a loss and an accuracy for each step, (step, loss, accuracy) for each validation."""
    steps = [step for step, _, _ in validation]
    others = {
        "train_accuracy": Series.of(accuracies, name="train_accuracy"),
        "val_accuracy": Series.of([accuracy for _, _, accuracy in validation], steps, "val_accuracy"),
    }
    return Curve(
        train=Series.of(losses, name="train_loss"),
        val=Series.of([loss for _, loss, _ in validation], steps, "val_loss") if validation else None,
        others={name: series.finite for name, series in others.items() if len(series.finite)},
        context=known,
    )


def context(subject: Subject) -> Context:
    """Return what the subject knows of a run beside its curve."""
    return Context(
        axis="step",
        classes=subject.classes if subject.loss.takes in ("logits", "log-probabilities") else None,
        loss=subject.loss.word,
        batch_size=subject.batch_size,
        steps_per_epoch=steps_per_epoch(subject),
        n_train=subject.sizes.get("train"),
        n_val=subject.sizes.get("validation"),
        lr=subject.recipe.hyper["lr"],
    )
