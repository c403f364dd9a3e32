"""Step 4 of the checklist: a few samples must be learned by heart."""

from __future__ import annotations

import math

from lossdoc.curve import Curve, Series
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.memorization import Attempt, Ended, Memorization
from lossdoc.rule import rule


def _found(score: float, evaluated: float = 1.0, steps: int = 200) -> Memorization:
    ended: Ended = "reached" if score == 1.0 else "stalled"
    curve = Curve(Series.of([2.3, 2.3 - 2 * score, 2.3 - 2.2 * score], [0, steps // 2, steps]))
    return Memorization((Attempt(0.01, curve, ended, steps, score, evaluated),), 64, 16, "accuracy", 1.0)


@rule(
    code="LS601",
    severity=Severity.ERROR,
    fires_on=[lambda: _found(0.6), lambda: _found(0.1), lambda: _found(1.0, evaluated=0.2)],
    quiet_on=[lambda: _found(1.0), lambda: _found(1.0, evaluated=0.97)],
)
def overfit_subset(found: Memorization, *, agreement: float = 0.5) -> Answer:
    """A few samples cannot be learned by heart.

    Looks like:
        After hundreds of passes over 64 training samples, with regularization and dropout at 0, some answers are still
        wrong (or more than 1 % of the targets' variance is left).
    Causes:
        - the gradient does not reach the weights, or is applied wrongly
        - inputs that are all but the same, such as scaled twice
        - the last layer or the loss cannot express the targets: wrong activation, wrong number of units, broadcast
        - units are dead or saturated from the start
        - the model is too small to tell even these samples apart
    Confirm with:
        - `lossdoc sanity`, which looks for each of these one by one
        - learning two samples by heart instead of 64: only bugs fail there, size does not
    Try:
        - mend what `lossdoc sanity` names first
        - print one batch as the model sees it, next to its targets
        - a wider or deeper model
    False alarms:
        A model that is meant to be tiny; a loss whose best value is not at the right answers. Samples with identical inputs
        and different targets are no alarm: what they allow at best is computed and is the goal.
    Decided by:
        Every sample right in training mode (or 1 % of the variance left, on top of what contradictory samples leave), at the
        configured learning rate, ten times it or a tenth of it; each is tried until half of the attempt has set no new
        record. In evaluation mode, with running averages settled, less than half of the way from nothing to the goal is a
        warning: sampling noise of batches of 16 does not do that much.
    Sources:
        - the study notes' checklist, step 4: overfit 3-4 batches
        - A. Karpathy, A Recipe for Training Neural Networks, 2019: overfit one batch
    """
    if found.measure is None:
        raise NotApplicable("neither right answers nor explained variance can be counted for this task and these targets")
    made = found.reached
    facts = _facts(found, made or max(found.attempts, key=lambda attempt: _goodness(found, attempt.score)))
    if made is None:
        rates = ", ".join(f"{attempt.lr:g} ({_told(found, attempt.score)}, {attempt.ended})" for attempt in found.attempts)
        summary = f"{found.samples} samples were not learned by heart at any of the learning rates {rates}"
        return Evidence(summary, facts, confidence=0.99)
    if _goodness(found, made.evaluated) >= agreement * _goodness(found, found.goal):
        summary = f"{found.samples} samples known by heart after {made.steps} steps at learning rate {made.lr:g}"
        return Passed(f"{summary}: {_told(found, made.score)}", facts)
    summary = (
        f"{found.samples} samples are known by heart in training mode ({_told(found, made.score)}), "
        f"not in evaluation mode ({_told(found, made.evaluated)})"
    )
    causes = ("what evaluation mode changes: running averages of batch normalization, or a branch on `self.training`",)
    remedies = ("larger batches, or group or layer normalization in the place of batch normalization",)
    measured = {**facts, "measured": made.evaluated}
    return Evidence(summary, measured, confidence=0.9, severity=Severity.WARNING, causes=causes, remedies=remedies)


def _goodness(found: Memorization, score: float) -> float:
    """Return accuracy or the explained share of the variance: more is better, a number that does not exist is worst."""
    if math.isnan(score):
        return -math.inf
    return score if found.measure == "accuracy" else 1 - score


def _facts(found: Memorization, attempt: Attempt) -> dict[str, float]:
    tolerance = 0.0 if found.measure == "accuracy" else found.goal
    expected = found.goal if found.measure == "accuracy" else 0.0
    return {
        "measured": attempt.score,
        "expected": expected,
        "tolerance": tolerance,
        "steps": float(attempt.steps),
        "lr": attempt.lr,
    }


def _told(found: Memorization, score: float) -> str:
    if math.isnan(score):
        return "no number"
    if found.measure == "accuracy":
        return f"{100 * score:.1f} % right"
    return f"{100 * score:.3g} % of the variance left"
