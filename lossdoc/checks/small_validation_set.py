"""LS107: a validation set too small to tell one model from another."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS107",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(sizes={"train": 2_000, "validation": 12}),
        lambda: specimens.healthy(sizes={"train": 2_000, "validation": 60}),
    ),
    quiet_on=(
        lambda: specimens.healthy(sizes={"train": 2_000, "validation": 400}),
        lambda: specimens.healthy(sizes={"train": 120, "validation": 30}),
    ),
)
def small_validation_set(
    subject: Subject, *, wide: float = 0.1, useless: float = 0.25, fair: float = 0.15
) -> Evidence | None:
    """The validation set is too small: its loss and accuracy say little about the model.

    Looks like:
        A validation curve that is much rougher than the training curve; a best model that is the luckiest.

    Causes:
        - too small a share of the data was kept for validation

    Confirm with:
        - compare the jumps of the validation loss from epoch to epoch with what it gained in all

    Try:
        - keep more of the data for validation, 15 to 20 %
        - where data are few, cross-validate: every sample validates once

    False alarms:
        With few data in all, a small validation set is no mistake: where it has its fair share, of 15 % or more, it is
        passed unless it is useless.

    Decided by:
        An accuracy measured on n samples has a 95 % interval of up to ± 0.98/√n. The rule fires where that is over ± 10
        points (under 97 samples) with less than 15 % of the data kept, and always where it is over ± 25 points (under 16
        samples).

    Sources:
        - the study notes, figure 10 bottom right: the validation set is too small
    """
    train, validation = (subject.sizes.get(split) for split in ("train", "validation"))
    if validation is None or train is None:
        raise NotApplicable("there is no validation split" if "validation" not in subject.sizes else "its size is not known")
    interval = 0.98 / math.sqrt(max(validation, 1))
    share = validation / (validation + train)
    if interval <= wide or (share >= fair and interval <= useless):
        return None
    return Evidence(
        f"the validation set has {validation} {'sample' if validation == 1 else 'samples'} "
        f"({share:.1%} of the data): an accuracy on it is uncertain by "
        f"± {100 * interval:.0f} points",
        facts={"measured": interval, "expected": 0.0, "tolerance": wide, "samples": float(validation), "share": share},
        confidence=0.9,
    )
