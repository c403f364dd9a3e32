"""A longer training: what still falls at its end was ended too early."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.remedy import Change, Patient, Remedy

LONGER, TIMES = 3.0, "three times"


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield three times the epochs."""
    recipe = patient.subject.recipe
    if recipe.max_steps is not None:
        many = round(LONGER * recipe.max_steps)
        yield Change(
            f"train {TIMES} as long, for {many} steps", {"train.max_steps": many}, ("too-few-epochs",), longer=LONGER
        )
        return
    many = round(LONGER * recipe.epochs)
    values = {"train.epochs": many} if patient.spec is not None else {}
    apply = None if values else lambda subject: subject
    yield Change(f"train {TIMES} as long, for {many} epochs", values, ("too-few-epochs",), apply, f"epochs={many}", LONGER)


MORE_EPOCHS = Remedy(("too-few-epochs",), changes, ("slow-learning", "slow-start", "underfitting"), prior=0.3)
