"""Made-up models: makers of networks, and what changes the networks that a maker makes."""

from __future__ import annotations

import math
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


def exponential(outputs: int = CLASSES, hidden: int = 16, depth: int = 1) -> Callable[[int], nn.Module]:
    """Return the maker of a net whose activations are exponentials."""

    def replace(model: Any) -> Any:
        from torch import nn

        from lossdoc.parts.networks import Exponential

        return nn.Sequential(*(Exponential() if isinstance(each, nn.ReLU) else each for each in model))

    return changed(mlp(outputs, hidden, depth), replace)


def softmaxed(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models have a softmax in the place of their last hidden activation."""

    def replace(model: Any) -> Any:
        from torch import nn

        return nn.Sequential(*model[:-2], nn.Softmax(dim=-1), model[-1])

    return changed(build, replace)


def recurrent(factor: float, outputs: int = CLASSES, hidden: int = 16) -> Callable[[int], nn.Module]:
    """Return the maker of a plain recurrent net whose recurrent weights are orthogonal, times `factor`."""

    def build(seed: int) -> nn.Module:
        import torch
        from torch import nn

        class Reader(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.RNN(FEATURES, hidden, batch_first=True)
                self.head = nn.Linear(hidden, outputs)

            def forward(self, inputs: Tensor) -> Tensor:
                out: Tensor = self.head(self.body(inputs)[0][:, -1])
                return out

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Reader()
            nn.init.orthogonal_(dict(model.named_parameters())["body.weight_hh_l0"], factor)
        return model

    return build


def refilled(build: Callable[[int], nn.Module], variance: float) -> Callable[[int], nn.Module]:
    """Return a maker whose weights are drawn anew, with `variance` over the number of inputs, and whose biases are 0."""

    def fill(model: Any) -> None:
        import torch

        luck = torch.Generator().manual_seed(int(model[0].weight.abs().sum() * 1e6))  # another for each seed
        for parameter in model.parameters():
            spread = math.sqrt(variance / parameter.shape[-1]) if parameter.ndim > 1 else 0.0
            parameter.copy_(spread * torch.randn(parameter.shape, generator=luck))

    return changed(build, fill)


def residual(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a maker whose models have a shortcut around every hidden layer but the first."""

    def bridge(model: Any) -> Any:
        from torch import nn

        class Shortcut(nn.Module):
            def __init__(self, *body: nn.Module) -> None:
                super().__init__()
                self.body = nn.Sequential(*body)

            def forward(self, inputs: Tensor) -> Tensor:
                out: Tensor = inputs + self.body(inputs)
                return out

        hidden = [Shortcut(model[at], model[at + 1]) for at in range(2, len(model) - 1, 2)]
        return nn.Sequential(*model[:2], *hidden, model[-1])

    return changed(build, bridge)


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


def hidden_in_a_list(build: Callable[[int], nn.Module], *, head: bool = False) -> Callable[[int], nn.Module]:
    """Return a maker whose models keep their layers where torch cannot see them, all of them or all but the `head`."""

    def hide(model: Any) -> Any:
        from torch import nn

        class Listed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = list(model)
                if head:
                    self.head = model[-1]

            def forward(self, inputs: Tensor) -> Tensor:
                for layer in self.layers:
                    inputs = layer(inputs)
                return inputs

        return Listed()

    return changed(build, hide)


def with_batchnorm(build: Callable[[int], nn.Module], *, eps: float = 1e-5, bias: bool = True) -> Callable[[int], nn.Module]:
    """Return a maker whose models normalize the batch behind their first layer, which may lose its bias."""

    def insert(model: Any) -> Any:
        from torch import nn

        if not bias:
            model[0].bias = None
        return nn.Sequential(model[0], nn.BatchNorm1d(model[0].out_features, eps=eps), *model[1:])

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
