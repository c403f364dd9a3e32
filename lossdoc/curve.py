"""Loss curves as data: the columns of a log, the series in them, one run, several runs of one network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Axis = Literal["step", "epoch"]
SEEDED = re.compile(r"(?i)(?<![a-z])((?:seed|run|rep|repeat|replicate|repetition)[-_ =]?)\d+(?![\da-z])")


@dataclass(frozen=True)
class Column:
    """One column of a log.

    `values` is float64 of shape (n,), NaN wherever no number stands; `logged` is bool of shape (n,) and False where the
    cell is blank or not a number: a NaN that was logged as such is True there. `labels` are the cells as text, kept only
    for columns that are not numbers (run names). `unreadable` counts the cells that are neither blank nor a number.
    """

    values: Floats
    logged: NDArray[np.bool_]
    labels: tuple[str, ...] | None = None
    unreadable: int = 0


@dataclass(frozen=True)
class Table:
    """A log as columns of equal length, in the order of the file; `notes` are remarks of the reader for the user."""

    source: str
    columns: Mapping[str, Column]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """What was logged of one quantity.

    `step` and `value` are float64 of shape (n,). A blank cell is no entry; a logged nan or inf is one. `name` is the
    quantity's name in the log.
    """

    step: Floats
    value: Floats
    name: str = "loss"

    def __len__(self) -> int:
        return len(self.value)

    @property
    def finite(self) -> Series:
        """The entries whose value is a finite number."""
        keep = np.isfinite(self.value)
        return self if keep.all() else Series(self.step[keep], self.value[keep], self.name)

    @classmethod
    def of(cls, values: object, steps: object = None, name: str = "loss") -> Series:
        """Make a series of any sequence of numbers; without `steps` they count from 1."""
        value = np.asarray(values, dtype=np.float64)
        step = np.arange(1.0, len(value) + 1) if steps is None else np.asarray(steps, dtype=np.float64)
        return cls(step, value, name)


@dataclass(frozen=True)
class Context:
    """What is known of a run beside its curve; each is None where it is not known.

    `axis` says what the steps count. `classes` is the number of classes (or the vocabulary), `loss` the loss function's
    name, `lr` the learning rate; the others are counts.
    """

    axis: Axis | None = None
    classes: int | None = None
    loss: str | None = None
    batch_size: int | None = None
    steps_per_epoch: float | None = None
    n_train: int | None = None
    n_val: int | None = None
    lr: float | None = None


@dataclass(frozen=True)
class Curve:
    """One training run: the training loss, the validation loss where there is one, and whatever else was logged.

    `others` holds further series by the names "lr", "train_accuracy", "val_accuracy", "grad_norm" or the log's own.
    """

    train: Series
    val: Series | None = None
    others: Mapping[str, Series] = field(default_factory=dict)
    context: Context = Context()
    run: str | None = None

    @property
    def diverged(self) -> bool:
        """Whether a NaN or an infinity was logged as the training or the validation loss."""
        logged = [self.train] if self.val is None else [self.train, self.val]
        return any(not np.isfinite(series.value).all() for series in logged)

    @property
    def length(self) -> int:
        """How often the training loss was logged."""
        return len(self.train)


@dataclass(frozen=True)
class Outline(Curve):
    """What is left of an examined run where thousands are held at once: enough to draw it, not to judge it."""

    points: int = 0

    @property
    def length(self) -> int:
        """How often the training loss of the whole run was logged."""
        return self.points


@dataclass(frozen=True)
class Runs:
    """Several runs of the very same network, told apart by their seeds alone."""

    curves: tuple[Curve, ...]


def network_of(name: str) -> str:
    """Return what the names of one network's runs have in common, with a star for the number behind seed, run, rep, ...

    >>> network_of("logs/seed3/metrics.csv")
    'logs/seed*/metrics.csv'
    """
    return SEEDED.sub(r"\1*", name)


@dataclass(frozen=True)
class Pair:
    """A run beside one that is known to be good, which is called `name`."""

    run: Curve
    good: Curve
    name: str = "the good run"
