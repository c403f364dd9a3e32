"""Long tables, in which a column of words says whether a row is of training or of validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lossdoc.columns.naming import TRAIN, VAL
from lossdoc.curve import Column, Table

Mask = NDArray[np.bool_]
SPLITS = ("split", "phase", "mode", "stage", "subset", "set", "event", "type", "kind")


def spread(table: Table) -> Table:
    """Return the table with a column for each split: `loss` becomes `train_loss` and `val_loss`, each in its own rows.

    A table without a column of splits, in which both training and validation occur, comes back as it is.
    """
    split = next((name for name in table.columns if name.strip().lower() in SPLITS and _tells(table.columns[name])), None)
    if split is None:
        return table
    labels = [label.strip().lower() for label in table.columns[split].labels or ()]
    rows = {"train": np.isin(labels, TRAIN), "val": np.isin(labels, VAL)}
    made = {name: column for name, column in table.columns.items() if name != split}
    for name, column in table.columns.items():
        if name == split or not _differs(column, rows["train"], rows["val"]):
            continue
        del made[name]
        for part, mine in rows.items():
            logged = column.logged & mine
            made[f"{part}_{name}"] = Column(np.where(logged, column.values, np.nan), logged, None, column.unreadable)
    return replace(table, columns=made, notes=(*table.notes, f"'{split}' tells the rows of training and validation apart"))


def _tells(column: Column) -> bool:
    """Tell whether every row of a column is of training or of validation, and both occur."""
    labels = {label.strip().lower() for label in column.labels or ()}
    return bool(labels & set(TRAIN)) and bool(labels & set(VAL)) and labels <= {*TRAIN, *VAL}


def _differs(column: Column, train: Mask, val: Mask) -> bool:
    """Tell whether a column is a measure that both splits have: a counter, equal in both, is none."""
    both = bool((column.logged & train).any() and (column.logged & val).any())
    return both and not set(column.values[column.logged & val]) <= set(column.values[column.logged & train])
