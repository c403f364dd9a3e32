"""More units in the hidden layers: four times as many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lossdoc.findings import Finding
from lossdoc.remedies import _layers
from lossdoc.remedy import Change, Patient, Remedy

TIMES = 4
ENOUGH = 64  # units: a layer as wide as this is no bottleneck for the few samples that are to be learned by heart


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield four times the units in each narrow hidden layer."""
    ends = _layers.head(patient)
    if ends is None:
        return
    layers: list[Any] = []
    for place, item in enumerate(patient.written):
        out = getattr(patient.layers[place], "out", None)
        narrow = isinstance(out, int) and out < ENOUGH and place < ends[0] and isinstance(item, dict)
        layers.append(_widened(item, out) if narrow and isinstance(out, int) else item)
    if layers != patient.written:
        yield Change(f"{TIMES} times as many units in the hidden layers", {"model.layers": layers}, ("too-small",))


def _widened(item: Any, out: int) -> Any:
    word, content = next(iter(item.items()))
    return {word: {**content, "out": TIMES * out} if isinstance(content, dict) else TIMES * out}


WIDER = Remedy(("too-small",), changes, ("underfitting", "overfit-subset", "dead-relu"), prior=0.15)
