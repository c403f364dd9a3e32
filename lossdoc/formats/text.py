"""Text for people: verdicts, findings with what to do, the curve with the suspicious span marked, a sweep's table."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lossdoc.chart import draw
from lossdoc.curve import Curve, Runs
from lossdoc.findings import Finding, Report, Severity
from lossdoc.format import Document, Format, Screen, heading
from lossdoc.rule import names_of
from lossdoc.subject import Trials

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
MARKS = {Severity.ERROR: ("✗", "x"), Severity.WARNING: ("!", "!"), Severity.NOTE: ("·", "-")}
SHOWN_TRIALS = 10
WIDE = 72  # columns that the whole table of a sweep over two paths takes
SHOWN_BULLETS = 3


def render(document: Document, screen: Screen) -> str:
    """Return the reports as text that fits the screen; colors only where it has them. Faults are told on stderr alone."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=screen.width,
        force_terminal=screen.color,
        no_color=not screen.color,
        color_system="standard" if screen.color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for report in document.reports:
        if screen.verbosity < 0:
            console.print(_verdict(report, screen), soft_wrap=True)
        else:
            console.print(_report(report, screen))
    if len(document.reports) > 1 and document.command == "checkup":
        console.print(_summary(document.reports, screen), soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _verdict(report: Report, screen: Screen) -> Text:
    """Return the one line that says what came out."""
    style = _verdict_style(report)
    mark = ("✓", "ok") if style == "bold green" else ("?", "?") if style == "bold" else MARKS[report.findings[0].severity]
    return Text.assemble(
        (mark[0] if screen.unicode else mark[1], style), " ", (heading(report), "bold"), ": ", (report.primary, style)
    )


def _verdict_style(report: Report) -> str:
    if report.primary == "healthy":
        return "bold green"
    return "bold" if report.primary == "inconclusive" else STYLES[report.findings[0].severity]


def _report(report: Report, screen: Screen) -> RenderableType:
    parts: list[RenderableType] = [_verdict(report, screen)]
    parts += [Padding(Text(note, style="dim"), (0, 0, 0, 2)) for note in report.notes]
    if report.inconclusive is not None:
        parts.append(Padding(Text(report.inconclusive), (0, 0, 0, 2)))
    parts += _matter(report, screen)
    parts += [_finding(finding, screen) for finding in report.findings]
    parts += [Padding(Text(one.summary), (0, 0, 0, 2)) for one in report.measured.values()]
    parts += _examined(report, screen)
    return Group(*parts, Text(""))


def _matter(report: Report, screen: Screen) -> Iterable[RenderableType]:
    """Return the picture of what was examined: a curve, or the table of a sweep."""
    if isinstance(report.matter, Curve) and len(report.matter.train.finite) > 1:
        span = report.findings[0].evidence.span if report.findings else None
        width = max(30, min(screen.width - 4, 100))
        lines = draw(report.matter, span, width=width, height=10, unicode=screen.unicode)
        yield Padding(Text("\n".join(lines), no_wrap=True), (1, 0, 1, 2))
    elif isinstance(report.matter, Runs):
        yield Padding(Text(f"{len(report.matter.curves)} runs of one network"), (0, 0, 0, 2))
    elif isinstance(report.matter, Trials):
        yield Padding(_trials(report.matter, screen), (1, 0, 1, 2))


def _finding(finding: Finding, screen: Screen) -> RenderableType:
    mark = MARKS[finding.severity][0 if screen.unicode else 1]
    sure = finding.evidence.confidence
    details = f"  {finding.severity.value} {finding.code}" + (f", {100 * sure:.0f} % sure" if math.isfinite(sure) else "")
    head = Text.assemble((f"{mark} {finding.name}", STYLES[finding.severity]), (details, "dim"))
    if finding.severity is Severity.NOTE and screen.verbosity < 1:
        return Group(head, Padding(Text(finding.evidence.summary), (0, 0, 1, 2)))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=8, style="dim")
    grid.add_column(ratio=1)
    for label, items in (("Cause", finding.causes), ("Confirm", finding.confirm), ("Try", finding.remedies)):
        shown = items if screen.verbosity > 0 else items[:SHOWN_BULLETS]
        for number, item in enumerate(shown, 1):
            grid.add_row(label if number == 1 else "", Text(f"{number}. {item}" if len(shown) > 1 else item))
    grid.add_row("More", Text(f"lossdoc explain {finding.name}"))
    body = Group(Text(finding.evidence.summary), grid)
    return Group(head, Padding(body, (0, 0, 1, 2)))


def _examined(report: Report, screen: Screen) -> Iterable[RenderableType]:
    """Return what was looked at: counts, or on demand every rule with why it was not judged."""
    if not report.passed and not report.skipped:
        return
    names = names_of((*report.passed, *report.skipped))
    if screen.verbosity > 0:
        for code in report.passed:
            yield Padding(Text(f"passed   {names[code]} ({code})", style="dim"), (0, 0, 0, 2))
        for code, why in report.skipped.items():
            yield Padding(Text(f"skipped  {names[code]} ({code}): {why}", style="dim"), (0, 0, 0, 2))
        return
    if report.passed:
        found_nothing = ", ".join(names[code] for code in report.passed)
        yield Padding(Text(f"Looked for and not found: {found_nothing}.", style="dim"), (0, 0, 0, 2))
    if report.skipped:
        yield Padding(Text(f"Not judged: {len(report.skipped)} (-v tells why).", style="dim"), (0, 0, 0, 2))


def _trials(trials: Trials, screen: Screen) -> RenderableType:
    """Return the ranked table of a sweep, best first, diverged ones last; a narrow screen has no training columns."""
    paths = sorted({path for trial in trials.trials for path in trial.point.params})
    splits = ("train", "val") if screen.width >= WIDE else ("val",)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for title in ("rank", *(path.rpartition(".")[2] for path in paths), *(f"{split} loss" for split in splits)):
        table.add_column(title, justify="right", no_wrap=True)
    for split in splits:
        table.add_column(f"{split} acc", justify="right", no_wrap=True)
    table.add_column("pattern")
    for rank, trial in enumerate(trials.ranked[:SHOWN_TRIALS], 1):
        cells = [str(rank), *(_short(trial.point.params.get(path)) for path in paths)]
        cells += [_short(getattr(trial, f"{split}_loss")) for split in splits]
        cells += [_percent(getattr(trial, f"{split}_accuracy")) for split in splits]
        cells.append(trial.pattern or "" if trial.diverged_at is None else f"diverged at step {trial.diverged_at}")
        table.add_row(*cells, style="bold green" if rank == 1 else None)
    hidden = len(trials.ranked) - SHOWN_TRIALS
    return Group(table, Text(f"… and {hidden} more", style="dim")) if hidden > 0 else table


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else "–"
    return str(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else "–"


def _summary(reports: Sequence[Report], screen: Screen) -> Text:
    """Return the last line of a checkup: how every stage ended."""
    text = Text("Checkup: ", style="bold")
    for number, report in enumerate(reports):
        text.append("" if number == 0 else " · " if screen.unicode else " | ")
        text.append(f"{report.title} {report.primary}", style=_verdict_style(report))
    return text


TEXT = Format(render)
