"""Regularization at a hundredth, or off: what is left then is the task itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lossdoc.findings import Finding
from lossdoc.parts.layers import Dropout
from lossdoc.remedies._symptoms import SLOW
from lossdoc.remedy import Change, Patient, Remedy

CAUSE = ("over-regularized",)


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield each term of the loss at a hundredth, then all regularization off."""
    if patient.spec is None:
        if any(term.coefficient for term in patient.subject.recipe.penalties):
            from lossdoc.regularization import unregularized

            yield Change("switch the regularization off", causes=CAUSE, apply=unregularized, line="weight_decay=0")
        return
    given, decay = patient.spec.regularization, float(patient.subject.recipe.hyper.get("weight_decay", 0.0))
    terms = {f"regularization.{name}": getattr(given, name) for name in ("l1", "l2") if getattr(given, name)}
    if decay:
        terms["optimizer.weight_decay"] = decay
    if terms:
        weaker = {path: float(f"{value / 100:.3g}") for path, value in terms.items()}
        yield Change("weaken the regularization a hundredfold", weaker, CAUSE)
    off: dict[str, Any] = dict.fromkeys(terms, 0.0) | ({"regularization.call": None} if given.call is not None else {})
    dropped = [place for place, layer in enumerate(patient.layers) if isinstance(layer, Dropout) and layer.rate > 0]
    if dropped:
        kept = [item for place, item in enumerate(patient.written) if place not in dropped]
        off["model.layers"] = kept
    if off:
        causes = ("regularization-raises-loss",) if given.call is not None and not terms else CAUSE
        yield Change("switch the regularization off", off, causes)


REGULARIZATION_OFF = Remedy(("over-regularized", "regularization-raises-loss"), changes, SLOW, prior=0.4)
