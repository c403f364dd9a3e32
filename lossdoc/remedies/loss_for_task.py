"""The usual loss of the task in place of another: cross-entropy for classes, squared error for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from lossdoc import probe, samples
from lossdoc.build.subjects import OwnLossFunction
from lossdoc.errors import NotApplicable
from lossdoc.findings import Finding
from lossdoc.parts.losses import TINY, BuiltinLoss, ModelLoss
from lossdoc.remedies import _layers
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

USUAL = {"classification": "cross_entropy", "language": "cross_entropy", "binary": "bce", "regression": "mse"}
SPOKEN = {"binary": "yes-or-no question", "language": "language model"}
NAMES = ("unbounded-loss", "label-coding", "shape-broadcast", "metric-mismatch", "summed-loss", "softmax-axis")


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield the usual loss, on logits, for a loss of one's own or one that is unusual for the task."""
    one_hot = _on_rows(patient) if finding.name == "label-coding" else None
    if one_hot is not None:
        yield one_hot
        return
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


def _on_rows(patient: Patient) -> Change | None:
    """Return the cross-entropy of rows of a 1 and zeros with as many outputs; None where the targets are not such."""
    try:
        batch, outputs = probe.first_answer(patient.subject)
    except NotApplicable:
        return None
    targets = batch.targets
    if not isinstance(targets, Tensor) or targets.shape != outputs.shape or targets.ndim != 2 or targets.shape[1] < 3:
        return None
    if not samples.one_hot(targets):
        return None
    shares = probe.are_shares(outputs)
    entropy = OwnLossFunction("cross_entropy", partial(_entropy, shares=shares), "probabilities" if shares else "logits")
    return Change(
        "use cross_entropy, the usual loss of a classification",
        causes=("label-coding",),
        apply=lambda subject: replace(subject, loss=entropy),
        line="nn.CrossEntropyLoss()(logits, targets.argmax(1))  # and no softmax at the end of the model",
    )


def _entropy(outputs: Tensor, targets: Tensor, *, shares: bool) -> Tensor:
    logarithms = outputs.clamp_min(TINY).log() if shares else outputs.log_softmax(1)
    return -(targets * logarithms).sum(1).mean()


LOSS_FOR_TASK = Remedy(NAMES, changes, ("initial-loss", *ANY), prior=0.8)
