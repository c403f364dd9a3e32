"""Batches of 32 samples."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.remedies._symptoms import WILD
from lossdoc.remedy import Change, Patient, Remedy

USUAL = 32  # Masters and Luschi (2018), Revisiting small batch training: the best results lie between 2 and 32
FAR = 4  # times as large or as small: nearer, the batch size does next to nothing


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield batches of 32, where they are far smaller or larger."""
    size = patient.subject.batch_size
    if patient.spec is None or size is None or patient.spec.optimizer.whole or USUAL / FAR < size < USUAL * FAR:
        return
    yield Change(f"batches of {USUAL} samples, not {size}", {"data.batch_size": USUAL}, ("wrong-batch-size",))


BATCH_SIZE = Remedy(
    ("wrong-batch-size", "small-batch-for-batchnorm"), changes, (*WILD, "slow-learning", "underfitting"), prior=0.2
)
