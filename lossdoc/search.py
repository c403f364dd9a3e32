"""The ways to choose the points of a sweep: the space they lie in, what a search is, and the choice of one by name."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lossdoc.errors import UserError
from lossdoc.members import Members
from lossdoc.subject import Point, Trial


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, spread evenly over their logarithms (`log`) or over themselves.

    Raises:
        UserError: when the bounds are not finite, not in order, or not positive where the range is logarithmic.
    """

    low: float
    high: float
    log: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError.of(f"the range {self.low:g} to {self.high:g} is not one: low < high, both finite", kind="range")
        if self.log and self.low <= 0:
            raise UserError.of(f"a logarithmic range cannot begin at {self.low:g}; it must begin above 0", kind="range")

    def at(self, share: float) -> float:
        """Return the number that has the share (0 to 1) of the range below it."""
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        value = float(f"{value:.12g}")  # 1e-07 instead of 1.0000000000000001e-07
        return min(max(value, self.low), self.high)  # the last digit may have left the range

    def share(self, value: float) -> float:
        """Return the share of the range that lies below a number; less than 0 or more than 1 outside of it."""
        if self.log:
            return -math.inf if value <= 0 else math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def levels(self, count: int, through: Any = None) -> list[float]:
        """Return `count` numbers spread evenly over the range, the nearest moved onto `through` if that is inside."""
        shares = [(index + 0.5) / count if count == 1 else index / (count - 1) for index in range(count)]
        values = [self.at(share) for share in shares]
        if isinstance(through, (int, float)) and self.low <= through <= self.high:
            here = self.share(through)
            values[min(range(count), key=lambda index: abs(shares[index] - here))] = float(through)
        return values


@dataclass(frozen=True)
class Choices:
    """One of several values, of whatever kind; every one is as likely as any other."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise UserError.of("there is nothing to choose from: an empty list", kind="range")

    def at(self, share: float) -> Any:
        """Return the value that has the share (0 to 1) of the list before it."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def levels(self, count: int, through: Any = None) -> list[Any]:
        """Return `count` of the values, the first ones; `through` is among them if it is a choice at all."""
        first = [through] if through in self.values else []
        return (first + [value for value in self.values if value not in first])[:count]


Axis = Range | Choices


@dataclass(frozen=True)
class Space:
    """What a sweep varies: an axis for each path of model.yaml; `start` holds the configured values by path, where known."""

    axes: Mapping[str, Axis]
    start: Mapping[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> dict[str, Any] | None:
        """The configured point, None where a configured value is not known."""
        return {path: self.start[path] for path in self.axes} if all(path in self.start for path in self.axes) else None


class Asker(Protocol):
    """A search under way.

    It is a function of what it was started with and what it was told: begun anew and told the same, whatever the order, it
    asks for the same points. So an interrupted sweep is taken up by beginning the search anew and telling it at once of the
    points that are finished: it never asks for those again.
    """

    def ask(self) -> list[Point]:
        """Return the points to train next, none when the search is over; a point is told of before the next ones."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take note of what became of whole points: a point with several seeds has a trial for each of them."""


@dataclass(frozen=True)
class Search:
    """A way to choose points: `start(space, points, seed)` begins one that asks for at most `points` points in all.

    The points of an index are the same however many workers train them and in whichever order they end.
    """

    start: Callable[[Space, int, int], Asker]


searches: Members[Search] = Members("lossdoc.searches", Search)


class Planned:
    """A search whose points are all known from the start and asked for at once, but for those it was told of."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._waiting = list(points)

    @property
    def left(self) -> int:
        """How many points are still to be asked for."""
        return len(self._waiting)

    def ask(self) -> list[Point]:
        """Return all the points the first time, none later."""
        asked, self._waiting = self._waiting, []
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        """Leave out what is finished."""
        done = {trial.point.index for trial in trials}
        self._waiting = [point for point in self._waiting if point.index not in done]


class Refined:
    """A search that is begun once more, with half as many points, in the part of the space around the best ones found."""

    def __init__(
        self,
        search: Search,
        space: Space,
        points: int,
        seed: int,
        around: Callable[[Space, Sequence[Trial]], Space],
    ) -> None:
        self._search, self._space, self._points, self._seed, self._around = search, space, points, seed, around
        self._coarse = search.start(space, points, seed)
        self._fine: Asker | None = None
        self._told: list[Trial] = []

    def ask(self) -> list[Point]:
        """Return the points of the coarse search; when it is over, those of the fine one, counted on from there."""
        if self._fine is None and (asked := self._coarse.ask()):
            return asked
        if self._fine is None:
            coarse = [trial for trial in self._told if trial.point.index < self._points]
            self._fine = self._search.start(self._around(self._space, coarse), (self._points + 1) // 2, self._seed)
            self._fine.tell(self._shifted(self._told))
        return [replace(point, index=point.index + self._points) for point in self._fine.ask()]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take note of what became of the points of either search."""
        self._told += trials
        self._coarse.tell([trial for trial in trials if trial.point.index < self._points])
        if self._fine is not None:
            self._fine.tell(self._shifted(trials))

    def _shifted(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return those of the fine search as it counts them."""
        fine = [trial for trial in trials if trial.point.index >= self._points]
        return [replace(trial, point=replace(trial.point, index=trial.point.index - self._points)) for trial in fine]


def draw(space: Space, seed: int, index: int) -> Point:
    """Return the random point of a seed and an index; every axis has a stream of its own, named by its path."""
    params = {path: axis.at(random.Random(f"{seed}/{index}/{path}").random()) for path, axis in space.axes.items()}  # noqa: S311 - no secret
    return Point(index, params, seed)
