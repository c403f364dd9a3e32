"""Made-up models: makers of networks, and what changes the networks that a maker makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lossdoc.specimens.data import CLASSES, FEATURES, blobs

if TYPE_CHECKING:
    from torch import Tensor, nn


def mlp(outputs: int = CLASSES, hidden: int = 16, depth: int = 1, activation: str = "ReLU") -> Callable[[int], nn.Module]:
    """Return the maker of a net with torch's own initialization."""

    def build(seed: int) -> nn.Module:
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for width in [FEATURES] + [hidden] * (depth - 1):
                layers += [nn.Linear(width, hidden), getattr(nn, activation)()]
            return nn.Sequential(*layers, nn.Linear(hidden, outputs))

    return build


def changed(build: Callable[[int], nn.Module], change: Callable[[Any], Any]) -> Callable[[int], nn.Module]:
    """Return a maker whose models are put through `change`, which works in place or returns another model."""

    def rebuilt(seed: int) -> nn.Module:
        import torch

        model = build(seed)
        with torch.no_grad():
            other = change(model)
        return model if other is None else other

    return rebuilt


def followed_by(build: Callable[[int], nn.Module], activation: str, **arguments: Any) -> Callable[[int], nn.Module]:
    """Return a maker whose models end in one more module of torch.nn."""

    def extend(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(*model, getattr(nn, activation)(**arguments))

    return changed(build, extend)


def preceded_by(build: Callable[[int], nn.Module], layer: str, *arguments: Any) -> Callable[[int], nn.Module]:
    """Return a maker whose models begin with one more module of torch.nn."""

    def extend(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(getattr(nn, layer)(*arguments), *model)

    return changed(build, extend)


def squeezed(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models put out (B,) in place of (B, 1)."""

    def squeeze(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(*model, nn.Flatten(0))

    return changed(build, squeeze)


def in_units(build: Callable[[int], nn.Module], factor: float, offset: float) -> Callable[[int], nn.Module]:
    """Return a maker whose models put their outputs into the unit of the targets themselves."""

    def extend(model: Any) -> Any:
        from torch import nn

        class Unit(nn.Module):
            def forward(self, inputs: Tensor) -> Tensor:
                return factor * inputs + offset

        return nn.Sequential(*model, Unit())

    return changed(build, extend)


def scaled(build: Callable[[int], nn.Module], factor: float, *, last_only: bool = False) -> Callable[[int], nn.Module]:
    """Return a maker whose weights are all (or the last layer's) multiplied by `factor`."""

    def scale(model: Any) -> None:
        for parameter in list(model.parameters())[-2 if last_only else 0 :]:
            parameter.mul_(factor)

    return changed(build, scale)


def set_all(build: Callable[[int], nn.Module], value: float) -> Callable[[int], nn.Module]:
    """Return a maker whose weights all have the same value."""

    def fill(model: Any) -> None:
        for parameter in model.parameters():
            parameter.fill_(value)

    return changed(build, fill)


def shifted(build: Callable[[int], nn.Module], bias: float, units: int | None = None) -> Callable[[int], nn.Module]:
    """Return a maker whose first layer's first `units` biases (all of them by default) are `bias`."""

    def shift(model: Any) -> None:
        model[0].bias[:units] = bias

    return changed(build, shift)


def frozen(build: Callable[[int], nn.Module], count: int) -> Callable[[int], nn.Module]:
    """Return a maker whose first `count` parameters are not to learn."""

    def freeze(model: Any) -> None:
        for parameter in list(model.parameters())[:count]:
            parameter.requires_grad = False

    return changed(build, freeze)


def with_cut(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models cut the gradient off before their last layer."""

    def cut(model: Any) -> Any:
        from torch import nn

        class Detach(nn.Module):
            def forward(self, inputs: Tensor) -> Tensor:
                return inputs.detach()

        return nn.Sequential(*model[:-1], Detach(), model[-1])

    return changed(build, cut)


def hidden_in_a_list(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models keep their layers where torch cannot see them."""

    def hide(model: Any) -> Any:
        from torch import nn

        class Listed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = list(model)

            def forward(self, inputs: Tensor) -> Tensor:
                for layer in self.layers:
                    inputs = layer(inputs)
                return inputs

        return Listed()

    return changed(build, hide)


def with_batchnorm(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models normalize the batch behind their first layer."""

    def insert(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(model[0], nn.BatchNorm1d(model[0].out_features), *model[1:])

    return changed(build, insert)


def unscaled_dropout(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models end in a dropout that does not scale what it leaves."""

    def extend(model: Any) -> Any:
        import torch
        from torch import nn

        class PlainDropout(nn.Module):
            p = 0.5

            def forward(self, inputs: Tensor) -> Tensor:
                return inputs * (torch.rand_like(inputs) > self.p) if self.training else inputs

        return nn.Sequential(*model[:-1], PlainDropout(), model[-1])

    return changed(build, extend)


def knowing(_seed: int) -> nn.Module:
    """Make a network that has learned the blobs' centers before any training."""
    import torch
    from torch import nn

    inputs, labels = blobs("train")
    centers = torch.stack([inputs[labels == label].mean(0) for label in range(CLASSES)])
    layer = nn.Linear(FEATURES, CLASSES)
    with torch.no_grad():
        layer.weight.copy_(2.0 * centers)
        layer.bias.copy_(-centers.square().sum(1))
    return nn.Sequential(layer)
