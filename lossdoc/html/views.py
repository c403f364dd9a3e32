"""What a page says of reports, findings and proofs: everything that a template writes, in the order in which it stands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossdoc.curve import Curve, Outline, Runs
from lossdoc.findings import Finding, Proof, Report
from lossdoc.format import heading, skipped, trials_in
from lossdoc.html.lines import COLUMNS, number
from lossdoc.html.plots import REFERENCES, Asked, Gauge, Line, Plot, gauge, of_curve, of_lines
from lossdoc.html.trials import Table, table
from lossdoc.members import Members
from lossdoc.memorization import Memorization
from lossdoc.rule import FOLDERS, Rule, groups_in, names_of

STAGES = {
    "sanity": "Check the first loss, before any training",
    "overfit": "Learn a few batches by heart",
    "sweep": "Try learning rates, few epochs each",
    "training": "Train, and read the loss curve",
    "learning": "Train again, from several seeds",
    "causes": "Change one thing, train, compare",
    "diagnose": "Read the loss curve",
}
VERDICTS = {"error": "✗", "warning": "!", "note": "·", "healthy": "✓", "inconclusive": "?", "skipped": "–"}


@dataclass(frozen=True)
class Change:
    """A cause that was tried: what became of it, in words and numbers, the curves before and after, the fix by lines."""

    status: str
    change: str
    why: str
    result: str
    gain: str
    plot: Plot | None
    fix: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Found:
    """A finding as a page shows it; `anchor` is where the rule's page stands, empty without one.

    `again`: an earlier section tells of the same, and only what was tried is new.
    """

    finding: Finding
    sure: str
    facts: tuple[tuple[str, str], ...]
    plot: Plot | None
    gauge: Gauge | None
    proof: Change | None
    anchor: str
    again: bool = False


@dataclass(frozen=True)
class Section:
    """A report as a page shows it; `state` is the severity of its verdict, or healthy, inconclusive or skipped."""

    report: Report
    anchor: str
    name: str
    stage: str
    state: str
    lead: str
    found: tuple[Found, ...]
    plot: Plot | None
    trials: Table | None
    measured: tuple[tuple[str, str, Gauge | None], ...]
    groups: tuple[tuple[str, int, str], ...]
    passed: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    advice: tuple[str, ...]
    points: str
    last: str
    outlined: bool
    tabled: bool

    @property
    def mark(self) -> str:
        """The sign of the verdict."""
        return VERDICTS[self.state]

    @property
    def sure(self) -> str:
        """How sure the verdict is, empty where it is none."""
        return self.found[0].sure if self.found and self.state in {"error", "warning"} else ""


def section(report: Report, place: int, columns: int = COLUMNS) -> Section:
    """Return what a page says of a report; its figures are so many columns fine."""
    state, trials = _state(report), trials_in(report)
    lead, folder = _lead(report, state), "" if trials is None else trials.folder
    if trials is not None and any("schedule" in trial.point.params for trial in trials.trials):
        trials = None  # a range test: its points are no trials to choose from
    names = names_of((*report.passed, *report.skipped))
    plots = [_plot(report, finding, columns) for finding in report.findings]
    shown = next((plot for plot in plots if plot is not None), None) or _plot(report, None, columns)
    found = [_found(finding, None if plot is shown else plot) for finding, plot in zip(report.findings, plots, strict=True)]
    return Section(
        report=report,
        anchor=f"report-{place}",
        name=heading(report),
        stage=STAGES.get(report.title, ""),
        state=state,
        lead=lead,
        found=tuple(found),
        plot=shown,
        trials=None if trials is None else table(trials),
        measured=tuple((names[code], one.summary, gauge(one.facts)) for code, one in sorted(report.measured.items())),
        groups=tuple((name, *said) for name, said in groups_in(report).items()),
        passed=tuple(names[code] for code in report.passed if code not in report.measured),
        skipped=tuple((names[code], why) for code, why in sorted(report.skipped.items())),
        notes=tuple(note for note in report.notes if note != lead),
        advice=tuple(each for each in report.advice if each != lead and not (folder and folder in each)),
        points=number(report.matter.length) if isinstance(report.matter, Curve) else "",
        last=_last(report.matter),
        outlined=isinstance(report.matter, Outline),
        tabled=isinstance(report.matter, Curve | Runs | Memorization) or trials_in(report) is not None,
    )


def _last(matter: object) -> str:
    return number(float(matter.train.value[-1])) if isinstance(matter, Curve) and len(matter.train) else ""


def _state(report: Report) -> str:
    if skipped(report) is not None:
        return "skipped"
    if report.primary in {"healthy", "inconclusive"}:
        return report.primary
    return report.findings[0].severity.value


def _lead(report: Report, state: str) -> str:
    """Return the one sentence that says why the verdict is what it is."""
    if state in {"skipped", "inconclusive"}:
        return skipped(report) or report.inconclusive or ""
    if state != "healthy":
        return report.findings[0].evidence.summary
    advice = next((each for each in report.advice if each.startswith("recommended: ")), None)
    if advice is not None:
        return advice
    if not report.passed and not report.findings and report.notes:
        return report.notes[0]
    looked = f"{len(report.passed)} {'rule' if len(report.passed) == 1 else 'rules'} looked and found nothing"
    less = [finding.name for finding in report.findings]
    return looked + (f"; {', '.join(less)} {'is' if len(less) == 1 else 'are'} worth a look" if less else "")


def _found(finding: Finding, plot: Plot | None) -> Found:
    evidence = finding.evidence
    sure = f"{100 * evidence.confidence:.0f} % sure" if math.isfinite(evidence.confidence) else ""
    facts = tuple((name.replace("_", " "), _fact(value)) for name, value in evidence.facts.items())
    proof = None if finding.proof is None else _change(finding.proof)
    anchor = anchor_of(finding.code) if _folder(finding) is not None else ""
    return Found(finding, sure, facts, plot, gauge(evidence.facts), proof, anchor)


def _fact(value: Any) -> str:
    return number(float(value)) if isinstance(value, int | float | np.number) else str(value)


def _plot(report: Report, finding: Finding | None, columns: int) -> Plot | None:
    """Return the figure of a finding: what was examined, with the part that the finding is about."""
    span = None if finding is None else finding.evidence.span
    facts = {} if finding is None else finding.evidence.facts
    heights = {REFERENCES[name]: float(value) for name, value in facts.items() if name in REFERENCES}
    about = f"{heading(report)}: {report.primary if finding is None else finding.name}"
    matter = report.matter
    if isinstance(matter, Curve):
        if finding is not None and span is None and finding is not report.findings[0]:
            return None  # it would be the same picture again
        return of_curve(matter, Asked(span, heights, columns, told=f"loss curve of {about}"))
    if isinstance(matter, Runs) and (finding is None or finding is report.findings[0]):
        lines = [Line(curve.train, "run", "training, a line each run") for curve in matter.curves]
        lines += [Line(curve.val, "runval", "validation") for curve in matter.curves if curve.val is not None]
        axis = matter.curves[0].context.axis or "step" if matter.curves else "step"
        return of_lines(lines, Asked(span, heights, max(40, columns // 4), axis, f"loss curves of {about}"))
    if isinstance(matter, Memorization) and (finding is None or finding is report.findings[0]):
        lines = [
            Line(attempt.curve.train, ("train", "try1", "try2")[min(place, 2)],
                 f"at rate {number(attempt.lr)}: {attempt.ended} after {attempt.steps:,} steps")
            for place, attempt in enumerate(matter.attempts)
        ]  # fmt: skip
        best = {"best possible": matter.best_loss} if matter.best_loss > 0 else {}
        return of_lines(lines, Asked(None, best, columns, told=f"loss on {matter.samples} samples of {about}"))
    return None


def _change(proof: Proof) -> Change:
    curves = [one for one in proof.curves or () if isinstance(one, Curve)]
    names = (("before", "before"), ("after", "after the change"))
    lines = [Line(one.train, kind, f"{one.train.name} {note}") for one, (kind, note) in zip(curves, names, strict=False)]
    axis = curves[0].context.axis or "step" if curves else "step"
    plot = of_lines(lines, Asked(axis=axis, told=f"training loss before and after: {proof.change}"))
    tried = math.isfinite(proof.gain)
    result = f"{proof.measure}: {_short(proof.before)} → {_short(proof.after)}" if math.isfinite(proof.after) else ""
    gain = f"{'+' if proof.gain >= 0 else ''}{_short(proof.gain)}" if tried else ""
    gain += f" ± {_short(proof.error, 2)}" if tried and math.isfinite(proof.error) else ""
    gain += f" over {proof.seeds} {'seed' if proof.seeds == 1 else 'seeds'}" if tried and proof.seeds else ""
    return Change(proof.status, proof.change, proof.why, result, gain, plot, diff_lines(proof.fix))


def _short(value: float, digits: int = 3) -> str:
    return number(float(f"{value:.{digits}g}"))


def diff_lines(text: str) -> tuple[tuple[str, str], ...]:
    """Return the lines of a unified diff, each with its kind: add, remove, head or same."""
    kinds = {"+": "add", "-": "remove", "@": "head"}
    heads = ("+++ ", "--- ")
    lines = text.rstrip().split("\n") if text.strip() else []
    return tuple(("head" if line.startswith(heads) else kinds.get(line[:1], "same"), line) for line in lines)


def anchor_of(code: str) -> str:
    """Return where the page of a rule stands, as a fragment that holds letters and digits only."""
    return "rule-" + re.sub(r"[^a-z0-9]", "-", code.lower())


def pages(reports: Iterable[Report]) -> list[tuple[str, Rule[Any]]]:
    """Return the rules whose findings are told of, with where their pages stand, in the order of their codes."""
    told = {finding.code: finding for report in reports for finding in report.findings}
    found = {code: folder.get(finding.name) for code, finding in told.items() if (folder := _folder(finding)) is not None}
    return [(anchor_of(code), found[code]) for code in sorted(found)]


def _folder(finding: Finding) -> Members[Rule[Any]] | None:
    """Return where the rule of a finding lives, None where there is no such rule (any more)."""
    folders = (folder for prefix, folder in FOLDERS.items() if finding.code.startswith(prefix))
    return next((folder for folder in folders if finding.name in folder.names()), None)


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """Return a section of a page as paragraphs and lists: each its kind, with its texts."""
    made: list[tuple[str, list[str]]] = []
    for part in text.replace("\n- ", "\n\n- ").split("\n\n"):
        words = " ".join(part.split())
        if not words.startswith("- "):
            made.append(("p", [words]))
        elif made and made[-1][0] == "ul":
            made[-1][1].append(words[2:])
        else:
            made.append(("ul", [words[2:]]))
    return made


def tally(sections: Sequence[Section]) -> Mapping[str, tuple[int, str]]:
    """Return how many runs have each verdict, most first, with its state."""
    counts: dict[str, tuple[int, str]] = {}
    for one in sections:
        if one.report.run != "*":
            many, state = counts.get(one.report.primary, (0, one.state))
            counts[one.report.primary] = many + 1, state
    return dict(sorted(counts.items(), key=lambda item: (-item[1][0], item[0])))
