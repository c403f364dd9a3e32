"""Can the network learn a few samples by heart? Step 4 of the checklist: one that cannot has a bug."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from lossdoc.diagnosis import examine_curve
from lossdoc.findings import Evidence, Finding, Report, Severity
from lossdoc.memorization import Attempt, Memorization
from lossdoc.memorizing import memorize
from lossdoc.ranking import p_rising
from lossdoc.rule import Rule, checks, examine, patterns

__all__ = ["memorize", "report"]

FALL = 0.01  # a loss that has not fallen by this share of its first value is flat or rising
SURE = 0.01  # the level of the rank test that tells a steady rise from chance


def report(found: Memorization, rules: Iterable[Rule[Any]] | None = None, *, source: str | None = None) -> Report:
    """Return the verdict, with the reason why the curve of a failed attempt failed, and which learning rate made it."""
    asked = [rule for rule in checks.all() if rule.matter == "Memorization"] if rules is None else list(rules)
    notes = [] if found.contradictory == 0 else [_contradiction(found)]
    judged = examine("overfit", found, asked, source=source, notes=notes)
    named = {finding.name for finding in judged.findings}
    extra = [finding for finding in (*_reasons(found), *_rate(found)) if finding.name not in named]
    ordered = sorted((*judged.findings, *extra), key=lambda finding: finding.severity.rank)
    return replace(judged, findings=tuple(ordered))


def _contradiction(found: Memorization) -> str:
    regression = found.measure == "unexplained variance"
    best = f"a mean squared error of {found.best_loss:.3g}" if regression else f"{100 * found.best_accuracy:.1f} %"
    why = f"some samples have identical inputs and different {'targets' if regression else 'labels'}"
    return f"{found.contradictory} answers cannot be right: {why}, so {best} is the best possible"


def _course(attempt: Attempt) -> str | None:
    """Return what a curve that never fell did: "rising" if it went up steadily, else "not-learning"; None where it fell.

    Steadily, since a rate that is much too high makes the loss leap up once and stay there.
    """
    finite = attempt.curve.train.finite
    if len(finite) < 2:
        return None
    change = (finite.value[1:] - finite.value[0]) / max(abs(float(finite.value[0])), 1e-12)
    if change.min() < -FALL:
        return None
    steady = p_rising(finite.step.tolist(), finite.value.tolist()) < SURE
    return "rising" if steady and change[-1] > FALL else "not-learning"


def _reasons(found: Memorization) -> Iterator[Finding]:
    """Yield why the attempt at the configured rate failed: what the patterns say, and what is certain without them.

    A step along the gradient lowers the loss if only it is short enough: one that rises at every rate, down to a tenth, is
    taken the wrong way, whatever becomes of it later.
    """
    first = found.attempts[0]
    if found.reached is not None:
        return
    named = set()
    if found.measure is not None:
        for finding in examine_curve(first.curve).findings:
            if finding.severity is not Severity.NOTE:
                named.add(finding.name)
                yield finding
    certain = ["non-finite"] if first.ended == "diverged" else []
    courses = {_course(attempt) for attempt in found.attempts}
    if courses == {"rising"} or not (named or certain):
        certain += [name for name in (_course(first),) if name is not None]
    for name in certain:
        if name not in named:
            yield patterns.get(name).finding(_certainty(name, first))


def _certainty(name: str, attempt: Attempt) -> Evidence:
    values = attempt.curve.train.value
    facts = {"first": float(values[0]), "last": float(values[-1]), "steps": float(attempt.steps), "lr": attempt.lr}
    went = f"went from {values[0]:.4g} to {values[-1]:.4g} in {attempt.steps} steps on the same few samples"
    told = {"non-finite": f"left the range of numbers at step {attempt.steps}", "rising": went, "not-learning": went}
    return Evidence(f"the loss {told[name]}", facts, confidence=0.99)


def _rate(found: Memorization) -> Iterator[Finding]:
    """Yield that the configured learning rate is the trouble, where only another one made it."""
    made, first = found.reached, found.attempts[0]
    if made is None or made is first:
        return
    name, folder = ("lr-too-low", checks) if made.lr > first.lr else ("lr-too-high", patterns)
    facts = {"measured": first.lr, "expected": made.lr, "steps": float(made.steps)}
    summary = (
        f"learned by heart in {made.steps} steps at a learning rate of {made.lr:g}, "
        f"not in {first.steps} at the configured {first.lr:g} ({first.ended})"
    )
    evidence = Evidence(summary, facts, confidence=0.9, severity=Severity.WARNING)
    yield folder.get(name).finding(evidence)
