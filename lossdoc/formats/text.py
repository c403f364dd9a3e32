"""Text for people: verdicts, findings with what to do, the curve with the suspicious span marked, a sweep's table."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from lossdoc.chart import draw
from lossdoc.curve import Curve, Runs
from lossdoc.findings import Finding, Report, Severity, worst_first
from lossdoc.format import Document, Format, Screen, heading, trials_in
from lossdoc.rule import names_of

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
MARKS = {Severity.ERROR: ("✗", "x"), Severity.WARNING: ("!", "!"), Severity.NOTE: ("·", "-")}
SHOWN_BULLETS = 3
MANY = 4  # more reports on runs than this begin with a table of them
SHOWN_RUNS = 3  # those of the worst runs that follow it whole


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
    shown = list(document.reports)
    if document.command == "diagnose" and len(shown) > MANY and screen.verbosity >= 0:
        from lossdoc.formats._runs import overview  # a single log needs no table

        console.print(overview(shown, screen))
        worst = [report for report in worst_first(shown)[:SHOWN_RUNS] if report.primary != "healthy"]
        shown = worst_first(shown) if screen.verbosity > 0 else worst
    for report in shown:
        if screen.verbosity < 0 and not screen.color:
            out.write(f"{_verdict(report, screen).plain}\n")  # of thousands of logs: a tenth of the time
        elif screen.verbosity < 0:
            console.print(_verdict(report, screen), soft_wrap=True)
        else:
            console.print(_report(report, screen))
    if len(document.reports) > 1 and document.command == "checkup":
        console.print(_summary(document.reports, screen), soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _verdict(report: Report, screen: Screen) -> Text:
    """Return the one line that says what came out."""
    style = verdict_style(report)
    mark = ("✓", "ok") if style == "bold green" else ("?", "?") if style == "bold" else MARKS[report.findings[0].severity]
    return Text.assemble(
        (mark[0] if screen.unicode else mark[1], style), " ", (heading(report), "bold"), ": ", (report.primary, style)
    )


def verdict_style(report: Report) -> str:
    """Return the style in which a verdict is written."""
    if report.primary == "healthy":
        return "bold green"
    return "bold" if report.primary == "inconclusive" else STYLES[report.findings[0].severity]


def _report(report: Report, screen: Screen) -> RenderableType:
    parts: list[RenderableType] = [_verdict(report, screen)]
    parts += [Padding(Text(note, style="dim"), (0, 0, 0, 2)) for note in report.notes]
    if report.inconclusive is not None:
        parts.append(Padding(Text(report.inconclusive), (0, 0, 0, 2)))
    parts += _matter(report, screen)
    for number, finding in enumerate(report.findings):
        parts.append(_finding(finding, screen))
        if finding.proof is not None:
            from lossdoc.formats import _proofs  # only a checkup makes experiments

            parts += _proofs.shown(finding.proof, screen, whole=number == 0 or screen.verbosity > 0)
    parts += _measured(report, screen)
    parts += _examined(report, screen)
    return Group(*parts, Text(""))


def _measured(report: Report, screen: Screen) -> Iterable[RenderableType]:
    """Return what was measured and found right: that is what a healthy verdict rests on; of a sick one on demand."""
    if report.primary in ("healthy", "inconclusive") or screen.verbosity > 0:
        yield from (Padding(Text(one.summary), (0, 0, 0, 2)) for one in report.measured.values())
    elif report.measured:
        yield Padding(Text(f"{len(report.measured)} other measurements are as they should be.", style="dim"), (0, 0, 0, 2))


def _matter(report: Report, screen: Screen) -> Iterable[RenderableType]:
    """Return the picture of what was examined: a curve, or the table of a sweep."""
    if isinstance(report.matter, Curve) and len(report.matter.train.finite) > 1:
        span = report.findings[0].evidence.span if report.findings else None
        width = max(30, min(screen.width - 4, 100))
        lines = draw(report.matter, span, width=width, height=10, unicode=screen.unicode)
        yield Padding(Text("\n".join(lines), no_wrap=True), (1, 0, 1, 2))
    elif isinstance(report.matter, Runs):
        yield Padding(Text(f"{len(report.matter.curves)} runs of one network"), (0, 0, 0, 2))
    elif (trials := trials_in(report)) is not None:
        from lossdoc.formats import _trials  # a diagnosis starts a tenth faster without

        if any("schedule" in trial.point.params for trial in trials.trials):
            return  # a range test
        yield Padding(_trials.table(trials, screen), (1, 0, 1, 2))
        drawn = _trials.picture(trials, screen)
        if drawn is not None:
            yield Padding(drawn, (0, 0, 1, 2))


def _finding(finding: Finding, screen: Screen) -> RenderableType:
    mark = MARKS[finding.severity][0 if screen.unicode else 1]
    sure = finding.evidence.confidence
    details = f"  {finding.severity.value} {finding.code}" + (f", {100 * sure:.0f} % sure" if math.isfinite(sure) else "")
    head = Text.assemble((f"{mark} {finding.name}", STYLES[finding.severity]), (details, "dim"))
    if finding.severity is Severity.NOTE and screen.verbosity < 1:
        return Group(head, Padding(Text(finding.evidence.summary), (0, 0, 1, 2)))
    from rich.table import Table  # 15 ms, which a healthy run need not wait for

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


def _summary(reports: Sequence[Report], screen: Screen) -> Text:
    """Return the last line of a checkup: how every stage ended."""
    text = Text("Checkup: ", style="bold")
    for number, report in enumerate(reports):
        text.append("" if number == 0 else " · " if screen.unicode else " | ")
        text.append(f"{report.title} {report.primary}", style=verdict_style(report))
    return text


TEXT = Format(render)
