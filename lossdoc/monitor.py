"""A verdict at any time of a run in progress, for what it costs to look now and then."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Mapping
from typing import Any, Unpack

import numpy as np

from lossdoc import logged
from lossdoc.curve import Curve, Series
from lossdoc.diagnosis import FEWEST, chosen, examine_curve
from lossdoc.errors import UserError, did_you_mean, kind_of
from lossdoc.logged import Known
from lossdoc.showing import Report
from lossdoc.verdicts import NOT_YET, Verdicts

GROWTH = 1.125
"""The curve is looked at when it has grown by an eighth. A look at n points costs 1 to 2 ms up to 10⁴ points and 0.1 µs a
point beyond (benchmarks/monitor.py), so that what it costs a logged point falls as 1/n and then stays at some µs."""
APART = 12
"""Points between two looks, at least: below 96 points looks that take 1 to 2 ms would cost more than 200 µs a point if they
came closer."""
EARLY = 0.5
"""Of a run whose end is known it is told that something is slow, or has not happened, only in the second half: by all that
is known at time t, what has not happened yet will not have happened at k·t with probability 1/k (Gott, 1993), so that before
the half it is more likely to happen in time than not. A loss that does not move at all is told of as soon as that lasts."""
OTHERS = ("lr", "train_accuracy", "val_accuracy", "grad_norm")
LATE = NOT_YET - {"not-learning"}
Told = Callable[[Report], object]


class _Log:
    """The entries of one series, as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps, self.values = array("d"), array("d")

    def add(self, step: float, value: float) -> None:
        """Add an entry; the later one of two at the same step is kept."""
        if self.steps and step == self.steps[-1]:
            self.values[-1] = value
            return
        self.steps.append(step)
        self.values.append(value)

    def series(self) -> Series:
        """Return the entries so far."""
        return Series(np.array(self.steps), np.array(self.values), self.name)


class Monitor:
    """Watches one run: `log` each loss as it comes, ask for `verdict` or `report()` at any time.

    The two are on all that was logged so far. A verdict on a run in progress comes and goes; `lasting` is the one that held.
    `on_change` is called with the report when the verdict is new and has lasted: while the curve grew by half, fourfold
    where the verdict is that something has not happened yet; a loss that is no number is told of at once. Whatever
    `on_change` raises passes through. `known` is what is known of the run beside its curve: `classes`, `steps_per_epoch`,
    `batch_size`, ...; see `lossdoc.diagnose`. `planned` is the last step of the run, where that is known: that something is
    slow is then told in its second half only. One Monitor watches one run.

    Raises:
        UserError: when a name does not exist, or what is given cannot be meant.

    >>> from lossdoc import Monitor
    >>> monitor = Monitor(classes=10, on_change=lambda report: print(report.primary))
    >>> for step in range(1, 101):
    ...     monitor.log(step, train=2.3 if step < 60 else float("nan"))
    not-learning
    non-finite
    >>> monitor.verdict
    'non-finite'
    """

    def __init__(
        self,
        *,
        on_change: Told | None = None,
        planned: float | None = None,
        title: str = "training",
        select: Collection[str] = (),
        ignore: Collection[str] = (),
        **known: Unpack[Known],
    ) -> None:
        self.on_change = on_change
        self.planned = planned
        self.title = title
        self.known: dict[str, Any] = dict(known)
        if on_change is not None and not callable(on_change):
            raise UserError.of(f"on_change is {kind_of(on_change)}; a function that takes a report is meant")
        if planned is not None and not planned > 0:
            raise UserError.of(f"planned is {planned!r}; the last step of the run is meant, a number above 0")
        logged.context(known)  # names that do not exist are told of now, not in the middle of the run
        chosen(select, ignore)
        self._asked: dict[str, Any] = {"select": select, "ignore": ignore}
        self._train, self._val = _Log("train"), _Log("val")
        self._others: dict[str, _Log] = {}
        self._verdicts = Verdicts()
        self._next = FEWEST
        self._broken = False
        self._seen: Report | None = None  # on what was logged so far

    def __repr__(self) -> str:
        return f"<Monitor of {self.title}: {self.points} points, {self.verdict}>"

    def log(self, step: float | None = None, *, train: Any = None, val: Any = None, **others: Any) -> None:
        """Take in what was measured at a step: numbers, or tensors of one; None is none.

        Without `step` the training losses are counted. `others` may be `lr`, `train_accuracy`, `val_accuracy`, `grad_norm`.

        Raises:
            UserError: when a step is less than the one before, it or something else is no number, or another name stands in
                place of `train` and `val`.
        """
        strange = [name for name in others if name not in OTHERS]
        if strange and train is None and val is None:
            hint = did_you_mean(strange[0], ("train", "val"))
            raise UserError.of(f"the Monitor's losses are called train= and val=, not {strange[0]}={hint}", kind="name")
        train, val = _number("train", train), _number("val", val)
        if step is None:
            step = self.points + (train is not None)
        at, self._seen = float(step), None
        if not math.isfinite(at):
            raise UserError.of(f"the step is {at}; a number is meant", kind="step")
        for log, value in ((self._train, train), (self._val, val)):
            if value is not None:
                self._add(log, at, value)
        for name, value in others.items():
            number = _number(name, value)
            if number is not None:
                self._add(self._others.setdefault(name, _Log(name)), at, number)
        if self.points >= self._next or self._breaks(train, val):
            self._look()

    def _add(self, log: _Log, step: float, value: float) -> None:
        if log.steps and step < log.steps[-1]:
            message = f"step {step:g} after step {log.steps[-1]:g} of '{log.name}': steps rise; of another run a new Monitor"
            raise UserError.of(f"{message} takes the losses", kind="step")
        log.add(step, value)

    def _breaks(self, *values: Any) -> bool:
        """Tell whether a loss is the first that is no number."""
        if self._broken or all(value is None or math.isfinite(value) for value in values):
            return False
        self._broken = True
        return True

    def _look(self) -> None:
        points = self.points
        if not points:
            return
        self._next = max(points + APART, math.ceil(GROWTH * points))
        report, before = self.report(), self._verdicts.told
        if not self._verdicts.hear(report.primary, points):
            return
        if report.primary in LATE and self._train.steps[-1] < EARLY * (self.planned or 0):
            self._verdicts.told = before
        elif self.on_change is not None:
            self.on_change(report)

    @property
    def verdict(self) -> str:
        """The verdict on all that was logged so far, that of `report()`; "inconclusive" before the first training loss.

        To ask takes 1 to 2 ms where something was logged since; what asks at every step had better ask for `lasting`.
        """
        return self.report().primary if self.points else "inconclusive"

    @property
    def lasting(self) -> str:
        """The verdict that was told last: it has lasted, is at no cost, and may lag behind `verdict`.

        "inconclusive" before the first.
        """
        return self._verdicts.told or "inconclusive"

    @property
    def points(self) -> int:
        """How many training losses were logged."""
        return len(self._train.values)

    def curve(self) -> Curve:
        """Return the run so far.

        Raises:
            UserError: when no training loss was logged.
        """
        if not self.points:
            raise UserError.of("no training loss was logged", kind="no-loss")
        others = {name: log.series() for name, log in self._others.items()}
        val = self._val.series() if self._val.values else None
        return Curve(self._train.series(), val, others, logged.context({"axis": "step", **self.known}))

    def report(self) -> Report:
        """Examine the run so far, to its last point.

        Raises:
            UserError: when no training loss was logged.
        """
        if self._seen is None:
            self._seen = Report.of(examine_curve(self.curve(), title=self.title, **self._asked))
        return self._seen

    def tell(self, *, planned: float | None = None, **known: Unpack[Known]) -> None:
        """Add what has become known of the run; what is known already stays."""
        logged.context(known)
        self._seen = None
        self.planned = self.planned or planned
        self.known = {**{name: value for name, value in known.items() if value is not None}, **_said(self.known)}


def _number(name: str, value: Any) -> float | None:
    """Return a measured value as a number; a tensor leaves its graph behind.

    Raises:
        UserError: when it is none.
    """
    if value is None:
        return None
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError):
        raise UserError.of(f"{name}: got {kind_of(value)}; a single number is meant", kind="number") from None


def _said(known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if value is not None}
