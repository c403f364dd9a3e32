"""The checklist of the notes on one model: each stage by itself, and all of it in order as one examination."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from lossdoc import (
    applying,
    build,
    following,
    learning,
    loop,
    outcome,
    overfitting,
    planning,
    proving,
    spec,
    sweeping,
    train,
)
from lossdoc.budgeting import TUNES, Bench, Fits, ending, share_of
from lossdoc.diagnosis import examine_curve
from lossdoc.errors import NotApplicable, UserError
from lossdoc.experiments import Experiments
from lossdoc.findings import Finding, Report, Severity
from lossdoc.following import OutOfTimeError, Shown, in_time
from lossdoc.format import SKIPPED
from lossdoc.hypotheses import needed
from lossdoc.planning import Asked
from lossdoc.progress import Progress
from lossdoc.randomness import undisturbed
from lossdoc.ranking import recommended
from lossdoc.remedy import Patient
from lossdoc.rule import Rule, checks, examine, patterns, resolve
from lossdoc.subject import Subject, Trials

SILENT = Progress(quiet=True)
NOTHING = Asked()
EXPERIMENTING = 40.0  # seconds for the experiments where no budget is given
LEARNING = 0.6  # of what is left: the causes use the same experiments and need fewer of their own


@dataclass(frozen=True)
class Case:
    """A model under examination: its description, the subject built from it, and by which rules the user wants it judged.

    `began` is the time (of `time.monotonic`) from which a budget counts, `until` that at which a stage is broken off.
    `bench` is where its experiments are made. `make` builds the subjects of changed descriptions; it has read the data.
    """

    spec: spec.Spec
    subject: Subject
    select: Collection[str] = ()
    ignore: Collection[str] = ()
    progress: Progress = SILENT
    began: float = field(default_factory=time.monotonic)
    until: float = math.inf
    bench: Bench = field(default_factory=Bench)
    make: build.Variants | None = None

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        change: Sequence[str] = (),
        seed: int | None = None,
        select: Collection[str] = (),
        ignore: Collection[str] = (),
        progress: Progress = SILENT,
        swept: Sequence[str] = (),
    ) -> Case:
        """Read a model.yaml, with some of its values changed, and build what it describes.

        `swept` are the ranges of a sweep (`path=range`), in place of the file's.

        Raises:
            UserError: when the file is missing or faulty, or there is no rule of a name in `select` or `ignore`.
            UserCodeError: when the user's own code raises.
        """
        described = spec.load(path, change, seed, swept=swept)
        rules = [*checks.all(), *patterns.all()]
        wanted, unwanted = resolve(select, rules), resolve((*ignore, *described.checks.ignore), rules)
        make = build.Variants(described)
        return cls(described, make.subject(), wanted, unwanted, progress, make=make)

    def rules(self, matter: str) -> list[Rule[Any]]:
        """Return the checks that judge a kind of matter, as far as the user wants them."""
        return [one for one in checks.all() if one.matter == matter and self.wants(one.name)]

    def wants(self, name: str) -> bool:
        """Tell whether the user wants a rule to judge."""
        return (not self.select or name in self.select) and name not in self.ignore


def sanity(case: Case) -> Report:
    """Examine the model before any training: step 3 of the checklist, and whatever else one look can show."""
    case.progress.stage("sanity: first loss, data, initialization, first step")
    rules = [ending(one, case.until) for one in sorted(case.rules("Subject"), key=lambda one: (one.dear, one.code))]
    with undisturbed():
        return examine("sanity", case.subject, rules, source=case.subject.source)


def memorize(case: Case) -> Report:
    """Train on a few batches until they are known by heart: step 4 of the checklist."""
    asked = case.spec.overfit
    case.progress.stage(f"overfit: {asked.samples} samples by heart")
    show = Shown(case.progress, case.until)
    found = overfitting.memorize(
        case.subject,
        samples=asked.samples,
        batch_size=asked.batch_size,
        steps=asked.steps,
        seed=case.subject.seed,
        watch=show,
    )
    show.end()
    report = overfitting.report(found, case.rules("Memorization"), source=case.subject.source)
    return replace(report, findings=tuple(one for one in report.findings if case.wants(one.name)))


def fit(case: Case) -> Report:
    """Train as the description says, and diagnose the curve."""
    subject, epochs = case.subject, case.subject.recipe.epochs
    case.progress.stage(f"training: {epochs} epochs with the file's own settings")
    log, show = loop.Log(subject), Shown(case.progress, case.until)
    fits = Fits(case.until, loop.planned_steps(subject, subject.recipe.max_steps, epochs))
    work, feed = train.begin(subject, subject.seed), loop.epochs_of(subject, subject.seed)
    for tick in loop.run(subject, work, feed, seed=subject.seed, steps=subject.recipe.max_steps, epochs=epochs):
        log.add(tick)
        show(tick)
        fits(tick.step)
    show.end()
    named = [name for name in case.select if name in patterns.names()]
    unwanted = [name for name in case.ignore if name in patterns.names()]
    report = examine_curve(
        log.curve(), title="training", source=subject.source, notes=show.final(), select=named, ignore=unwanted
    )
    found = tuple(_by_its_answers(finding, subject, work.model) for finding in report.findings)
    return replace(report, decisive=Severity.ERROR, findings=found)


def _by_its_answers(finding: Finding, subject: Subject, model: Callable[[], nn.Module]) -> Finding:
    """Return a pattern of the configured training by what the model itself says of it.

    How low the loss can get tells no curve, but experiments will; and a gap between the losses is no error of a model that
    is right on the validation split as often as on the other.
    """
    mild = finding.name == "underfitting" or (finding.name == "overfitting" and learning.keeps_up(subject, model()))
    return replace(finding, severity=Severity.WARNING) if mild else finding


def sweep(case: Case, asked: Asked = NOTHING) -> Report:
    """Try learning rates and regularization on the whole data with few epochs: step 5 of the checklist."""
    if asked.write is not None:
        applying.writable(asked.write, case.spec, force=asked.force)
    progress = case.progress
    shown = Shown(progress, case.until)
    plan = planning.plan(case.spec, case.subject, asked, watch=shown.seen, say=progress.say, make=case.make)
    progress.stage(f"sweep: {sweeping.planned(plan)} trials over {', '.join(plan.space.axes)}")
    follow = following.Followed(progress, loop.planned_steps(case.subject, plan.budget.steps, plan.budget.epochs))

    def watch(now: sweeping.Progress) -> None:
        follow(now)
        in_time(case.until)

    trials = sweeping.sweep(plan, watch=watch, say=progress.say)
    progress.done()
    report = outcome.report(trials, case.rules("Trials"), source=case.subject.source)
    kept = tuple(one for one in report.findings if case.wants(one.name))
    return replace(report, findings=kept, advice=tuple(_advice(case, report, asked)))


def _advice(case: Case, report: Report, asked: Asked) -> Iterator[str]:
    """Yield what to change in the file, and where everything was written to."""
    trials = report.matter
    assert isinstance(trials, Trials)  # noqa: S101 - a sweep's report is about nothing else
    values = recommended(trials)
    yield from applying.told(case.spec, trials, values)
    if asked.write is not None:
        applying.write(asked.write, case.spec, values)
        yield f"{asked.write}: a copy of the file {'with these values' if values else 'as it is'}"
    if trials.folder is not None:
        yield f"trials and pictures are in {trials.folder}"


def learn(case: Case) -> Report:
    """Train from several seeds, as it is and with one thing changed: does it learn, and what keeps it from it?"""
    case.progress.stage("learning: trainings from several seeds")
    now = time.monotonic()
    whole = EXPERIMENTING if math.isinf(case.until) else case.until - now
    until = now + LEARNING * whole
    experiments, source = case.bench.experiments(case.subject, until, case.until), case.subject.source
    try:
        report = learning.report(experiments, case.rules("Experiments"), source=source)
        if learning.undecided(experiments, report) and not math.isinf(case.until):
            case.bench.lengthen(now, case.until)  # where it is not worth while, the same ones may still be asked for more
            longer = case.bench.experiments(case.subject, case.until, case.until)
            report = learning.report(longer, case.rules("Experiments"), source=source)
    except NotApplicable as why:
        return Report("learning", source, inconclusive=str(why))
    return replace(report, findings=tuple(one for one in report.findings if case.wants(one.name)))


@dataclass(frozen=True)
class Stage:
    """One stage of the checklist: what it does, what it judges, and why an error in it makes the later ones meaningless."""

    examine: Callable[[Case], Report]
    judges: frozenset[str]
    meaningless: str = ""


STAGES = {
    "sanity": Stage(sanity, frozenset({"Subject"}), "what comes after it would measure that fault, not the model"),
    "overfit": Stage(
        memorize,
        frozenset({"Memorization", "Curve"}),
        "a network that cannot learn a few batches by heart has nothing to gain from the whole data",
    ),
    "sweep": Stage(
        sweep, frozenset({"Trials", "Curve"}), "no point of the sweep learned anything, so a longer run would not either"
    ),
    "training": Stage(fit, frozenset({"Curve"})),
    "learning": Stage(learn, frozenset({"Experiments"})),
}


def only(case: Case, name: str, *asked: Any) -> Iterator[Report]:
    """Do one stage.

    Raises:
        UserError: when nothing that the user selected judges it.
    """
    if not _judged(case, name):
        message = f"{', '.join(sorted(case.select))}: nothing of this judges {name}; `lossdoc explain` lists what there is"
        raise UserError.of(message, kind="unknown-name")
    yield STAGES[name].examine(case, *asked)


def thorough(case: Case) -> Iterator[Report]:
    """Examine the model before any training, and then whether it learns in a short one."""
    yield from only(case, "sanity")
    yield from only(case, "learning")


def checkup(case: Case, budget: float | None = None, *, fix: bool = False, force: bool = False) -> Iterator[Report]:
    """Do the whole checklist in order, then look for the causes of what was found, by experiments.

    A stage with an error makes the later ones meaningless, and they are skipped; the causes are always looked for. `budget`
    is the seconds that all of it may take from `case.began` on: at most `budgeting.SHARES` of them for the stages before the
    experiments. `fix` writes the repaired file beside the old one, over what is there only with `force`.

    Raises:
        UserError: when the repaired file cannot be written.
    """
    target = applying.beside(case.spec, "fixed") if fix else None
    if target is not None:
        applying.writable(target, case.spec, force=force, option="--fix")
    end = math.inf if budget is None else case.began + budget
    found: list[Finding] = []
    stopped: str | None = None
    for name, stage in STAGES.items():
        why = stopped or (None if _judged(case, name) else "nothing that was selected judges it")
        why = why or (TUNES if name == "sweep" and budget is not None else None)
        now = time.monotonic()
        then = replace(case, until=share_of(name, now, case.began, end))
        report = _skipped(case, name, why) if why is not None else _in_budget(then, name, stage)
        yield report
        found += report.findings
        errors = [finding.name for finding in report.findings if finding.severity is Severity.ERROR]
        if errors and stage.meaningless:
            stopped = f"{name} found {', '.join(errors)}; {stage.meaningless}"
    try:
        yield causes(replace(case, until=min(end, time.monotonic() + EXPERIMENTING)), found, target)
    except proving.CutShort as cut:
        yield cut.report
        raise KeyboardInterrupt from None


def _skipped(case: Case, name: str, why: str) -> Report:
    return Report(name, case.subject.source, inconclusive=f"{SKIPPED}{why}")


def _in_budget(case: Case, name: str, stage: Stage) -> Report:
    """Do a stage, or say that the budget did not suffice for it."""
    try:
        if name != "sanity":  # some answer is better than none
            in_time(case.until)
        return stage.examine(case)
    except OutOfTimeError as why:
        return _skipped(case, name, str(why))


def causes(case: Case, found: Sequence[Finding], fix: Path | None = None) -> Report:
    """Look for the causes of what was found: change one thing, train, compare; write the repaired file to `fix`."""
    subject, patient = case.subject, Patient(case.subject, case.spec, make=case.make)
    sick = [one for one in found if one.severity is not Severity.NOTE]
    if sick:
        case.progress.stage(f"causes: experiments against {', '.join(dict.fromkeys(one.name for one in sick))}")
    many, none = needed(patient, sick), Experiments(subject, (subject.seed,), 1)
    experiments = case.bench.experiments(subject, case.until, case.until, many) if sick else none
    report = proving.prove(patient, sick, experiments, case.progress.say)
    return report if fix is None else replace(report, advice=(_fixed(case, report, fix),))


def _fixed(case: Case, report: Report, fix: Path) -> str:
    """Write the repaired file, where what is confirmed can be written there; say what was done."""
    if not isinstance(report.matter, proving.Repair):
        return f"nothing to write to {fix}: no change of the file is confirmed"
    if not report.matter.values:
        return f"nothing to write to {fix}: what is confirmed is a change of your own code"
    applying.write(fix, case.spec, report.matter.values)
    return f"{fix}: a copy of the file with what is confirmed"


def _judged(case: Case, name: str) -> bool:
    """Tell whether any rule that the user wants judges what a stage makes."""
    rules = [*checks.all(), *patterns.all()]
    return any(case.wants(one.name) and set(one.matter.split(" | ")) & STAGES[name].judges for one in rules)
