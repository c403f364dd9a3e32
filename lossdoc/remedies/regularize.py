"""Regularization against a gap between training and validation: L2, then dropout before the last layer."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.parts.layers import Dropout
from lossdoc.remedies import _layers
from lossdoc.remedy import Change, Patient, Remedy

CAUSE = ("overfitting",)
STRENGTH = 1e-3  # of an L2 where there was none: half the usual range on a log scale, 1e-5 to 1e-1


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield ten times the L2 (or a first one), and dropout of one half (figure 8 of the notes: only second to more data)."""
    if patient.spec is None:
        return
    stronger = float(f"{max(STRENGTH, 10 * patient.spec.regularization.l2):.3g}")
    yield Change(f"an L2 of {stronger:g}", {"regularization.l2": stronger}, CAUSE)
    ends = _layers.head(patient)
    if ends is not None and ends[0] > 0 and not any(isinstance(layer, Dropout) for layer in patient.layers):
        layers = [*patient.written[: ends[0]], {"dropout": 0.5}, *patient.written[ends[0] :]]
        yield Change("dropout before the last layer", {"model.layers": layers}, CAUSE)


REGULARIZE = Remedy(("overfitting",), changes)
