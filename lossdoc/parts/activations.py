"""Activations: layers that keep the shape."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from lossdoc.parts.layer import Layer, Shape, ShapeError
from lossdoc.word import Count, Meant, NonNegative, Number, Positive, table

if TYPE_CHECKING:
    from torch import nn


class Activation(Layer):
    """A layer that works on every number by itself."""

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return the module, named like its word."""
        return {self.word: self.module(shape)}

    def module(self, shape: Shape) -> "nn.Module":
        """Return the torch module for samples of `shape`."""
        raise NotImplementedError


class Relu(Activation):
    """max(0, x). A unit that every input drives negative outputs 0 for good: a dead ReLU."""

    word: ClassVar[str] = "relu"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.ReLU."""
        from torch import nn

        return nn.ReLU()


class LeakyRelu(Activation):
    """x above 0, slope·x below: the small slope keeps a unit from dying (Maas et al. 2013)."""

    word: ClassVar[str] = "leaky_relu"
    shorthand: ClassVar[str | None] = "slope"
    slope: NonNegative = 0.01

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.LeakyReLU."""
        from torch import nn

        return nn.LeakyReLU(self.slope)


class Prelu(Activation):
    """A leaky ReLU that learns its slope, one for all units or one per channel (He et al. 2015)."""

    word: ClassVar[str] = "prelu"
    shorthand: ClassVar[str | None] = "slope"
    slope: Number = 0.25
    per: Literal["all", "channel"] = "all"

    def module(self, shape: Shape) -> "nn.Module":
        """Return nn.PReLU."""
        from torch import nn

        return nn.PReLU(shape[0] if self.per == "channel" and shape else 1, init=self.slope)


class Elu(Activation):
    """x above 0, alpha·(exp x − 1) below: keeps negative outputs, copes with outliers (Clevert et al. 2015)."""

    word: ClassVar[str] = "elu"
    shorthand: ClassVar[str | None] = "alpha"
    alpha: Positive = 1.0

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.ELU."""
        from torch import nn

        return nn.ELU(self.alpha)


class Selu(Activation):
    """A scaled ELU that keeps mean 0 and variance 1, with `init: lecun` (Klambauer et al. 2017)."""

    word: ClassVar[str] = "selu"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.SELU."""
        from torch import nn

        return nn.SELU()


class Gelu(Activation):
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016)."""

    word: ClassVar[str] = "gelu"
    approximate: Literal["none", "tanh"] = "none"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.GELU."""
        from torch import nn

        return nn.GELU(approximate=self.approximate)


class Silu(Activation):
    """x times the sigmoid of x, also called swish (Elfwing et al. 2017)."""

    word: ClassVar[str] = "silu"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.SiLU."""
        from torch import nn

        return nn.SiLU()


class Tanh(Activation):
    """The hyperbolic tangent, from −1 to 1; saturates at both ends."""

    word: ClassVar[str] = "tanh"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.Tanh."""
        from torch import nn

        return nn.Tanh()


class Sigmoid(Activation):
    """1 / (1 + exp −x), from 0 to 1; saturates at both ends."""

    word: ClassVar[str] = "sigmoid"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.Sigmoid."""
        from torch import nn

        return nn.Sigmoid()


class Softmax(Activation):
    """exp x / sum exp x: probabilities. `cross_entropy` applies it by itself; before it, feed logits or say so."""

    word: ClassVar[str] = "softmax"
    axis: Annotated[
        int, Field(ge=-8, le=8), Meant("a whole number: the axis that sums to 1, 0 is the batch, -1 the last")
    ] = -1

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.Softmax over the axis."""
        from torch import nn

        return nn.Softmax(dim=self.axis)

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return the same shape; the axis must exist."""
        if not -len(shape) - 1 <= self.axis <= len(shape):
            raise ShapeError(f"an axis from {-len(shape) - 1} to {len(shape)} (not {self.axis})")
        return shape


class LogSoftmax(Softmax):
    """The logarithm of the softmax: what `nll` takes."""

    word: ClassVar[str] = "log_softmax"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.LogSoftmax over the axis."""
        from torch import nn

        return nn.LogSoftmax(dim=self.axis)


class Softplus(Activation):
    """log(1 + exp x): a smooth ReLU."""

    word: ClassVar[str] = "softplus"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return nn.Softplus."""
        from torch import nn

        return nn.Softplus()


class Exponential(Activation):
    """exp x: for rates, behind the last layer; a few such layers in a row leave the range of numbers."""

    word: ClassVar[str] = "exponential"

    def module(self, shape: Shape) -> "nn.Module":  # noqa: ARG002 - see Activation
        """Return the module that takes exponentials."""
        from lossdoc.parts import networks

        return networks.Exponential()


class Maxout(Layer):
    """The maximum of several linear pieces, which are learned (Goodfellow et al. 2013): out units of `pieces` each."""

    word: ClassVar[str] = "maxout"
    shorthand: ClassVar[str | None] = "out"
    out: Count
    pieces: Count = 2

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return (out,)."""
        if len(shape) != 1:
            raise ShapeError("a flat vector ('flatten' makes one)")
        return (self.out,)

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return all pieces as one linear layer, and the maximum over each unit's own."""
        from torch import nn

        pieces = nn.Linear(shape[0], self.out * self.pieces)  # (B, out·pieces)
        largest = nn.Sequential(nn.Unflatten(1, (self.out, self.pieces)), nn.AdaptiveMaxPool1d(1), nn.Flatten())
        return {"maxout": pieces, "largest": largest}


ACTIVATIONS = table(
    Relu, LeakyRelu, Prelu, Elu, Selu, Gelu, Silu, Tanh, Sigmoid, Softmax, LogSoftmax, Softplus, Exponential, Maxout
)
