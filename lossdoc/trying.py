"""Changes tried one after another: each made, trained from several seeds, and compared with what was there before it.

A change is *confirmed* where it raises the score beyond the noise between seeds: p of the paired test times the number of
changes tried (Bonferroni) below 5 %, and the gain at least a twentieth of all there is to learn, since an optimum is flat
and less than that is tuning, not a repair; where an experiment has found the cause already, any gain will do. A gain that is
large and not yet sure is measured again from as many new seeds, and counts as two tries. A fault that a check proves for
certain, such as a softmax applied twice, is confirmed as well where the check passes after the change and the score is no
worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from lossdoc.build import Variants
from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.experiments import Experiment, Experiments, Gain
from lossdoc.findings import Evidence, Finding
from lossdoc.hypotheses import Hypothesis, by_experiment, certain, hypotheses, is_symptom, passes
from lossdoc.remedies._applied import applied
from lossdoc.remedy import Change, Patient
from lossdoc.rule import patterns

LEVEL = 0.05
LEAST = 0.05  # of what there is to learn
ENOUGH = 0.15  # of what there is to learn may be missing where nothing more is looked for
UNSURE = 1.0  # standard errors from which on a large gain is measured again: where one seed fails and is cured, it is 1
SHORT = 1.5  # times shorter than the configured training
ROUNDS = 3  # of changes one on top of another
UNKNOWN = Gain(math.nan, math.nan, 1.0, 0)

Say = Callable[[str], object]


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
    cured: bool = False  # not proved, but a check that was certain of the fault passes now, and the score is no worse
    why: str = ""
    proved: bool = False  # the gain is beyond noise, given all that was tried before
    looks: int = 1
    was: float = math.nan
    became: float = math.nan


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
    interrupted: bool = False
    begun: int = 0  # how many were tried before the changes of which one may be kept next

    def __post_init__(self) -> None:
        """Prepare to build changed subjects from one reading of the data."""
        self.make = self.patient.make or (None if self.patient.spec is None else Variants(self.patient.spec))
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
        """Cure what is certain, then look for what repairs the rest; an interrupt ends it.

        Raises:
            NotApplicable: when the time is over.
            UserError: when the subject cannot be trained as it is.
            UserCodeError: when the user's own code raises.
        """
        try:
            self._run()
        except KeyboardInterrupt:
            self.why, self.interrupted = "interrupted: other changes were not tried", True
            best = self._best([one for one in self.tried[self.begun :] if one.proved or one.cured])
            if best is not None:
                self._keep(best)

    def _run(self) -> None:
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
        self.now, self.keys, self.begun = done.patient, set(), len(self.tried)
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
        except Exception as bad:  # noqa: BLE001 - torch refuses some changes in its own words; others may do
            return self._noted(Tried(hypothesis, why=_first_line(bad)))
        proved, cause = self.confirmed(done), hypothesis.cause
        if proved or cause is None or not certain(cause) or not self._no_worse(done.gain):
            return self._noted(replace(done, proved=proved))
        return self._noted(replace(done, cured=passes(cause, patient)))

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
        return done

    def _compared(self, done: Tried, before: Sequence[float], after: Sequence[float]) -> Tried:
        counted = done.after is not None and done.after.measure == "accuracy"
        before, after = (
            [max(score, self.experiments.chance) for score in scores] for scores in (before, after)
        )  # less is no less
        gain = Gain.between(before, after, self.experiments.samples if counted else None)
        return replace(done, gain=gain, was=fmean(before), became=fmean(after))

    def _name(self, change: Change | None = None) -> str:
        """Return what an experiment with the changes that were kept, and one more, is called."""
        parts = [one.hypothesis.change.key for one in self.kept] + ([change.key] if change else [])
        return " + ".join(parts) or "as it is"

    def _large(self, done: Tried) -> bool:
        return done.gain.mean >= max(LEAST * self.learnable, UNSURE * done.gain.error)

    def _noted(self, done: Tried) -> Tried:
        """Keep a change that was tried, then say what came of it: an interrupt while it is said loses nothing."""
        self.tried.append(done)
        if done.after is not None:
            gain = f"{done.gain.mean:+.3f} ± {done.gain.error:.3f}"
            again = " in two tries" if done.looks > 1 else ""
            self.say(f"{done.hypothesis.change.summary}: {self._told(done.after)}, {gain}{again}")
        return done

    def _no_worse(self, gain: Gain) -> bool:
        return gain.mean + 2 * gain.error >= 0 or gain.mean > -LEAST * self.learnable

    def confirmed(self, done: Tried) -> bool:
        """Tell whether a change repaired beyond noise."""
        others = sum(one.looks for one in self.tried if one.after is not None and one is not done)
        cause = done.hypothesis.cause
        least = 0.0 if cause is not None and by_experiment(cause) else self._least  # it was found by what it does
        return done.gain.mean > least and done.gain.p * (others + done.looks) < LEVEL

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
