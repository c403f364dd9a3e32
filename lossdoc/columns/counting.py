"""The steps of a series: sorted, resumed, joined or parted where the counter does not simply rise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossdoc.columns.naming import Roles, counters, counts_epochs
from lossdoc.curve import Column, Floats, Table

Indices = NDArray[np.intp]


class Steps(NamedTuple):
    """The rows to keep with their steps, strictly rising, and what the user should know of it.

    `begins` are the rows in which further runs begin, one after another in the file, of which only the last was kept.
    """

    rows: Indices
    steps: Floats
    note: str | None = None
    begins: tuple[int, ...] = ()


def entries(column: Column, rows: Indices) -> Indices:
    """Return those of the rows in which a quantity was logged.

    A column that is nan except in evenly spaced rows was filled with nan where it was not evaluated: no network recovers
    from NaN again and again at fixed intervals.
    """
    found = rows[column.logged[rows]]
    values = column.values[found]
    sound = np.flatnonzero(np.isfinite(values))
    if len(sound) < 3 or 2 * len(sound) > len(values) or np.isinf(values).any():
        return found
    gap = sound[1] - sound[0]
    even = (np.diff(sound) == gap).all() and sound[0] <= gap and len(values) - 1 - sound[-1] < gap
    return found[sound] if even else found


def steps(table: Table, roles: Roles, rows: Indices, found: Indices) -> Steps:
    """Return the steps of the entries `found` among the rows of a run.

    Without a counter rows are counted from 1. Distinct steps are sorted. A counter that goes back is a restart: where it
    goes back a little the later values replace the earlier ones (a resumed run), where it starts again it counts on if the
    loss goes on, else only the last run is kept.
    """
    if roles.step is None:
        return Steps(found, _counted(rows, found))
    counter = table.columns[roles.step]
    there = counter.logged[found] & np.isfinite(counter.values[found])
    if not there.any():
        return Steps(found, _counted(rows, found), f"'{roles.step}' holds no step: rows are counted instead")
    lost = np.count_nonzero(~there)
    note = f"{lost} {'row' if lost == 1 else 'rows'} without a step left out" if lost else None
    found = found[there]
    counted = counter.values[found]
    if (counted[1:] > counted[:-1]).all():
        return Steps(found, counted, note)
    if len(np.unique(counted)) == len(counted):
        order = np.argsort(counted)
        return Steps(found[order], counted[order], f"rows are not in the order of '{roles.step}': they were sorted")
    if (counted[1:] >= counted[:-1]).all():
        return _repeated(roles.step, rows, found, counted)
    return _restarted(table, roles, found, counted)


def _repeated(name: str, rows: Indices, found: Indices, counted: Floats) -> Steps:
    """Keep the later values where a few of the steps stand twice; count the rows where most do: an epoch has many rows."""
    if 2 * len(np.unique(counted)) <= len(counted):
        return Steps(found, _counted(rows, found), f"'{name}' repeats: rows are counted instead")
    later = np.append(counted[1:] > counted[:-1], True)
    return Steps(found[later], counted[later], f"some of '{name}' stand twice: the later values are read")


def _counted(rows: Indices, found: Indices) -> Floats:
    """Return the places of the entries among a run's rows, from 1."""
    return np.searchsorted(rows, found).astype(np.float64) + 1


def _restarted(table: Table, roles: Roles, found: Indices, counted: Floats) -> Steps:
    """Join or part a counter that falls."""
    loss = table.columns[roles.train].values
    others = [name for _, name in counters(list(table.columns)) if name != roles.step and counts_epochs(name)]
    parts = np.split(np.arange(len(found)), np.flatnonzero(counted[1:] <= counted[:-1]) + 1)
    kept, axis = found[parts[0]], counted[parts[0]]
    resumed = joined = 0
    begins: list[int] = []
    for part in parts[1:]:
        rows, here = found[part], counted[part]
        if axis[0] < here[0] <= axis[-1] and not joined:
            before = axis < here[0]
            kept, axis, resumed = np.append(kept[before], rows), np.append(axis[before], here), resumed + 1
        elif _goes_on(loss[kept], loss[rows]) or _rises(table, others, int(kept[-1]), int(rows[0])):
            gap = float(np.median(np.diff(axis))) if len(axis) > 1 else 1.0
            kept, axis, joined = np.append(kept, rows), np.append(axis, here - here[0] + axis[-1] + gap), joined + 1
        else:
            kept, axis, joined, resumed = rows, here, 0, 0
            begins.append(int(rows[0]))
    told = [
        f"the file holds {len(begins) + 1} runs, one after another, and the last is read; --run takes 1 to {len(begins) + 1}"
        if begins
        else "",
        f"it counts on where it starts again ({joined} times), as the loss goes on" if joined else "",
        f"the run was resumed ({resumed} times), and later values replace earlier ones" if resumed else "",
    ]
    return Steps(kept, axis, f"'{roles.step}' goes back: " + "; ".join(part for part in told if part), tuple(begins))


def _rises(table: Table, names: list[str], before: int, after: int) -> bool:
    """Tell whether another counter goes on where this one starts again."""
    return any(table.columns[name].values[after] > table.columns[name].values[before] for name in names)


def _goes_on(before: Floats, after: Floats) -> bool:
    """Tell whether a loss goes on where it was: it begins nearer to the end of what was before than to its beginning.

    Medians of up to three, for single losses are noisy. Of two hypotheses with equal spread the nearer is the likelier one.
    """
    many = max(1, min(3, len(before) // 3, len(after) // 3))
    first, last, now = (float(np.median(part)) for part in (before[:many], before[-many:], after[:many]))
    return not abs(now - first) < abs(now - last)
