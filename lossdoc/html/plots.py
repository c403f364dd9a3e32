"""Figures as what a template needs to draw them: lines, ticks, marked spans, and what a value should have been."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lossdoc.chart import Scale
from lossdoc.curve import Curve, Floats, Series
from lossdoc.figures import POINTS, smoothed
from lossdoc.html.lines import COLUMNS, DOTTED, HEIGHT, WIDTH, Tick, across_of, dots, down_of, number, padded, path, ticks

LEAST = 0.006  # share of the width that a span takes at least, so that a single step is seen
CROWDED = 0.06  # two labels nearer than this share of the height would cover each other
MOST_CROSSES = 24
SIDES = frozenset({"train", "val", "before", "after"})  # kinds that are drawn pale under their average where they are rough
REFERENCES = {"floor": "floor", "expected": "expected", "best_loss": "best possible"}  # facts that are heights on a curve


@dataclass(frozen=True)
class Line:
    """A series to draw: its kind decides how (see the style sheet), `note` is said of it in the legend."""

    series: Series
    kind: str
    note: str = ""


@dataclass(frozen=True)
class Stroke:
    """A line as it is drawn: the path through it, that through its average where it is rough, its points where few."""

    kind: str
    path: str
    trend: str = ""
    dots: str = ""


@dataclass(frozen=True)
class Box:
    """A part of a plot, in percent of its width and height; a cross has no extent."""

    left: float
    top: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class Plot:
    """A figure of curves over steps; all places are in percent, so that it can be as wide as there is room."""

    strokes: tuple[Stroke, ...]
    legend: tuple[tuple[str, str], ...]
    across: tuple[Tick, ...]
    down: tuple[Tick, ...]
    axis: str
    log: bool
    told: str
    spans: tuple[Box, ...] = ()
    crosses: tuple[Box, ...] = ()
    references: tuple[Tick, ...] = ()
    grid: str = ""
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Asked:
    """How a plot is to be: what is marked and named in it, how finely it is drawn, and what is said of it in words."""

    span: tuple[float, float] | None = None
    references: Mapping[str, float] = field(default_factory=dict)
    columns: int = COLUMNS
    axis: str = "step"
    told: str = ""


def of_curve(curve: Curve, asked: Asked) -> Plot | None:
    """Return the figure of a run: training and validation loss; None where no loss is finite."""
    lines = [Line(curve.train, "train", "training")]
    lines += [] if curve.val is None else [Line(curve.val, "val", "validation")]
    return of_lines(lines, replace(asked, axis=curve.context.axis or "step"))


def of_lines(lines: Sequence[Line], asked: Asked) -> Plot | None:
    """Return the figure of some series on one pair of axes, logarithmic where they range over more than two decades.

    None where no value of any of them is finite.
    """
    lines = [line for line in lines if len(line.series)]
    values: Floats = np.concatenate([*(line.series.finite.value for line in lines), np.empty(0)])
    if not len(values):
        return None
    y = padded(Scale.of(values, log=True))
    x = Scale.of(np.concatenate([line.series.step for line in lines]), log=False)
    down, across = ticks(y, downward=True), ticks(x, whole=True)
    crosses = [box for line in lines for box in _crosses(line.series, x, y)]
    return Plot(
        strokes=tuple(_stroke(line, x, y, asked.columns) for line in lines),
        legend=tuple(_legend(lines, asked, broken=bool(crosses))),
        across=across,
        down=down,
        axis=asked.axis,
        log=y.log,
        told=asked.told,
        spans=() if asked.span is None else (_span(asked.span, x),),
        crosses=tuple(crosses[:MOST_CROSSES]),
        references=tuple(_references(asked.references, y)),
        grid="".join(f"M0 {round(tick.at * HEIGHT / 100)}h{WIDTH}" for tick in down),
    )


def _stroke(line: Line, x: Scale, y: Scale, columns: int) -> Stroke:
    rough = line.kind in SIDES and columns == COLUMNS and len(line.series.finite) > 2 * POINTS
    trend = path(smoothed(line.series), x, y) if rough else ""
    drawn = path(line.series, x, y, columns)
    return Stroke(line.kind, drawn, trend, dots(line.series, x, y) if len(line.series) <= DOTTED else "")


def _legend(lines: Sequence[Line], asked: Asked, *, broken: bool) -> Iterable[tuple[str, str]]:
    seen = set()
    for line in lines:
        if line.note and (line.kind, line.note) not in seen:
            seen.add((line.kind, line.note))
            yield line.kind, line.note
    if asked.span is not None:
        first, last = (number(end) for end in asked.span)
        yield "span", f"suspicious: {asked.axis} {first}" + ("" if first == last else f" to {last}")
    if broken:
        yield "cross", "not a finite number"


def _span(span: tuple[float, float], x: Scale) -> Box:
    first, last = x.share(np.array(span, dtype=np.float64)).tolist()
    short = max(0.0, LEAST - (last - first)) / 2
    first, last = max(0.0, first - short), min(1.0, last + short)
    return Box(round(100 * first, 2), 0.0, round(100 * (last - first), 2))


def _crosses(series: Series, x: Scale, y: Scale) -> Iterable[Box]:
    """Yield where a value that is no finite number was logged first in a row, at the height of the number before it."""
    bad = ~np.isfinite(series.value)
    for place in np.flatnonzero(bad & ~np.concatenate(([False], bad[:-1]))).tolist():
        before = series.value[:place][np.isfinite(series.value[:place])][-1:]
        top = down_of(before, y) if len(before) else np.array([0])
        left = across_of(series.step[place : place + 1], x)
        yield Box(round(100 * int(left[0]) / WIDTH, 2), round(100 * int(top[0]) / HEIGHT, 2))


def _references(wanted: Mapping[str, float], y: Scale) -> Iterable[Tick]:
    """Yield the heights to mark that lie inside the figure, each with its name; of two that would touch the first."""
    placed: list[float] = []
    for name, value in wanted.items():
        if not (math.isfinite(value) and y.low <= value <= y.high):
            continue
        at = float(1 - y.share(np.array([value]))[0])
        if all(abs(at - other) > CROWDED for other in placed):
            placed.append(at)
            yield Tick(round(100 * at, 2), f"{name} {number(value)}")


@dataclass(frozen=True)
class Gauge:
    """One measured number beside what it should have been; places in percent from the left."""

    measured: Tick
    expected: Tick
    band: Box
    log: bool


def gauge(facts: Mapping[str, object]) -> Gauge | None:
    """Return the figure of a finding on a model: what was measured, and the range that was expected.

    None where one of the two is not known, or where what was measured lies inside that range: then its being there is what
    is wrong. Logarithmic where the two lie two decades apart.
    """
    given = [facts.get(name) for name in ("measured", "expected", "tolerance")]
    measured, expected, tolerance = (
        float(one) if isinstance(one, int | float) and math.isfinite(one) else None for one in given
    )
    around = abs(tolerance or 0.0)
    if measured is None or expected is None or abs(measured - expected) <= around:
        return None
    ends = np.array([measured, expected, expected - around, expected + around])
    scale = Scale.of(ends[:2], log=True)
    scale = scale if scale.log else Scale.of(ends, log=False)
    scale = padded(scale, 0.12)
    at = scale.share(np.clip(ends, scale.low, scale.high)).tolist()
    left, right = 100 * at[2], 100 * at[3]
    return Gauge(
        Tick(round(100 * at[0], 2), number(measured)),
        Tick(round(100 * at[1], 2), number(expected) + (f" ± {number(around)}" if around else "")),
        Box(round(left, 2), 0.0, round(max(right - left, 0.4), 2)),
        scale.log,
    )
