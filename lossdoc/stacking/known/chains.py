"""Layers that hold layers: one after another, or around a shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from lossdoc.stacking.known.activations import Activation
from lossdoc.stacking.known.layer import Layer, Mode, Site
from lossdoc.stacking.known.shapes import Same
from lossdoc.stacking.known.windows import Bias, Conv, Pool


class Chain(Layer):
    """Layers one after another."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = _pooled_first(layers)
        for before, after in pairwise(self.layers):
            if isinstance(after, Activation):
                after.over = before.spare and after.formula.by_output
        learners = [place for place, layer in enumerate(self.layers) if layer.learns]
        self.learns = bool(learners)
        self.first = min(learners, default=0)

    def forward(self, x: Tensor, mode: Mode) -> Tensor:
        """Return what the last layer puts out."""
        for layer in self.layers:
            x = layer.forward(x, mode)
        return x

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Go back as far as there is something that learns, or to the inputs where they are wanted."""
        end = 0 if wanted else self.first
        for place in range(len(self.layers) - 1, end - 1, -1):
            dx = self.layers[place].backward(dy, wanted=wanted or place > end)
            if dx is None:
                return None
            dy = dx
        return dy


class Sum(Layer):
    """What two layers make of the same inputs, added."""

    def __init__(self, body: Layer, match: Layer) -> None:
        self.body, self.match = body, match
        self.learns = body.learns or match.learns

    def forward(self, x: Tensor, mode: Mode) -> Tensor:
        """Return the sum."""
        return self.body.forward(x, mode) + self.match.forward(x, mode)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the sum of both gradients; each layer gets one of its own to write over."""
        parts = [
            layer.backward(own, wanted=wanted)
            for layer, own in ((self.body, dy.clone()), (self.match, dy))
            if layer.learns or wanted
        ]
        both = [part for part in parts if part is not None]
        return both[0] + both[1] if wanted else None


def sequential(site: Site) -> Layer:
    """Return the layers of an nn.Sequential."""
    names = list(site.module._modules)  # noqa: SLF001 - named_children leaves out a module that stands there twice
    return Chain([site.child(name) for name in names])


def shortcut(site: Site) -> Layer:
    """Return the layer for a Shortcut."""
    return Sum(site.child("body"), site.child("match"))


def transformer(site: Site) -> Layer:
    """Return a TransformerBlock: two shortcuts, around attention and around a network for each position.

    Its dropout is one module that is called twice, each time with other numbers.
    """
    before, attention, between, wide, bend, narrow, drop = (
        site.child(name) for name in ("before", "attention", "between", "wide", "bend", "narrow", "drop")
    )
    return Chain([Sum(Chain([before, attention, drop]), Same()), Sum(Chain([between, wide, bend, narrow, drop]), Same())])


def _pooled_first(layers: Sequence[Layer]) -> list[Layer]:
    """Put a pool before what gives the same behind it: there is less left to add to and to bend.

    A maximum goes before an activation that keeps the order of numbers, any pool before the bias of a convolution.
    """
    ordered = list(layers)
    for place, (before, after) in enumerate(pairwise(layers)):
        if isinstance(after, Pool) and after.largest and isinstance(before, Activation) and before.rises:
            ordered[place : place + 2] = [after, before]
    for before, after in list(pairwise(ordered)):
        bias = before.without_bias() if isinstance(before, Conv) and isinstance(after, Pool) else None
        if bias is not None:
            ordered.insert(ordered.index(after) + 1, Bias(bias))
    return ordered
