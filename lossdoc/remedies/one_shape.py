"""Outputs in the shape of the targets, where a loss would broadcast (n, 1) against (n,) to n·n differences."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import Tensor

from lossdoc import probe
from lossdoc.errors import NotApplicable
from lossdoc.findings import Finding
from lossdoc.remedies import _layers
from lossdoc.remedy import Change, Patient, Remedy


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield the reshaped outputs, where a sample has as many numbers on either side."""
    try:
        batch, outputs = probe.first_answer(patient.subject)
    except NotApplicable:
        return
    targets = batch.targets
    if not isinstance(targets, Tensor) or outputs.shape == targets.shape or outputs.numel() != targets.numel():
        return
    line = "outputs.squeeze(-1)" if outputs.ndim > targets.ndim else "outputs.unsqueeze(-1)"
    apply = _layers.rebuilt(partial(_layers.followed, change=partial(_shaped, shape=targets.shape[1:])))
    yield Change(
        "bring outputs and targets into one shape",
        causes=("shape-broadcast",),
        apply=apply,
        line=f"{line}  # before the loss",
    )


def _shaped(outputs: Tensor, shape: tuple[int, ...]) -> Tensor:
    return outputs.reshape(len(outputs), *shape)


ONE_SHAPE = Remedy(("shape-broadcast",), changes, prior=1.0)
