"""What a data source is, and what every one of them gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lossdoc.errors import UserError
from lossdoc.word import Own, Word

if TYPE_CHECKING:
    from numpy.typing import NDArray

Goal = Literal["classification", "binary", "regression", "language"]
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


def refuse_numbers(targets: "NDArray[Any]", values: "NDArray[Any]", name: str, path: str | Path) -> None:
    """Refuse targets (n,) that are no classes: decimal numbers of which most `values` (k,) stand there only once.

    Raises:
        UserError: when they are, with the words that make a regression of them.
    """
    decimal = values.dtype.kind == "f" and bool((values % 1 != 0).any())
    if decimal and len(values) > len(targets) / 2 and len(targets) > 2:
        message = (
            f"{name}: {len(values)} different decimal numbers in {len(targets)} samples are no classes; "
            "for a regression say `task: regression` in the data source"
        )
        raise UserError.of(message, kind="data", file=path)


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

    What it names is called with the `args` and returns (inputs, targets) as arrays or tensors, a list of such samples, a
    torch Dataset (an IterableDataset too), a DataLoader, or any of these by split: as (train, validation), as a mapping
    `{train: ..., validation: ...}`, or as a LightningDataModule. Batches may be mappings: `data.batch` names their keys.
    """

    word: ClassVar[str] = "call"
