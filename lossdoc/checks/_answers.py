"""What the user's own loss or step says of answers that are made up: none preferred, or right beyond doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lossdoc.errors import UserCodeError, UserError
from lossdoc.subject import OwnStep, Subject

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Answers:
    """The user's own loss, or the step that has it inside, as a function of how sure the right answers are.

    `loss(size)` is the loss of outputs that are `size` for the right class and 0 for the others. `outputs` (B, n) are the
    fresh model's own.
    """

    word: str
    classes: int
    loss: Callable[[float], float]
    outputs: Tensor


def of(subject: Subject) -> Answers | None:
    """Return the function, None where the loss is lossdoc's, or the targets are not a label for each row of outputs."""
    import torch

    from lossdoc import calling, probe

    own = subject.recipe.step
    if own is None and ":" not in subject.loss.word:
        return None
    batch = probe.take(subject, samples=1)[0]
    outputs = probe.outputs_of(subject, probe.untouched(subject).build(subject.seed), batch)
    rows = probe.class_rows(subject, outputs, batch.targets)
    if rows is None or rows.shape[1] < 2 or outputs.shape[:-1] != batch.targets.shape:
        return None
    labels = batch.targets.long()
    if int(labels.min()) < 0 or int(labels.max()) >= rows.shape[1]:
        return None
    right = torch.nn.functional.one_hot(labels, rows.shape[1]).to(outputs.dtype)

    def loss(size: float) -> float:
        if own is None:
            return float(calling.call_loss(subject.loss, size * right, batch.targets))
        return _told(subject, own, batch, size * right)

    try:
        loss(1.0)
    except (UserCodeError, UserError):  # a step may look into the model, and find another one here
        return None
    return Answers(f"the step {own.word}" if own else f"the loss {subject.loss.word}", rows.shape[1], loss, outputs)


def _told(subject: Subject, own: OwnStep, batch: Any, outputs: Tensor) -> float:
    """Return what a step says when the model puts out these outputs, whatever the inputs are."""
    import torch
    from torch import nn

    from lossdoc import train

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(()))

        def forward(self, *_inputs: Any, **_named: Any) -> Tensor:
            return outputs * self.factor

    stand_in = replace(subject, build=lambda _seed: Fixed())
    return train.OwnTraining(stand_in, own, subject.seed).step(batch).loss
