"""The mean over the samples in place of their sum."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.parts.losses import BuiltinLoss
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield the same loss, averaged: its gradient then does not grow with the batch."""
    loss = patient.spec.loss if patient.spec is not None else None
    if isinstance(loss, BuiltinLoss) and loss.reduction == "sum":
        yield Change("average the loss over the samples", {"loss.reduction": "mean"}, ("summed-loss",))
    elif patient.subject.loss.reduction == "sum":
        yield Change("average the loss over the samples", line="reduction='mean'", causes=("summed-loss",))


MEAN_REDUCTION = Remedy(("summed-loss",), changes, ("initial-loss", "lr-too-high", "exploding-gradients", *ANY), prior=0.5)
