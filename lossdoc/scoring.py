"""How well a trained subject knows its task, by what does not depend on its loss: 1 is perfect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lossdoc import measuring, randomness
from lossdoc.calling import call_model
from lossdoc.curve import Series
from lossdoc.samples import thinned
from lossdoc.subject import Batch, Split, Subject, Trial

JUDGED = 500  # samples: a gain of `trying.LEAST` is then five of its standard errors of counting
Measure = Literal["accuracy", "explained variance", "fall of the loss"]


@dataclass(frozen=True)
class Yardstick:
    """What a subject is scored by; the targets are looked at once.

    The scores of changed subjects are comparable, since none of them depends on the loss. A score is at least −1.
    """

    subject: Subject
    measure: Measure

    @classmethod
    def of(cls, subject: Subject) -> Yardstick:
        """Choose accuracy or explained variance, the fall of the loss where the task knows of neither."""
        if subject.task == "regression":
            return cls(subject, "explained variance")
        with randomness.seeded(subject.seed):
            batch = next(iter(subject.batches("train", 0)))
            first = measuring.measure(subject, subject.build(subject.seed), batch, training=False)
        return cls(subject, "fall of the loss" if math.isnan(first.accuracy) else "accuracy")

    @property
    def split(self) -> Split:
        """The split that scores are of: validation where there is one."""
        return "validation" if "validation" in self.subject.sizes else "train"

    @cached_property
    def chance(self) -> float:
        """What a model scores that knows the targets' distribution and nothing of the inputs."""
        return max(self.labels) / sum(self.labels) if self.labels else 0.0

    @cached_property
    def labels(self) -> Sequence[int]:
        """How often each label stands in the split that accuracies are of, in a text each token; none for other measures."""
        if self.measure != "accuracy":
            return ()
        labels = torch.cat([batch.targets.reshape(-1) for batch in measuring.whole(self.subject, self.split)])
        counts: list[int] = torch.unique(labels, return_counts=True)[1].tolist()
        return counts

    @cached_property
    def variances(self) -> dict[Split, float]:
        """The mean squared deviation of each split's targets from their mean."""
        return {split: _variance(self.shown, split) for split in dict.fromkeys(("train", self.split))}

    @cached_property
    def shown(self) -> Subject:
        """What models are asked of where curves do not tell: of a large training split a part says enough."""
        return self.subject if self.reads_curves else thinned(self.subject, "train", JUDGED)

    @property
    def reads_curves(self) -> bool:
        """Whether a run's curve tells its score: an own step logs no accuracy, and not every loss is a squared error."""
        plain = self.subject.recipe.step is None
        mean_square = self.subject.loss.word == "mse" and self.subject.loss.reduction == "mean"
        return plain and (self.measure != "explained variance" or mean_square)

    def of_trial(self, trial: Trial, split: Split) -> float:
        """Return what a run reached: by its curve, or by its model's own answers where that does not tell.

        One that diverged scores what knowing nothing scores.
        """
        if trial.diverged_at is not None:
            return self.chance
        curve, measured = trial.curve, split == "validation" and trial.curve.val is not None
        known = self.reads_curves or (self.measure == "accuracy" and measured and not math.isnan(trial.val_accuracy))
        if trial.model is not None and not known and self.measure != "fall of the loss":
            return self.of_model(trial.model, split)
        if self.measure == "accuracy":
            return trial.val_accuracy if measured else _end(curve.others["train_accuracy"], curve.context.steps_per_epoch)
        loss = trial.val_loss if measured else _end(curve.train, curve.context.steps_per_epoch)
        if self.measure == "explained variance":
            return _explained(loss, self.variances["validation" if measured else "train"])
        first = float(curve.train.value[0])
        return max(-1.0, (first - loss) / max(abs(first), 1e-12))

    def of_model(self, model: nn.Module, split: Split) -> float:
        """Return what a trained model knows of a split, by its own answers in evaluation mode."""
        if self.measure == "explained variance":
            return _explained(_squared_error(self.shown, model, split), self.variances[split])
        return measuring.evaluate(self.shown, model, split).accuracy


def _end(series: Series, steps_per_epoch: float | None) -> float:
    """Return the mean over the last epoch, over the last tenth in a run of less than ten: what it knew at its end."""
    steps = min(round(steps_per_epoch or len(series)), math.ceil(len(series) / 10))
    return float(series.value[-max(1, steps) :].mean())


def _variance(subject: Subject, split: Split) -> float:
    targets = torch.cat([batch.targets.double().reshape(batch.size, -1) for batch in measuring.whole(subject, split)])
    return float((targets - targets.mean(0)).square().mean())


def _explained(error: float, variance: float) -> float:
    return max(-1.0, 1.0 - error / variance) if variance > 0 else 0.0


def _squared_error(subject: Subject, model: nn.Module, split: Split) -> float:
    """Return the mean squared error over a split; infinite where outputs and targets do not match."""
    errors = [_error(model, batch) for batch in measuring.whole(subject, split)]
    return sum(error * size for error, size in errors) / sum(size for _, size in errors)


def _error(model: nn.Module, batch: Batch) -> tuple[float, int]:
    outputs = answers(model, batch)
    if not isinstance(outputs, Tensor) or outputs.numel() != batch.targets.numel():
        return math.inf, batch.size
    apart = outputs.reshape(batch.targets.shape).double() - batch.targets.double()
    error = float(apart.square().mean())
    return (error if math.isfinite(error) else math.inf), batch.size


def answers(model: nn.Module, batch: Batch) -> Any:
    """Return the model's answers in evaluation mode; of outputs with several parts the logits."""
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            return measuring.logits_in(call_model(model, batch))
    finally:
        model.train(before)
