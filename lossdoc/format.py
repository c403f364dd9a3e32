"""A format: a way of writing down reports; and the choice of one by name."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lossdoc import __version__
from lossdoc.curve import Curve, Runs
from lossdoc.errors import Problem
from lossdoc.findings import Finding, Proof, Report
from lossdoc.letters import in_ascii
from lossdoc.members import Members

if TYPE_CHECKING:
    from lossdoc.subject import Trial, Trials

SCHEMA = "lossdoc.report/1"
COMMAND = re.compile(r"\b(lossdoc [a-z]+) model\.yaml")
SKIPPED = "skipped: "  # begins what a stage that was left out says


@dataclass(frozen=True)
class Document:
    """All that a command has to say: its reports, the faults that kept it from making any, and warnings, which do not."""

    command: str
    reports: tuple[Report, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Screen:
    """Where a text is to be read: its width in columns, whether it shows colors and more than ASCII, how much is wanted.

    `verbosity` is -1 for the verdict only, 0 for what is usual, 1 for all that was looked at; `more` is where there is more
    of it to read. `drawing` is whether curves and maps are drawn in letters, or told in words for who has them read aloud.
    """

    width: int = 80
    color: bool = False
    unicode: bool = True
    verbosity: int = 0
    more: str = "-v"
    drawing: bool = True

    def said(self, text: str) -> str:
        """Return a text in the letters that the screen shows; to be laid out afterwards, as it may be longer then."""
        return text if self.unicode else in_ascii(text)


@dataclass(frozen=True)
class Format:
    """A way of writing a document down as text; `render` gets the screen too, which only formats for people heed."""

    render: Callable[[Document, Screen], str]


formats: Members[Format] = Members("lossdoc.formats", Format)


def heading(report: Report) -> str:
    """Return what a report is about: its title, with the run in a file of several."""
    run, title = report.run, report.title
    if run is not None:
        together = f"all runs {'' if run == '*' else run + ' '}together"
        title += f", {together if run.endswith('*') else f'run {run}'}"
    return title.replace("\n", "\\n")  # a verdict has one line, whatever a file is called


def aimed(report: Report) -> Report:
    """Return the report with the file that was examined, not model.yaml, in the commands that would confirm its findings."""
    if report.source is None or not report.source.endswith((".yaml", ".yml")):
        return report
    file = shlex.quote(report.source)
    found = (
        replace(one, confirm=tuple(COMMAND.sub(lambda found: f"{found[1]} {file}", each) for each in one.confirm))
        for one in report.findings
    )
    return replace(report, findings=tuple(found))


def skipped(report: Report) -> str | None:
    """Return why a stage was left out, None where it was not."""
    why = report.inconclusive or ""
    return why.removeprefix(SKIPPED) if why.startswith(SKIPPED) else None


def is_diff(text: str) -> bool:
    """Tell whether a text is a unified diff."""
    return re.match(r"--- .*\n\+\+\+ ", text) is not None


def trials_in(report: Report) -> Trials | None:
    """Return the sweep that a report is on, None where it is on something else."""
    if report.matter is None or isinstance(report.matter, Curve | Runs):
        return None
    from lossdoc.subject import Trials  # a diagnosis has no use for it

    return report.matter if isinstance(report.matter, Trials) else None


def plain(document: Document) -> dict[str, Any]:
    """Return a document as the contract's plain data: what JSON can hold, with None for NaN and infinity."""
    made = {
        "schema": SCHEMA,
        "lossdoc": __version__,
        "command": document.command,
        "reports": [plain_report(report) for report in document.reports],
    }
    if document.errors:
        made["errors"] = [plain_problem(problem) for problem in document.errors]
    if document.warnings:
        made["warnings"] = [plain_problem(problem) for problem in document.warnings]
    return made


def plain_problem(problem: Problem) -> dict[str, Any]:
    """Return a fault as plain data; None where it has no file, line or column."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "kind": problem.kind,
        "message": problem.message,
    }


def plain_report(report: Report) -> dict[str, Any]:
    """Return a report as plain data, with what its matter adds: a curve's length and series, a sweep's trials."""
    made: dict[str, Any] = {"title": report.title, "source": report.source, "run": report.run}
    made |= _plain_curve(report.matter) if isinstance(report.matter, Curve) else {"diverged": False}
    made |= {
        "primary": report.primary,
        "findings": [plain_finding(finding) for finding in report.findings],
        "passed": list(report.passed),
        "skipped": dict(report.skipped),
        "measured": {code: {"summary": one.summary, "facts": numbers(one.facts)} for code, one in report.measured.items()},
        "notes": [*report.notes, *report.advice],
    }
    if report.confidence is not None:
        made["confidence"] = report.confidence
    if report.inconclusive is not None:
        made["inconclusive"] = report.inconclusive
    trials = trials_in(report)
    if trials is not None:
        made |= _plain_trials(trials)
    return made


def plain_finding(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain data."""
    evidence = finding.evidence
    made = {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "confidence": finite(evidence.confidence),
        "summary": evidence.summary,
        "facts": numbers(evidence.facts),
        "span": None if evidence.span is None else [finite(end) for end in evidence.span],
        "causes": list(finding.causes),
        "confirm": list(finding.confirm),
        "remedies": list(finding.remedies),
        "see": f"lossdoc explain {finding.name}",
    }
    if finding.proof is not None:
        made["proof"] = plain_proof(finding.proof)
    return made


def plain_proof(proof: Proof) -> dict[str, Any]:
    """Return what experiments said as plain data; the numbers are None where none were made."""
    made = {name: getattr(proof, name) for name in ("status", "change", "fix", "measure", "why", "seeds")}
    return made | {name: finite(getattr(proof, name)) for name in ("before", "after", "gain", "error")}


def verdict_of(proof: Proof) -> str:
    """Return in words what experiments said: the status, what was changed, and by how much the score rose."""
    if not math.isfinite(proof.gain):
        return f"{proof.status}{f': {proof.why}' if proof.why else ''}"
    scores = f"{proof.measure} {proof.before:.3f} → {proof.after:.3f}"
    told = f"{proof.status}: {proof.change}: {scores}, gain {proof.gain:+.3f} ± {proof.error:.2g} ({proof.seeds} seeds)"
    return f"{told}; {proof.why}" if proof.why else told


def numbers(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return named values as plain numbers, texts and None."""
    return {name: finite(value) for name, value in facts.items()}


def finite(value: Any) -> Any:
    """Return a number as it is, but None for NaN and infinity; what is no number comes back as text, bool or None."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def _plain_curve(curve: Curve) -> dict[str, Any]:
    return {
        "length": curve.length,
        "axis": curve.context.axis,
        "diverged": curve.diverged,
        "series": {"train": curve.train.name, "validation": None if curve.val is None else curve.val.name},
    }


def _plain_trials(trials: Trials) -> dict[str, Any]:
    from lossdoc.ranking import recommended  # a diagnosis has no use for it

    rows = list(map(_plain_trial, trials.trials))
    best = None if trials.suggested else trials.best
    return {
        "diverged": any(row["diverged"] for row in rows),
        "trials": rows,
        "best": None if best is None else {"params": numbers(best.point.params), "at_edge": list(trials.at_edge)},
        "recommended": numbers(recommended(trials)),
        "confirmed": list(map(_plain_trial, trials.confirmed)),
    }


def _plain_trial(trial: Trial) -> dict[str, Any]:
    return {
        "params": numbers(trial.point.params),
        "seed": trial.point.seed,
        "loss": finite(trial.loss),
        "metric": finite(trial.metric),
        "pattern": trial.pattern,
        "diverged": trial.diverged_at is not None,
        "diverged_at": trial.diverged_at,
        "stopped_at": trial.stopped_at,
    }
