"""The usual loss of the task in place of another: cross-entropy for classes, squared error for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lossdoc.findings import Finding
from lossdoc.parts.losses import BuiltinLoss, ModelLoss
from lossdoc.remedies import _layers
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

USUAL = {"classification": "cross_entropy", "language": "cross_entropy", "binary": "bce", "regression": "mse"}
SPOKEN = {"binary": "yes-or-no question", "language": "language model"}
NAMES = ("unbounded-loss", "label-coding", "shape-broadcast", "metric-mismatch", "summed-loss", "softmax-axis")


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield the usual loss, on logits, for a loss of one's own or one that is unusual for the task."""
    spec, word = patient.spec, USUAL.get(patient.subject.task)
    if spec is None or word is None or isinstance(spec.loss, ModelLoss):
        return
    ends = _layers.head(patient)
    if ends is None or (isinstance(spec.loss, BuiltinLoss) and spec.loss.word == word):
        return
    values: dict[str, Any] = {"loss": word}
    if len(patient.layers) > ends[1]:
        values["model.layers"] = patient.written[: ends[1]]
    own = not isinstance(spec.loss, BuiltinLoss)
    causes = (
        (finding.name,) if finding.name in NAMES else ("metric-mismatch", "unbounded-loss") if own else ("label-coding",)
    )
    task = SPOKEN.get(patient.subject.task, patient.subject.task)
    yield Change(f"use {word}, the usual loss of a {task}", values, causes)


LOSS_FOR_TASK = Remedy(NAMES, changes, ("initial-loss", *ANY), prior=0.8)
