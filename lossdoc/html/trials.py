"""A sweep on a page: its points as a table, all of its curves in one figure, and its map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

import numpy as np

from lossdoc.chart import Scale
from lossdoc.curve import Series
from lossdoc.figures import POINTS, smoothed
from lossdoc.html.lines import Tick, number, padded, ticks
from lossdoc.html.plots import Asked, Line, Plot, of_lines
from lossdoc.maps import LETTERS, Plane, pattern_of, plane, short_names
from lossdoc.ranking import RATE, no_worse
from lossdoc.subject import Trial, Trials

SHADES = 5  # steps of color, from low to high
COARSE = 120  # columns in which each of many curves is drawn
FEWEST = 4  # points below which a table says more than a map
CEILING = 10.0  # a loss this many times the highest first one is drawn no higher: what explodes says no more there


@dataclass(frozen=True)
class Row:
    """A point of a sweep: what it was trained with and what came of it, as text; `shade` is that of its curve."""

    rank: str
    params: tuple[str, ...]
    measures: tuple[str, ...]
    pattern: str
    shade: int
    best: bool
    good: bool


@dataclass(frozen=True)
class Spot:
    """A point on the map: its place in percent, the letter of its pattern, and its color (None: it diverged)."""

    left: float
    top: float
    letter: str
    shade: int | None
    best: bool
    told: str


@dataclass(frozen=True)
class Map:
    """The points of a sweep in their plane."""

    x: str
    y: str
    spots: tuple[Spot, ...]
    across: tuple[Tick, ...]
    down: tuple[Tick, ...]
    legend: tuple[tuple[str, str], ...]
    low: str
    high: str


@dataclass(frozen=True)
class Table:
    """A sweep as a page shows it; `equals` tells what an equals sign before a rank means, empty where there is none."""

    params: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[Row, ...]
    curves: Plot | None
    map: Map | None
    shaded: str
    equals: str


def table(trials: Trials) -> Table:
    """Return all points of a sweep, best first, with figures of their curves and of their plane."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials.ranked:
        groups.setdefault(trial.point.index, []).append(trial)
    seeds = max(map(len, groups.values()), default=1)
    paths = sorted({path for trial in trials.trials for path in trial.point.params})
    measures = _measures(trials)
    shades = _shades(trials)
    good = {one.trial.point.index for one in no_worse(trials)} if seeds > 1 else set()
    rows = tuple(
        Row(
            f"{'=' if rank > 1 and index in good else ''}{rank}",
            tuple(_value(group[0].point.params.get(path)) for path in paths),
            tuple(_measured(group, name) for name in measures.values()),
            _fate(group),
            shades[index],
            rank == 1,
            index in good,
        )
        for rank, (index, group) in enumerate(groups.items(), 1)
    )
    rates = _rates(trials)
    shaded = f"color: learning rate, {min(rates):.2g} to {max(rates):.2g}" if len(set(rates)) > 1 else ""
    equals = f"=: no worse than the best beyond the noise of {seeds} seeds" if len(good) > 1 else ""
    names = tuple(short_names(paths).values())
    return Table(names, tuple(measures), rows, _curves(trials, shades), _map(trials), shaded, equals)


def _measures(trials: Trials) -> dict[str, str]:
    """Return the titles of the columns with what they show, those that any trial has."""
    known = {
        "training loss": "train_loss",
        "validation loss": "val_loss",
        "training accuracy": "train_accuracy",
        "validation accuracy": "val_accuracy",
    }
    return {
        title: name
        for title, name in known.items()
        if any(math.isfinite(getattr(trial, name)) for trial in trials.trials if len(trial.curve.train))
    }


def _measured(group: Sequence[Trial], name: str) -> str:
    values = [float(getattr(trial, name)) for trial in group]
    if not all(map(math.isfinite, values)):
        return "–"
    share = name.endswith("accuracy")
    shown = [100 * value if share else value for value in values]
    text = f"{fmean(shown):.1f}" if share else f"{fmean(shown):.3g}"
    text += f" ± {stdev(shown):.2g}" if len(shown) > 1 else ""
    return f"{text} %" if share else text


def _fate(group: Sequence[Trial]) -> str:
    died = [trial.diverged_at for trial in group if trial.diverged_at is not None]
    if died:
        return f"diverged at step {min(died)}" if len(died) == len(group) else f"{len(died)} of {len(group)} diverged"
    stopped = next((trial.stopped_at for trial in group if trial.stopped_at is not None), None)
    return pattern_of(group) if stopped is None else f"ended early, at step {stopped}"


def _value(value: Any) -> str:
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _rates(trials: Trials) -> list[float]:
    rates = [trial.point.params.get(RATE) for trial in trials.trials]
    return [float(rate) for rate in rates if isinstance(rate, int | float) and rate > 0]


def _shades(trials: Trials) -> dict[int, int]:
    """Return the step of color of each point by its learning rate, on a logarithmic scale."""
    rates = _rates(trials)
    low, high = (math.log(min(rates)), math.log(max(rates))) if rates else (0.0, 0.0)
    made = {}
    for trial in trials.trials:
        rate = trial.point.params.get(RATE)
        known = isinstance(rate, int | float) and rate > 0 and high > low
        made[trial.point.index] = _step((math.log(float(rate or 1)) - low) / (high - low)) if known else SHADES // 2
    return made


def _step(share: float) -> int:
    return min(int(share * SHADES), SHADES - 1)


def _curves(trials: Trials, shades: dict[int, int]) -> Plot | None:
    """Return the training losses of all trials in one figure, the best one last and boldest."""
    order = trials.ranked
    first = [float(trial.curve.train.value[0]) for trial in order if len(trial.curve.train)]
    usable = [value for value in first if math.isfinite(value) and value > 0]
    top = CEILING * max(usable) if usable else math.inf
    lines = [
        Line(_below(smoothed(trial.curve.train), top), f"shade{shades[trial.point.index]}{' best' if rank == 0 else ''}",
             f"the best of {len(order)}, each averaged to {POINTS} points" if rank == 0 else "")
        for rank, trial in enumerate(order)
    ]  # fmt: skip
    told = f"training losses of {len(order)} trials"
    return of_lines(lines[::-1], Asked(columns=COARSE, told=told))


def _below(series: Series, top: float) -> Series:
    with np.errstate(invalid="ignore"):
        return replace(series, value=np.where(series.value > top, np.inf, series.value))


def _map(trials: Trials) -> Map | None:
    of = plane(trials)
    if of is None or of.y is None or len(of.places) < FEWEST:
        return None
    x = padded(Scale(*_ends([place.x for place in of.places], log=of.log_x), of.log_x), 0.08)
    heights, down = _heights(of)
    low, high = _best_worst(of)
    names = short_names([of.x, of.y])
    spots = tuple(
        Spot(
            round(100 * float(x.share(np.array([place.x]))[0]), 2),
            round(height, 2),
            LETTERS.get(place.pattern, "?"),
            _goodness(place.loss, low, high),
            place.best,
            f"{names[of.x]} {number(place.x)}, {names[of.y]} {_value(place.y)}: {place.pattern}, loss {number(place.loss)}",
        )
        for place, height in zip(of.places, heights, strict=True)
    )
    legend = tuple(of.patterns.items())
    return Map(of.x, of.y, spots, ticks(x), down, legend, number(low), number(high))


def _ends(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    inside = [value for value in values if value > 0 or not log] or [1.0]
    low, high = min(inside), max(inside)
    return (low, high) if low < high else (low / 2, high * 2) if log else (low - 1, high + 1)


def _heights(of: Plane) -> tuple[list[float], tuple[Tick, ...]]:
    """Return how far from the top each point stands, in percent, and the ticks; 0 on a logarithmic axis lies at the foot."""
    if not of.numeric_y:
        words = sorted({str(place.y) for place in of.places})
        rows = {word: 100 * (1 - (place + 0.5) / len(words)) for place, word in enumerate(words)}
        return [rows[str(place.y)] for place in of.places], tuple(Tick(round(row, 2), word) for word, row in rows.items())
    values = [float(place.y) for place in of.places]
    y = padded(Scale(*_ends(values, log=of.log_y), of.log_y), 0.08)
    foot = of.log_y and any(value <= 0 for value in values)
    share = 88.0 if foot else 100.0
    tops = [95.0 if foot and value <= 0 else share * (1 - float(y.share(np.array([value]))[0])) for value in values]
    marks = [Tick(round(tick.at * share / 100, 2), tick.text) for tick in ticks(y, downward=True)]
    return tops, (*marks, *([Tick(95.0, "0")] if foot else []))


def _best_worst(of: Plane) -> tuple[float, float]:
    """Return the least and the largest loss that the colors tell apart; the worst quarter shares the last color."""
    losses = sorted(place.loss for place in of.places if math.isfinite(place.loss))
    return (losses[0], losses[(3 * len(losses) - 1) // 4]) if losses else (math.nan, math.nan)


def _goodness(loss: float, low: float, high: float) -> int | None:
    if not math.isfinite(loss):
        return None
    return SHADES - 1 if not high > low else SHADES - 1 - _step(min((loss - low) / (high - low), 1.0))
