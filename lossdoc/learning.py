"""Does the network learn, and what keeps it from learning more? The training as configured against some with one change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from torch import nn

from lossdoc.checks import _compared, _rates, over_regularized
from lossdoc.errors import NotApplicable
from lossdoc.experiments import LATE, Experiment, Experiments
from lossdoc.features.distributions import chi2_tail, normal_tail
from lossdoc.findings import Answer, Evidence, Finding, Passed, Report, Severity
from lossdoc.ranking import CHANCE, CLEARLY, LEARNED, NEAR
from lossdoc.rule import Rule, checks, examine, patterns
from lossdoc.scoring import Yardstick
from lossdoc.subject import Subject

FIRST = "over-regularized"
WHOLE = "the whole training"
# of whatever keeps a model from learning
SYMPTOMS = {"constant-output", "ignores-input", "run-to-run-variance", "not-learning"}


def report(experiments: Experiments, rules: Iterable[Rule[Any]] | None = None, *, source: str | None = None) -> Report:
    """Return what keeps the model from learning, as far as trainings with one change show it.

    The learning rate is the likeliest cause, and what is tried for it serves the others; before it comes regularization
    where the gradient of a penalty, or the rate of a dropout, tells beforehand that it is likelier still. Where the time did
    not suffice for either, and little was learned, nothing can be said.
    """
    asked = [rule for rule in checks.all() if rule.matter == "Experiments"] if rules is None else list(rules)
    try:
        _compared.learned(experiments)
    except NotApplicable as why:
        unasked = dict.fromkeys((one.code for one in asked), str(why))
        return Report("learning", source, skipped=unasked, matter=experiments, inconclusive=str(why))
    beside = _Beside(experiments)
    regularization = [(rule, rule.judge) for rule in asked if rule.name == FIRST]
    rates = [(checks.get("lr-too-low"), _rates.too_low), (patterns.get("lr-too-high"), _rates.too_high)]
    likely = bool(regularization) and over_regularized.likely(experiments.subject)
    for rule, judge in [*regularization, *rates] if likely else [*rates, *regularization]:
        beside.ask(rule, judge)
    others = sorted((one for one in asked if one.name != FIRST), key=lambda one: one.code)
    judged = examine("learning", experiments, others, source=source)
    beside.ask(patterns.get("run-to-run-variance"), repeatability)
    beside.ask(patterns.get("not-learning"), stuck)
    skipped = {**judged.skipped, **beside.skipped}
    found = _explained(
        [*judged.findings, *beside.findings], skipped, rate_lacks=beside.has("lr-too-low") and _rates.lacks(experiments)
    )
    late = not _compared.well(experiments) and any(beside.skipped.get(rule.code) == LATE for rule, _ in rates)
    return replace(
        judged,
        inconclusive=f"{_compared.trained(experiments)}; why it is no more: {LATE}" if late else None,
        findings=tuple(sorted(found, key=lambda one: (one.severity.rank, -one.evidence.confidence, one.code))),
        passed=(*judged.passed, *beside.passed),
        skipped=skipped,
        measured={**judged.measured, **beside.passed},
    )


def keeps_up(subject: Subject, model: nn.Module) -> bool:
    """Tell whether a trained model is not surely worse on the validation split, by a tenth of what there is to know.

    Its answers are counted, not their loss; of a model whose loss alone is known that cannot be told, and it does not.
    """
    stick = Yardstick.of(subject)
    if stick.measure == "fall of the loss" or stick.chance >= 1:
        return False
    try:
        new, known = stick.of_model(model, stick.split), stick.of_model(model, "train")
    except NotApplicable:
        return False
    lacks, counted = known - new - LEARNED * (1 - stick.chance), sum(stick.labels)
    error = math.sqrt(new * (1 - new) / counted) if counted else 0.0
    return lacks <= 0 or (error > 0 and normal_tail(lacks / error) >= CHANCE)


def undecided(experiments: Experiments, report: Report) -> bool:
    """Tell whether longer trainings might find what these did not: they were short, and there is more to be learned."""
    found = any(one.severity is Severity.ERROR for one in report.findings)
    return not found and experiments.shortened > 1 and not _compared.well(experiments)


@dataclass
class _Beside:
    """Answers to what is a pattern of curves, or a question about sweeps, and can be judged by experiments as well."""

    experiments: Experiments
    findings: list[Finding] = field(default_factory=list)
    passed: dict[str, Passed] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Tell whether a rule fired."""
        return any(one.name == name for one in self.findings)

    def ask(self, rule: Rule[Any], judge: Any) -> None:
        """Put one question."""
        try:
            answer: Answer = judge(self.experiments)
        except NotApplicable as why:
            self.skipped[rule.code] = str(why)
            return
        if isinstance(answer, Evidence):
            self.findings.append(rule.finding(answer))
        elif answer is not None:
            self.passed[rule.code] = answer


def _explained(findings: Sequence[Finding], skipped: dict[str, str], *, rate_lacks: bool) -> list[Finding]:
    """Drop symptoms whose cause an experiment has shown, and a low rate where it is steps that lack; say so."""
    causes = [one.name for one in findings if one.severity is Severity.ERROR and one.name not in SYMPTOMS]
    told = [one.name for one in findings if one.severity is Severity.ERROR and one.name != "not-learning"]
    lacking = [] if rate_lacks else [name for name in causes if name in ("too-few-epochs", "wrong-batch-size")]
    kept = []
    for one in findings:
        by = causes[0] if one.name in SYMPTOMS and causes else None
        if one.name == "lr-too-low" and lacking:
            by = lacking[0]
        if one.name == "not-learning" and told:
            by = told[0]  # the others say more of the same
        if by is None:
            kept.append(one)
        else:
            skipped[one.code] = f"explained by {by}"
    return kept


def stuck(experiments: Experiments) -> Answer:
    """Judge whether the whole training leaves the model where a blind one is, on both splits, whatever the cause.

    Where only a part of it was tried, all of it is, as far as the time allows. Where the loss still falls nobody can tell.
    """
    base = experiments.baseline
    if experiments.shortened > NEAR and not _seeing(experiments, base):
        base = experiments.tried(WHOLE, experiments.subject, longer=experiments.shortened)
    told = f"{_compared.score(base)} after {base.steps} steps, {len(base.scores)} seeds"
    if _seeing(experiments, base):
        return Passed(told)
    if _compared.falling(base.trials):
        raise NotApplicable(f"the loss still falls after {base.steps} steps: something is learned, if little as yet")
    facts = {**_compared.baseline_facts(experiments), "measured": base.score, "steps": float(base.steps)}
    blind = f"{100 * experiments.chance:.1f} %" if base.measure == "accuracy" else "nothing"
    summary = f"{told}: a model that knows nothing of the inputs gets {blind}, and no more was learned of the training split"
    return Evidence(summary, facts, confidence=0.95)


def _seeing(experiments: Experiments, one: Experiment) -> bool:
    learned = _compared.learns(experiments, one) or _compared.memorizes(experiments, one)
    return learned or _compared.guesses_better(experiments, one)


def repeatability(experiments: Experiments) -> Answer:
    """Judge whether five seeds of the very same training differ by more than seeds alone should make them.

    Of sound networks all learn nearly the same. A seed has failed that learned less than half of what the best one did; a
    single failure is a warning, two are an error. Accuracies must differ by more than counting makes them: by the
    chi-squared test of their variance against that of a share of n samples. What a part of the configured training shows
    is asked of all of it: seeds may differ in their pace.
    """
    steps = experiments.baseline.steps
    if experiments.shortened > NEAR:
        raise NotApplicable(f"{steps} steps are only a part of the configured training: seeds may differ in their pace")
    answer = _apart(experiments, experiments.repeated)
    if isinstance(answer, Passed) or experiments.shortened == 1:
        return answer
    return _apart(experiments, experiments.tried(WHOLE, experiments.subject, longer=experiments.shortened))


def _apart(experiments: Experiments, runs: Experiment) -> Passed | Evidence:
    """Judge how far the seeds of one training lie apart."""
    scores = runs.scores
    shares = [max(0.0, _compared.share(experiments, score)) for score in scores]
    failed = [trial for trial, share in zip(runs.trials, shares, strict=True) if share < CLEARLY * max(shares)]
    p = _by_counting(scores, experiments.samples) if runs.measure == "accuracy" and experiments.samples else 0.0
    facts = {
        "measured": min(scores),
        "expected": max(scores),
        "tolerance": max(shares) * (1 - CLEARLY) * (1 - experiments.chance),
        "runs": float(len(scores)),
        "failed": float(len(failed)),
        "p": p,
    }
    told = ", ".join(f"{100 * score:.0f}" for score in sorted(scores))
    what = {"accuracy": "% right", "explained variance": "% of the variance"}.get(runs.measure, "% fall of the loss")
    if not failed or max(shares) <= LEARNED or p >= CHANCE or len(scores) < 2:
        return Passed(f"{len(scores)} seeds of the same training give {told} {what}", facts)
    if _compared.falling(failed):
        raise NotApplicable(f"the loss still falls after {runs.steps} steps: the seeds may differ in their pace only")
    severity = Severity.ERROR if len(failed) >= _compared.MANY else Severity.WARNING
    summary = (
        f"{len(scores)} seeds of the very same training give {told} {what}: {len(failed)} learned less than half of the best"
    )
    return Evidence(summary, facts, confidence=0.9, severity=severity)


def _by_counting(scores: Sequence[float], samples: int) -> float:
    """Return the probability that shares of so many samples differ as much when all seeds are equally good."""
    mean = fmean(scores)
    scatter = sum((score - mean) ** 2 for score in scores)
    return chi2_tail(scatter * samples / max(mean * (1 - mean), 1e-12), len(scores) - 1) if scatter else 1.0
