"""What a model's answers cost and how many of them are right: of one batch, and of a whole split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lossdoc.calling import call_loss, call_model, call_penalty
from lossdoc.errors import UserError
from lossdoc.subject import Batch, Loss, Penalty, Split, Subject, Task

MOST_BATCHES = 10_000  # of data without a length, after which they are taken for endless: 320,000 samples in usual batches


class Objective(nn.Module):
    """Model, loss and penalties as one module: called functionally, the penalties see the same parameters as the model."""

    def __init__(self, model: nn.Module, loss: Loss, penalties: Sequence[Penalty]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.penalties = penalties

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Any]:
        """Return the loss with penalties, the loss without them (both scalars), and the model's outputs."""
        outputs = call_model(self.model, batch)
        data_loss = call_loss(self.loss, outputs, batch.targets)
        total = data_loss
        for penalty in self.penalties:
            total = total + penalty.coefficient * call_penalty(penalty, self.model)
        return total, data_loss, outputs


@dataclass(frozen=True)
class Losses:
    """What one step measured before its update: loss without and with penalties, accuracy (NaN where there is none)."""

    loss: float
    total: float
    accuracy: float = math.nan


def accuracy(outputs: Any, targets: Any, task: Task) -> float:
    """Return the share of right answers, NaN where the task or the shapes know of none.

    Outputs are (B, n) or (B, T, n) scores against targets (B,) or (B, T); in a binary task, logits or probabilities of
    the targets' own shape, told apart by their range. Of outputs with several parts those named `logits` count.
    """
    with torch.no_grad():
        share = right(outputs, targets, task)
    return math.nan if share is None else float(share)


def logits_in(outputs: Any) -> Any:
    """Return what outputs of several parts call `logits`; None where a mapping has none, other outputs as they are."""
    return outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", outputs)


def right(outputs: Any, targets: Any, task: Task) -> Tensor | None:
    """Return what `accuracy` does as a scalar tensor, so that it works under vmap; None in the place of NaN."""
    outputs = logits_in(outputs)
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        return None
    if task == "binary" and outputs.numel() == targets.numel():
        flat = outputs.reshape(targets.shape)
        split_at = 0.5 * ((flat >= 0) & (flat <= 1)).all()
        return ((flat > split_at) == (targets > 0.5)).double().mean()
    if task in ("classification", "language", "binary") and outputs.ndim == targets.ndim + 1:
        return (outputs.argmax(-1) == targets).double().mean()
    return None


def measure(subject: Subject, model: nn.Module, batch: Batch, *, training: bool) -> Losses:
    """Measure one batch in training or evaluation mode without leaving a trace on the model."""
    objective = Objective(model, subject.loss, subject.recipe.penalties)
    before = model.training
    objective.train(training)
    try:
        with torch.no_grad():
            buffers = {name: tensor.clone() for name, tensor in objective.named_buffers()}
            total, data_loss, outputs = functional_call(objective, buffers, (batch,))
    finally:
        objective.train(before)
    return Losses(float(data_loss), float(total), accuracy(outputs, batch.targets, subject.task))


def evaluate(subject: Subject, model: nn.Module, split: Split = "validation") -> Losses:
    """Measure a whole split in evaluation mode: the mean over its samples (over its batches for a summed loss).

    Raises:
        UserError: when it has no end.
    """
    batches = whole(subject, split)
    measured = [(batch.size, measure(subject, model, batch, training=False)) for batch in batches]
    return mean_losses(measured, subject.loss.reduction)


def whole(subject: Subject, split: Split) -> Iterator[Batch]:
    """Yield all the batches of a split.

    Raises:
        UserError: when it has no end.
    """
    for number, batch in enumerate(subject.batches(split, 0)):
        if number >= MOST_BATCHES and subject.sizes.get(split, 0) is None:
            message = f"the {split} data had no end after {MOST_BATCHES:,} batches; what is measured whole must end"
            raise UserError.of(message, kind="endless")
        yield batch


def batch_weights(sizes: Sequence[float], reduction: str) -> Sequence[float]:
    """Return how much each batch's loss counts: its samples, where it is a mean over them, else as much as any other."""
    return sizes if reduction == "mean" else [1.0] * len(sizes)


def mean_losses(measured: Iterable[tuple[int, Losses]], reduction: str) -> Losses:
    """Average the losses of batches, weighted by their sizes where a batch's loss is itself a mean over samples."""
    parts = list(measured)
    if not parts:
        return Losses(math.nan, math.nan)
    sizes = [float(size) for size, _ in parts]
    weights = batch_weights(sizes, reduction)

    def mean(values: Iterable[float], by: Sequence[float]) -> float:
        return sum(weight * value for weight, value in zip(by, values, strict=True)) / sum(by)

    losses = [one for _, one in parts]
    return Losses(
        mean((one.loss for one in losses), weights),
        mean((one.total for one in losses), weights),
        mean((one.accuracy for one in losses), sizes),
    )
