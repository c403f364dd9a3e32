"""Layers for sequences, shaped positions x features, and the residual block, which holds a list of layers itself."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from lossdoc.parts.initializers import Initializer
from lossdoc.parts.layer import Layer, Shape, ShapeError, spoken
from lossdoc.word import Count, Meant, Share, table

if TYPE_CHECKING:
    from torch import nn

    from lossdoc.parts.networks import Shortcut


def _sequence(shape: Shape) -> None:
    if len(shape) != 2:
        raise ShapeError("a sequence shaped positions x features ('embedding' makes one of whole numbers)")


class Gru(Layer):
    """A gated recurrent network; every position's state comes out, `take: last` keeps the last one (Cho et al. 2014)."""

    word: ClassVar[str] = "gru"
    shorthand: ClassVar[str | None] = "out"
    out: Count
    init: Initializer | None = None

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return (positions, out)."""
        _sequence(shape)
        return (shape[0], self.out)

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return a network with the arithmetic of nn.GRU."""
        from lossdoc.parts.networks import GruNetwork

        return {"gru": GruNetwork(shape[1], self.out)}


class Lstm(Gru):
    """Long short-term memory; every position's state comes out (Hochreiter and Schmidhuber 1997)."""

    word: ClassVar[str] = "lstm"

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return a network with the arithmetic of nn.LSTM."""
        from lossdoc.parts.networks import LstmNetwork

        return {"lstm": LstmNetwork(shape[1], self.out)}


class SelfAttention(Layer):
    """Multi-head self-attention; `causal: true` lets a position see only those before it (Vaswani et al. 2017)."""

    word: ClassVar[str] = "attention"
    shorthand: ClassVar[str | None] = "heads"
    heads: Count = 1
    causal: bool = False
    dropout: Share = 0.0
    init: Initializer | None = None

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return the same shape."""
        _sequence(shape)
        if shape[1] % self.heads:
            raise ShapeError(f"a number of features that {self.heads} heads divide")
        return shape

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return the attention with its four matrices."""
        from lossdoc.parts.networks import Attention

        return {"attention": Attention(shape[1], self.heads, causal=self.causal, dropout=self.dropout)}


class Transformer(SelfAttention):
    """A transformer block, normalized first: attention, then `hidden` units (4 per feature by default) for each position."""

    word: ClassVar[str] = "transformer"
    hidden: Count | None = None

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return the block."""
        from lossdoc.parts.networks import TransformerBlock

        hidden = self.hidden or 4 * shape[1]
        return {"transformer": TransformerBlock(shape[1], self.heads, hidden, causal=self.causal, dropout=self.dropout)}


class Positions(Layer):
    """Adds a learned vector for each position: attention alone does not know the order."""

    word: ClassVar[str] = "positions"

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return the same shape."""
        _sequence(shape)
        return shape

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return the vectors."""
        from lossdoc.parts.networks import PositionVectors

        return {"positions": PositionVectors(*shape)}


class Take(Layer):
    """One vector for a whole sequence: the last position's, or the mean or the largest over all positions."""

    word: ClassVar[str] = "take"
    shorthand: ClassVar[str | None] = "position"
    position: Literal["last", "mean", "max"] = "last"

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Return (features,)."""
        _sequence(shape)
        return shape[1:]

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":  # noqa: ARG002 - see Layer
        """Return the module that picks."""
        from lossdoc.parts.networks import TakePosition

        return {"take": TakePosition(self.position)}


class Residual(Layer):
    """The layers of a list, and what came in added behind them (He et al. 2016).

    Where the list changes the features or channels, what came in goes through a matrix or a convolution of size 1.
    """

    word: ClassVar[str] = "residual"
    shorthand: ClassVar[str | None] = "layers"
    layers: Annotated[tuple[Layer, ...], Field(min_length=1), Meant("a list of at least one layer")]

    def shape(self, shape: Shape, classes: int | None) -> Shape:
        """Return the shape behind the list, which must fit what came in."""
        after = shape
        for place, layer in enumerate(self.layers):
            try:
                after = layer.shape(after, classes)
            except ShapeError as bad:
                raise bad.inside(layer.word, after, (self.word, "layers", place)) from None
        self.fits(shape, after)
        return after

    def fits(self, shape: Shape, after: Shape) -> None:
        """Refuse a list of layers that makes `after` of `shape` where the two cannot be added.

        Raises:
            ShapeError: when more than the features or channels differ.
        """
        kept = slice(0, -1) if len(shape) < 3 else slice(1, None)
        if len(after) != len(shape) or not shape or after[kept] != shape[kept]:
            raise ShapeError(f"a list of layers that keeps it, not one that makes {spoken(after)} of it")

    def around(self, body: "nn.Module", shape: Shape, after: Shape) -> "Shortcut":
        """Return the module that adds what came in to what `body`, made of the layers of the list, puts out."""
        from torch import nn

        from lossdoc.parts.networks import Shortcut

        match: nn.Module = nn.Identity()
        if after != shape:
            match = nn.Linear(shape[-1], after[-1]) if len(shape) < 3 else nn.Conv2d(shape[0], after[0], 1)
        return Shortcut(body, match)


SEQUENCES = table(Gru, Lstm, SelfAttention, Transformer, Positions, Take, Residual)
