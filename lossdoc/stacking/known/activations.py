"""Layers that work on every number by itself, by torch's own kernels; the softmax beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.parts.networks import Exponential
from lossdoc.stacking.known.layer import Layer, Mode, Room, Site

aten = torch.ops.aten
SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946)  # alpha and scale, as in torch


@dataclass(frozen=True)
class Formula:
    """An activation: `value(x, out)`, and `slope(dy, kept, out)` = dy times the derivative, both with the module's settings.

    `kept` are the outputs where `by_output`, else the inputs. `rises` says that no larger input has a smaller output.
    """

    value: Callable[..., Any]
    slope: Callable[..., Any]
    settings: tuple[str, ...] = ()
    by_output: bool = True
    rises: bool = True


FORMULAS: dict[type[nn.Module], Formula] = {
    nn.ReLU: Formula(
        lambda x, out: torch.clamp_min(x, 0, out=out),
        lambda dy, y, out: aten.threshold_backward.grad_input(dy, y, 0, grad_input=out),
    ),
    nn.LeakyReLU: Formula(
        lambda x, out, slope: aten.leaky_relu.out(x, slope, out=out),
        lambda dy, x, out, slope: aten.leaky_relu_backward.grad_input(dy, x, slope, False, grad_input=out),  # noqa: FBT003
        ("negative_slope",),
        by_output=False,
    ),
    nn.ELU: Formula(
        lambda x, out, alpha: aten.elu.out(x, alpha, 1, 1, out=out),
        lambda dy, y, out, alpha: aten.elu_backward.grad_input(dy, alpha, 1, 1, True, y, grad_input=out),  # noqa: FBT003
        ("alpha",),
    ),
    nn.SELU: Formula(
        lambda x, out: aten.elu.out(x, *SELU, 1, out=out),
        lambda dy, y, out: aten.elu_backward.grad_input(dy, *SELU, 1, True, y, grad_input=out),  # noqa: FBT003
    ),
    nn.GELU: Formula(
        lambda x, out, how: aten.gelu.out(x, approximate=how, out=out),
        lambda dy, x, out, how: aten.gelu_backward.grad_input(dy, x, approximate=how, grad_input=out),
        ("approximate",),
        by_output=False,
        rises=False,
    ),
    nn.SiLU: Formula(
        lambda x, out: aten.silu.out(x, out=out),
        lambda dy, x, out: aten.silu_backward.grad_input(dy, x, grad_input=out),
        by_output=False,
        rises=False,
    ),
    nn.Tanh: Formula(
        lambda x, out: torch.tanh(x, out=out),
        lambda dy, y, out: aten.tanh_backward.grad_input(dy, y, grad_input=out),
    ),
    nn.Sigmoid: Formula(
        lambda x, out: torch.sigmoid(x, out=out),
        lambda dy, y, out: aten.sigmoid_backward.grad_input(dy, y, grad_input=out),
    ),
    nn.Softplus: Formula(
        lambda x, out, beta, threshold: aten.softplus.out(x, beta, threshold, out=out),
        lambda dy, x, out, beta, threshold: aten.softplus_backward.grad_input(dy, x, beta, threshold, grad_input=out),
        ("beta", "threshold"),
        by_output=False,
    ),
    Exponential: Formula(lambda x, out: torch.exp(x, out=out), lambda dy, y, out: torch.mul(dy, y, out=out)),
}


class Activation(Layer):
    """An activation by its formula; it may write over its inputs where the layer before can spare them."""

    def __init__(self, site: Site) -> None:
        self.formula = FORMULAS[type(site.module)]
        self.settings = [site.same(name) for name in self.formula.settings]
        self.rises = self.formula.rises and all(value >= 0 for value in self.settings)
        self.over = False  # whether it may write over what comes in
        self.out = Room()
        self.kept: Tensor

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the activations."""
        y: Tensor = self.formula.value(x, x if self.over else self.out.like(x), *self.settings)
        self.kept = y if self.formula.by_output else x
        return y

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient of the inputs."""
        return self.formula.slope(dy, self.kept, dy, *self.settings)  # type: ignore[no-any-return]  # torch's kernels


class Prelu(Layer):
    """nn.PReLU: slopes (K, 1) or (K, channels) below 0."""

    learns = True

    def __init__(self, site: Site) -> None:
        self.weight = site.needed("weight")
        self.x: Tensor

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the activations."""
        self.x = x
        return torch.where(x > 0, x, self._slopes() * x)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient of the inputs."""
        own = (dy * self.x.clamp_max(0)).flatten(2).sum(2)  # (K, first dimension of the sample)
        self.weight.gradient.copy_(own if self.weight.shape[0] > 1 else own.sum(1, keepdim=True))
        return torch.where(self.x > 0, dy, self._slopes() * dy) if wanted else None

    def _slopes(self) -> Tensor:
        return self.weight.value.reshape(*self.weight.value.shape, *[1] * (self.x.ndim - 2))


class Softmax(Layer):
    """nn.Softmax, nn.LogSoftmax."""

    def __init__(self, site: Site) -> None:
        self.axis = site.same("dim")
        self.mixes = self.axis < 1 and self.axis != -1  # it may be the batch, counted from either end
        self.log = type(site.module) is nn.LogSoftmax
        self.y: Tensor

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return probabilities, or their logarithms, over the axis."""
        self.y = (torch.log_softmax if self.log else torch.softmax)(x, self._axis(x))
        return self.y

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient of the inputs."""
        back = torch._log_softmax_backward_data if self.log else torch._softmax_backward_data  # noqa: SLF001 - no other name
        return back(dy, self.y, self._axis(dy), dy.dtype)

    def _axis(self, x: Tensor) -> int:
        """Return the axis where the batch, first in the module's eyes, is the last."""
        axis: int = self.axis % (x.ndim - 1)  # the module sees no points
        return axis or x.ndim - 1
