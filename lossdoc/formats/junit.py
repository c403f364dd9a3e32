"""JUnit XML, which every CI server reads: a test suite a report, a test case a rule."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from lossdoc.findings import Report, Severity
from lossdoc.format import Document, Format, Screen, heading
from lossdoc.rule import names_of

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold, section 2.2


def render(document: Document, _screen: Screen) -> str:
    """Return one suite a report; errors are failures, skipped rules are skipped, warnings pass and are told as output."""
    root = ET.Element("testsuites", name=f"lossdoc {document.command}")
    for report in document.reports:
        root.append(_suite(report))
    for problem in document.errors:
        suite = ET.SubElement(root, "testsuite", name="input", tests="1", errors="1")
        case = ET.SubElement(suite, "testcase", name=problem.kind, classname="lossdoc.input")
        ET.SubElement(case, "error", message=problem.message).text = str(problem)
    ET.indent(root)
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", ET.tostring(root, encoding="unicode", xml_declaration=True)) + "\n"


def _suite(report: Report) -> ET.Element:
    failures = [finding for finding in report.findings if finding.severity is Severity.ERROR]
    total = len(report.findings) + len(report.passed) + len(report.skipped)
    suite = ET.Element(
        "testsuite", name=heading(report), tests=str(total), failures=str(len(failures)), skipped=str(len(report.skipped))
    )
    for finding in report.findings:
        case = ET.SubElement(suite, "testcase", name=finding.name, classname=f"lossdoc.{report.title}")
        if finding.severity is Severity.ERROR:
            ET.SubElement(case, "failure", message=finding.evidence.summary).text = "\n".join(finding.remedies)
        else:
            ET.SubElement(case, "system-out").text = f"{finding.severity.value}: {finding.evidence.summary}"
    names = names_of((*report.passed, *report.skipped))
    for code in report.passed:
        ET.SubElement(suite, "testcase", name=names[code], classname=f"lossdoc.{report.title}")
    for code, why in report.skipped.items():
        case = ET.SubElement(suite, "testcase", name=names[code], classname=f"lossdoc.{report.title}")
        ET.SubElement(case, "skipped", message=why)
    return suite


JUNIT = Format(render)
