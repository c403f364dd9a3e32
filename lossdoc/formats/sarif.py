"""SARIF 2.1.0 (OASIS, 2020), which code-scanning services read."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from lossdoc import __version__
from lossdoc.findings import Finding, Report, Severity
from lossdoc.format import Document, Format, Screen, heading

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render(document: Document, screen: Screen) -> str:
    """Return one run with a result a finding; faults of the input are notifications of a run that did not succeed."""
    found = [(report, finding) for report in document.reports for finding in report.findings]
    driver = {
        "name": "lossdoc",
        "version": __version__,
        "rules": [
            {"id": code, "name": name, "help": {"text": f"lossdoc explain {name}"}}
            for code, name in sorted({(finding.code, finding.name) for _, finding in found})
        ],
    }
    notifications = [{"level": "error", "message": {"text": str(problem)}} for problem in document.errors]
    invocation = {"executionSuccessful": not document.errors, "toolExecutionNotifications": notifications}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": [_result(*pair) for pair in found]}
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=not screen.unicode) + "\n"


def _result(report: Report, finding: Finding) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{heading(report)}: {finding.name}: {finding.evidence.summary}"},
    }
    if report.source is not None and report.source != "-":
        result["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": quote(report.source)}}}]
    return result


SARIF = Format(render)
