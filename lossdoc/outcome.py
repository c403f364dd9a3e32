"""What the trials of a sweep say together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from lossdoc import ranging
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.findings import Evidence, Finding, Report, Severity
from lossdoc.ranking import p_rising, rate_gap
from lossdoc.rule import Rule, checks, examine, patterns
from lossdoc.subject import Trial, Trials

FAILED = frozenset({"non-finite", "not-learning", "rising", "lr-too-high"})
BEYOND_NOISE = 4.0  # standard deviations of a single batch's loss: one in 30,000
SURE = 0.01  # the level of the rank tests that tell a fall from chance


def report(trials: Trials, rules: Iterable[Rule[Any]] | None = None, *, source: str | None = None) -> Report:
    """Return the verdict on a sweep; an error only where no trial learned anything.

    What a range test shows is no training of anybody's, and no rule judges it.
    """
    if any(ranging.rises(trial.point) for trial in trials.trials):
        return _range_report(trials, source)
    asked = [rule for rule in checks.all() if rule.matter == "Trials"] if rules is None else list(rules)
    judged = examine("sweep", trials, asked, source=source, notes=list(_searched(trials)))
    findings = [*_failure(trials), *judged.findings, *_rate_too_high(trials)]
    return replace(judged, findings=tuple(sorted(findings, key=lambda finding: finding.severity.rank)))


def _searched(trials: Trials) -> Iterator[str]:
    """Yield between which ends values were tried: the best of a handful may well be the highest of them, and no end."""
    ends = {path: ends for path, ends in trials.ranges.items() if not math.isnan(ends[0])}
    if ends:
        yield "searched: " + ", ".join(f"{path} from {low:.3g} to {high:.3g}" for path, (low, high) in ends.items())


def _range_report(trials: Trials, source: str | None) -> Report:
    try:
        found = ranging.read(trials.trials)
    except NotApplicable as why:
        return Report("sweep", source, matter=trials, inconclusive=str(why))
    tested = f"range test from {found.low:.2g} to {found.high:.2g}, answered by {len(found.found)} of {found.runs} runs"
    told = f"{tested}: {found.told()}"
    return Report("sweep", source, matter=replace(trials, suggested=found.suggested), notes=(told,))


def _failure(trials: Trials) -> Iterator[Finding]:
    """Yield what is wrong where it is wrong at every point: the pattern that most of the curves show.

    A name of a pattern alone proves nothing in a training as short as these: no trial may show that it learned.
    """
    if any(_learned(trial) for trial in trials.trials):
        return
    patterns_seen = Counter("non-finite" if trial.diverged_at is not None else trial.pattern for trial in trials.trials)
    if not patterns_seen or not set(patterns_seen) <= FAILED:
        return
    (name, many), *_ = patterns_seen.most_common()
    facts = {"trials": float(len(trials.trials)), "with_this_pattern": float(many)}
    summary = f"none of {len(trials.trials)} trials learned anything: {many} of them {name}"
    yield patterns.get(str(name)).finding(Evidence(summary, facts, confidence=0.95, severity=Severity.ERROR))


def _learned(trial: Trial) -> bool:
    """Tell whether a trial ends below its first loss by more than chance can make.

    Either by far more than the noise of single batches, or in a steady fall of the training or the validation loss. With
    weights that never move, the training loss is white noise and the validation loss stays as it is.
    """
    train, val = trial.curve.train.finite.value, trial.curve.val
    if trial.diverged_at is not None or len(train) < 3 or not trial.loss < train[0]:
        return False
    falls = [series.blocks(train, 20)] + ([] if val is None else [series.blocks(val.finite.value, 20)])
    steady = any(p_rising(range(len(fall)), (-fall).tolist()) < SURE for fall in falls if len(fall) > 1)
    return steady or train[0] - trial.train_loss > BEYOND_NOISE * series.noise(train) > 0


def _rate_too_high(trials: Trials) -> Iterator[Finding]:
    """Yield that trials at the configured rate learn much less than at a lower one; its page is the pattern's."""
    try:
        gap = rate_gap(trials)
    except NotApplicable:
        return
    if gap is None or gap.too_low:
        return
    fell = f"falls by {gap.near_fall:.3g}" if math.isfinite(gap.near_fall) else "leaves the range of numbers"
    summary = f"at the configured learning rate {gap.configured:g} the loss {fell}, at {gap.best:.2g} by {gap.best_fall:.3g}"
    facts = {"measured": gap.near_fall, "expected": gap.best_fall, "configured_lr": gap.configured, "best_lr": gap.best}
    remedy = f"set optimizer.lr to about {gap.best:.1g}"
    evidence = Evidence(summary, facts, confidence=0.9, severity=Severity.WARNING, remedies=(remedy,))
    yield patterns.get("lr-too-high").finding(evidence)
