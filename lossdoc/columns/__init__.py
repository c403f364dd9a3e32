"""Which column of a log is what, and the curves that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lossdoc.columns.counting import Indices, entries, steps
from lossdoc.columns.naming import Roles, canonical, choose, counts_epochs
from lossdoc.columns.tidy import spread
from lossdoc.curve import Column, Context, Curve, Series, Table
from lossdoc.errors import UserError

__all__ = ["Roles", "choose", "curves", "parts", "remarks", "spread"]
UNKNOWN = Context()
ALL = slice(None)  # the rows of a table that is one run


def curves(table: Table, roles: Roles, context: Context = UNKNOWN) -> list[Curve]:
    """Return the run's curve, or one for each run in the order in which the runs appear.

    Raises:
        UserError: when a run has not one number in the loss column.
    """
    return [_curve(table, roles, context, rows, name) for name, rows in _runs(table, roles)]


def parts(table: Table, roles: Roles) -> dict[str, Table]:
    """Return the runs that follow each other in a table without a column for them, called 1, 2, ...; none of one."""
    rows = np.arange(len(table.columns[roles.train].values))
    begins = steps(table, roles, rows, entries(table.columns[roles.train], rows)).begins
    if roles.run is not None or not begins:
        return {}
    runs = enumerate(np.split(rows, begins), 1)
    return {
        str(number): replace(table, columns={name: _rows(column, mine) for name, column in table.columns.items()})
        for number, mine in runs
    }


def _rows(column: Column, rows: Indices) -> Column:
    labels = None if column.labels is None else tuple(column.labels[row] for row in rows)
    return replace(column, values=column.values[rows], logged=column.logged[rows], labels=labels)


def remarks(table: Table, roles: Roles) -> list[str]:
    """Return what the user should know of how the columns were read: choices, gaps, and counters that start again."""
    notes = list(roles.notes)
    for label, rows in _runs(table, roles):
        where = "" if label is None else f" (run '{label}')"
        for name in (roles.train, roles.val):
            if name is None or (isinstance(rows, slice) and _whole(table, roles, name) is not None):
                continue
            places = _places(table.columns[name], rows)
            found = entries(table.columns[name], places)
            if len(found) < np.count_nonzero(table.columns[name].logged[rows]):
                notes.append(f"'{name}' is nan wherever it was not evaluated: those cells count as blank{where}")
            note = steps(table, roles, places, found).note
            notes += [note + where] if note else []
    return list(dict.fromkeys(notes))


def _runs(table: Table, roles: Roles) -> Iterator[tuple[str | None, Indices | slice]]:
    """Yield each run's name and the indices of its rows; rows without a run belong to the run above them."""
    if roles.run is None:
        yield None, ALL
        return
    column = table.columns[roles.run]
    labels = column.labels
    if labels is None:
        labels = tuple(f"{value:.15g}" if there else "" for value, there in zip(column.values, column.logged, strict=True))
    rows: dict[str, list[int]] = {}
    current = ""
    for place, label in enumerate(labels):
        current = label or current
        rows.setdefault(current, []).append(place)
    for name, places in rows.items():
        yield name, np.array(places)


def _places(column: Column, rows: Indices | slice) -> Indices:
    return np.arange(len(column.values)) if isinstance(rows, slice) else rows


def _curve(table: Table, roles: Roles, context: Context, rows: Indices | slice, run: str | None) -> Curve:
    train = _series(table, roles, roles.train, rows)
    if not len(train):
        message = f"run '{run}' has not one number in column '{roles.train}'"
        raise UserError.of(message, kind="no-numbers", file=table.source)
    val = None if roles.val is None else _series(table, roles, roles.val, rows)
    others: dict[str, Series] = {}
    for name, column in table.columns.items():
        if name not in {roles.train, roles.val, roles.step, roles.run} and column.logged[rows].any():
            others.setdefault(canonical(name), _series(table, roles, name, rows))
    return Curve(train, val if val is not None and len(val) else None, others, _context(roles, context, train), run)


def _series(table: Table, roles: Roles, name: str, rows: Indices | slice) -> Series:
    if isinstance(rows, slice) and (whole := _whole(table, roles, name)) is not None:
        return whole
    places = _places(table.columns[name], rows)
    found = steps(table, roles, places, entries(table.columns[name], places))
    return Series(found.steps, table.columns[name].values[found.rows], name)


def _whole(table: Table, roles: Roles, name: str) -> Series | None:
    """Return the series of a column in which every row counts and the steps rise, without copying it; else None."""
    column = table.columns[name]
    if not column.logged.all() or 2 * np.count_nonzero(np.isfinite(column.values)) <= len(column.values):
        return None
    if roles.step is None:
        return Series(np.arange(1.0, len(column.values) + 1), column.values, name)
    steps = table.columns[roles.step].values
    sound = table.columns[roles.step].logged.all() and (steps[1:] > steps[:-1]).all() and np.isfinite(steps[[0, -1]]).all()
    return Series(steps, column.values, name) if sound else None


def _context(roles: Roles, context: Context, train: Series) -> Context:
    """Add what the step column tells: fractional epochs are steps, of which one unit is an epoch."""
    if roles.step is None or not counts_epochs(roles.step):
        return context if context.axis is not None else replace(context, axis="step")
    if (train.step % 1 != 0).any():
        return replace(context, axis="step", steps_per_epoch=1.0)
    return context if context.axis is not None else replace(context, axis="epoch")
