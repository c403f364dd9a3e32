"""A small curve in the terminal: braille dots, or plain characters where the terminal knows no others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Curve, Floats, Series

BRAILLE = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # bit of the dot in row r, column c of a cell
DECADES = 2.0  # a range wider than this is drawn on a logarithmic scale


@dataclass(frozen=True)
class Scale:
    """The part of the plane that is drawn: steps from `left` to `right`, losses from `low` to `high`, maybe logarithmic."""

    left: float
    right: float
    low: float
    high: float
    log: bool

    def across(self, steps: Floats, cells: int) -> NDArray[np.intp]:
        """Return the column of each step, 0 to `cells` - 1."""
        share = (steps - self.left) / ((self.right - self.left) or 1.0)
        return np.clip((share * cells).astype(np.intp), 0, cells - 1)

    def down(self, values: Floats, cells: int) -> NDArray[np.intp]:
        """Return the row of each loss, 0 at the top to `cells` - 1."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        values = np.log(values) if self.log else values
        share = (high / 2 - values / 2) / ((high / 2 - low / 2) or 1.0)  # halves: 1e308 - -1e308 is no number any more
        return np.clip((share * cells).astype(np.intp), 0, cells - 1)

    def value(self, row: int, rows: int) -> float:
        """Return the loss in the middle of a row; the first and the last row stand for the ends of the scale."""
        share = row / max(rows - 1, 1)
        if self.log:
            return math.exp(math.log(self.high) + share * (math.log(self.low) - math.log(self.high)))
        return self.high + share * (self.low - self.high)


def draw(
    curve: Curve, span: tuple[float, float] | None = None, width: int = 72, height: int = 12, *, unicode: bool = True
) -> list[str]:
    """Return the lines of a drawing at most `width` wide: `height` rows of curve, the axis, the span marked below, a legend.

    Training is drawn in dots, validation in circles; crosses in the top row stand where a loss is not finite. The scale is
    logarithmic where all losses are positive and range over more than two decades. Empty for a curve without a finite loss.
    """
    scale = _scale(curve)
    if scale is None:
        return []
    marks = {0: scale.high, height // 2: scale.value(height // 2, height), height - 1: scale.low}
    labels = {row: f"{value:.3g}" for row, value in marks.items()}
    margin = max(len(label) for label in labels.values())
    columns = max(8, width - margin - 2)
    rows = _cells(curve, scale, columns, height, unicode=unicode)
    edge, tick, corner, line = ("│", "┤", "└", "─") if unicode else ("|", "+", "+", "-")
    lines = [f"{labels.get(row, ''):>{margin}} {tick if row in labels else edge}{cells}" for row, cells in enumerate(rows)]
    lines.append(f"{'':{margin}} {corner}{line * columns}")
    if span is not None:
        lines.append(" " * (margin + 2) + _marked(span, scale, columns, unicode=unicode))
    lines.append(" " * (margin + 2) + _ends(curve, scale, columns))
    lines.append(" " * (margin + 2) + _legend(curve, scale, unicode=unicode))
    return [each.rstrip() for each in lines]


def _scale(curve: Curve) -> Scale | None:
    every = [curve.train] if curve.val is None else [curve.train, curve.val]
    values = np.concatenate([each.finite.value for each in every])
    steps = np.concatenate([each.step for each in every])
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    log = low > 0 and math.log10(high) - math.log10(low) > DECADES
    return Scale(float(steps.min()), float(steps.max()), low, high, log)


def _cells(curve: Curve, scale: Scale, columns: int, height: int, *, unicode: bool) -> list[str]:
    """Return the rows of the plot as text."""
    down, right = (4, 2) if unicode else (1, 1)
    dots = _trace(curve.train.finite, scale, columns * right, height * down)
    if unicode:
        bits = (dots.reshape(height, 4, columns, 2) * DOTS[:, None, :]).sum(axis=(1, 3))
        grid = [[chr(BRAILLE + bit) if bit else " " for bit in row] for row in bits.tolist()]
    else:
        grid = [["." if dot else " " for dot in row] for row in dots.tolist()]
    if curve.val is not None:
        val = curve.val.finite
        across, rows = scale.across(val.step, columns), scale.down(val.value, height)
        for column, row in zip(*_thinned(across, rows), strict=True):
            grid[row][column] = "○" if unicode else "o"
    for each in (curve.train, curve.val):
        for column in set() if each is None else set(scale.across(each.step[~np.isfinite(each.value)], columns).tolist()):
            grid[0][column] = "×" if unicode else "x"
    return ["".join(row) for row in grid]


def _trace(series: Series, scale: Scale, columns: int, rows: int) -> NDArray[np.bool_]:
    """Return the dots of a line, bool (rows, columns): each column from least to largest loss, joined to the last."""
    dots = np.zeros((rows, columns), np.bool_)
    across, down = scale.across(series.step, columns), scale.down(series.value, rows)
    starts = np.flatnonzero(np.diff(across, prepend=-1))
    if not len(starts):
        return dots
    tops, bottoms = np.minimum.reduceat(down, starts).tolist(), np.maximum.reduceat(down, starts).tolist()
    ends = down[np.append(starts[1:], len(down)) - 1].tolist()
    before: tuple[int, int] | None = None
    for column, top, bottom, end in zip(across[starts].tolist(), tops, bottoms, ends, strict=True):
        if before is not None:
            _join(dots, before, (column, top if abs(top - before[1]) < abs(bottom - before[1]) else bottom))
        dots[top : bottom + 1, column] = True
        before = (column, end)
    return dots


def _join(dots: NDArray[np.bool_], start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw a straight line between two dots, both (column, row)."""
    many = max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1
    dots[
        np.linspace(start[1], end[1], many).round().astype(np.intp),
        np.linspace(start[0], end[0], many).round().astype(np.intp),
    ] = True


def _thinned(across: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[list[int], list[int]]:
    """Keep the extremes of each column, so that a rough curve looks rough and a long one stays drawable."""
    starts = np.flatnonzero(np.diff(across, prepend=-1))
    if not len(starts):
        return [], []
    columns = across[starts].tolist()
    return columns * 2, [*np.minimum.reduceat(rows, starts).tolist(), *np.maximum.reduceat(rows, starts).tolist()]


def _marked(span: tuple[float, float], scale: Scale, columns: int, *, unicode: bool) -> str:
    """Return the line below the axis that shows the span."""
    first, last = (int(column) for column in scale.across(np.array(span, dtype=np.float64), columns))
    if not unicode:
        return " " * first + "^" * (last - first + 1)
    return " " * first + ("▲" if last <= first else "╰" + "─" * (last - first - 1) + "╯")


def _ends(curve: Curve, scale: Scale, columns: int) -> str:
    """Return the first and the last step, with the axis' name between them."""
    left, right, name = f"{scale.left:g}", f"{scale.right:g}", curve.context.axis or "step"
    room = columns - len(left) - len(right)
    return left + (f"{name:^{room}}" if room > len(name) else " " * max(1, room)) + right


def _legend(curve: Curve, scale: Scale, *, unicode: bool) -> str:
    broken = curve.diverged
    parts = [f"{'⣀⡠' if unicode else '..'} {curve.train.name}"]
    parts += [] if curve.val is None else [f"{'○' if unicode else 'o'} {curve.val.name}"]
    parts += [f"{'×' if unicode else 'x'} not finite"] if broken else []
    parts += ["logarithmic scale"] if scale.log else []
    return "   ".join(parts)
