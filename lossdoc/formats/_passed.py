"""What was looked for and not found: a line for each group of rules, or on demand one for each rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from lossdoc.findings import Report
from lossdoc.format import Screen
from lossdoc.rule import groups_in, names_of


def passed(report: Report, screen: Screen) -> Iterator[RenderableType]:
    """Yield what passed and what could not be judged.

    Where all is well the verdict rests on what was measured, and each group tells the first of its numbers; of a sick run
    there is more to read than that. With `-v` each rule has a line.
    """
    if screen.verbosity > 0:
        yield Padding(_grid(_each(report, screen), "dim"), (0, 0, 0, 2))
        return
    groups = groups_in(report)
    well = report.primary in {"healthy", "inconclusive"}
    if len(groups) > 1 and well:
        rows = ((name, f"{many} passed{f': {screen.said(told)}' if told else ''}") for name, (many, told) in groups.items())
        yield Padding(_grid(rows), (0, 0, 0, 2))
    elif len(groups) > 1:
        yield _dim(f"The other checks passed: {', '.join(groups)}.")
    elif groups:
        names = names_of(report.passed)
        told = list(report.measured.values())[: int(well)]
        yield from (Padding(Text(screen.said(one.summary)), (0, 0, 0, 2)) for one in told)
        yield _dim(f"Looked for and not found: {', '.join(names[code] for code in report.passed)}.")
    if report.skipped:
        measured = ", and what was measured" if report.measured and screen.more == Screen.more else ""
        yield _dim(f"Not judged: {len(report.skipped)} ({screen.more} tells why{measured}).")


def _each(report: Report, screen: Screen) -> Iterator[tuple[str, str]]:
    names = names_of((*report.passed, *report.skipped))
    for code in report.passed:
        told = report.measured.get(code)
        yield "passed", f"{names[code]} ({code})" + ("" if told is None else f": {screen.said(told.summary)}")
    for code, why in report.skipped.items():
        yield "skipped", f"{names[code]} ({code}): {screen.said(why)}"


def _grid(rows: Iterable[tuple[str, str]], style: str = "") -> RenderableType:
    from rich.table import Table  # 15 ms, which a healthy curve need not wait for

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style=style)
    grid.add_column(ratio=1, style=style)
    for name, text in rows:
        grid.add_row(name, Text(text))
    return grid


def _dim(text: str) -> RenderableType:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))
