"""Step 5 of the checklist: many short trainings on the whole data, each with its own learning rate and regularization."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossdoc import confirming, figures, pictures, ranging, records
from lossdoc.diagnosis import examine_curve
from lossdoc.errors import NotApplicable, UserError
from lossdoc.halving import Halving
from lossdoc.ledger import Ledger
from lossdoc.runner import Budget, Work, runners, unheard
from lossdoc.search import Asker, Planned, Range, Refined, Space, searches
from lossdoc.subject import Point, Subject, Trial, Trials

if TYPE_CHECKING:
    from lossdoc.loop import Tick

ROOT = Path("lossdoc_runs")
FIGURE = "curves.png"
PREPROCESSING = "preprocessing.json"
RANGE_TEST = "range-test"


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do: how a point becomes a subject, what is varied, for how long, by which search and runner.

    `points` is the largest number of points, each of which is trained once with every seed. `make` can be pickled. `name`
    is that of the folder which the ledgers of this model's sweeps share. `shortened` is by how much a trial is shorter than
    the configured training, 1 where it is not. `halving` is the number of epochs of a whole trial where points that do badly
    after a few of them are not trained any further, 0 where all are: the first seed decides, the others follow. With
    `refine` half as many points again are trained around the best, and with `confirm` what could be recommended is trained
    once more before one of it is. `resume` is the folder of a sweep to take up again,
    `storage` the URL of a database that holds the study in place of the folder's journal, `address` that of a Ray cluster.
    `described` is what the model.yaml says, as plain data: a sweep is only taken up again with the same. `preprocessing`
    holds the numbers fitted on the training split; every trial uses them, so they are kept beside the trials.
    """

    make: Callable[[Point], Subject]
    space: Space
    budget: Budget
    search: str = "random"
    points: int = 12
    seeds: tuple[int, ...] = (0,)
    runner: str = "serial"
    jobs: int | None = None
    name: str = "sweep"
    shortened: float = 1.0
    halving: int = 0
    refine: bool = False
    confirm: bool = False
    resume: Path | None = None
    storage: str | None = None
    address: str | None = None
    described: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: after a step of a trial `tick` is set, after the end of one `trial`; `best` is the best so far."""

    done: int
    planned: int
    point: Point
    tick: Tick | None = None
    trial: Trial | None = None
    best: Trial | None = None


def sweep(
    plan: Plan,
    *,
    root: Path | None = ROOT,
    watch: Callable[[Progress], object] | None = None,
    say: Callable[[str], object] = unheard,
) -> Trials:
    """Train the points of a plan and return the trials, each with the verdict on its curve.

    Every trial is written into a new folder below `root` the moment it ends (nowhere where that is None), so that an
    interrupt, which passes through, loses only the one in training; at the end the curves are drawn there. `say` takes lines
    that a user should know.

    Raises:
        UserError: when the search or the runner does not exist, or the folder cannot be made.
        UserCodeError: when the user's own code raises.
    """
    asker = _asker(plan)
    ledger = None if root is None else _ledger(plan, root)
    if ledger is not None and plan.preprocessing:
        records.write(ledger.folder / PREPROCESSING, plan.preprocessing)
    if ledger is not None and (plan.resume is not None or plan.storage is not None):
        say(f"{ledger.name}: {len(ledger.finished())} trials are finished there")
    tally = _Tally(_counted(plan, asker), watch, say)
    try:
        _search(plan, asker, tally, ledger)
        trials = _trials(plan, tally.trials, None if ledger is None else ledger.folder)
        if plan.confirm:
            trials = replace(trials, confirmed=_confirmed(plan, trials, watch, say))
        if ledger is not None:
            _draw(trials, ledger.folder)
    except KeyboardInterrupt:
        again = "the same command" if plan.storage is not None else "--resume last"
        where = "" if ledger is None else f"; they are in {ledger.folder}, and {again} goes on from there"
        raise KeyboardInterrupt(f"{len(tally.trials)} trials are finished{where}") from None
    finally:
        if ledger is not None:
            ledger.close()
    return trials


def _confirmed(
    plan: Plan, trials: Trials, watch: Callable[[Progress], object] | None, say: Callable[[str], object]
) -> tuple[Trial, ...]:
    """Train what could be recommended; these trials are few, and not written down."""
    points = confirming.points(trials, max(plan.seeds) + 1)
    if points:
        many = len({point.index for point in points})
        say(f"confirming: the configured values and what could replace them, {many} points, {confirming.SEEDS} new seeds")
    tally = _Tally(len(points), watch, say)
    _train(plan, points, tally, None, None)
    return tuple(sorted(tally.trials, key=lambda trial: (trial.point.index, trial.point.seed)))


def _draw(trials: Trials, folder: Path) -> None:
    """Draw the pictures of a sweep into its folder."""
    if not any(ranging.rises(trial.point) for trial in trials.trials):
        figures.curves(trials, folder / FIGURE)
        pictures.draw(trials, folder)
        return
    try:
        found = ranging.read(trials.trials)
    except NotApplicable:
        found = None
    pictures.draw_range_test(trials, found, folder / "rates.png")


def planned(plan: Plan) -> int:
    """Return how many trials there will be at most."""
    again = (plan.points + 1) // 2 if plan.refine else 0
    return (1 if plan.search == RANGE_TEST else plan.points + again) * len(plan.seeds)


def _counted(plan: Plan, asker: Asker) -> int:
    """Return how many trials there will be: of a search that is planned as a whole exactly, since a grid may have fewer."""
    return asker.left * len(plan.seeds) if isinstance(asker, Planned) else planned(plan)


def _asker(plan: Plan) -> Asker:
    search = searches.get(plan.search)
    if plan.refine and plan.search != RANGE_TEST:
        return Refined(search, plan.space, plan.points, plan.seeds[0], ranging.refined)
    return search.start(plan.space, plan.points, plan.seeds[0])


def _search(plan: Plan, asker: Asker, tally: _Tally, ledger: Ledger | None) -> None:
    """Train what the search asks for until it asks no more, and tell it what became of it."""
    halving = Halving(plan.halving)
    while points := asker.ask():
        deciding = plan.seeds[:1] if halving.rungs else plan.seeds
        answered = _train(plan, _each(points, deciding), tally, ledger, halving)
        left = [point for point in points if point.index not in halving.stopped]
        answered += _train(plan, _each(left, plan.seeds[len(deciding) :]), tally, ledger, None)
        asker.tell(answered)


def _ledger(plan: Plan, root: Path) -> Ledger:
    """Begin a ledger, join the one that a storage holds for the same plan, or take up an earlier one again."""
    facts = _facts(plan)
    if plan.resume is None:
        return Ledger.open(root, plan.name, plan.space, facts, plan.storage)
    if plan.storage is not None:
        message = "--storage takes up what it holds of the same sweep by itself: leave --resume out"
        raise UserError.of(message, kind="resume")
    return Ledger.resume(root, plan.name, plan.space, facts, plan.resume)


def _each(points: Sequence[Point], seeds: Sequence[int]) -> list[Point]:
    """Return every point with every seed."""
    return [replace(point, seed=seed) for point in points for seed in seeds]


def _train(plan: Plan, asked: Sequence[Point], tally: _Tally, ledger: Ledger | None, halving: Halving | None) -> list[Trial]:
    """Train some points, keep each trial as it ends, and return them all."""

    def watch(seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
        tally.step(seen)
        return () if halving is None else halving.watch(seen)

    if not asked:
        return []
    tally.expect(len(asked))
    answered: list[Trial] = []

    def keep(trial: Trial) -> None:
        answered.append(trial)
        tally.end(trial)

    def met(trial: Trial) -> None:
        """Keep a trial that was finished before, or by another process."""
        if halving is not None:
            halving.know([trial])
            halving.stopped |= set() if trial.stopped_at is None else {trial.point.index}
        keep(trial)

    runner = runners.get(plan.runner)
    for points in [asked] if ledger is None else ledger.share(asked, plan.jobs, met, tally.say):
        work = Work(plan.make, points, plan.budget, watch, plan.jobs, tally.say, plan.address)
        with runner.running(work) as trials:
            for trial in (_judged(ended, halving) for ended in trials):
                if ledger is None or ledger.add(trial):  # else another process took it over, and its trial counts
                    keep(trial)
    return answered


def _judged(ended: Trial, halving: Halving | None) -> Trial:
    """Return a trial with the verdict on its curve, and with the step at which halving ended it."""
    stopped = halving is not None and ended.point.index in halving.stopped and ended.diverged_at is None
    pattern = None if ranging.rises(ended.point) else examine_curve(ended.curve).primary
    return replace(ended, pattern=pattern, stopped_at=len(ended.curve.train) if stopped else None)


class _Tally:
    """Keeps the trials that have ended and tells the watcher."""

    def __init__(self, planned: int, watch: Callable[[Progress], object] | None, say: Callable[[str], object]) -> None:
        self.planned = planned
        self.asked = 0
        self.watch = watch
        self.say = say
        self.trials: list[Trial] = []
        self.best: Trial | None = None

    def expect(self, more: int) -> None:
        """Note that so many more trials were asked for."""
        self.asked += more
        self.planned = max(self.planned, self.asked)

    def step(self, seen: Sequence[tuple[Point, Tick]]) -> None:
        """Tell of the steps of some points."""
        for point, tick in seen:
            self._tell(Progress(len(self.trials), self.planned, point, tick=tick, best=self.best))

    def end(self, trial: Trial) -> None:
        """Keep a trial and tell of it."""
        self.trials.append(trial)
        if math.isfinite(trial.loss) and (self.best is None or trial.loss < self.best.loss):
            self.best = trial
        self._tell(Progress(len(self.trials), self.planned, trial.point, trial=trial, best=self.best))

    def _tell(self, progress: Progress) -> None:
        if self.watch is not None:
            self.watch(progress)


def _trials(plan: Plan, ended: Sequence[Trial], folder: Path | None) -> Trials:
    axes = plan.space.axes
    nowhere = (math.nan, math.nan)
    return Trials(
        tuple(sorted(ended, key=lambda trial: (trial.point.index, plan.seeds.index(trial.point.seed)))),
        {path: (axis.low, axis.high) if isinstance(axis, Range) else nowhere for path, axis in axes.items()},
        dict(plan.space.start),
        frozenset(path for path, axis in axes.items() if isinstance(axis, Range) and axis.log),
        plan.shortened,
        None if folder is None else str(folder),
    )


def _facts(plan: Plan) -> dict[str, Any]:
    """Return how the points were chosen, as what a study can store."""
    ranges = {
        path: {"low": axis.low, "high": axis.high, "log": axis.log}
        if isinstance(axis, Range)
        else list(map(str, axis.values))
        for path, axis in plan.space.axes.items()
    }
    budget = {"steps": plan.budget.steps, "epochs": plan.budget.epochs}
    return {
        "search": plan.search,
        "points": plan.points,
        "seeds": list(plan.seeds),
        "space": ranges,
        "budget": budget,
        "halving": plan.halving,
        "model": plan.described,
    }
