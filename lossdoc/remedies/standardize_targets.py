"""Targets with mean 0 and deviation 1, by the numbers of the training split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lossdoc.findings import Finding
from lossdoc.parts.preprocessing import Standardize
from lossdoc.remedies import _data
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

LINE = "targets = (targets - train_targets.mean(0)) / train_targets.std(0)"


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield standardized targets in a regression."""
    if patient.subject.task != "regression" or not _data.numeric(patient.subject, "targets"):
        return
    values: dict[str, Any] = {}
    if patient.spec is not None:
        if patient.spec.data.targets and isinstance(patient.spec.data.targets[-1], Standardize):
            return
        values = {"data.targets": [*(patient.configured("data.targets") or []), "standardize"]}
    yield Change("standardize the targets", values, ("unscaled-targets",), _data.repair("targets"), LINE)


STANDARDIZE_TARGETS = Remedy(("unscaled-targets",), changes, ("initial-loss", "output-range", *ANY), prior=0.56)
