"""What a layer is: it knows the shape that it makes of another, and the module that does it."""

from typing import TYPE_CHECKING, ClassVar

from lossdoc.word import Own, Word

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]  # of one sample: without the batch


class ShapeError(Exception):
    """A layer cannot take what comes in; the text says what would have been right.

    `path` leads from the layer that was asked to the one inside it that is at fault, whose word and input are `word` and
    `came`; without a path it is the one that was asked.
    """

    path: tuple[str | int, ...] = ()
    word: str = ""
    came: tuple[int, ...] = ()

    def inside(self, word: str, came: "Shape", path: tuple[str | int, ...]) -> "ShapeError":
        """Return the same, as it looks from the layer that holds the one at fault."""
        if not self.path:
            self.word, self.came = word, came
        self.path = (*path, *self.path)
        return self


class NoClassesError(ShapeError):
    """A layer counts on the number of classes, which is not known."""

    def __init__(self) -> None:
        super().__init__(
            "'classes' stands for the number of classes, which these data do not tell (a regression has none); "
            "write the number itself, or say it as `data: {classes: 10}`"
        )


class UnknownShapeError(Exception):
    """What comes out of the user's own code is known only once it has run."""


class Layer(Word):
    """A layer: a word in the `layers` list."""

    kind: ClassVar[str] = "a layer"

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - what the layers with units need
        """Return the shape of one sample behind the layer.

        Raises:
            ShapeError: when the layer cannot take `shape`.
            UnknownShapeError: when the user's own code must run to tell.
        """
        return shape

    def modules(self, shape: Shape, classes: int | None) -> "dict[str, nn.Module]":
        """Return the modules that make up the layer for samples of `shape`, by name, in order."""
        raise NotImplementedError


class OwnLayer(Layer, Own):
    """The user's own layer: a torch.nn.Module class, or a function that returns a module; it gets the `args` by name."""

    word: ClassVar[str] = "call"

    def shape(self, shape: Shape, classes: int | None) -> Shape:  # noqa: ARG002 - see Layer
        """Nobody knows before it has run."""
        raise UnknownShapeError


def spoken(shape: Shape) -> str:
    """Return a shape in words for a message."""
    return "x".join(map(str, shape)) if shape else "a single number"
