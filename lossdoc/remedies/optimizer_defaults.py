"""The optimizer's own defaults in place of unusual constants: epsilon, momentum, betas."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.parts.optimizers import Optimizer
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

CONSTANTS = ("eps", "alpha", "beta1", "beta2", "momentum")


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield the defaults of what differs from them: epsilon by ten or more, the others at all."""
    optimizer = patient.spec.optimizer if patient.spec is not None else None
    if not isinstance(optimizer, Optimizer):
        return
    values = {}
    for name in CONSTANTS:
        field = type(optimizer).model_fields.get(name)
        if field is None:
            continue
        now, usual = float(getattr(optimizer, name)), float(field.default)
        far = not 0.1 < now / usual < 10 if name == "eps" else now != usual and now > 0
        if far:
            values[f"optimizer.{name}"] = usual
    if "optimizer.eps" in values:
        yield Change("give epsilon its usual value", {"optimizer.eps": values["optimizer.eps"]}, ("epsilon",))
    others = {path: value for path, value in values.items() if path != "optimizer.eps"}
    if others:
        names = ", ".join(path.rpartition(".")[2] for path in others)
        yield Change(f"give {names} the usual values", others, ("lr-too-high",))


OPTIMIZER_DEFAULTS = Remedy(("epsilon",), changes, (*ANY, "lr-too-high"), prior=0.52)
