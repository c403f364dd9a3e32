"""What the callbacks share: a Monitor, what is said of a new verdict, and when it ends the training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, Unpack

from lossdoc.findings import Severity
from lossdoc.logged import Known
from lossdoc.monitor import Monitor
from lossdoc.showing import Report

LOGGER = logging.getLogger("lossdoc")
Stop = Literal["error", "warning", "never"]


class Telling:
    """Watches a training; a verdict that is new and has lasted is logged as a warning, and kept in `told`.

    `stop` is the least severity of a verdict that is to end the training. `on_change` gets the report as well.
    """

    def __init__(
        self, *, stop: Stop = "never", on_change: Callable[[Report], object] | None = None, **known: Unpack[Known]
    ) -> None:
        self.stop = None if stop == "never" else Severity(stop)
        self.on_change = on_change
        self.told: list[str] = []
        self.stopped = False
        self.monitor = Monitor(on_change=self._tell, **known)

    def end(self) -> None:
        """Say what the whole run shows, where that has not been said yet: no more will come that it could wait for."""
        if self.monitor.points and self.monitor.report().primary not in {self.monitor.lasting, "inconclusive"}:
            self._tell(self.monitor.report())

    def _tell(self, report: Report) -> None:
        self.told.append(report.primary)
        curve = self.monitor.curve()
        place = f"{curve.context.axis} {curve.train.step[-1]:g}"
        if report.primary == "healthy":
            LOGGER.info("%s: healthy so far", place)
        else:
            found = report.findings[0]
            remedy = f"; try: {found.remedies[0]}" if found.remedies else ""
            sure = f"{100 * found.evidence.confidence:.0f} % sure"
            LOGGER.warning("%s: %s, %s: %s%s", place, found.name, sure, found.evidence.summary, remedy)
            self.stopped = self.stopped or (self.stop is not None and found.severity.reaches(self.stop))
        if self.on_change is not None:
            self.on_change(report)


def number(value: Any) -> float | None:
    """Return a number or a tensor of one as a float, None of anything else."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def size(loader: Any) -> tuple[int | None, int | None]:
    """Return the number of samples behind a DataLoader and its batch size; None where it does not tell."""
    try:
        many = len(loader.dataset)
    except (AttributeError, TypeError):
        many = None
    batch = getattr(loader, "batch_size", None)
    return many, batch if isinstance(batch, int) else None
