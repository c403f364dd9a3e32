"""What a data source is, and what every one of them gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lossdoc.word import Own, Word

if TYPE_CHECKING:
    from numpy.typing import NDArray

Goal = Literal["classification", "regression", "language"]
Table = Literal["classification", "regression"]  # what the target column of a table can be


@dataclass(frozen=True)
class Data:
    """Samples in memory.

    `inputs` is float32 (n, ...), `targets` is int64 (n,) of class numbers from 0, or float32 (n,) in a regression;
    in a text both are int64 (n, T), the targets being the inputs one place further.
    `features` names the inputs where they are a vector, `classes` the classes; both are empty where there are none.
    """

    inputs: "NDArray[Any]"
    targets: "NDArray[Any]"
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class Source(Word):
    """Where the data come from.

    `goal`, `classes` and `shape` (of one sample) are what is known without reading them, None where that is nothing.
    """

    kind: ClassVar[str] = "a data source"
    shape: ClassVar[tuple[int, ...] | None] = None
    classes: ClassVar[int | None] = None

    @property
    def goal(self) -> Goal | None:
        """What the targets are."""
        return None

    def load(self, folder: Path) -> Data:
        """Read the data; relative paths start from `folder`.

        Raises:
            UserError: when they are not there or not as told.
        """
        raise NotImplementedError


class OwnSource(Source, Own):
    """The user's own data.

    A function that returns (inputs, targets) as arrays or tensors, a torch Dataset, a DataLoader, or a mapping
    `{train: ..., validation: ...}` of any of these.
    """

    word: ClassVar[str] = "call"
