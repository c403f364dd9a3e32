"""Text for people: verdicts, findings with what to do, the curve with the suspicious span marked, a sweep's table."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from lossdoc.curve import Curve, Runs
from lossdoc.findings import Finding, Report, Severity, worst_first
from lossdoc.format import Document, Format, Screen, aimed, heading, is_diff, skipped, trials_in
from lossdoc.formats._curve import drawn
from lossdoc.formats._passed import passed
from lossdoc.letters import brief, ending

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
MARKS = {Severity.ERROR: ("✗", "x"), Severity.WARNING: ("!", "!"), Severity.NOTE: ("·", "-")}
SHOWN_BULLETS = 3
LEFT_OUT = {"Cause": "to suspect", "Confirm": "to confirm it by", "Try": "to try"}
LABELS = 11  # columns left of what is advised
MANY = 4  # more reports on runs than this begin with a table of them
NARROWEST = 16  # columns for the name of a run, however narrow the screen is
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
    shown = list(map(aimed, document.reports))
    if document.command == "diagnose" and len(shown) > MANY and screen.verbosity >= 0:
        from lossdoc.formats._runs import overview  # a single log needs no table

        console.print(overview(shown, screen))
        worst = [report for report in worst_first(shown)[:SHOWN_RUNS] if report.primary != "healthy"]
        shown = worst_first(shown) if screen.verbosity > 0 else worst
    if screen.verbosity < 0:
        for report in shown:
            if screen.color:
                console.print(_verdict(report, screen), soft_wrap=True)
            else:
                out.write(f"{_verdict(report, screen).plain}\n")  # of thousands of logs: a tenth of the time
    else:
        for each in _whole(shown, screen):
            console.print(each)
    if len(document.reports) > 1 and document.command == "checkup":
        console.print(_summary(document.reports, screen))
    text = "\n".join(line.rstrip() for line in out.getvalue().split("\n"))
    return re.sub("\n{3,}", "\n\n", text).rstrip("\n") + "\n" if text else ""


def _whole(reports: Sequence[Report], screen: Screen) -> Iterator[RenderableType]:
    """Yield each report; stages that were left out for one reason are told of together, and all advice is given once."""
    told: set[str] = set()
    for why, some in groupby(reports, skipped):
        if why is None:
            yield from (_report(report, screen, told) for report in some)
        else:
            stages = ", ".join(heading(report) for report in some)
            head = Text(f"{screen.said('–')} {stages}: skipped", style="dim")
            yield Group(head, Padding(Text(screen.said(why)), (0, 0, 1, 2)))


def _verdict(report: Report, screen: Screen) -> Text:
    """Return the one line that says what came out; only of the verdict alone may it be longer than the screen is wide."""
    style, verdict = verdict_style(report), "skipped" if skipped(report) is not None else report.primary
    marks = {"healthy": ("✓", "ok"), "inconclusive": ("?", "?"), "skipped": ("–", "-")}
    mark = marks[verdict] if verdict in marks else MARKS[report.findings[0].severity]
    name = screen.said(heading(report))
    if screen.verbosity >= 0:
        name = ending(name, max(NARROWEST, screen.width - len(verdict) - 5), screen.said("…"))
    line = Text.assemble((mark[0 if screen.unicode else 1], style), " ", (name, "bold"), ": ", (verdict, style))
    warned = [finding.name for finding in report.findings if finding.severity is Severity.WARNING]
    if screen.verbosity < 0 and verdict == "healthy" and warned:
        line.append(f" ({len(warned)} warning{'s' * (len(warned) > 1)}: {', '.join(warned)})")  # it is all that one sees
    return line


def verdict_style(report: Report) -> str:
    """Return the style in which a verdict is written."""
    if report.primary == "healthy":
        return "bold green"
    if skipped(report) is not None:
        return "dim"
    return "bold" if report.primary == "inconclusive" else STYLES[report.findings[0].severity]


def _report(report: Report, screen: Screen, told: set[str]) -> RenderableType:
    """Return a whole report; `told` are the causes, tests and remedies that stand on the screen already."""
    parts: list[RenderableType] = [_verdict(report, screen)]
    parts += [Padding(Text(screen.said(brief(note)), style="dim"), (0, 0, 0, 2)) for note in report.notes]
    if report.undecided is not None:
        parts.append(Padding(Text(screen.said(report.undecided)), (0, 0, 0, 2)))
    parts += _matter(report, screen)
    for number, finding in enumerate(report.findings):
        parts.append(_finding(finding, screen, told))
        if finding.proof is not None:
            from lossdoc.formats import _proofs  # only a checkup makes experiments

            parts += _proofs.shown(finding.proof, screen, whole=number == 0 or screen.verbosity > 0)
    parts += [Padding(_advised(each, screen), (0, 0, 0, 2)) for each in report.advice]
    return Group(*parts, *[Text("")] * bool(report.advice), *passed(report, screen), Text(""))


def _advised(advice: str, screen: Screen) -> Text:
    if not is_diff(advice):
        return Text(screen.said(advice))
    from lossdoc.formats._proofs import diff  # only what was swept has one

    return diff(advice, screen, screen.width - 2)


def _matter(report: Report, screen: Screen) -> Iterable[RenderableType]:
    """Return the picture of what was examined: a curve, or the table of a sweep."""
    if isinstance(report.matter, Curve) and len(report.matter.train.finite) > 1:
        span = report.findings[0].evidence.span if report.findings else None
        yield Padding(drawn(report.matter, screen, 10, span), (1, 0, 1, 2))
    elif isinstance(report.matter, Runs):
        yield Padding(Text(f"{len(report.matter.curves)} runs of one network"), (0, 0, 0, 2))
    elif (trials := trials_in(report)) is not None:
        from lossdoc.formats import _trials  # a diagnosis starts a tenth faster without

        if any("schedule" in trial.point.params for trial in trials.trials):
            return  # a range test
        yield Padding(_trials.table(trials, screen), (1, 0, 1, 2))
        picture = _trials.picture(trials, screen) if screen.drawing else None
        if picture is not None:
            yield Padding(picture, (0, 0, 1, 2))


def _finding(finding: Finding, screen: Screen, told: set[str]) -> RenderableType:
    mark = MARKS[finding.severity][0 if screen.unicode else 1]
    sure = finding.evidence.confidence
    details = f"  {finding.severity.value} {finding.code}" + (f", {100 * sure:.0f} % sure" if math.isfinite(sure) else "")
    head = Text.assemble((f"{mark} {finding.name}", STYLES[finding.severity]), (details, "dim"))
    if finding.severity is Severity.NOTE and screen.verbosity < 1:
        return Group(head, Padding(Text(screen.said(finding.evidence.summary)), (0, 0, 1, 2)))
    from rich.table import Table  # 15 ms, which a healthy run need not wait for

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=8, style="dim")
    grid.add_column(ratio=1)
    for label, items in _advice(finding, screen, told):
        if items:
            grid.add_row(label, Text(_listed([screen.said(item) for item in items], screen.width - LABELS)))
    summary = finding.evidence.summary
    again = finding.proof is not None and summary in told
    body = [] if again else [Text(screen.said(summary))]
    told |= {summary, finding.name, *finding.causes, *finding.confirm, *finding.remedies}
    below = Padding(Group(*body, *[grid] * bool(grid.row_count)), (0, 0, 0, 2))
    return Group(head, *[below] * (not again or bool(grid.row_count)), Text(""))


def _listed(items: Sequence[str], width: int) -> str:
    """Return the items one below another, numbered where there are several, so that the numbers stand out."""
    if len(items) == 1:
        return items[0]
    numbered = (f"{number}. {item}" for number, item in enumerate(items, 1))
    return "\n".join(textwrap.fill(item, width, subsequent_indent="   ", break_on_hyphens=False) for item in numbered)


def _advice(finding: Finding, screen: Screen, told: set[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield causes, tests and remedies: the first few that were not told yet, or on demand all of them."""
    known = told | {"" if finding.proof is None else finding.proof.change}
    left = []
    for label, items in (("Cause", finding.causes), ("Confirm", finding.confirm), ("Try", finding.remedies)):
        yield label, items if screen.verbosity > 0 else [item for item in items[:SHOWN_BULLETS] if item not in known]
        left += [f"{len(items) - SHOWN_BULLETS} more {LEFT_OUT[label]}"] if len(items) > SHOWN_BULLETS else []
    also = f": {', '.join(left)}" if left and screen.verbosity < 1 else ""
    yield "More", () if finding.name in told else (f"lossdoc explain {finding.name}{also}",)


def _summary(reports: Sequence[Report], screen: Screen) -> Text:
    """Return the last line of a checkup: how every stage ended."""
    text = Text("Checkup: ", style="bold")
    for why, alike in groupby(reports, skipped):
        some = list(alike)
        left_out = [(f"{', '.join(report.title for report in some)} skipped", "dim")]
        for each in left_out if why else [(f"{report.title} {report.primary}", verdict_style(report)) for report in some]:
            text.append("" if text.plain.endswith(": ") else " · " if screen.unicode else " | ").append(*each)
    return text


TEXT = Format(render)
