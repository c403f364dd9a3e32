"""Markdown, for pull requests and notebooks."""

from __future__ import annotations

import textwrap

from lossdoc.errors import Problem
from lossdoc.findings import Finding, Report
from lossdoc.format import Document, Format, Screen, heading, is_diff, verdict_of


def render(document: Document, _screen: Screen) -> str:
    """Return a heading a report, a section a finding, and a table of a sweep's trials."""
    parts = [f"# lossdoc {document.command}"]
    parts += [_fault(problem) for problem in (*document.errors, *document.warnings)]
    for report in document.reports:
        parts += _report(report)
    return "\n\n".join(parts) + "\n"


def _fault(problem: Problem) -> str:
    """Return an item of a list; the faulty line stands below it, in letters of one width, so that the caret points at it."""
    told, *source = str(problem).split("\n")
    below = textwrap.indent("\n".join(["```", textwrap.dedent("\n".join(source)), "```"]), "  ") if source else ""
    return f"- **{problem.level}** {told}" + (f"\n{below}" if below else "")


def _report(report: Report) -> list[str]:
    parts = [f"## {heading(report)}: {report.primary}", *report.notes]
    if report.undecided is not None:
        parts.append(f"Inconclusive: {report.undecided}.")
    for finding in report.findings:
        parts += _finding(finding)
    parts += [_fenced(each) if is_diff(each) else each for each in report.advice]
    parts.append(f"{len(report.passed)} rules passed, {len(report.skipped)} not judged.")
    return parts


def _finding(finding: Finding) -> list[str]:
    parts = [f"### {finding.severity.value}: {finding.name} ({finding.code})", finding.evidence.summary]
    if finding.proof is not None:
        parts.append(f"Experiments: {verdict_of(finding.proof)}.")
        if finding.proof.fix:
            parts.append(_fenced(finding.proof.fix))
    if finding.causes:
        parts.append("Likely causes:\n" + "\n".join(f"{n}. {cause}" for n, cause in enumerate(finding.causes, 1)))
    if finding.remedies:
        parts.append("Try:\n" + "\n".join(f"{n}. {remedy}" for n, remedy in enumerate(finding.remedies, 1)))
    return parts


def _fenced(text: str) -> str:
    return f"```{'diff' if is_diff(text) else ''}\n{text}\n```"


MARKDOWN = Format(render)
