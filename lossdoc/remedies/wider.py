"""More units in the hidden layers: four times as many, or a first hidden layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lossdoc.findings import Finding
from lossdoc.remedies import _layers
from lossdoc.remedy import Change, Patient, Remedy

DEAD = "dead-relu"
TIMES = 4
ENOUGH = 64  # units: a layer as wide as this is no bottleneck for the few samples that are to be learned by heart


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield four times the units in each narrow hidden layer, or a hidden layer where there is none.

    Where units have died, more of them leave some alive (Lu and others, Dying ReLU and initialization, 2019).
    """
    ends = _layers.head(patient)
    cause = finding.name if finding.name == DEAD else "too-small"
    if ends is None:
        return
    if not any(isinstance(layer, _layers.WEIGHTED) for layer in patient.layers[: ends[0]]):
        deeper = [*patient.written[: ends[0]], {"linear": {"out": ENOUGH}}, "relu", *patient.written[ends[0] :]]
        yield Change(f"a hidden layer of {ENOUGH} units", {"model.layers": deeper}, ("too-small",))
        return
    layers: list[Any] = []
    for place, item in enumerate(patient.written):
        out = getattr(patient.layers[place], "out", None)
        narrow = isinstance(out, int) and out < ENOUGH and place < ends[0] and isinstance(item, dict)
        layers.append(_widened(item, out) if narrow and isinstance(out, int) else item)
    if layers != patient.written:
        yield Change(f"{TIMES} times as many units in the hidden layers", {"model.layers": layers}, (cause,))


def _widened(item: Any, out: int) -> Any:
    word, content = next(iter(item.items()))
    return {word: {**content, "out": TIMES * out} if isinstance(content, dict) else TIMES * out}


WIDER = Remedy(("too-small", DEAD), changes, ("underfitting", "overfit-subset", "not-learning"), prior=0.15)
