"""The checklist of the notes on one model: each stage by itself, and all of it in order as one examination."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lossdoc import build, loop, overfit, spec, sweeping, train
from lossdoc.diagnosis import examine_curve
from lossdoc.errors import UserError
from lossdoc.findings import Report, Severity
from lossdoc.progress import Progress
from lossdoc.rule import Rule, checks, examine, patterns, resolve
from lossdoc.runner import Budget, runners
from lossdoc.search import Choices, Range, Space, searches
from lossdoc.subject import Subject

SILENT = Progress(quiet=True)


@dataclass(frozen=True)
class Case:
    """A model under examination: its description, the subject built from it, and by which rules the user wants it judged."""

    spec: spec.Spec
    subject: Subject
    select: Collection[str] = ()
    ignore: Collection[str] = ()
    progress: Progress = SILENT

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
    ) -> Case:
        """Read a model.yaml, with some of its values changed, and build what it describes.

        Raises:
            UserError: when the file is missing or faulty, or there is no rule of a name in `select` or `ignore`.
            UserCodeError: when the user's own code raises.
        """
        described = spec.load(path, change, seed)
        rules = [*checks.all(), *patterns.all()]
        wanted, unwanted = resolve(select, rules), resolve((*ignore, *described.checks.ignore), rules)
        return cls(described, build.subject(described), wanted, unwanted, progress)

    def rules(self, matter: str) -> list[Rule[Any]]:
        """Return the checks that judge a kind of matter, as far as the user wants them."""
        return [one for one in checks.all() if one.matter == matter and self.wants(one.name)]

    def wants(self, name: str) -> bool:
        """Tell whether the user wants a rule to judge."""
        return (not self.select or name in self.select) and name not in self.ignore


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: on models of this size more threads cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sanity(case: Case) -> Report:
    """Examine the model before any training: step 3 of the checklist, and whatever else one look can show."""
    case.progress.stage("sanity: first loss, data, initialization, first step")
    return examine("sanity", case.subject, case.rules("Subject"), source=case.subject.source)


def memorize(case: Case) -> Report:
    """Train on a few batches until they are known by heart: step 4 of the checklist."""
    asked = case.spec.overfit
    case.progress.stage(f"overfit: {asked.samples} samples by heart")
    show = _Shown(case.progress)
    found = overfit.memorize(
        case.subject,
        samples=asked.samples,
        batch_size=asked.batch_size,
        steps=asked.steps,
        seed=case.subject.seed,
        watch=show,
    )
    show.end()
    report = overfit.report(found, case.rules("Memorization"), source=case.subject.source)
    return replace(report, findings=tuple(one for one in report.findings if case.wants(one.name)))


def fit(case: Case) -> Report:
    """Train as the description says, and diagnose the curve."""
    subject, epochs = case.subject, case.subject.recipe.epochs
    case.progress.stage(f"training: {epochs} epochs with the file's own settings")
    log, show = loop.Log(subject), _Shown(case.progress)
    work, feed = train.begin(subject, subject.seed), loop.epochs_of(subject, subject.seed)
    for tick in loop.run(subject, work, feed, seed=subject.seed, steps=subject.recipe.max_steps, epochs=epochs):
        log.add(tick)
        show(tick)
    show.end()
    named = [name for name in case.select if name in patterns.names()]
    unwanted = [name for name in case.ignore if name in patterns.names()]
    report = examine_curve(
        log.curve(), title="training", source=subject.source, notes=show.final(), select=named, ignore=unwanted
    )
    return replace(report, decisive=Severity.ERROR)


@dataclass(frozen=True)
class Asked:
    """What a command asks of a sweep in place of what the description says; None leaves it to the description."""

    search: str | None = None
    points: int | None = None
    steps: int | None = None
    epochs: int | None = None
    seeds: int | None = None
    runner: str = "serial"


def sweep(case: Case, asked: Asked = Asked()) -> Report:
    """Try learning rates and regularization on the whole data with few epochs: step 5 of the checklist."""
    plan = _plan(case, asked)
    case.progress.stage(f"sweep: {plan.points} points over {', '.join(plan.space.axes)}")
    trials = sweeping.sweep(plan, watch=lambda now: _show_sweep(case.progress, now))
    case.progress.done()
    report = sweeping.report(trials, case.rules("Trials"), source=case.subject.source)
    written = () if trials.folder is None else (f"written to {trials.folder}",)
    return replace(
        report, findings=tuple(one for one in report.findings if case.wants(one.name)), notes=(*report.notes, *written)
    )


def _plan(case: Case, asked: Asked) -> sweeping.Plan:
    """Put together what the command asks, else the description, else what suits the subject."""
    block = case.spec.sweep
    steps = asked.steps or (None if asked.epochs else block.steps)
    budget = Budget(steps, asked.epochs or (None if steps else block.epochs))
    seed = case.subject.seed
    name = asked.search or block.search
    searches.get(name)  # an unknown name is told before the work, not in it
    runners.get(asked.runner)
    return sweeping.Plan(
        make=build.Variants(case.spec),
        space=_space(case),
        budget=budget,
        search=name,
        points=asked.points or block.points,
        seeds=tuple(range(seed, seed + (asked.seeds or block.seeds))),
        runner=asked.runner,
        name=case.subject.name,
        shortened=sweeping.shortened(case.subject, budget),
    )


def _space(case: Case) -> Space:
    ranges = case.spec.sweep.parameters
    if not ranges:
        return sweeping.default_space(case.subject)
    axes = {
        path: Choices(one.values) if one.values is not None else Range(one.low or 0.0, one.high or 0.0, one.scale == "log")
        for path, one in ranges.items()
    }
    return Space(axes, sweeping.configured(case.subject, axes))


def _show_sweep(progress: Progress, now: sweeping.Progress) -> None:
    values = "  ".join(f"{path.rpartition('.')[2]} {_short(value)}" for path, value in now.point.params.items())
    if now.trial is None:
        progress.show(f"point {now.done + 1} of {now.planned}  {values}")
        return
    fate = f"loss {now.trial.loss:.4g}" if now.trial.diverged_at is None else f"diverged at step {now.trial.diverged_at}"
    progress.show(f"point {now.done} of {now.planned}  {values}  {fate}", last=True)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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


def checkup(case: Case) -> Iterator[Report]:
    """Do the whole checklist in order; a stage with an error makes the later ones meaningless, and they are skipped."""
    stopped: str | None = None
    for name, stage in STAGES.items():
        why = stopped or (None if _judged(case, name) else "nothing that was selected judges it")
        if why is not None:
            yield Report(name, case.subject.source, inconclusive=f"skipped: {why}")
            continue
        report = stage.examine(case)
        yield report
        errors = [finding.name for finding in report.findings if finding.severity is Severity.ERROR]
        if errors:
            stopped = f"{name} found {', '.join(errors)}; {stage.meaningless}"


def _judged(case: Case, name: str) -> bool:
    """Tell whether any rule that the user wants judges what a stage makes."""
    rules = [*checks.all(), *patterns.all()]
    return any(case.wants(one.name) and set(one.matter.split(" | ")) & STAGES[name].judges for one in rules)


class _Shown:
    """Shows each tick of a training as progress, and keeps the last ones."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.last: loop.Tick | None = None
        self.validation: train.Losses | None = None

    def __call__(self, tick: loop.Tick) -> None:
        self.last = tick
        self.validation = tick.validation or self.validation
        self.progress.show(_told(tick))

    def final(self) -> list[str]:
        """Say where the training ended."""
        if self.last is None:
            return []
        at_last = f"after {self.last.step} steps: training loss {self.last.train.loss:.4g}"
        if self.validation is not None:
            at_last += f", validation loss {self.validation.loss:.4g}"
            if math.isfinite(self.validation.accuracy):
                at_last += f", validation accuracy {100 * self.validation.accuracy:.1f} %"
        return [at_last]

    def end(self) -> None:
        """Show the very last tick."""
        if self.last is not None:
            self.progress.show(_told(self.last), last=True)


def _told(tick: loop.Tick) -> str:
    text = f"step {tick.step}  loss {tick.train.loss:.4g}"
    if math.isfinite(tick.train.accuracy):
        text += f"  accuracy {100 * tick.train.accuracy:.1f} %"
    if tick.validation is not None:
        text += f"  validation {tick.validation.loss:.4g}"
    return text
