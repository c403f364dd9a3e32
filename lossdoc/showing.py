"""A report that shows itself: as text where it is printed, as a table with the curve in a notebook."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from lossdoc import findings
from lossdoc.curve import Curve
from lossdoc.errors import harmless
from lossdoc.findings import Finding
from lossdoc.format import Document, Screen, finite, formats, heading, is_diff, trials_in
from lossdoc.memorization import Memorization

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

WIDEST = 100  # columns: longer lines are hard to read
NARROWEST = 40
COLORS = {"healthy": "#2e8540", "inconclusive": "#6b6b6b", "error": "#c92a2a", "warning": "#b35900", "note": "#1971c2"}
CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top"
MORE = ".skipped"  # of the report
OPTION = re.compile(r"--(train|val|step|run|classes|loss|lr|batch-size|steps-per-epoch|n-val|select|ignore)\b(?: COLUMN)?")
BEST = 5  # trials of a sweep that a table shows


def as_arguments(text: str) -> str:
    """Return a text with the options of the command line as the arguments that Python has in their place: `train=`."""
    return OPTION.sub(lambda found: f"{found[1].replace('-', '_')}=", text)


@dataclass(frozen=True, repr=False)
class Report(findings.Report):
    """The answer of one examination: `primary` is the verdict, `findings` say why, and `print` shows all of it.

    `runs` holds the reports on the single runs where this one is on several of them together.
    """

    runs: tuple[findings.Report, ...] = ()

    @classmethod
    def of(cls, report: findings.Report, runs: Sequence[findings.Report] = ()) -> Report:
        """Return a report as one that shows itself."""
        given = {each.name: getattr(report, each.name) for each in fields(findings.Report)}
        why = None if report.inconclusive is None else as_arguments(report.inconclusive)
        given |= {"notes": tuple(map(as_arguments, report.notes)), "inconclusive": why}
        return cls(**given, runs=tuple(runs))

    def __repr__(self) -> str:
        many = len(self.findings)
        return f"<Report {heading(self)}: {self.primary}, {many} finding{'' if many == 1 else 's'}>"

    def __str__(self) -> str:
        width = min(max(shutil.get_terminal_size((80, 24)).columns, NARROWEST), WIDEST)
        return harmless(self._text(Screen(width, more=MORE)))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the text with its colors, for rich's print."""
        from rich.text import Text

        screen = Screen(max(options.max_width, NARROWEST), color=True, unicode=not options.ascii_only, more=MORE)
        yield Text.from_ansi(harmless(self._text(screen), colors=True))

    def _text(self, screen: Screen) -> str:
        whole = Document("diagnose" if self.runs else "examine", (*self.runs, self))
        return formats.get("text").render(whole, screen).rstrip()

    def _repr_html_(self) -> str:
        """Return verdict, curve and a row for each finding, for notebooks; whatever came from a file is escaped."""
        color = self._color(self.findings[0]) if self.primary not in COLORS else COLORS[self.primary]
        notes = [*([] if self.undecided is None else [self.undecided]), *self.notes]
        parts = [
            f'<p><b>{escape(harmless(heading(self)))}: <span style="color:{color}">{escape(self.primary)}</span></b></p>',
            *(_tagged("p", note) for note in notes),
            self._picture(),
            _table(("finding", "sure", "measured", "try"), [self._row(each) for each in self.findings]),
            _table(*_best(self)),
            *(_tagged("pre" if is_diff(each) else "p", each) for each in self.advice),
        ]
        looked = f"{len(self.passed)} more looked for and not found, {len(self.skipped)} not judged"
        return "".join(["<div>", *parts, f"<p><small>{looked}</small></p></div>"])

    def _picture(self) -> str:
        """Return the curve, drawn; nothing where the report is on none."""
        curve = self.matter.curve if isinstance(self.matter, Memorization) else self.matter
        if not isinstance(curve, Curve):
            return ""
        from lossdoc.html.inline import picture  # what is printed as text has no use for it

        span = self.findings[0].evidence.span if self.findings else None
        return picture(curve, span, harmless(f"the loss of {heading(self)}: {self.primary}"))

    @staticmethod
    def _color(finding: Finding) -> str:
        return COLORS[finding.severity.value]

    def _row(self, finding: Finding) -> tuple[str, ...]:
        sure = finite(finding.evidence.confidence)
        name = f'<b style="color:{self._color(finding)}">{escape(finding.name)}</b> {finding.severity.value}'
        measured, remedy = (escape(harmless(text)) for text in (finding.evidence.summary, "".join(finding.remedies[:1])))
        return name, "" if sure is None else f"{100 * sure:.0f}&nbsp;%", measured, remedy


def _best(report: findings.Report) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Return the head and the rows of a table of a sweep's best trials; no rows where it was none."""
    trials = trials_in(report)
    ranked = [] if trials is None else trials.ranked[:BEST]
    names = list(ranked[0].point.params) if ranked else []
    rows = [(*(_told(trial.point.params.get(name)) for name in names), f"{trial.loss:.4g}") for trial in ranked]
    return [*map(escape, names), "loss"], rows


def _told(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value))


def _tagged(tag: str, text: str) -> str:
    return f"<{tag}>{escape(harmless(text))}</{tag}>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already; nothing without rows."""
    if not rows:
        return ""
    titles = "".join(f'<th style="{CELL}">{title}</th>' for title in head)
    body = "".join("<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
