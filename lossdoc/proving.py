"""From findings to proven causes: every cause that a finding suggests is tried by the change that would cure it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lossdoc import applying
from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.experiments import FEWEST, Experiment, Experiments
from lossdoc.findings import Evidence, Finding, Proof, Report, Severity
from lossdoc.hypotheses import SURE, certain, from_model, is_symptom, passes
from lossdoc.ranking import CLEARLY
from lossdoc.remedy import Change, Patient
from lossdoc.rule import checks, patterns
from lossdoc.trying import Say, Search, Tried

SUREST = 0.99  # of a cause that a few seeds prove


@dataclass(frozen=True)
class Repair:
    """What was confirmed, all together: values by their path in the file, and the experiments before and after."""

    values: Mapping[str, Any]
    before: Experiment
    after: Experiment


class CutShort(KeyboardInterrupt):
    """Ctrl-C in the middle of the experiments; `report` is what those that were made have proved."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def prove(patient: Patient, findings: Sequence[Finding], experiments: Experiments, say: Say = lambda _text: None) -> Report:
    """Try the change that would cure each finding, and report the findings with what the experiments say of them.

    Confirmed causes come first, the one that gains most at the top; what was ruled out comes last, as a note. A symptom that
    a confirmed cause explains is not reported again.

    Raises:
        CutShort: when it is interrupted.
    """
    found = _distinct(findings)
    source = patient.subject.source
    if not found:
        return Report("causes", source, notes=("nothing was found that would have a cause: nothing to prove",))
    search = Search(patient, found, experiments, say)
    try:
        search.run()
    except (NotApplicable, UserError, UserCodeError) as bad:
        search.why = str(bad.args[0]) if isinstance(bad, NotApplicable) else f"it cannot be trained as it is: {bad}"
    if search.interrupted:
        raise CutShort(_report(search, source))
    return _report(search, source)


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings above a note, one of each name: the gravest, then the surest."""
    best: dict[str, Finding] = {}
    for one in sorted(findings, key=lambda one: (one.severity.rank, -one.evidence.confidence)):
        if one.severity is not Severity.NOTE:
            best.setdefault(one.name, one)
    return list(best.values())


def _report(search: Search, source: str | None) -> Report:
    """Put what was found and what was tried together."""
    confirmed = _merged(_confirmed(search, one) for one in search.kept)
    settled = {one.name for one in confirmed}
    explained = {one.name for done in search.kept for one in done.hypothesis.findings}
    others, skipped = [], {}
    for finding in search.found:
        if finding.name in settled:
            continue
        graver = any(one.severity.rank > finding.severity.rank for one in confirmed[:1])  # a warning explains no error
        if confirmed and not graver and not certain(finding) and (is_symptom(finding) or finding.name in explained):
            skipped[finding.code] = f"explained by {confirmed[0].name}"
            continue
        if confirmed and certain(finding) and _gone(search, finding):
            skipped[finding.code] = f"gone with {confirmed[0].name}"
            continue
        if finding.severity is not Severity.ERROR and not any(finding in one.hypothesis.findings for one in search.tried):
            skipped[finding.code] = search.why or "no change is known that could be tried against it"
            continue
        others.append(_unconfirmed(search, finding))
    rank = {"suspected": 0, "ruled out": 1}
    others.sort(key=lambda one: (rank[one.proof.status] if one.proof else 0, one.severity.rank))
    last = search.kept[-1].after if search.kept else None
    repair = None if last is None else Repair(search.now.values, search.experiments.baseline, last)
    found = [*confirmed, *others]
    if any(certain(one) for one in others):  # while such a fault is there, what else repairs may repair its effect
        found.sort(key=lambda one: not certain(one))
    return Report("causes", source, findings=tuple(found), skipped=skipped, matter=repair, notes=tuple(_notes(search)))


def _gone(search: Search, finding: Finding) -> bool:
    """Tell whether a check no longer finds what it was certain of; in a step that was replaced all would be gone."""
    same = search.now.subject.recipe.step is search.patient.subject.recipe.step
    return same and passes(finding, search.now)


def _merged(confirmed: Iterable[Finding]) -> list[Finding]:
    """Return the causes, the one that gains most first; one that took several changes counts once, from first to last."""
    by_name: dict[str, Finding] = {}
    for one in confirmed:
        known = by_name.get(one.name)
        by_name[one.name] = one if known is None else _joined(known, one)
    return sorted(by_name.values(), key=lambda one: one.proof is None or -one.proof.gain)


def _joined(first: Finding, second: Finding) -> Finding:
    """Return a cause that two changes cured, one on top of the other."""
    early, late = first.proof, second.proof
    assert early is not None and late is not None  # noqa: S101, PT018 - both are confirmed
    proof = replace(
        late,
        change=f"{early.change}; {late.change}",
        before=early.before,
        gain=late.after - early.before,
        error=math.hypot(early.error, late.error),
        curves=None if early.curves is None or late.curves is None else (early.curves[0], late.curves[1]),
    )
    return replace(first, proof=proof)


def _notes(search: Search) -> Iterator[str]:
    """Say how many changes were tried, and what ended the search early."""
    made = [one for one in search.tried if one.after is not None]
    if made and made[0].after is not None:
        steps, seeds = made[0].after.steps, len(made[0].after.scores)
        many = "1 change" if len(made) == 1 else f"{len(made)} changes"
        few = f": fewer than {FEWEST} prove little, and a larger --budget has room for more" if _hasty(search, steps) else ""
        yield f"{many} tried, each trained for {steps} steps from {seeds} seeds{few}"
    elif not search.why:
        yield "no change is known that could be tried against this"
    if search.why:
        yield search.why


def _hasty(search: Search, steps: int) -> bool:
    """Tell whether trainings were so short, for want of time, that a sound network may not have learned anything."""
    return steps < FEWEST and search.short


def _confirmed(search: Search, done: Tried) -> Finding:
    """Return the cause that a repair proves: the finding itself where it was found, else the one that the change names."""
    finding = done.hypothesis.cause or _named(done, done.hypothesis.findings[0])
    proof = _proof(search, done, "confirmed")
    # in short trainings a sound model gains by haste as well: then the whole training must have shown the symptom
    grave = (
        from_model(finding)
        or not search.short
        or _explains(search, done)
        or any(one.severity is Severity.ERROR or is_symptom(one) for one in done.hypothesis.findings)
    )
    severity = Severity.ERROR if done.proved and grave and _matters(search, done, finding) else finding.severity
    evidence = replace(finding.evidence, confidence=max(finding.evidence.confidence, min(1.0 - done.gain.p, SUREST)))
    tried = (proof.change, *finding.remedies)
    return replace(finding, severity=severity, evidence=evidence, remedies=tried, proof=proof)


def _matters(search: Search, done: Tried, finding: Finding) -> bool:
    """Tell whether a repair gains so much that the lack of it was a fault: that a model could be better still is none.

    It does where a check on the model was sure of this cause before any training, where any check had found an error, or
    where as it was the model had learned less than half of what it learns then.
    """
    chance = search.experiments.chance
    if finding in done.hypothesis.findings and from_model(finding) and finding.evidence.confidence >= SURE:
        return True  # a check and an experiment, which know nothing of each other, say the same
    clear = max(0.0, done.was - chance) < CLEARLY * (done.became - chance)
    erred = any(one.severity is Severity.ERROR for one in (finding, *done.hypothesis.findings))
    return clear or erred or _explains(search, done)


def _explains(search: Search, done: Tried) -> bool:
    """Tell whether an error was found and a repair wins more than half of what was missing: it then comes from that."""
    return done.gain.mean > (1.0 - done.was) / 2 and any(one.severity is Severity.ERROR for one in search.found)


def _named(done: Tried, symptom: Finding) -> Finding:
    """Return the finding of the cause that a change names; the symptom itself where no rule has such a name."""
    change = done.hypothesis.change
    for name in change.causes:
        folder = checks if name in checks.names() else patterns if name in patterns.names() else None
        if folder is not None:
            summary = f"what repairs it ({symptom.name}): {change.summary}"
            return folder.get(name).finding(Evidence(summary, _facts(done), confidence=min(1.0 - done.gain.p, SUREST)))
    return symptom


def _facts(done: Tried) -> dict[str, float]:
    return {"measured": done.was, "expected": done.became, "tolerance": done.gain.error}


def _unconfirmed(search: Search, finding: Finding) -> Finding:
    """Return a finding with the best of what was tried against it; as a note where all of that did nothing."""
    mine = [one for one in search.tried if finding in one.hypothesis.findings]
    made = [one for one in mine if one.after is not None]
    harmless = made and (search.kept or search.good)  # else all may have failed for want of another repair
    if harmless and not is_symptom(finding) and not certain(finding):
        best = max(made, key=lambda one: one.gain.mean)
        return replace(finding, severity=Severity.NOTE, proof=_proof(search, best, "ruled out"))
    if made:
        best = max(made, key=lambda one: one.gain.mean)
        if certain(finding):
            why = "the check is certain of it, but the score does not rise in so short a training"
            return replace(finding, proof=replace(_proof(search, best, "suspected"), why=why))
        error = max(best.gain.error, 1e-3)
        why = f"no change repaired it; the best of {len(made)} gained {best.gain.mean:+.3f} ± {error:.2g}"
        return replace(finding, proof=Proof("suspected", why=why))
    return replace(finding, proof=replace(_suggested(search, mine), why=_why(search, mine)))


def _why(search: Search, mine: Sequence[Tried]) -> str:
    """Say why nothing was tried against a finding."""
    if mine:
        return mine[0].why
    return search.why or "no change is known that could be tried against it"


def _suggested(search: Search, mine: Sequence[Tried]) -> Proof:
    """Return the change that might cure, where none was tried or none did."""
    untried = [one for one in mine if one.after is None]
    if not untried:
        return Proof("suspected")
    change = untried[0].hypothesis.change
    return Proof("suspected", change.summary, _fix(search.patient, None, change, "not tried"))


def _proof(search: Search, done: Tried, status: Literal["confirmed", "ruled out", "suspected"]) -> Proof:
    assert done.before is not None and done.after is not None  # noqa: S101, PT018 - only what was made proves anything
    change = done.hypothesis.change
    return Proof(
        status,
        change.summary,
        _fix(search.patient, done.patient, change),
        done.after.measure,
        done.was,
        done.became,
        done.gain.mean,
        done.gain.error,
        done.gain.seeds,
        curves=_comparable(done.before, done.after),
    )


def _comparable(before: Experiment, after: Experiment) -> tuple[Curve, Curve]:
    """Return the training losses of two experiments in one unit: shares of the first, where the losses differ."""
    losses = [one.subject.loss for one in (before, after)]
    firsts = [float(one.curve.train.value[0]) for one in (before, after)]
    same = len({(loss.word, loss.reduction, loss.takes) for loss in losses}) == 1
    if same or not all(math.isfinite(first) and first > 0 for first in firsts):
        return _loss(before, 1.0, "loss"), _loss(after, 1.0, "loss")
    return _loss(before, firsts[0], "share of the first loss"), _loss(after, firsts[1], "share of the first loss")


def _loss(one: Experiment, unit: float, name: str) -> Curve:
    train = one.curve.train
    return Curve(replace(train, value=train.value / unit, name=name), context=one.curve.context)


def _fix(patient: Patient, changed: Patient | None, change: Change, label: str = "repaired") -> str:
    """Return a change as a unified diff of the file, or as the line of code to change."""
    if patient.spec is None or not change.values:
        return change.line
    values = changed.values if changed is not None and changed.values else change.values
    return applying.diff(patient.spec, values, label)
