"""A sweep as text: the table of its points, best first, and the map of their patterns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lossdoc.format import Screen
from lossdoc.maps import Grid, Place, Plane, grid, pattern_of, plane, short_names
from lossdoc.ranking import no_worse
from lossdoc.subject import Trial, Trials

SHOWN = 10
WIDE = 72  # columns that the whole table of a sweep over two paths takes
FEWEST = 4  # points in a plane below which a table says more than a map
COLUMNS, ROWS = 24, 8  # cells of the map, each two letters wide
STYLES = {"healthy": "green", "non-finite": "red", "lr-too-high": "red", "rising": "red", "not-learning": "yellow"}


def table(trials: Trials, screen: Screen) -> RenderableType:
    """Return the points of a sweep, best first, diverged ones last: a line each, with the spread between its seeds."""
    groups = _points(trials)
    shown = groups if screen.verbosity > 0 else groups[:SHOWN]
    paths = sorted({path for trial in trials.trials for path in trial.point.params})
    seeds = max(len(group) for group in groups)
    measures = _measures(screen, seeds, trials.trials)
    made = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for title in ("rank", *short_names(paths).values(), *measures):
        made.add_column(title, justify="right", no_wrap=True)
    made.add_column("pattern")
    good = {point.trial.point.index for point in no_worse(trials)} if seeds > 1 else set()
    for rank, group in enumerate(shown, 1):
        mark = "=" if rank > 1 and group[0].point.index in good else ""
        cells = [f"{mark}{rank}", *(short(group[0].point.params.get(path)) for path in paths)]
        cells += [_measured(group, *measure) for measure in measures.values()]
        made.add_row(*map(screen.said, cells), _fate(group), style="bold green" if rank == 1 else None)
    below = (
        [Text(f"{screen.said('…')} and {len(groups) - len(shown)} more", style="dim")] if len(groups) > len(shown) else []
    )
    if len(good) > 1:
        below.append(Text(f"=: no worse than the best beyond the noise of {seeds} seeds", style="dim"))
    return Group(made, *below)


def _points(trials: Trials) -> list[list[Trial]]:
    """Return the trials of each point, best point first."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials.ranked:
        groups.setdefault(trial.point.index, []).append(trial)
    return list(groups.values())


def _measures(screen: Screen, seeds: int, trials: Iterable[Trial]) -> dict[str, tuple[str, bool]]:
    """Return what is measured, by the title of its column: the name of a trial's value, and whether it is a share.

    A narrow screen has no training columns, and neither has one that shows the spread between seeds.
    """
    splits = ("train", "val") if screen.width >= WIDE and seeds == 1 else ("val",)
    losses = {f"{split} loss": (f"{split}_loss", False) for split in splits}
    shares = {f"{split} acc": (f"{split}_accuracy", True) for split in splits}
    return losses | {title: one for title, one in shares.items() if any(map(math.isfinite, _values(trials, one[0])))}


def _values(trials: Iterable[Trial], name: str) -> list[float]:
    return [float(getattr(trial, name)) for trial in trials]


def _measured(group: Sequence[Trial], name: str, share: bool) -> str:  # noqa: FBT001 - a value of a table
    values = _values(group, name)
    if name == "val_loss" and all(trial.curve.val is None for trial in group):
        values = [trial.loss for trial in group]
    mean = fmean(values)
    if not math.isfinite(mean):
        return "–"
    text = f"{100 * mean:.1f}" if share else f"{mean:.3g}"
    if len(values) > 1:
        spread = stdev(values)
        text += f" ± {100 * spread:.1f}" if share else f" ± {spread:.2g}"
    return f"{text} %" if share else text


def _fate(group: Sequence[Trial]) -> str:
    died = [trial for trial in group if trial.diverged_at is not None]
    if died:
        first = min(trial.diverged_at or 0 for trial in died)
        return f"diverged at step {first}" if len(died) == len(group) else f"{len(died)} of {len(group)} diverged"
    stopped = next((trial.stopped_at for trial in group if trial.stopped_at is not None), None)
    return f"ended early, step {stopped}" if stopped is not None else pattern_of(group)


def picture(trials: Trials, screen: Screen) -> RenderableType | None:
    """Return the map of a sweep's patterns, None where there are too few points for one."""
    of = plane(trials)
    if of is None or len(of.places) < FEWEST:
        return None
    cells = grid(of, min(COLUMNS, (screen.width - 16) // 2), ROWS)
    width = max(len(label) for label, _ in cells.rows)
    lines = [Text(short_names([of.x, of.y])[of.y], style="dim")] if of.y is not None else []
    wall = "│" if screen.unicode else "|"
    for label, row in cells.rows:
        line = Text.assemble((f"{label:>{width}} {wall}", "dim"))
        for cell in row:
            line.append(" ")
            line.append(*_drawn(cell, screen))
        lines.append(line)
    return Group(*lines, *_below(of, cells, width, screen), _legend(of))


def _drawn(cell: Place | None, screen: Screen) -> tuple[str, str]:
    if cell is None:
        return ("·" if screen.unicode else "."), "dim"
    style = STYLES.get(cell.pattern, "")
    return cell.letter, f"bold {style}" if cell.best else style


def _below(of: Plane, cells: Grid, width: int, screen: Screen) -> list[Text]:
    columns = 2 * len(cells.rows[0][1]) + 1
    line = " " * width + (" └" + "─" * columns if screen.unicode else " +" + "-" * columns)
    low, high = f"{cells.low:.3g}", f"{cells.high:.3g}"
    name = short_names([of.x])[of.x]
    ends = f"{low}{name:^{max(columns - len(low) - len(high), len(name) + 2)}}{high}"
    return [Text(line, style="dim"), Text(" " * (width + 2) + ends, style="dim")]


def _legend(of: Plane) -> Text:
    named = [f"{letter} {pattern}" for letter, pattern in of.patterns.items()]
    best = ["capital: the best"] if any(place.best for place in of.places) else []
    return Text(", ".join([*named, *best]), style="dim")


def short(value: Any) -> str:
    """Return a value in three digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else "–"
    return str(value)
