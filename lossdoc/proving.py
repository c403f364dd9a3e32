"""From findings to proven causes: every cause that a finding suggests is tried by the change that would cure it.

A change is *confirmed* where it raises the score beyond the noise between seeds: p of the paired test times the number of
changes tried (Bonferroni) below 5 %, and the gain at least a twentieth of all there is to learn, since an optimum is flat
and less than that is tuning, not a repair. A gain that is large and not yet sure is measured again from as many new seeds,
and counts as two tries. A fault that a check proves for certain, such as a softmax applied twice, is
confirmed as well where the check passes after the change and the score is no worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

from lossdoc import applying
from lossdoc.build import Variants
from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.experiments import Experiment, Experiments, Gain
from lossdoc.findings import Evidence, Finding, Proof, Report, Severity
from lossdoc.remedies._applied import applied
from lossdoc.remedy import Change, Patient, Remedy, remedies
from lossdoc.rule import checks, patterns

LEVEL = 0.05
LEAST = 0.05  # of what there is to learn
ENOUGH = 0.1  # of what there is to learn may be missing where nothing more is looked for
SHORT = 1.5  # times shorter than the configured training
ROUNDS = 3  # of changes one on top of another
SURE = 0.95  # the confidence of a check from which on its passing proves the cure

UNKNOWN = Gain(math.nan, math.nan, 1.0, 0)

Say = Callable[[str], object]


@dataclass(frozen=True)
class Repair:
    """What was confirmed, all together: values by their path in the file, and the experiments before and after."""

    values: Mapping[str, Any]
    before: Experiment
    after: Experiment


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


@dataclass(frozen=True)
class Tried:
    """A hypothesis and what came of it: the experiments before and after, `why` it could not be made where it was not.

    `looks` is how often it was measured; the gain is then over all the seeds, from `was` to `became`.
    """

    hypothesis: Hypothesis
    before: Experiment | None = None
    after: Experiment | None = None
    gain: Gain = UNKNOWN
    patient: Patient | None = None
    cured: bool = False  # a check that was certain of the fault passes now, and the score is no worse
    why: str = ""
    proved: bool = False  # the gain is beyond noise, given all that was tried before
    looks: int = 1
    was: float = math.nan
    became: float = math.nan


def is_symptom(finding: Finding) -> bool:
    """Tell whether a finding says what a training does, not why."""
    return finding.code.startswith("LC") or finding.name in SYMPTOMS


SYMPTOMS = frozenset(
    {"overfit-subset", "constant-output", "ignores-input", "run-to-run-variance", "non-finite", "initial-loss"}
)

SIGNALS = frozenset(  # what may be odd and do no harm: only a gain proves that it did
    {"vanishing-activations", "exploding-activations", "vanishing-gradients", "exploding-gradients", "dead-relu"}
    | {"saturated-units", "unscaled-inputs", "unscaled-targets", "large-logits"}
)


def prove(patient: Patient, findings: Sequence[Finding], experiments: Experiments, say: Say = lambda _text: None) -> Report:
    """Try the change that would cure each finding, and report the findings with what the experiments say of them.

    Confirmed causes come first, the one that gains most at the top; what was ruled out comes last, as a note. A symptom that
    a confirmed cause explains is not reported again.
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
    return _report(search, source)


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings above a note, one of each name: the gravest, then the surest."""
    best: dict[str, Finding] = {}
    for one in sorted(findings, key=lambda one: (one.severity.rank, -one.evidence.confidence)):
        if one.severity is not Severity.NOTE:
            best.setdefault(one.name, one)
    return list(best.values())


@dataclass
class Search:
    """The changes tried so far, in rounds: what a round has confirmed is kept, and the next one begins from there."""

    patient: Patient
    found: list[Finding]
    experiments: Experiments
    say: Say
    tried: list[Tried] = field(default_factory=list)
    kept: list[Tried] = field(default_factory=list)
    why: str = ""  # it ended early

    def __post_init__(self) -> None:
        """Prepare to build changed subjects from one reading of the data."""
        self.make = None if self.patient.spec is None else Variants(self.patient.spec)
        seeds = self.experiments.seeds
        self.others = replace(self.experiments, seeds=tuple(max(seeds) + 1 + place for place in range(len(seeds))), done={})
        self.now: Patient = self.patient
        self.longer = 1.0
        self.keys: set[str] = set()

    @property
    def standing(self) -> Experiment:
        """The experiment with all changes that were kept."""
        after = self.kept[-1].after if self.kept else None
        return after if after is not None else self.experiments.baseline

    @property
    def learnable(self) -> float:
        """What there is to learn: a perfect score less that of knowing nothing."""
        return max(1.0 - self.experiments.chance, 1e-9)

    @property
    def good(self) -> bool:
        """Whether the score is so good that nothing more is looked for."""
        return self.standing.score >= 1.0 - ENOUGH * self.learnable

    def run(self) -> None:
        """Cure what is certain, then look for what repairs the rest.

        Raises:
            NotApplicable: when the time is over.
            UserError: when the subject cannot be trained as it is.
            UserCodeError: when the user's own code raises.
        """
        self.say(f"as it is: {self._told(self.experiments.baseline)}")
        for one in [each for each in self.found if certain(each)]:
            self._cure(one)
        for _ in range(ROUNDS):
            if self.good and not self._open():
                return
            best = self._round()
            if best is not None:
                self._keep(best)
            if best is None or self.why:
                return

    def _open(self) -> list[Finding]:
        """Return the findings that nothing was tried against yet, where something might be."""
        known = {one.name for each in self.tried for one in each.hypothesis.findings}
        return [one for one in self.found if one.name not in known]

    def _cure(self, finding: Finding) -> None:
        """Try the changes against a fault that is certain until one cures it, and keep that."""
        for hypothesis in hypotheses(self.now, [finding], own=True):
            done = self._try(hypothesis)
            if done.cured or done.proved:
                self._keep(done)
                return

    def _round(self) -> Tried | None:
        """Try every change there is, the likeliest first; return the best confirmed one, None where there is none."""
        cured = {one.hypothesis.cause.name for one in self.kept if one.hypothesis.cause is not None}
        open_findings = [one for one in (*self.found, *self._unexplained()) if one.name not in cured]
        confirmed: list[Tried] = []
        for hypothesis in hypotheses(self.now, open_findings):
            if hypothesis.change.key in self.keys:
                continue
            try:
                done = self._try(hypothesis)
            except NotApplicable as late:
                self.why = str(late)
                break
            if done.proved:
                confirmed.append(done)
                if done.after is not None and done.after.score >= 1.0 - ENOUGH * self.learnable:
                    break
        return self._best(confirmed)

    def _unexplained(self) -> list[Finding]:
        """Return the symptom that nobody was asked for, where an early error left out the stages that look for one."""
        bad = self.standing.score < self.experiments.chance + self.learnable / 2
        if not bad or self.short or any(is_symptom(one) for one in self.found):
            return []
        return [patterns.get("underfitting").finding(Evidence(self._told(self.standing)))]

    def _best(self, confirmed: Sequence[Tried]) -> Tried | None:
        """Return the likeliest of those that gain nearly as much as the best, in the strength that gains most."""
        if not confirmed:
            return None
        top = max(confirmed, key=lambda one: one.gain.mean)
        margin = 2 * top.gain.error + LEAST * self.learnable
        first = next(one for one in confirmed if one.gain.mean >= top.gain.mean - margin)
        alike = [one for one in confirmed if one.hypothesis.change.causes == first.hypothesis.change.causes]
        return max(alike, key=lambda one: one.gain.mean)

    def _keep(self, done: Tried) -> None:
        self.kept.append(done)
        assert done.patient is not None  # noqa: S101 - what was not made is not kept
        self.now, self.keys = done.patient, set()
        self.longer *= done.hypothesis.change.longer

    def _try(self, hypothesis: Hypothesis) -> Tried:
        """Make one change on top of those that were kept, train it, and compare.

        Raises:
            NotApplicable: when the time is over.
        """
        change = hypothesis.change
        self.keys.add(change.key)
        try:
            patient = applied(self.now, change, self.make)
        except (NotApplicable, UserError, UserCodeError) as bad:
            return self._noted(Tried(hypothesis, why=_first_line(bad)))
        try:
            done = self._measured(hypothesis, patient)
        except NotApplicable as late:
            if change.longer == 1.0:
                raise
            return self._noted(Tried(hypothesis, why=str(late)))  # what takes as long as others may still be tried
        except (UserError, UserCodeError) as bad:
            return self._noted(Tried(hypothesis, why=_first_line(bad)))
        cause = hypothesis.cause
        cured = cause is not None and certain(cause) and self._no_worse(done.gain) and passes(cause, patient)
        return self._noted(replace(done, cured=cured, proved=self.confirmed(done)))

    def _measured(self, hypothesis: Hypothesis, patient: Patient) -> Tried:
        """Train a changed patient and compare, from new seeds as well where the gain is large and not sure.

        Raises:
            NotApplicable: when the time is over.
            UserError: when what was changed does not fit together.
            UserCodeError: when the user's own code raises.
        """
        change, before = hypothesis.change, self.standing
        longer = self.longer * change.longer
        after = self.experiments.tried(self._name(change), patient.subject, longer=longer)
        done = self._compared(Tried(hypothesis, before, after, patient=patient), before.scores, after.scores)
        if self._large(done) and not self.confirmed(done):
            try:
                first = self.others.tried(self._name(), self.now.subject, longer=self.longer)
                second = self.others.tried(self._name(change), patient.subject, longer=longer)
            except NotApplicable:
                return done
            scores = (*before.scores, *first.scores), (*after.scores, *second.scores)
            done = self._compared(replace(done, looks=2), *scores)
        gain = f"{done.gain.mean:+.3f} ± {done.gain.error:.3f}"
        self.say(f"{change.summary}: {self._told(after)}, {gain}{' in two tries' if done.looks > 1 else ''}")
        return done

    def _compared(self, done: Tried, before: Sequence[float], after: Sequence[float]) -> Tried:
        counted = done.after is not None and done.after.measure == "accuracy"
        gain = Gain.between(before, after, self.experiments.samples if counted else None)
        return replace(done, gain=gain, was=fmean(before), became=fmean(after))

    def _name(self, change: Change | None = None) -> str:
        """Return what an experiment with the changes that were kept, and one more, is called."""
        parts = [one.hypothesis.change.summary for one in self.kept] + ([change.summary] if change else [])
        return " + ".join(parts) or "as it is"

    def _large(self, done: Tried) -> bool:
        return done.gain.mean >= max(LEAST * self.learnable, 2 * done.gain.error)

    def _noted(self, done: Tried) -> Tried:
        self.tried.append(done)
        return done

    def _no_worse(self, gain: Gain) -> bool:
        return gain.mean + 2 * gain.error >= 0 or gain.mean > -LEAST * self.learnable

    def confirmed(self, done: Tried) -> bool:
        """Tell whether a change repaired beyond noise."""
        others = sum(one.looks for one in self.tried if one.after is not None and one is not done)
        return done.gain.mean >= self._least and done.gain.p * (others + done.looks) < LEVEL

    @property
    def _least(self) -> float:
        """The least gain that repairs.

        In trainings shorter than the configured one whatever speeds up gains a little: what is found on top of a repair must
        gain half as much as that.
        """
        before = max((one.gain.mean for one in self.kept), default=0.0) if self.short else 0.0
        return max(LEAST * self.learnable, before / 2)

    @property
    def short(self) -> bool:
        """Whether the trainings are so much shorter than the configured one that a sound model has not learned all yet."""
        return self.experiments.shortened > SHORT

    def _told(self, experiment: Experiment) -> str:
        return f"{experiment.measure} {experiment.score:.3f} after {experiment.steps} steps, {len(experiment.scores)} seeds"


def _first_line(bad: Exception) -> str:
    text = bad.problems[0].message if isinstance(bad, UserError) else str(bad)
    return text.splitlines()[0] if text else type(bad).__name__


def hypotheses(patient: Patient, found: Sequence[Finding], *, own: bool = False) -> list[Hypothesis]:
    """Return the changes that may cure the findings, the likeliest first; each once, with all the findings that suggest it.

    Causes that were found come before symptoms, and the first change of each remedy before the second ones. With `own` only
    those remedies count that are made for the finding.
    """
    ordered = sorted(found, key=lambda one: (is_symptom(one), one.severity.rank, -one.evidence.confidence))
    by_key: dict[str, tuple[tuple[float, ...], Change, list[Finding]]] = {}
    for order, finding in enumerate(ordered):
        for remedy in _answering(finding, own=own):
            for number, change in enumerate(_changes(remedy, patient, finding)):
                known = by_key.get(change.key)
                if known is None:
                    likely = remedy.prior if change.prior is None else change.prior
                    rank = (float(is_symptom(finding)), number, -likely, order, len(by_key))
                    by_key[change.key] = rank, change, [finding]
                elif finding not in known[2]:
                    known[2].append(finding)
    ranked = sorted(by_key.values(), key=lambda one: one[0])
    return [Hypothesis(change, tuple(findings)) for _, change, findings in ranked]


def _answering(finding: Finding, *, own: bool) -> list[Remedy]:
    """Return the remedies that answer a finding; with `own` only those that are made for it."""
    return [one for one in remedies.all() if finding.name in (one.proves if own else one.cures)]


def _changes(remedy: Remedy, patient: Patient, finding: Finding) -> list[Change]:
    """Return a remedy's changes; none where it cannot make up its mind about this subject."""
    try:
        return list(remedy.changes(patient, finding))
    except (NotApplicable, UserError, UserCodeError):
        return []


def certain(finding: Finding) -> bool:
    """Tell whether a check on the model has proved a fault that is a fault whatever it does to the score."""
    return (
        finding.severity is Severity.ERROR
        and finding.name in checks.names()
        and finding.name not in SYMPTOMS | SIGNALS
        and checks.get(finding.name).matter == "Subject"
        and finding.evidence.confidence >= SURE
    )


def passes(finding: Finding, patient: Patient) -> bool:
    """Tell whether the check that made a finding passes after a change."""
    try:
        return checks.get(finding.name).fires(patient.subject) is None
    except NotApplicable:
        return True
    except (UserError, UserCodeError):
        return False


def _report(search: Search, source: str | None) -> Report:
    """Put what was found and what was tried together."""
    confirmed = _merged(_confirmed(search, one) for one in search.kept)
    settled = {one.name for one in confirmed}
    explained = {one.name for done in search.kept for one in done.hypothesis.findings}
    others, skipped = [], {}
    for finding in search.found:
        if finding.name in settled:
            continue
        if confirmed and (is_symptom(finding) or finding.name in explained):
            skipped[finding.code] = f"explained by {confirmed[0].name}"
            continue
        if finding.severity is not Severity.ERROR and not any(finding in one.hypothesis.findings for one in search.tried):
            skipped[finding.code] = search.why or "no change is known that could be tried against it"
            continue
        others.append(_unconfirmed(search, finding))
    rank = {"suspected": 0, "ruled out": 1}
    others.sort(key=lambda one: (rank[one.proof.status] if one.proof else 0, one.severity.rank))
    last = search.kept[-1].after if search.kept else None
    repair = None if last is None else Repair(search.now.values, search.experiments.baseline, last)
    found = (*confirmed, *others)
    return Report("causes", source, findings=found, skipped=skipped, matter=repair, notes=tuple(_notes(search)))


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
        yield f"{len(made)} changes tried, each trained for {steps} steps from {seeds} seeds"
    elif not search.why:
        yield "no change is known that could be tried against this"
    if search.why:
        yield search.why


def _confirmed(search: Search, done: Tried) -> Finding:
    """Return the cause that a repair proves: the finding itself where it was found, else the one that the change names."""
    finding = done.hypothesis.cause or _named(done, done.hypothesis.findings[0])
    proof = _proof(search, done, "confirmed")
    grave = not search.short or any(one.severity is Severity.ERROR for one in done.hypothesis.findings)
    severity = Severity.ERROR if done.proved and grave else finding.severity
    evidence = replace(finding.evidence, confidence=max(finding.evidence.confidence, 1.0 - done.gain.p))
    return replace(finding, severity=severity, evidence=evidence, proof=proof)


def _named(done: Tried, symptom: Finding) -> Finding:
    """Return the finding of the cause that a change names; the symptom itself where no rule has such a name."""
    change = done.hypothesis.change
    for name in change.causes:
        folder = checks if name in checks.names() else patterns if name in patterns.names() else None
        if folder is not None:
            summary = f"what repairs it ({symptom.name}): {change.summary}"
            return folder.get(name).finding(Evidence(summary, _facts(done), confidence=1.0 - done.gain.p))
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
        why = f"no change repaired it; the best of {len(made)} gained {best.gain.mean:+.3f} ± {best.gain.error:.2g}"
        return replace(finding, proof=replace(_suggested(search, mine), why=why))
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
    return Proof("suspected", change.summary, _fix(search.patient, search.patient, change))


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
        curves=(done.before.curve, done.after.curve),
    )


def _fix(patient: Patient, changed: Patient | None, change: Change) -> str:
    """Return a change as a unified diff of the file, or as the line of code to change."""
    if patient.spec is None or not change.values:
        return change.line
    values = changed.values if changed is not None and changed.values else change.values
    return applying.diff(patient.spec, values, "repaired")
