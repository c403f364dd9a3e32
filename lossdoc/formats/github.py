"""Workflow commands that GitHub Actions shows as annotations."""

from __future__ import annotations

from lossdoc.errors import Problem
from lossdoc.findings import Severity
from lossdoc.format import Document, Format, Screen, heading

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(document: Document, _screen: Screen) -> str:
    """Return one annotation a finding and a fault, and a plain line for each report with nothing found."""
    lines = [_fault(each) for each in (*document.errors, *document.warnings)]
    for report in document.reports:
        for finding in report.findings:
            message = f"{heading(report)}: {finding.evidence.summary} (lossdoc explain {finding.name})"
            lines.append(_annotation(LEVELS[finding.severity], message, report.source, finding.name))
        if not report.findings:
            lines.append(f"lossdoc {heading(report)}: {report.primary}")
    return "".join(line + "\n" for line in lines)


def _fault(problem: Problem) -> str:
    return _annotation(problem.level, problem.message, problem.file, problem.kind, problem.line, problem.column)


def _annotation(  # noqa: PLR0917 - in the order of the workflow command
    level: str, message: str, file: str | None, title: str, line: int | None = None, column: int | None = None
) -> str:
    parts = {"file": file, "line": line, "col": column, "title": f"lossdoc {title}"}
    known = ",".join(f"{name}={_escaped(str(value), in_property=True)}" for name, value in parts.items() if value)
    return f"::{level} {known}::{_escaped(message)}"


def _escaped(text: str, *, in_property: bool = False) -> str:
    """Escape what the workflow syntax gives a meaning (GitHub's documentation, "Workflow commands")."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text


GITHUB = Format(render)
