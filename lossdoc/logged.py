"""What Python code has in hand of a run, in whatever form, as curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from lossdoc import columns
from lossdoc.columns.naming import is_loss
from lossdoc.curve import Axis, Column, Context, Curve, Floats, Series, Table
from lossdoc.errors import UserError, did_you_mean, kind_of

MEANT = "a path, a Curve, a list of losses, a mapping of lists by name, a list of records, or a DataFrame is meant"


class Known(TypedDict, total=False):
    """What is known of a run beside its curve; see `lossdoc.curve.Context`."""

    axis: Axis | None
    classes: int | None
    loss: str | None
    batch_size: int | None
    steps_per_epoch: float | None
    n_train: int | None
    n_val: int | None
    lr: float | None


def context(known: Mapping[str, Any]) -> Context:
    """Return what is known of a run.

    Raises:
        UserError: when something is named that a context does not hold, or is no number where one is meant.
    """
    names = [each.name for each in fields(Context)]
    for name in known:
        if name not in names:
            raise UserError.of(f"there is no '{name}'{did_you_mean(name, names)}; there are: {', '.join(names)}")
    for name, value in known.items():
        number = isinstance(value, int | float | np.number) and (value > 0 or (name == "lr" and value == 0))
        if name not in ("axis", "loss") and value is not None and not number:
            raise UserError.of(f"{name} is {value!r}; a number above 0 is meant")
        if name == "classes" and value is not None and not (value >= 2 and float(value).is_integer()):
            raise UserError.of(f"classes is {value!r}; a whole number from 2 on is meant")
    return Context(**known)


def is_path(log: object) -> bool:
    """Tell whether a log is to be read from a file."""
    return isinstance(log, str | Path) or hasattr(log, "__fspath__")


def table(log: Any) -> Table | None:
    """Return a mapping of columns, a DataFrame or a list of records as a table; None where it is none of these.

    Raises:
        UserError: when its columns are of different lengths, or there is nothing in it.
    """
    if isinstance(log, Mapping):
        return _checked({str(name): _column(values) for name, values in log.items()})
    if hasattr(log, "columns") and hasattr(log, "__getitem__"):
        return _frame(log)
    if isinstance(log, Sequence) and log and all(isinstance(each, Mapping) for each in log):
        names = dict.fromkeys(str(name) for record in log for name in record)
        return _checked({name: _column([record.get(name) for record in log]) for name in names})
    return None


def curve(train: Any, val: Any, steps: Any, known: Context) -> tuple[Curve, list[str]]:
    """Return losses as a curve, and what was taken for granted: fewer validation losses are evenly spaced.

    None in a list says that nothing was logged there.

    Raises:
        UserError: when they are no lists of numbers, or not as many as their steps.
    """
    losses, there = _where(train, "train")
    told = np.arange(1.0, len(losses) + 1) if steps is None else numbers(steps, "step")
    if len(told) != len(losses):
        raise UserError.of(f"got {len(losses)} losses and {len(told)} steps; as many of both are meant", kind="data")
    series = Series.of(losses[there], told[there], "train")
    if val is None:
        return Curve(series, context=known), []
    measured, logged = _where(val, "val")
    if len(measured) == len(losses):
        return Curve(series, Series.of(measured[logged], told[logged], "val"), context=known), []
    measured = measured[logged]
    if not 0 < len(measured) <= len(losses):
        message = f"got {len(measured)} validation losses beside {len(losses)} training losses; as many or fewer are meant"
        raise UserError.of(message, kind="data")
    places = np.ceil(np.arange(1, len(measured) + 1) * len(losses) / len(measured)).astype(int) - 1
    notes = [f"{len(measured)} validation losses: taken as evenly spaced"]
    return Curve(series, Series.of(measured, told[places], "val"), context=known), notes


def _where(given: Any, what: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the numbers of a list (n,), and where there are any, not None; at least one is needed.

    Raises:
        UserError: when it is no list of numbers.
    """
    blank = [each is None for each in given] if isinstance(given, list | tuple) else []
    if not any(blank) or all(blank):
        made = numbers(given, what)
        return made, np.ones(len(made), dtype=bool)
    made = numbers([math.nan if each is None else each for each in given], what)
    return made, ~np.array(blank)


def numbers(given: Any, what: str) -> Floats:
    """Return a list, an array or a tensor of numbers as float64 (n,).

    Raises:
        UserError: when it is none.
    """
    try:
        made = np.asarray(_plain(given), dtype=np.float64)
    except (TypeError, ValueError):
        made = np.zeros(())
    if made.ndim == 0:
        odd = next((each for each in given if _is_odd(each)), None) if isinstance(given, list | tuple) else None
        kind = kind_of(given) if odd is None else f"a list with {odd!r} in it"
        raise UserError.of(f"{what} is {kind}, not a list of numbers; {MEANT}", kind="data") from None
    if made.ndim != 1 or not len(made):
        raise UserError.of(f"{what} is shaped {made.shape}; a list of at least one number is meant", kind="data")
    return made


def _is_odd(cell: Any) -> bool:
    """Tell whether something in a list is no number; what holds numbers itself is another matter."""
    return cell is not None and not hasattr(cell, "__float__") and not isinstance(cell, list | tuple)


def _plain(given: Any) -> Any:
    """Return a tensor on any device, or a list of such, as what numpy takes."""
    if hasattr(given, "detach"):
        return given.detach().cpu().numpy()
    return [float(each) if hasattr(each, "detach") else each for each in given] if isinstance(given, list | tuple) else given


def _checked(made: Mapping[str, Column]) -> Table:
    if not made:
        raise UserError.of(f"the log is empty; {MEANT}", kind="data")
    sizes = {name: len(column.values) for name, column in made.items()}
    if len(set(sizes.values())) != 1:
        told = ", ".join(f"{name} {size}" for name, size in sizes.items())
        message = f"the columns are not of one length ({told}); diagnose(train=[...], val=[...]) takes fewer of val"
        raise UserError.of(message, kind="data")
    return Table("log", made)


def _column(values: Any) -> Column:
    """Return a column; None and empty text are blank cells, NaN is a logged one, text that is a number is that number."""
    cells = values if isinstance(values, np.ndarray) else _plain(values)
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf" and cells.ndim == 1:
        return Column(cells.astype(np.float64), np.ones(len(cells), dtype=bool))
    if isinstance(cells, str) or not isinstance(cells, Iterable):
        raise UserError.of(f"a column is {kind_of(cells)}, not a list; {MEANT}", kind="data")
    return _mixed(list(cells))


def _mixed(cells: Sequence[Any]) -> Column:
    read = [_number(each) for each in cells]
    values = np.array([math.nan if each is None else each for each in read])
    blank = np.array([each is None or each == "" for each in cells], dtype=bool)
    unread = np.array([isinstance(each, str) and one is None for each, one in zip(cells, read, strict=True)], dtype=bool)
    text = unread & ~blank
    labels = tuple("" if each is None else str(each) for each in cells) if text.any() else None
    return Column(values, ~blank & ~text, labels, int(text.sum()))


def _number(cell: Any) -> float | None:
    try:
        return None if isinstance(cell, str) and "_" in cell else float(cell)
    except (TypeError, ValueError):
        return None


def _frame(frame: Any) -> Table:
    """Return a DataFrame as a table; its index counts where it has a name.

    A frame has one sign for a blank cell and for a NaN that was logged. No network comes back from NaN: one that is followed
    by a number is a blank, and so is one beside which another loss stands.
    """
    made = {str(name): _column(np.asarray(frame[name])) for name in frame.columns}
    index: Any = getattr(frame, "index", None)
    if getattr(index, "name", None) is not None:
        made = {str(index.name): _column(np.asarray(index)), **made}
    held = _checked(made)
    losses = [column.values for name, column in made.items() if is_loss(name)]
    beside = np.sum([np.isfinite(each) for each in losses], axis=0) if losses else np.zeros(0)
    return replace(held, columns={name: _blanked(column, beside) for name, column in made.items()})


def _blanked(column: Column, beside: Any) -> Column:
    if column.labels is not None or not np.isnan(column.values).any():
        return column
    sound = np.isfinite(column.values)
    followed = np.arange(len(sound)) < (np.flatnonzero(sound)[-1] if sound.any() else 0)
    blank = np.isnan(column.values) & (followed | (beside > 0 if len(beside) else False))
    return replace(column, logged=column.logged & ~blank)


def curves(held: Table, names: Mapping[str, str | None], known: Context) -> tuple[list[Curve], list[str]]:
    """Return the curves in a table and what the user should know of how its columns were read.

    Raises:
        UserError: when no column is a loss, or a named one does not exist.
    """
    held = columns.spread(held)
    roles = columns.choose(held, **names)
    return columns.curves(held, roles, known), [*held.notes, *columns.remarks(held, roles)]
