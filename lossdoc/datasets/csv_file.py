"""The adapter to CSV files: a header, numbers as features, one column as the target."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from lossdoc.datasets.source import Data, Goal, Source, Table, refuse_numbers
from lossdoc.errors import Problem, UserError, did_you_mean
from lossdoc.word import Meant, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = Annotated[tuple[Text, ...], Field(min_length=1, strict=False), Meant("a list of column names")]
NAN = ("nan", "inf", "-inf", "na", "n/a", "null", "none", "?")
MOST_TOLD = 10  # unreadable cells; a file that is wrong throughout should not fill the screen


class Csv(Source):
    """A CSV file with a header; `path` is relative to the model.yaml.

    `features` are the columns that go in, by default all but the target. They hold numbers, but those that `categorical`
    names: each of their values becomes its place among them, sorted (`one_hot` makes columns of 0 and 1 of such). In a
    classification the target's values are the classes, sorted; in a regression it must be a number.
    """

    word: ClassVar[str] = "csv"
    path: Text
    target: Text
    features: Columns | None = None
    categorical: Columns | None = None
    task: Table = "classification"
    delimiter: Annotated[str, Field(min_length=1, max_length=1), Meant("a single character")] = ","

    @property
    def goal(self) -> Goal:
        """What `task` says."""
        return self.task

    def cells(self, path: Path) -> "tuple[list[str], Rows]":
        """Return the names of the columns, and the rows with their lines."""
        return _read(path, self.delimiter)

    def load(self, folder: Path) -> Data:
        """Read the file."""
        import numpy as np

        path = folder / self.path
        header, rows = self.cells(path)
        features = self.features or tuple(name for name in header if name != self.target)
        words = self.categorical or ()
        for name in (self.target, *features, *words):
            if name not in header:
                message = f"there is no column '{name}'{did_you_mean(name, header)}; there are: {', '.join(header)}"
                raise UserError.of(message, kind="missing-column", file=path)
        columns = [(_places if name in words else _numbers)(path, header, rows, name) for name in features]
        inputs = np.column_stack(columns).astype(np.float32)
        if self.task == "regression":
            return Data(inputs, _numbers(path, header, rows, self.target).astype(np.float32), features)
        labels = _labels(path, header, rows, self.target)
        numbers = np.array([_number(label) for label in labels])
        if np.isfinite(numbers).all():
            refuse_numbers(numbers, np.unique(numbers), self.target, path)
        classes = tuple(sorted(set(labels), key=_by_number))
        number = {label: place for place, label in enumerate(classes)}
        return Data(inputs, np.array([number[label] for label in labels], dtype=np.int64), features, classes)


Rows = Sequence[tuple[int, list[str]]]  # the line of the file, and the cells


def _read(path: Path, delimiter: str) -> tuple[list[str], Rows]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            rows = [(lines.line_num, [cell.strip() for cell in cells]) for cells in lines if any(cells)]
    except OSError as bad:
        raise UserError.of(f"cannot be read: {bad.strerror}", kind="missing-file", file=path) from None
    except (UnicodeDecodeError, csv.Error) as bad:
        raise UserError.of(f"not a CSV file: {bad}", kind="unreadable", file=path) from None
    if len(rows) < 2:
        raise UserError.of("holds no rows below a header", kind="empty", file=path)
    header = rows[0][1]
    ragged = [line for line, cells in rows[1:] if len(cells) != len(header)]
    if ragged:
        message = f"does not have the {len(header)} cells of the header (so have {len(ragged)} lines)"
        raise UserError(Problem(message, "ragged", str(path), ragged[0]))
    return header, rows[1:]


def _numbers(path: Path, header: list[str], rows: Rows, name: str) -> "NDArray[Any]":
    """Return a column as float64 (n,)."""
    import numpy as np

    place = header.index(name)
    values = np.array([_number(cells[place]) for _, cells in rows])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise UserError(*(_unreadable(path, name, rows[index], place) for index in bad[:MOST_TOLD].tolist()))
    return values


def _places(path: Path, header: list[str], rows: Rows, name: str) -> "NDArray[Any]":
    """Return a column of categories as their places in sorted order, float64 (n,)."""
    import numpy as np

    labels = _labels(path, header, rows, name, "a category")
    place = {label: place for place, label in enumerate(sorted(set(labels), key=_by_number))}
    return np.array([place[label] for label in labels], dtype=np.float64)


def _unreadable(path: Path, name: str, row: tuple[int, list[str]], place: int) -> Problem:
    line, cells = row
    got = f"'{cells[place]}'" if cells[place] else "nothing"
    hint = f" (or `categorical: [{name}]`, for words)" if cells[place] and cells[place].lower() not in NAN else ""
    return Problem(f"{name}: got {got}; a finite number is meant{hint}", "not-a-number", str(path), line)


def _labels(path: Path, header: list[str], rows: Rows, name: str, meant: str = "a class") -> list[str]:
    place = header.index(name)
    empty = [line for line, cells in rows if not cells[place]]
    if empty:
        raise UserError(
            *(Problem(f"{name}: got nothing; {meant} is meant", "empty-cell", str(path), line) for line in empty[:MOST_TOLD])
        )
    return [cells[place] for _, cells in rows]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _by_number(label: str) -> tuple[float, str]:
    """Sort 2 before 10, and numbers before words."""
    number = _number(label)
    return (math.inf if math.isnan(number) else number, label)
