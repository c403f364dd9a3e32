"""Batch normalization before every hidden activation: a deep network then keeps its signal whatever its weights are."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.parts.layers import BatchNorm, GroupNorm, LayerNorm
from lossdoc.remedies import _layers
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

DEEP = 4  # hidden activations: shallower networks learn without it (Glorot and Bengio 2010, figure 11)
SIGNALS = ("vanishing-gradients", "exploding-gradients", "vanishing-activations", "exploding-activations", "dead-relu")


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield the normalization behind each wx + b of a deep network that has none (Ioffe and Szegedy 2015)."""
    hidden = _layers.hidden_activations(patient)
    if len(hidden) < DEEP or any(isinstance(layer, BatchNorm | LayerNorm | GroupNorm) for layer in patient.layers):
        return
    layers = []
    for place, item in enumerate(patient.written):
        layers += ["batchnorm", item] if place in hidden else [item]
    causes = ("vanishing-gradients", "vanishing-activations")
    yield Change("batch normalization before every hidden activation", {"model.layers": layers}, causes)


BATCH_NORMALIZATION = Remedy(SIGNALS, changes, ANY, prior=0.35)
