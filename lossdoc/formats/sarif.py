"""SARIF 2.1.0 (OASIS, 2020), which code-scanning services read."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from lossdoc import __version__
from lossdoc.errors import Problem
from lossdoc.findings import Finding, Report, Severity
from lossdoc.format import Document, Format, Screen, heading

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render(document: Document, screen: Screen) -> str:
    """Return one run with a result a finding; faults of the input are results, too, and its run did not succeed."""
    found = [(report, finding) for report in document.reports for finding in report.findings]
    rules = [
        {"id": code, "name": name, "help": {"text": f"lossdoc explain {name}"}}
        for code, name in sorted({(finding.code, finding.name) for _, finding in found})
    ]
    faults = (*document.errors, *document.warnings)
    rules += [{"id": kind} for kind in sorted({problem.kind for problem in faults})]
    notifications = [{"level": "error", "message": {"text": problem.message}} for problem in document.errors]
    invocation = {"executionSuccessful": not document.errors, "toolExecutionNotifications": notifications}
    results = [*map(_fault, faults), *(_result(*pair) for pair in found)]
    driver = {"name": "lossdoc", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=not screen.unicode) + "\n"


def _result(report: Report, finding: Finding) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{heading(report)}: {finding.name}: {finding.evidence.summary}"},
    }
    return result | _located(report.source)


def _fault(problem: Problem) -> dict[str, Any]:
    place = {"startLine": problem.line, "startColumn": problem.column}
    region = {name: number for name, number in place.items() if number is not None}
    result = {"ruleId": problem.kind, "level": problem.level, "message": {"text": problem.message}}
    return result | _located(problem.file, region)


def _located(file: str | None, region: dict[str, int] | None = None) -> dict[str, Any]:
    """Return where something was found, nothing where that is no file."""
    if file is None or file == "-":
        return {}
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(file)}}
    return {"locations": [{"physicalLocation": place | ({"region": region} if region else {})}]}


SARIF = Format(render)
