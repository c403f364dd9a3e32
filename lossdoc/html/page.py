"""The page: reports in, one self-contained HTML document out, byte for byte the same for the same reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossdoc import __version__
from lossdoc.errors import harmless
from lossdoc.findings import Report, worst_first
from lossdoc.format import Document, aimed, is_diff
from lossdoc.html.lines import COLUMNS
from lossdoc.html.views import Section, blocks, diff_lines, pages, section, tally
from lossdoc.letters import brief, clip

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = Path(__file__).parent
MANY = 6  # more reports than this begin with a table of all, and say what to try once for each rule
GRAVITY = ("error", "warning", "inconclusive", "note", "healthy", "skipped")
WHOLE = 500  # runs that have a section with a figure; the table names the others, and result.json holds all of them
ROOM = 700_000  # characters for lines, so that a page of 500 curves stays below 2 MB
PER_COLUMN = 13  # characters that a line takes for each column of pixels: two points
COARSEST = 40
MARKED = re.compile(
    r"(`[^`]+`|\blossdoc (?:sanity|overfit|sweep|checkup|diagnose) [\w./*-]+(?: --[a-z][a-z-]*(?:[ =][\w./*=-]+)?)*)"
)
SHORT = 24  # letters of code that stay on one line
LONGEST = 400  # letters of a name or a sentence that are shown; result.json holds all of it


def render(document: Document) -> str:
    """Return a command's answer as one HTML document.

    It needs neither network nor script, and forbids both; whatever came from a file is escaped.
    """
    reports = _ordered(document)
    shown = reports[:WHOLE]
    lines = sum(_lines(report) for report in shown)
    columns = max(COARSEST, min(COLUMNS, ROOM // PER_COLUMN // max(lines, 1)))
    sections = _once([section(report, place, columns) for place, report in enumerate(shown, 1)])
    rest = [section(report, place, COARSEST) for place, report in enumerate(reports[WHOLE:], WHOLE + 1)]
    many = len(reports) > MANY
    page = _environment().get_template("page.html.j2")
    return page.render(
        document=document,
        version=__version__,
        style=(FOLDER / "style.css").read_text(encoding="utf-8"),
        sections=sections,
        rest=rest,
        many=many,
        tally=tally([*sections, *rest]),
        head=_head(document, sections),
        pages=pages(reports),
        path=document.command == "checkup",
        coarse=columns if columns < COLUMNS else None,
    )


def _ordered(document: Document) -> Sequence[Report]:
    """Return the reports in the order in which they are read: stages as they were done, runs worst first, groups before."""
    if document.command != "diagnose":
        return [aimed(report) for report in document.reports]
    groups = [report for report in document.reports if report.run == "*"]
    alone = [report for report in document.reports if report.run != "*"]
    return [*groups, *(worst_first(alone) if len(document.reports) > MANY else alone)]


def _once(sections: Sequence[Section]) -> list[Section]:
    """Return the sections without what an earlier one says: why a stage was left out, and a finding that was then tried."""
    told: set[tuple[str, str]] = set()
    made: list[Section] = []
    for one in sections:
        names = [(found.finding.name, found.finding.evidence.summary) for found in one.found]
        again = [found.proof is not None and name in told for found, name in zip(one.found, names, strict=True)]
        found = tuple(replace(each, again=known) for each, known in zip(one.found, again, strict=True))
        alike = (
            bool(made)
            and one.state == made[-1].state == "skipped"
            and one.report.inconclusive == made[-1].report.inconclusive
        )
        made.append(replace(one, found=found, lead="" if alike else one.lead))
        told |= set(names)
    return made


def _lines(report: Report) -> int:
    """Return how many lines of full width a report draws: two for each figure, of which a finding with a span has one."""
    return 2 * max(1, sum(finding.evidence.span is not None for finding in report.findings))


@dataclass(frozen=True)
class Head:
    """What stands above all else: what was examined, the verdict, and why, in a sentence.

    `source` is the file; `confirmed` holds the changes that repaired it in experiments, each with where more is said of it.
    """

    subject: str
    source: str
    verdict: str
    state: str
    mark: str
    lead: str
    sure: str
    confirmed: tuple[tuple[str, str, str], ...] = ()


def _head(document: Document, sections: Sequence[Section]) -> Head | None:
    """Return the verdict of the whole; None where there are many runs, each with its own, or none."""
    if document.command == "checkup" and len(sections) > 1:
        return _of_stages(sections)
    one = _only(sections)
    if one is None:
        return None
    name = one.name if document.command == "diagnose" else Path(one.report.source or one.name).name
    source = one.report.source or ""
    return Head(
        name,
        "" if source == name else source,
        one.report.primary,
        one.state,
        one.mark,
        one.lead,
        one.sure,
        _confirmed(sections),
    )


def _of_stages(stages: Sequence[Section]) -> Head:
    """Return the verdict on a model: that of the first stage with the gravest finding."""
    worst = min(stages, key=lambda one: GRAVITY.index(one.state))
    done = sum(one.state != "skipped" for one in stages)
    source = worst.report.source or ""
    passed = (
        f"all {done} stages passed" if done == len(stages) else f"{done} of {len(stages)} stages passed, the rest skipped"
    )
    lead = passed if worst.state == "healthy" else f"{worst.report.title}: {worst.lead}"
    name = Path(source).name or "model"
    shown = "" if source == name else source
    return Head(name, shown, worst.report.primary, worst.state, worst.mark, lead, worst.sure, _confirmed(stages))


def _confirmed(sections: Sequence[Section]) -> tuple[tuple[str, str, str], ...]:
    """Return each change that experiments confirmed, what it gained, and the section that tells of it."""
    proofs = [(found.proof, one.anchor) for one in sections for found in one.found if found.proof is not None]
    told = [
        (proof.change, f"{proof.result}, {proof.gain}", anchor) for proof, anchor in proofs if proof.status == "confirmed"
    ]
    return tuple(dict.fromkeys(told))


def _only(sections: Sequence[Section]) -> Section | None:
    """Return the section that is the answer: the only one, or that on all the runs of one file."""
    groups = [one for one in sections if one.report.run == "*"]
    if len(groups) == 1 and all(one.report.source == groups[0].report.source for one in sections):
        return groups[0]
    return sections[0] if len(sections) == 1 else None


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(code=_code, clip=clip)
    made.globals.update(blocks=blocks, is_diff=is_diff, diff_lines=diff_lines)
    return made


def _safe(value: Any) -> Any:
    """Return what a template is about to write without control characters, and no longer than a reader bears."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return harmless(clip(value, LONGEST))


def _code(text: str) -> Markup:
    """Return a text in which commands, and what stands between backticks, are marked as code."""
    from markupsafe import Markup, escape

    made = []
    for place, part in enumerate(MARKED.split(harmless(clip(brief(text), 3 * LONGEST)))):
        kind = "short" if len(part) < SHORT else "long"
        made.append(Markup('<code class="{}">{}</code>').format(kind, part.strip("`")) if place % 2 else escape(part))
    return Markup("").join(made)
