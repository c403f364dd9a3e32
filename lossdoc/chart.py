"""A small curve in the terminal: braille dots, or plain characters where the terminal knows no others."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Curve, Floats, Series
from lossdoc.letters import clip, in_ascii

Places = NDArray[np.intp]
BRAILLE = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # bit of the dot in row r, column c of a cell
DECADES = 2.0  # a range wider than this is drawn on a logarithmic scale
NAME = 60  # characters of a name in the legend
NARROWEST = 8  # columns, however narrow the terminal is
LARGEST, LEAST = sys.float_info.max, sys.float_info.min


@dataclass(frozen=True)
class Scale:
    """A stretch of one axis, drawn evenly or by its logarithm; `low` is less than `high`."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(cls, values: Floats, *, log: bool) -> Scale:
        """Return the scale of finite values; `log` allows a logarithm where all are positive and range over two decades.

        Around a single value it reaches half of it to both sides, around 0 one.
        """
        low, high = float(values.min()), float(values.max())
        if low / 2 == high / 2:  # the least numbers have no half
            reach = abs(low) / 2 if abs(low) > LEAST else 1.0
            return cls(max(low - reach, -LARGEST), min(low + reach, LARGEST))
        return cls(low, high, log and low > 0 and math.log10(high) - math.log10(low) > DECADES)

    def share(self, values: Floats) -> Floats:
        """Return where values lie between low (0) and high (1); infinities lie at the ends."""
        low, high, values = (self._drawn(np.asarray(each, np.float64)) for each in (self.low, self.high, values))
        # in halves, as 1e308 - -1e308 is no number any more
        between: Floats = np.clip((values / 2 - low / 2) / (high / 2 - low / 2), 0, 1)
        return between

    def at(self, share: float) -> float:
        """Return the value that lies at a share of the way from low to high."""
        if self.log:
            return math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share)
        return self.low * (1 - share) + self.high * share

    def places(self, values: Floats, cells: int) -> Places:
        """Return the cell of each value, 0 at low to `cells` - 1 at high."""
        return np.rint(self.share(values) * (cells - 1)).astype(np.intp)

    def _drawn(self, values: Floats) -> Floats:
        return np.log(values) if self.log else values


def draw(
    curve: Curve, span: tuple[float, float] | None = None, width: int = 72, height: int = 12, *, unicode: bool = True
) -> list[str]:
    """Return the lines of a drawing at most `width` wide: `height` rows of curve, the axis, the span marked below, a legend.

    Training is drawn in dots, validation in circles; crosses in the top row stand where a loss is not finite. The scale is
    logarithmic where all losses are positive and range over more than two decades. Empty for a curve without a finite loss.
    """
    every = [curve.train] if curve.val is None else [curve.train, curve.val]
    finite = np.concatenate([each.finite.value for each in every])
    if not len(finite):
        return []
    y, x = Scale.of(finite, log=True), Scale.of(np.concatenate([each.step for each in every]), log=False)
    labels = _labels(y, finite, height)
    margin = max(len(label) for label in labels.values())
    columns = max(NARROWEST, width - margin - 2)
    edge, tick, corner, line = ("│", "┤", "└", "─") if unicode else ("|", "+", "+", "-")
    rows = _cells(curve, x, y, (columns, height), unicode=unicode)
    lines = [f"{labels.get(row, ''):>{margin}} {tick if row in labels else edge}{cells}" for row, cells in enumerate(rows)]
    below = [_marked(span, x, columns, unicode=unicode)] if span is not None else []
    below += [_ends(curve, columns), *_legend(curve, y, columns, unicode=unicode)]
    lines += [f"{'':{margin}} {corner}{line * columns}", *(" " * (margin + 2) + each for each in below)]
    return [each.rstrip() for each in lines]


def told(curve: Curve, span: tuple[float, float] | None = None) -> list[str]:
    """Return in words what `draw` draws: the first, least and last value of each loss, and the part that is marked."""
    lines = [_course(each, curve.context.axis or "step") for each in (curve.train, curve.val) if each is not None]
    return lines if span is None else [*lines, f"marked: {curve.context.axis or 'step'} {span[0]:g} to {span[1]:g}"]


def _course(series: Series, axis: str) -> str:
    finite = series.finite
    if not len(finite):
        return f"{clip(series.name, NAME)}: no finite number among {len(series)} points"
    places = {"first": 0, "least": int(np.argmin(finite.value)), "last": len(finite) - 1}
    values = ", ".join(f"{name} {finite.value[at]:.4g} ({axis} {finite.step[at]:g})" for name, at in places.items())
    lost = len(series) - len(finite)
    return f"{clip(series.name, NAME)}: {values}; {len(series):,} points" + (f", {lost} not finite" if lost else "")


def _labels(y: Scale, finite: Floats, height: int) -> dict[int, str]:
    """Return what stands beside which row: the scale's ends and middle, or the one value that there is."""
    if finite.min() == finite.max():
        return {height - 1 - int(y.places(finite[:1], height)[0]): f"{finite[0]:.4g}"}
    return {row: f"{y.at(1 - row / max(height - 1, 1)):.3g}" for row in (0, height // 2, height - 1)}


def _cells(curve: Curve, x: Scale, y: Scale, size: tuple[int, int], *, unicode: bool) -> list[str]:
    """Return the rows of the plot as text."""
    columns, height = size
    dots = _trace(curve.train.finite, x, y, (columns * 2, height * 4) if unicode else size)
    if unicode:
        bits = (dots.reshape(height, 4, columns, 2) * DOTS[:, None, :]).sum(axis=(1, 3))
        grid = [[chr(BRAILLE + bit) if bit else " " for bit in row] for row in bits.tolist()]
    else:
        grid = [["*" if dot else " " for dot in row] for row in dots.tolist()]
    if curve.val is not None:
        val = curve.val.finite
        for column, row in _extremes(x.places(val.step, columns), height - 1 - y.places(val.value, height)):
            grid[row][column] = "○" if unicode else "o"
    for each in (curve.train, curve.val):
        lost = set() if each is None else set(x.places(each.step[~np.isfinite(each.value)], columns).tolist())
        for column in lost:
            grid[0][column] = "×" if unicode else "x"
    return ["".join(row) for row in grid]


def _trace(series: Series, x: Scale, y: Scale, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the dots of a line, bool (rows, columns): each column from least to largest loss, joined to the last."""
    columns, rows = size
    dots = np.zeros((rows, columns), np.bool_)
    across, down = x.places(series.step, columns), rows - 1 - y.places(series.value, rows)
    starts = np.flatnonzero(np.diff(across, prepend=-1))
    last: tuple[int, int] | None = None
    for start, end in zip(starts.tolist(), np.append(starts[1:], len(across)).tolist(), strict=False):
        column, top, bottom = int(across[start]), int(down[start:end].min()), int(down[start:end].max())
        if last is not None:
            _join(dots, last, (column, int(down[start])))
        dots[top : bottom + 1, column] = True
        last = column, int(down[end - 1])
    return dots


def _join(dots: NDArray[np.bool_], start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw a straight line between two dots, both (column, row)."""
    many = max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1
    columns, rows = (np.rint(np.linspace(start[axis], end[axis], many)).astype(np.intp) for axis in (0, 1))
    dots[rows, columns] = True


def _extremes(across: Places, rows: Places) -> list[tuple[int, int]]:
    """Keep the highest and the lowest of each column, so that a rough curve looks rough and a long one stays drawable."""
    starts = np.flatnonzero(np.diff(across, prepend=-1))
    if not len(starts):
        return []
    columns = across[starts].tolist()
    tops, bottoms = np.minimum.reduceat(rows, starts).tolist(), np.maximum.reduceat(rows, starts).tolist()
    return [*zip(columns, tops, strict=True), *zip(columns, bottoms, strict=True)]


def _marked(span: tuple[float, float], x: Scale, columns: int, *, unicode: bool) -> str:
    """Return the line below the axis that shows the span, its ends named beside it where there is room."""
    first, last = x.places(np.array(span, dtype=np.float64), columns).tolist()
    bar, name = ("━" if unicode else "^") * (last - first + 1), f"{span[0]:g}{'–' if unicode else '-'}{span[1]:g}"
    if len(name) < first:
        return f"{name:>{first - 1}} {bar}"
    return f"{'':{first}}{bar}" + (f" {name}" if last + 2 + len(name) <= columns else "")


def _ends(curve: Curve, columns: int) -> str:
    """Return the first and the last step, with what they count."""
    steps = curve.train.step if curve.val is None else np.concatenate((curve.train.step, curve.val.step))
    left, right = f"{steps.min():g}", f"{steps.max():g} {curve.context.axis or 'step'}s"
    return left + right.rjust(columns - len(left)) if len(left) + len(right) < columns else right[:columns]


def _legend(curve: Curve, y: Scale, columns: int, *, unicode: bool) -> list[str]:
    """Return what the signs mean, in as many lines as it takes; long names without their middle."""
    signs = ("⣀⠤", "○") if unicode else ("*", "o")
    names = [clip(each.name, NAME) for each in (curve.train, curve.val) if each is not None]
    parts = [f"{sign} {name if unicode else in_ascii(name)}" for sign, name in zip(signs, names, strict=False)]
    parts += [f"{'×' if unicode else 'x'} not a finite number"] if curve.diverged else []
    parts += ["(logarithmic)"] if y.log else []
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}   {part}" if lines[-1] else part
        if len(longer) > columns and lines[-1]:
            lines.append(part)
        else:
            lines[-1] = longer
    return [line[:columns] for line in lines]
