"""The mean over the samples in place of their sum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lossdoc.build.subjects import OwnLossFunction
from lossdoc.findings import Finding
from lossdoc.parts.losses import BuiltinLoss
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy
from lossdoc.subject import Subject


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield the same loss, averaged: its gradient then does not grow with the batch."""
    loss = patient.spec.loss if patient.spec is not None else None
    if isinstance(loss, BuiltinLoss) and loss.reduction == "sum":
        yield Change("average the loss over the samples", {"loss.reduction": "mean"}, ("summed-loss",))
    elif finding.name == "summed-loss" and isinstance(patient.subject.loss, OwnLossFunction):
        line = f"reduction='mean', or .mean() in place of .sum(), in {patient.subject.loss.word}"
        yield Change("average the loss over the samples", causes=("summed-loss",), apply=_averaged, line=line)


def _averaged(subject: Subject) -> Subject:
    loss = subject.loss
    assert isinstance(loss, OwnLossFunction)  # noqa: S101 - it is proposed for no other

    def mean(outputs: Any, targets: Any) -> Any:
        return loss.call(outputs, targets) / len(targets)

    return replace(subject, loss=replace(loss, call=mean, reduction="mean"))


MEAN_REDUCTION = Remedy(("summed-loss",), changes, ("initial-loss", "lr-too-high", "exploding-gradients", *ANY), prior=0.5)
