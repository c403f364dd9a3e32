"""What a forward calls beside its modules, as layers: each function of torch by the module that does the same, or moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.parts.networks import Exponential
from lossdoc.stack import UnstackableError
from lossdoc.stacking.known.layer import Layer, Mode, must
from lossdoc.stacking.known.shapes import Same

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Seen:
    """What a function was seen to take and to give: shapes of a sample, and types."""

    given: Shape
    made: Shape
    given_type: torch.dtype
    made_type: torch.dtype

    def axis(self, axis: int) -> int:
        """Return a dimension of the inputs as the module counts it, as one of a stack's: the batch, the first, is the last.

        Raises:
            UnstackableError: when it is the batch.
        """
        found = axis % (len(self.given) + 1)
        must(found > 0, "a function works along the batch")
        return found


class Reshape(Layer):
    """The numbers of a sample in another shape."""

    def __init__(self, seen: Seen) -> None:
        self.given, self.made = seen.given, seen.made

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return (K or 1, *made, B)."""
        return x.reshape(len(x), *self.made, x.shape[-1])

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient in the shape of the inputs."""
        return dy.reshape(len(dy), *self.given, dy.shape[-1])


class Permute(Layer):
    """The dimensions of a sample in another order; `order` counts from 1."""

    def __init__(self, order: Sequence[int]) -> None:
        last = len(order) + 1
        self.order = (0, *order, last)
        self.back = tuple(sorted(range(last + 1), key=self.order.__getitem__))

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return them in that order."""
        return x.permute(self.order)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient in the order of the inputs."""
        return dy.permute(self.back)


class Select(Layer):
    """One entry of a sample's first dimension."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.shape = torch.Size()

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return (K or 1, ..., B)."""
        self.shape = x.shape[1:]
        return x[:, self.at]

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient, which is 0 for the other entries."""
        dx = dy.new_zeros(len(dy), *self.shape)
        dx[:, self.at] = dy
        return dx


class Mean(Layer):
    """The mean over some dimensions of a sample."""

    def __init__(self, axes: Sequence[int], *, keep: bool) -> None:
        self.axes, self.stays = list(axes), keep
        self.shape = torch.Size()

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the means."""
        self.shape = x.shape[1:]
        return x.mean(self.axes, keepdim=self.stays)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient, shared among what the mean was taken of."""
        many = math.prod(self.shape[axis - 1] for axis in self.axes)
        for axis in () if self.stays else sorted(self.axes):
            dy = dy.unsqueeze(axis)
        return (dy / many).expand(len(dy), *self.shape).contiguous()


class Scale(Layer):
    """x times a number, plus a number."""

    def __init__(self, factor: float, shift: float = 0.0) -> None:
        self.factor, self.shift = factor, shift

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return factor·x + shift."""
        return x * self.factor + self.shift

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient of the inputs."""
        return dy * self.factor


def _pool(kind: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return what makes a maximum pool of the function's arguments, whose order is not that of the module."""
    return lambda size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False: kind(
        size, stride, padding, dilation, return_indices, ceil_mode
    )


MODULES: dict[str, Callable[..., nn.Module]] = {  # by the function's name, with its arguments behind the inputs
    "relu": lambda inplace=False: nn.ReLU(),  # noqa: ARG005 - who reads a value that is written over is asked elsewhere
    "relu_": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "exp": Exponential,
    "softmax": lambda dim, dtype=None, **_: _typed(nn.Softmax(dim), dtype),
    "log_softmax": lambda dim, dtype=None, **_: _typed(nn.LogSoftmax(dim), dtype),
    "max_pool1d": _pool(nn.MaxPool1d),
    "max_pool2d": _pool(nn.MaxPool2d),
    "avg_pool1d": nn.AvgPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_avg_pool1d": nn.AdaptiveAvgPool1d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_max_pool1d": nn.AdaptiveMaxPool1d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
}


def _typed(module: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    must(dtype is None, "a softmax changes the type of its numbers")
    return module


def _same(seen: Seen, *_: Any, **__: Any) -> Layer:
    must(seen.given == seen.made and seen.given_type == seen.made_type, "numbers change their type on the way")
    return Same()


def _reshape(seen: Seen, *_: Any, **__: Any) -> Layer:
    must(math.prod(seen.given) == math.prod(seen.made), "a reshape mixes samples")
    return Reshape(seen)


def _transpose(seen: Seen, one: int, other: int) -> Layer:
    order = list(range(1, len(seen.given) + 1))
    one, other = seen.axis(one), seen.axis(other)
    order[one - 1], order[other - 1] = other, one
    return Permute(order)


def _permute(seen: Seen, *order: Any) -> Layer:
    first, *others = order[0] if isinstance(order[0], tuple | list) else order
    must(first == 0, "a permutation moves the batch")
    return Permute([seen.axis(axis) for axis in others])


def _mean(seen: Seen, dim: Any, keepdim: bool = False) -> Layer:  # noqa: FBT001, FBT002 - torch's
    axes = dim if isinstance(dim, tuple | list) else (dim,)
    return Mean([seen.axis(axis) for axis in axes], keep=keepdim)


def _select(_seen: Seen, index: Any) -> Layer:
    every = slice(None)
    first, at, *others = index if isinstance(index, tuple) and len(index) > 1 else (None, None)
    must(first == every and type(at) is int and all(each == every for each in others), "an index is not x[:, number]")
    return Select(at)


def _number(value: Any) -> float:
    must(type(value) in (int, float), "two tensors are joined by something else than their sum")
    return float(value)


VIEWS: dict[str, Callable[..., Layer]] = {  # by the function's name, with what was seen of it and its other arguments
    **dict.fromkeys(("contiguous", "clone", "to", "float", "double", "type_as"), _same),
    **dict.fromkeys(("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze"), _reshape),
    **dict.fromkeys(("transpose", "swapaxes"), _transpose),
    "permute": _permute,
    "mean": _mean,
    "getitem": _select,
    "add": lambda _seen, number: Scale(1.0, _number(number)),
    "sub": lambda _seen, number: Scale(1.0, -_number(number)),
    "mul": lambda _seen, number: Scale(_number(number)),
    "truediv": lambda _seen, number: Scale(1 / _number(number)),
    "div": lambda _seen, number: Scale(1 / _number(number)),
}
SUMS = frozenset({"add", "iadd", "add_"})


def unknown(name: str) -> UnstackableError:
    """Return what says that a function has no layer."""
    return UnstackableError(f"{name} is not written out for many points")
