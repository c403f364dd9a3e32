"""LS101: NaN or infinity among the inputs or the targets."""

from __future__ import annotations

from typing import Any

from lossdoc import specimens
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.losses import Mse
from lossdoc.rule import rule
from lossdoc.subject import Subject

MOST = 20_000  # samples to look through


@rule(
    code="LS101",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_inputs(specimens.with_nan),
        lambda: specimens.with_targets(
            specimens.with_nan, specimens.numbers, "regression", loss=Mse(), build=specimens.mlp(1)
        ),
    ),
    quiet_on=(specimens.healthy, specimens.regression),
    mutes=(
        "non-finite",
        "initial-loss",
        "large-logits",
        "constant-feature",
        "unscaled-inputs",
        "no-gradient",
        "no-update",
        "regularization-raises-loss",
        "bad-labels",
        "imbalanced-labels",
        "vanishing-activations",
        "exploding-activations",
        "symmetric-weights",
    ),
)
def non_finite_data(subject: Subject) -> Evidence | None:
    """There are numbers among the data that are none: NaN or infinity.

    Looks like:
        A loss that becomes NaN in the first epoch, always at the same batch when the order is fixed, and all weights with
        it.

    Causes:
        - missing cells that were read as NaN
        - a division by 0 in the preprocessing: standardizing a constant feature, the logarithm of 0

    Confirm with:
        - count the numbers in each column that are not finite

    Try:
        - fill in or leave out what is missing, before anything is computed from it
        - add a small number to a deviation or under a logarithm

    False alarms:
        A model of one's own that masks NaN itself.

    Decided by:
        Any NaN or infinity in the inputs or targets of the first 20,000 samples of the training and the validation split.

    Sources:
        - the study notes, figure 10 bottom left: numbers left the range
    """
    from lossdoc import fetching

    for split in ("train", "validation"):
        if split not in subject.sizes:
            continue
        bad = samples = 0
        for batch in fetching.take(subject, split, samples=MOST):
            samples += batch.size
            bad += _not_finite(batch.inputs) + _not_finite(batch.targets)
        if bad:
            return Evidence(
                f"{bad:,} numbers in the {split} data are NaN or infinite (in the first {samples:,} samples)",
                facts={"measured": float(bad), "expected": 0.0, "tolerance": 0.0, "samples": float(samples)},
                confidence=0.99,
            )
    return None


def _not_finite(values: Any) -> int:
    import torch

    if isinstance(values, dict):
        return sum(_not_finite(each) for each in values.values())
    if not isinstance(values, torch.Tensor) or not values.is_floating_point():
        return 0
    return int((~torch.isfinite(values)).sum())
