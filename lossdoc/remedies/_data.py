"""Inputs or targets brought to mean 0 and deviation 1 in a subject whose data lossdoc does not read itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from lossdoc.subject import Batch, Split, Subject

if TYPE_CHECKING:
    from torch import Tensor


def standardized(subject: Subject, part: Literal["inputs", "targets"]) -> Subject:
    """Return the subject with mean and deviation of the training split taken out of each feature of all splits."""
    shift, scale = _statistics(subject, part)

    def batches(split: Split, epoch: int) -> Iterator[Batch]:
        for batch in subject.batches(split, epoch):
            yield replace(batch, **{part: (getattr(batch, part) - shift) / scale})

    return replace(subject, batches=batches)


def _statistics(subject: Subject, part: str) -> tuple[Tensor, Tensor]:
    import torch

    values = torch.cat([getattr(batch, part) for batch in subject.batches("train", 0)]).double()
    deviation = values.std(0, correction=0)
    return values.mean(0).float(), torch.where(deviation > 0, deviation, 1.0).float()


def numeric(subject: Subject, part: str) -> bool:
    """Tell whether inputs or targets are numbers to reckon with, not the numbers of tokens or classes."""
    from torch import Tensor

    first = getattr(next(iter(subject.batches("train", 0))), part)
    return isinstance(first, Tensor) and first.is_floating_point()


def repair(part: Literal["inputs", "targets"]) -> Callable[[Subject], Subject]:
    """Return what standardizes one part of the data."""
    return lambda subject: standardized(subject, part)
