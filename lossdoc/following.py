"""What one sees of a training or a sweep under way: how far it is, the best so far, the time left; and what ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossdoc.letters import printable
from lossdoc.maps import short_names
from lossdoc.progress import Progress
from lossdoc.subject import Point, Trial

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lossdoc import loop
    from lossdoc.measuring import Losses
    from lossdoc.sweeping import Progress as Sweeping

ROWS = 5  # of the best trials: the table stays small enough to leave what stands above it in sight
BAR = 40  # columns


class Followed:
    """Follows a sweep and shows how far it is; `steps` is how many a trial takes, 0 where nobody knows."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress = progress
        self.steps = steps
        self.begun = time.monotonic()
        self.trials: list[Trial] = []
        self._running: dict[tuple[int, int], int] = {}
        self._last = ""

    def __call__(self, now: Sweeping) -> None:
        """Take note of a step or the end of a trial, and show it."""
        key = now.point.index, now.point.seed
        if now.done - (now.trial is not None) < len(self.trials):  # another round of trials, counted by itself
            self.begun, self.trials, self._running = time.monotonic(), [], {}
        if now.trial is not None:
            self._running.pop(key, None)
            self.trials.append(now.trial)
        elif now.tick is not None:
            self._running[key] = now.tick.step
            self._last = f"{values(now.point)}  step {now.tick.step}  loss {now.tick.train.loss:.4g}"
        ended = now.trial is not None and now.done == now.planned
        self.progress.table(lambda: self._table(now), lambda: self.line(now), last=ended)

    def line(self, now: Sweeping) -> str:
        """Return how far the sweep is in one line."""
        diverged = sum(trial.diverged_at is not None for trial in self.trials)
        stopped = sum(trial.stopped_at is not None for trial in self.trials)
        parts = [f"{now.done} of {now.planned} trials"]
        parts += [f"{many} {what}" for many, what in ((diverged, "diverged"), (stopped, "ended early")) if many]
        parts += [f"best loss {now.best.loss:.4g} at {values(now.best.point)}"] if now.best is not None else []
        left = self.left(now)
        parts += [f"{spoken(left)} left"] if left is not None and now.done < now.planned else []
        return ", ".join(parts)

    def left(self, now: Sweeping) -> float | None:
        """Return the seconds that are left if all goes on as fast, None before anything is done."""
        done = self.share(now)
        return (time.monotonic() - self.begun) * (1 - done) / done if done > 0 else None

    def share(self, now: Sweeping) -> float:
        """Return how much of the work is done, 0 to 1: trials that have ended, and parts of those in training."""
        parts = sum(self._running.values()) / self.steps if self.steps else 0.0
        return min((now.done + parts) / max(now.planned, 1), 1.0)

    def _table(self, now: Sweeping) -> RenderableType:
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("best so far", "loss", "accuracy", "pattern"):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        alive = sorted((one for one in self.trials if math.isfinite(one.loss)), key=lambda one: one.loss)
        for trial in alive[:ROWS]:
            accuracy = f"{100 * trial.metric:.1f} %" if math.isfinite(trial.metric) else "-"
            table.add_row(values(trial.point), f"{trial.loss:.4g}", accuracy, trial.pattern or "")
        done = round(BAR * self.share(now))
        line = printable("━", self.progress.stream)
        bar = Text.assemble((line * done, "green"), (line * (BAR - done), "dim"))
        head = Text(self.line(now), no_wrap=True, overflow="ellipsis")
        foot = Text(f"now {self._last}" if now.done < now.planned else "", style="dim", no_wrap=True, overflow="ellipsis")
        return Padding(Group(head, bar, table, foot), (0, 0, 0, 2))


def values(point: Point) -> str:
    """Return a point's values in short, each under the last word of its path."""
    shown = {path: value for path, value in point.params.items() if path != "schedule"}
    return "  ".join(f"{name} {_short(shown[path])}" for path, name in short_names(shown).items())


def spoken(seconds: float) -> str:
    """Return a length of time as people say it."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class OutOfTimeError(Exception):
    """The budget is spent."""


def in_time(until: float) -> None:
    """Break off a stage whose time is over.

    Raises:
        OutOfTimeError: saying what would help.
    """
    if time.monotonic() > until:
        raise OutOfTimeError("its share of the budget is spent; a larger --budget has room for it")


class Shown:
    """Shows each tick of a training as progress, and keeps the last ones."""

    def __init__(self, progress: Progress, until: float = math.inf) -> None:
        self.progress = progress
        self.until = until
        self.last: loop.Tick | None = None
        self.validation: Losses | None = None

    def __call__(self, tick: loop.Tick) -> None:
        """Show a tick.

        Raises:
            OutOfTimeError: when the time is over.
        """
        self.last = tick
        self.validation = tick.validation or self.validation
        self.progress.show(_told(tick))
        in_time(self.until)

    def seen(self, seen: Sequence[tuple[Point, loop.Tick]]) -> tuple[int, ...]:
        """Show the first of several ticks, as what watches a runner; no point is ended early."""
        for point, tick in seen[:1]:
            self.progress.show(f"range test, seed {point.seed}  {_told(tick)}")
        in_time(self.until)
        return ()

    def final(self) -> list[str]:
        """Say where the training ended."""
        if self.last is None:
            return []
        at_last = f"after {self.last.step} steps: training loss {self.last.train.loss:.4g}"
        if self.validation is not None:
            at_last += f", validation loss {self.validation.loss:.4g}"
            if math.isfinite(self.validation.accuracy):
                at_last += f", validation accuracy {100 * self.validation.accuracy:.1f} %"
        return [at_last]

    def end(self) -> None:
        """Show the very last tick."""
        if self.last is not None:
            self.progress.show(_told(self.last), last=True)


def _told(tick: loop.Tick) -> str:
    text = f"step {tick.step}  loss {tick.train.loss:.4g}"
    if math.isfinite(tick.train.accuracy):
        text += f"  accuracy {100 * tick.train.accuracy:.1f} %"
    if tick.validation is not None:
        text += f"  validation {tick.validation.loss:.4g}"
    return text
