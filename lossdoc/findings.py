"""The answer: what was found, how bad it is, the evidence, and what was looked at without finding anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Severity(StrEnum):
    """How much a finding matters; the order of the members is from the gravest to the lightest."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """Return 0 for an error, 1 for a warning, 2 for a note."""
        return list(Severity).index(self)

    def reaches(self, other: Severity) -> bool:
        """Tell whether this is at least as grave as `other`."""
        return self.rank <= other.rank


@dataclass(frozen=True)
class Evidence:
    """Why a rule fires.

    `facts` are the numbers behind the summary (NaN or inf where a number does not exist). `span` is (first, last) in the
    units of the curve's step axis, None where the finding has no place on a curve. `confidence` is a probability, 0 to 1.
    `severity`, `causes` and `remedies` are what this very case calls for; None and empty leave it to the rule's page.
    """

    summary: str
    facts: Mapping[str, float] = field(default_factory=dict)
    span: tuple[float, float] | None = None
    confidence: float = 0.9
    severity: Severity | None = None
    causes: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Passed:
    """What a rule measured and found to be as it should; the summary gives the numbers, so that "healthy" is earned."""

    summary: str
    facts: Mapping[str, float] = field(default_factory=dict)


Answer = Evidence | Passed | None


@dataclass(frozen=True)
class Proof:
    """What an experiment says of a cause: the same thing, with one change, was trained from the same seeds.

    `status` is "confirmed" where the change repaired the symptom beyond the noise between seeds, "ruled out" where it did
    not, "suspected" where it could not be tried; `why` says the latter in words. `change` is what was changed, `fix` the
    same as a unified diff of the model.yaml or as the line of code to change. `gain` is the mean difference of the scores
    before and after, `error` its standard error over `seeds` seeds, in units of `measure`; NaN where nothing was tried.
    `curves` are those before and after, for drawing.
    """

    status: Literal["confirmed", "ruled out", "suspected"]
    change: str = ""
    fix: str = ""
    measure: str = ""
    before: float = math.nan
    after: float = math.nan
    gain: float = math.nan
    error: float = math.nan
    seeds: int = 0
    why: str = ""
    curves: tuple[object, object] | None = None


@dataclass(frozen=True)
class Finding:
    """A rule that fired, with its evidence and with causes, tests and remedies in the order in which to try them.

    `proof` is what experiments said of it, None where none were made.
    """

    code: str
    name: str
    severity: Severity
    evidence: Evidence
    causes: tuple[str, ...]
    confirm: tuple[str, ...]
    remedies: tuple[str, ...]
    proof: Proof | None = None


@dataclass(frozen=True)
class Report:
    """What one examination found, what it passed and what it could not judge.

    `passed` holds the codes of the rules that looked and found nothing, `skipped` says for each other code why it did not
    judge, `measured` says for some of the passed codes what they measured. `matter` is what was examined, for drawing;
    `run` is the run's name in a file of several, "*" for their group. `decisive` is the least severity that makes a
    verdict: a warning on a curve, an error on a model. `inconclusive` tells
    why nothing can be said where that is so, and `notes` are remarks on the input (cells that are not numbers, ...).
    `advice` is what to do about all of it, beside what each finding says: sentences and unified diffs.
    `confidence` is the probability, 0 to 1, that a curve called healthy is; None where there is another verdict.
    """

    title: str
    source: str | None = None
    run: str | None = None
    findings: tuple[Finding, ...] = ()
    passed: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    matter: object | None = None
    decisive: Severity = Severity.ERROR
    inconclusive: str | None = None
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    measured: Mapping[str, Passed] = field(default_factory=dict)
    confidence: float | None = None

    @property
    def primary(self) -> str:
        """The verdict: the name of the strongest decisive finding, else "inconclusive" or "healthy"."""
        decisive = [finding for finding in self.findings if finding.severity.reaches(self.decisive)]
        if decisive:
            return decisive[0].name
        return "healthy" if self.inconclusive is None else "inconclusive"

    @property
    def undecided(self) -> str | None:
        """Why there is no verdict; None where there is one, also where too little is there for any other."""
        return self.inconclusive if self.primary == "inconclusive" else None


def worst_first(reports: Sequence[Report]) -> list[Report]:
    """Return the reports by severity, then by confidence; what is inconclusive comes before what is healthy."""

    def key(report: Report) -> tuple[int, float]:
        if report.primary == "healthy":
            return 4, 0.0
        if report.primary == "inconclusive":
            return 3, 0.0
        return report.findings[0].severity.rank, -report.findings[0].evidence.confidence

    return sorted(reports, key=key)
