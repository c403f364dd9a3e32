"""Which changes might cure what was found, the likeliest first; and which findings are faults for certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.experiments import EXPERIMENTS
from lossdoc.findings import Finding, Severity
from lossdoc.remedy import Change, Patient, Remedy, remedies
from lossdoc.rule import checks

SURE = 0.95  # the confidence of a check from which on its passing proves the cure
SPARE = 2  # experiments, for a gain that is measured again
SYMPTOMS = frozenset(
    {"overfit-subset", "constant-output", "ignores-input", "run-to-run-variance", "non-finite", "initial-loss"}
)
SIGNALS = frozenset(  # what may be odd and do no harm: only a gain proves that it did
    {"vanishing-activations", "exploding-activations", "vanishing-gradients", "exploding-gradients", "dead-relu"}
    | {"saturated-units", "unscaled-inputs", "unscaled-targets", "large-logits"}
)


@dataclass(frozen=True)
class Hypothesis:
    """A change that may repair, and the findings that suggest it, the gravest first."""

    change: Change
    findings: tuple[Finding, ...]

    @property
    def cause(self) -> Finding | None:
        """The cause among the findings that the change proves, None where it has to be named anew."""
        named = [one for one in self.findings if one.name in self.change.causes and not is_symptom(one)]
        return next((one for one in (*self.findings, *named) if certain(one) or one in named), None)


def hypotheses(patient: Patient, found: Sequence[Finding], *, own: bool = False) -> list[Hypothesis]:
    """Return the changes that may cure the findings, the likeliest first; each once, with all the findings that suggest it.

    Causes that were found come before symptoms, what is made for a cause before what may relieve one, graver causes before
    others, and the first change of each remedy before the second ones. With `own` only those remedies count that are made
    for the finding.
    """
    ordered = sorted(found, key=lambda one: (is_symptom(one), one.severity.rank, -one.evidence.confidence))
    by_key: dict[str, tuple[tuple[float, ...], Change, list[Finding]]] = {}
    for order, finding in enumerate(ordered):
        for remedy in _answering(finding, own=own):
            for number, change in enumerate(_changes(remedy, patient, finding)):
                known = by_key.get(change.key)
                if known is None:
                    likely = remedy.prior if change.prior is None else change.prior
                    aside = float(finding.name not in change.causes)  # it may relieve, and proves something else
                    rank = (float(is_symptom(finding)), aside, finding.severity.rank, number, -likely, order, len(by_key))
                    by_key[change.key] = rank, change, [finding]
                elif finding not in known[2]:
                    known[2].append(finding)
    ranked = sorted(by_key.values(), key=lambda one: one[0])
    return [Hypothesis(change, tuple(findings)) for _, change, findings in ranked]


def needed(patient: Patient, found: Sequence[Finding]) -> int:
    """Return how many experiments what was found asks for, the subject as it is among them: few where all is certain."""
    if not all(certain(one) for one in found):
        return EXPERIMENTS
    return min(EXPERIMENTS, 1 + len(hypotheses(patient, found, own=True)) + SPARE)


def _answering(finding: Finding, *, own: bool) -> list[Remedy]:
    """Return the remedies that answer a finding; with `own` only those that are made for it."""
    return [one for one in remedies.all() if finding.name in (one.proves if own else one.cures)]


def _changes(remedy: Remedy, patient: Patient, finding: Finding) -> list[Change]:
    """Return a remedy's changes; none where it cannot make up its mind about this subject."""
    try:
        return list(remedy.changes(patient, finding))
    except (NotApplicable, UserError, UserCodeError):
        return []


def is_symptom(finding: Finding) -> bool:
    """Tell whether a finding says what a training does, not why."""
    return finding.code.startswith("LC") or finding.name in SYMPTOMS


def certain(finding: Finding) -> bool:
    """Tell whether a check on the model has proved a fault that is a fault whatever it does to the score."""
    return (
        finding.severity is Severity.ERROR
        and finding.name not in SYMPTOMS | SIGNALS
        and from_model(finding)
        and finding.evidence.confidence >= SURE
    )


def from_model(finding: Finding) -> bool:
    """Tell whether a check on the model, before any training, made a finding."""
    return finding.name in checks.names() and checks.get(finding.name).matter == "Subject"


def by_experiment(finding: Finding) -> bool:
    """Tell whether an error was found by trainings with and without what is to be changed."""
    error = finding.severity is Severity.ERROR
    return error and finding.name in checks.names() and checks.get(finding.name).matter == "Experiments"


def passes(finding: Finding, patient: Patient) -> bool:
    """Tell whether the check that made a finding passes after a change."""
    try:
        return checks.get(finding.name).fires(patient.subject) is None
    except NotApplicable:
        return True
    except (UserError, UserCodeError):
        return False
