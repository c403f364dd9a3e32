"""Many runs at a glance: how many have which verdict, and a table of them, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lossdoc.curve import Curve
from lossdoc.findings import Report, worst_first
from lossdoc.format import Screen, heading
from lossdoc.formats.text import NARROWEST, SHOWN_RUNS, verdict_style
from lossdoc.letters import ending

ROWS = 20  # rows of the table that are shown unless all are asked for
REST = 46  # columns that the rest of the table takes


def overview(reports: Sequence[Report], screen: Screen) -> RenderableType:
    """Return the number of runs with each verdict, and a table of runs and verdicts, worst first."""
    order = worst_first(reports)
    rows = order if screen.verbosity > 0 else order[:ROWS]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title, right in (("verdict", False), ("sure", True), ("points", True), ("last loss", True), ("run", False)):
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    for report in rows:
        table.add_row(Text(report.primary, verdict_style(report)), *_numbers(report), _name(report, screen))
    hidden = len(order) - len(rows)
    more = [Text(f"{screen.said('…')} and {hidden} more: -v shows all", style="dim")] if hidden else []
    sick = sum(report.primary != "healthy" for report in order)
    if not hidden and screen.verbosity < 1 and sick > SHOWN_RUNS:
        more = [Text(f"the worst {SHOWN_RUNS} follow whole: -v shows all", style="dim")]
    return Group(_tally(order), Text(""), table, *more, Text(""))


def _tally(order: Sequence[Report]) -> Text:
    many = Counter(report.primary for report in order if not (report.run or "").endswith("*"))
    counts = ", ".join(f"{count} {name}" for name, count in many.items())  # in the order of the table
    together = "" if sum(many.values()) == len(order) else "; a row with * is on all runs of a network"
    return Text.assemble((f"{sum(many.values())} runs: {counts}", "bold"), together)


def _numbers(report: Report) -> tuple[str, str, str]:
    """Return how sure the verdict is, how many points the run has and its last loss, as text."""
    decisive = report.primary not in {"healthy", "inconclusive"}
    sure = f"{100 * report.findings[0].evidence.confidence:.0f} %" if decisive else ""
    if not isinstance(report.matter, Curve):
        return sure, "", ""
    last = report.matter.train.value[-1]
    return sure, str(report.matter.length), f"{last:.4g}" if np.isfinite(last) else str(last)


def _name(report: Report, screen: Screen) -> Text:
    return Text(ending(screen.said(heading(report)), max(NARROWEST, screen.width - REST), screen.said("…")))
