"""Which layer stands for which torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from lossdoc.masks import KeyedDropout
from lossdoc.parts import networks
from lossdoc.stack import UnstackableError
from lossdoc.stacking.known.activations import FORMULAS, Activation, Prelu, Softmax
from lossdoc.stacking.known.attention import Attention
from lossdoc.stacking.known.chains import sequential, shortcut, transformer
from lossdoc.stacking.known.graphs import graph
from lossdoc.stacking.known.layer import Layer, Site
from lossdoc.stacking.known.linear import Linear
from lossdoc.stacking.known.norms import BatchNorm, GroupNorm, LayerNorm
from lossdoc.stacking.known.recurrent import Gru, Lstm
from lossdoc.stacking.known.shapes import Dropout, Flatten, Same, Take, Unflatten
from lossdoc.stacking.known.store import Store
from lossdoc.stacking.known.tables import Embedding, Positions
from lossdoc.stacking.known.windows import Conv, Pool
from lossdoc.subject import Batch

KINDS: dict[type[nn.Module], Callable[[Site], Layer]] = {
    nn.Sequential: sequential,
    nn.Identity: lambda _site: Same(),
    nn.Linear: Linear,
    nn.Conv1d: Conv,
    nn.Conv2d: Conv,
    nn.MaxPool1d: Pool,
    nn.MaxPool2d: Pool,
    nn.AvgPool1d: Pool,
    nn.AvgPool2d: Pool,
    nn.AdaptiveMaxPool1d: Pool,
    nn.AdaptiveMaxPool2d: Pool,
    nn.AdaptiveAvgPool1d: Pool,
    nn.AdaptiveAvgPool2d: Pool,
    nn.Flatten: Flatten,
    nn.Unflatten: Unflatten,
    nn.BatchNorm1d: BatchNorm,
    nn.BatchNorm2d: BatchNorm,
    nn.LayerNorm: LayerNorm,
    nn.GroupNorm: GroupNorm,
    KeyedDropout: Dropout,
    nn.Embedding: Embedding,
    nn.PReLU: Prelu,
    nn.Softmax: Softmax,
    nn.LogSoftmax: Softmax,
    **dict.fromkeys(FORMULAS, Activation),
    networks.GruNetwork: Gru,
    networks.LstmNetwork: Lstm,
    networks.Attention: Attention,
    networks.TransformerBlock: transformer,
    networks.PositionVectors: Positions,
    networks.TakePosition: Take,
    networks.Shortcut: shortcut,
}


TUPLES: dict[type[nn.Module], Callable[[Site], Layer]] = {nn.GRU: Gru, nn.LSTM: Lstm}  # their first output only


def layers(models: Sequence[nn.Module], store: Store, sample: Batch) -> tuple[Layer, list[Layer]]:
    """Return the layer that stands for whole models, and all the layers inside it.

    A model whose own forward calls its modules becomes a graph of layers; the sample shows the shapes to it.

    Raises:
        UnstackableError: when there is a module or a function that no layer stands for.
    """
    if all(type(module) in KINDS for module in models[0].modules()):
        return _layers(models, store, KINDS, lambda site: site.make(site))
    return _layers(models, store, {**KINDS, **TUPLES}, lambda site: graph(site, sample))


def _layers(
    models: Sequence[nn.Module],
    store: Store,
    kinds: Mapping[type[nn.Module], Callable[[Site], Layer]],
    whole: Callable[[Site], Layer],
) -> tuple[Layer, list[Layer]]:
    made: list[Layer] = []

    def make(site: Site) -> Layer:
        kind = type(site.module)
        if kind not in kinds or any(type(module) is not kind for module in site.modules):
            raise UnstackableError(f"{kind.__name__} is not written out for many points")
        if any(module._forward_hooks or module._forward_pre_hooks for module in site.modules):  # noqa: SLF001 - no other name
            raise UnstackableError(f"something is hooked into {kind.__name__}")
        layer = kinds[kind](site)
        made.append(layer)
        return layer

    return whole(Site("", models, store, make)), made
