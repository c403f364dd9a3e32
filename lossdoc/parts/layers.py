"""Layers with weights, pools and what normalizes or drops; the sizes of what comes in are found out."""

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import PlainValidator

from lossdoc.parts.activations import ACTIVATIONS
from lossdoc.parts.initializers import Initializer
from lossdoc.parts.layer import Layer, NoClassesError, OwnLayer, Shape, ShapeError
from lossdoc.parts.sequences import SEQUENCES
from lossdoc.word import Count, Index, Meant, Positive, Share, table

if TYPE_CHECKING:
    from torch import nn


def _count_or(word: str, least: int) -> PlainValidator:
    """Return the check for a whole number of `least` or more, or one word."""

    def check(value: Any) -> Any:
        if value == word or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= 2**31):
            return value
        raise ValueError

    return PlainValidator(check)


Units = Annotated[
    Count | Literal["classes"], _count_or("classes", 1), Meant("a whole number of 1 or more, or the word 'classes'")
]
Padding = Annotated[Index | Literal["same"], _count_or("same", 0), Meant("a whole number of 0 or more, or the word 'same'")]


class Linear(Layer):
    """w·x + b. What is shaped like an image is flattened first; a sequence is taken position by position."""

    word: ClassVar[str] = "linear"
    shorthand: ClassVar[str | None] = "out"
    out: Units
    bias: bool = True
    init: Initializer | None = None

    def shape(self, shape: Shape, classes: int | None) -> Shape:
        """Return (..., out)."""
        if not shape:
            raise ShapeError("a vector")
        out = classes if self.out == "classes" else self.out
        if out is None:
            raise NoClassesError
        return (int(out),) if len(shape) > 2 else (*shape[:-1], int(out))

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":
        """Return nn.Linear, behind a flatten where an image comes in."""
        from torch import nn

        flat = len(shape) > 2
        linear = nn.Linear(math.prod(shape) if flat else shape[-1], self.shape(shape, classes)[-1], bias=self.bias)
        return {"flatten": nn.Flatten(), "linear": linear} if flat else {"linear": linear}


class _Window(Layer):
    """What slides over one or two dimensions: samples are shaped (channels, length) or (channels, height, width)."""

    def slid(self, shape: Shape, kernel: int, stride: int, padding: int) -> Shape:
        """Return the lengths behind a window, without the channels."""
        if len(shape) not in (2, 3):
            raise ShapeError("a signal shaped channels x length, or an image shaped channels x height x width")
        lengths = tuple((length + 2 * padding - kernel) // stride + 1 for length in shape[1:])
        if min(lengths) < 1:
            less = " less padding" if padding else ""
            raise ShapeError(f"a length of at least {kernel - 2 * padding} in every direction, that of the window{less},")
        return lengths


class Conv(_Window):
    """A convolution over one or two dimensions, as the data have."""

    word: ClassVar[str] = "conv"
    shorthand: ClassVar[str | None] = "out"
    out: Count
    kernel: Count = 3
    stride: Count = 1
    padding: Padding = 0
    bias: bool = True
    init: Initializer | None = None

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return (out, ...)."""
        if self.padding != "same":
            return (self.out, *self.slid(shape, self.kernel, self.stride, int(self.padding)))
        if self.stride != 1:
            raise ShapeError("stride 1, where padding is 'same',")
        self.slid(shape, 1, 1, 0)
        return (self.out, *shape[1:])

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.Conv1d or nn.Conv2d."""
        from torch import nn

        conv = nn.Conv1d if len(shape) == 2 else nn.Conv2d
        return {"conv": conv(shape[0], self.out, self.kernel, self.stride, self.padding, bias=self.bias)}


class _Pool(_Window):
    """A pool over windows, by default of 2 and side by side."""

    shorthand: ClassVar[str | None] = "size"
    size: Count = 2
    stride: Count | None = None

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return (channels, ...)."""
        return (shape[0], *self.slid(shape, self.size, self.stride or self.size, 0)) if shape else self.slid(shape, 1, 1, 0)


class MaxPool(_Pool):
    """The largest of each window."""

    word: ClassVar[str] = "maxpool"

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.MaxPool1d or nn.MaxPool2d."""
        from torch import nn

        return {"maxpool": (nn.MaxPool1d if len(shape) == 2 else nn.MaxPool2d)(self.size, self.stride or self.size)}


class AvgPool(_Pool):
    """The mean of each window."""

    word: ClassVar[str] = "avgpool"

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.AvgPool1d or nn.AvgPool2d."""
        from torch import nn

        return {"avgpool": (nn.AvgPool1d if len(shape) == 2 else nn.AvgPool2d)(self.size, self.stride or self.size)}


class GlobalPool(_Window):
    """One number per channel: the mean or the largest."""

    word: ClassVar[str] = "globalpool"
    shorthand: ClassVar[str | None] = "take"
    take: Literal["mean", "max"] = "mean"

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return (channels,)."""
        self.slid(shape, 1, 1, 0)
        return shape[:1]

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return an adaptive pool to size 1, and a flatten."""
        from torch import nn

        pools: dict[tuple[str, int], type[nn.Module]] = {
            ("mean", 2): nn.AdaptiveAvgPool1d,
            ("mean", 3): nn.AdaptiveAvgPool2d,
            ("max", 2): nn.AdaptiveMaxPool1d,
            ("max", 3): nn.AdaptiveMaxPool2d,
        }
        return {"globalpool": pools[self.take, len(shape)](1), "flatten": nn.Flatten()}


class Flatten(Layer):
    """Every sample as one long vector."""

    word: ClassVar[str] = "flatten"

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return (n,)."""
        return (math.prod(shape),)

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.Flatten."""
        from torch import nn

        return {"flatten": nn.Flatten()}


class BatchNorm(Layer):
    """Each feature or channel by the batch's mean and deviation; running averages for test time (Ioffe and Szegedy 2015)."""

    word: ClassVar[str] = "batchnorm"
    momentum: Share = 0.1
    epsilon: Positive = 1e-5

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return the same shape."""
        if len(shape) not in (1, 2, 3):
            raise ShapeError("features, channels x length, or channels x height x width")
        return shape

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.BatchNorm1d or nn.BatchNorm2d."""
        from torch import nn

        norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        return {"batchnorm": norm(shape[0], eps=self.epsilon, momentum=self.momentum)}


class LayerNorm(Layer):
    """Each sample by its own mean and deviation; a sequence position by position (Ba et al. 2016)."""

    word: ClassVar[str] = "layernorm"
    epsilon: Positive = 1e-5

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return the same shape."""
        if not shape:
            raise ShapeError("at least one dimension")
        return shape

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.LayerNorm."""
        from torch import nn

        return {"layernorm": nn.LayerNorm(shape if len(shape) == 3 else shape[-1:], eps=self.epsilon)}


class GroupNorm(Layer):
    """Each sample by the mean and deviation of groups of its channels, whatever the batch (Wu and He 2018)."""

    word: ClassVar[str] = "groupnorm"
    shorthand: ClassVar[str | None] = "groups"
    groups: Count
    epsilon: Positive = 1e-5

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return the same shape."""
        if not shape or shape[0] % self.groups:
            raise ShapeError(f"a number of channels that {self.groups} groups divide")
        return shape

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.GroupNorm."""
        from torch import nn

        return {"groupnorm": nn.GroupNorm(self.groups, shape[0], eps=self.epsilon)}


class Dropout(Layer):
    """Drops units at random while training and scales the others up; off at test time (Srivastava et al. 2014)."""

    word: ClassVar[str] = "dropout"
    shorthand: ClassVar[str | None] = "rate"
    rate: Share = 0.5

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.Dropout."""
        from torch import nn

        return {"dropout": nn.Dropout(self.rate)}


class Embedding(Layer):
    """A vector for each of `entries` whole numbers (`classes`: the vocabulary of a text): n of them become n x out."""

    word: ClassVar[str] = "embedding"
    entries: Units
    out: Count
    padding: Index | None = None
    init: Initializer | None = None

    def shape(self, shape: Shape, classes: int | None) -> Shape:
        """Return (n, out)."""
        if len(shape) > 1:
            raise ShapeError("a sequence of whole numbers")
        if self.entries == "classes" and classes is None:
            raise NoClassesError
        return (*shape, self.out)

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return nn.Embedding."""
        from torch import nn

        entries = classes if self.entries == "classes" else self.entries
        return {"embedding": nn.Embedding(int(entries or 0), self.out, self.padding)}


LAYERS = {
    **table(Linear, Conv, MaxPool, AvgPool, GlobalPool, Flatten, BatchNorm, LayerNorm, GroupNorm, Dropout, Embedding),
    **SEQUENCES,
    **ACTIVATIONS,
    **table(OwnLayer),
}
