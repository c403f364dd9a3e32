"""The gallery of loss curves as a map: the points of a sweep in their plane, each with the letter of its pattern."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lossdoc.ranking import RATE, finished
from lossdoc.subject import Trial, Trials

FIRST = ("regularization.l2", "regularization.l1", "optimizer.weight_decay")  # what the second axis is, if it was swept
LETTERS = {
    "healthy": "h",
    "not-learning": "n",
    "slow-learning": "s",
    "slow-start": "w",
    "lr-too-high": "r",
    "non-finite": "x",
    "rising": "g",
    "overfitting": "o",
    "underfitting": "u",
    "noisy-validation": "v",
    "spikes": "k",
    "periodic": "p",
    "double-softmax": "d",
    "initial-loss-off": "i",
    "run-to-run-variance": "e",
    "validation-below-train": "b",
    "inconclusive": "?",
    "ended-early": "-",
}


@dataclass(frozen=True)
class Place:
    """A point of a sweep in its plane: its values on both axes, its mean loss (infinite if it diverged), its pattern."""

    x: float
    y: Any
    loss: float
    pattern: str
    best: bool

    @property
    def letter(self) -> str:
        """The letter of the pattern; a capital for the best point."""
        letter = LETTERS.get(self.pattern, "?")
        return letter.upper() if self.best else letter


@dataclass(frozen=True)
class Plane:
    """The plane of a sweep; `y` is None where one number alone was swept."""

    x: str
    y: str | None
    places: tuple[Place, ...]
    log_x: bool
    log_y: bool

    @property
    def numeric_y(self) -> bool:
        """Whether the second axis counts numbers; else it names choices."""
        return self.y is not None and all(_number(place.y) for place in self.places)

    @property
    def patterns(self) -> dict[str, str]:
        """The letters that stand in it, with their patterns, most frequent first."""
        seen = Counter(place.pattern for place in self.places)
        return {LETTERS.get(pattern, "?"): pattern for pattern, _ in seen.most_common()}


def plane(trials: Trials) -> Plane | None:
    """Return the plane of a sweep, learning rate and regularization where it has them; None if no number was swept."""
    swept = [path for path in trials.ranges if len({repr(trial.point.params.get(path)) for trial in trials.trials}) > 1]
    numbers = [path for path in swept if all(_number(trial.point.params.get(path)) for trial in trials.trials)]
    if not numbers:
        return None
    x = RATE if RATE in numbers else numbers[0]
    others = [path for path in (*FIRST, *numbers, *swept) if path in swept and path != x]
    y = others[0] if others else None
    groups: dict[int, list[Trial]] = {}
    for trial in trials.trials:
        groups.setdefault(trial.point.index, []).append(trial)
    alive = finished(trials)
    best = alive[0].trial.point.index if alive else None
    places = tuple(_place(group, x, y, best=index == best) for index, group in sorted(groups.items()))
    return Plane(x, y, places, x in trials.log, y in trials.log)


def _place(group: Sequence[Trial], x: str, y: str | None, *, best: bool) -> Place:
    params = group[0].point.params
    losses = [trial.loss if math.isfinite(trial.loss) else math.inf for trial in group]
    return Place(float(params[x]), None if y is None else params[y], sum(losses) / len(losses), pattern_of(group), best)


def pattern_of(group: Sequence[Trial]) -> str:
    """Return the pattern of a point: non-finite if one of its seeds diverged, else the one that most of them show."""
    if any(trial.diverged_at is not None for trial in group):
        return "non-finite"
    if any(trial.stopped_at is not None for trial in group):
        return "ended-early"
    return Counter(trial.pattern or "inconclusive" for trial in group).most_common(1)[0][0]


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Return each path's last words, as few as tell it from the others; a number, as of a layer, is no name by itself."""
    parts = {path: path.split(".") for path in paths}
    return {path: _tail(words, [other for other in parts.values() if other != words]) for path, words in parts.items()}


def _tail(words: Sequence[str], others: Sequence[Sequence[str]]) -> str:
    for many in range(1, len(words)):
        tail = words[-many:]
        if not tail[0].isdecimal() and all(list(other[-many:]) != list(tail) for other in others):
            return ".".join(tail)
    return ".".join(words)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Grid:
    """The plane cut into cells: rows from the top, each with its label; a cell holds the best of the points in it."""

    rows: tuple[tuple[str, tuple[Place | None, ...]], ...]
    low: float
    high: float


def grid(of: Plane, columns: int, rows: int) -> Grid:
    """Return the cells of a plane, at most so many columns and rows; a 0 on a logarithmic axis has a row of its own."""
    xs = sorted({place.x for place in of.places if place.x > 0 or not of.log_x})
    low, high = xs[0], xs[-1]
    cells: dict[tuple[int, int], Place] = {}
    labels = _labels(of, rows)
    for place in of.places:
        column = 0 if place.x < low else _bin(place.x, low, high, columns, log=of.log_x)
        at = _row(of, place, len(labels)), column
        if at not in cells or (place.loss, not place.best) < (cells[at].loss, not cells[at].best):
            cells[at] = place
    made = tuple((label, tuple(cells.get((row, column)) for column in range(columns))) for row, label in enumerate(labels))
    return Grid(tuple(reversed(made)), low, high)


def _labels(of: Plane, rows: int) -> list[str]:
    """Return the labels of the rows from the bottom."""
    if of.y is None:
        return [""]
    if not of.numeric_y:
        return sorted({str(place.y) for place in of.places})
    inside, zero = _inside(of)
    rows = min(rows, len(set(inside)))
    middles = [_at((row + 0.5) / rows, min(inside), max(inside), log=of.log_y) for row in range(rows)]
    return [*(["0"] if zero else []), *(f"{middle:.0e}" if of.log_y else f"{middle:.3g}" for middle in middles)]


def _inside(of: Plane) -> tuple[list[float], bool]:
    """Return the values on the second axis that have a place on it, and whether there are others."""
    inside = [float(place.y) for place in of.places if not of.log_y or place.y > 0]
    return inside, len(inside) < len(of.places)


def _row(of: Plane, place: Place, rows: int) -> int:
    if of.y is None:
        return 0
    if not of.numeric_y:
        return sorted({str(each.y) for each in of.places}).index(str(place.y))
    inside, zero = _inside(of)
    if of.log_y and place.y <= 0:
        return 0
    return int(zero) + _bin(float(place.y), min(inside), max(inside), rows - int(zero), log=of.log_y)


def _bin(value: float, low: float, high: float, bins: int, *, log: bool) -> int:
    if high <= low:
        return 0
    share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
    return min(max(int(share * bins), 0), bins - 1)


def _at(share: float, low: float, high: float, *, log: bool) -> float:
    return low * (high / low) ** share if log else low + share * (high - low)
