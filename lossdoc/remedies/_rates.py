"""Learning rates changed by a factor, in the file or in the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from lossdoc.remedy import Change, Patient
from lossdoc.subject import Subject


def scaled(patient: Patient, factors: Sequence[float], verb: str, causes: tuple[str, ...]) -> Iterator[Change]:
    """Yield a change for each factor on the learning rate."""
    rate = patient.subject.recipe.hyper["lr"]
    for factor in factors:
        new = float(f"{rate * factor:.3g}")
        values = {"optimizer.lr": new} if patient.spec is not None else {}
        yield Change(
            f"{verb} the learning rate from {rate:g} to {new:g}", values, causes, partial(with_hyper, lr=new), f"lr={new:g}"
        )


def with_hyper(subject: Subject, **hyper: float) -> Subject:
    """Return the subject with other hyperparameters of its optimizer."""
    recipe = subject.recipe
    return replace(subject, recipe=replace(recipe, changed={**recipe.changed, **hyper}))
