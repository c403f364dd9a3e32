"""Step 5 of the checklist: many short trainings on the whole data, each with its own learning rate and regularization."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossdoc import figures
from lossdoc.diagnosis import examine_curve
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.findings import Evidence, Finding, Report, Severity
from lossdoc.ledger import Ledger
from lossdoc.ranking import RATE, p_rising, rate_gap
from lossdoc.rule import Rule, checks, examine, patterns
from lossdoc.runner import Budget, Work, runners
from lossdoc.search import Asker, Choices, Range, Space, searches
from lossdoc.subject import Penalty, Point, Subject, Trial, Trials

if TYPE_CHECKING:
    from lossdoc.loop import Tick

ROOT = Path("lossdoc_runs")
FIGURE = "curves.png"
DECADES = 100.0  # two decades to either side of the configured value: a rate that is off by more is found by the edge
FEW_EPOCHS = 3
FEW_STEPS = 100  # below this many steps of a small data set a curve shows too little to be judged
L2 = "regularization.l2"
DECAY = "optimizer.weight_decay"
FAILED = frozenset({"non-finite", "not-learning", "rising", "lr-too-high"})
BEYOND_NOISE = 4.0  # standard deviations of a single batch's loss: one in 30,000
SURE = 0.01  # the level of the rank tests that tell a fall from chance


@dataclass(frozen=True)
class Plan:
    """What a sweep is to do: how a point becomes a subject, what is varied, for how long, by which search and runner.

    `points` is the largest number of points, each of which is trained once with every seed. `make` can be pickled. `name`
    is that of the folder which the ledgers of this model's sweeps share. `shortened` is by how much a trial is shorter than
    the configured training, 1 where it is not.
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


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: after a step of a trial `tick` is set, after the end of one `trial`; `best` is the best so far."""

    done: int
    planned: int
    point: Point
    tick: Tick | None = None
    trial: Trial | None = None
    best: Trial | None = None


def default_space(subject: Subject) -> Space:
    """Return what is varied when nothing is said: the learning rate, and the strength of the regularization.

    Each range reaches two decades to either side of the configured value. Where there is no regularization yet, it reaches
    from a penalty of a thousandth of the first loss, which is without effect, to one as large as that loss, which dominates.
    A user's own training step knows of no penalties: then it is the learning rate alone.
    """
    rate = float(subject.recipe.hyper["lr"])
    axes: dict[str, Range | Choices] = {RATE: Range(rate / DECADES, rate * DECADES)}
    start: dict[str, Any] = {RATE: rate}
    decay = float(subject.recipe.hyper.get("weight_decay", 0.0))
    l2 = _l2(subject)
    if decay > 0:
        axes[DECAY], start[DECAY] = Range(decay / DECADES, decay * DECADES), decay
    elif l2 is not None and l2.coefficient > 0:
        axes[L2], start[L2] = Range(l2.coefficient / DECADES, l2.coefficient * DECADES), float(l2.coefficient)
    elif subject.recipe.step is None:
        strongest = _decade(_dominating_l2(subject))
        axes[L2], start[L2] = Range(strongest / 1_000, strongest), 0.0
    return Space(axes, start)


def shortened(subject: Subject, budget: Budget) -> float:
    """Return by how much a budget is smaller than the configured training; 1 where it is not, or nobody knows."""
    from lossdoc.loop import planned_steps

    whole = planned_steps(subject, subject.recipe.max_steps, subject.recipe.epochs)
    short = planned_steps(subject, budget.steps, budget.epochs)
    if whole == 0 or short == 0:  # the length of an epoch is not known
        return max(1.0, subject.recipe.epochs / budget.epochs) if budget.epochs else 1.0
    return max(1.0, whole / short)


def configured(subject: Subject, paths: Iterable[str]) -> dict[str, Any]:
    """Return the configured values of those paths that the subject knows: hyperparameters and the L2 strength."""
    l2 = _l2(subject)
    known: dict[str, Any] = {f"optimizer.{name}": value for name, value in subject.recipe.hyper.items()}
    known[L2] = 0.0 if l2 is None else float(l2.coefficient)
    return {path: known[path] for path in paths if path in known}


def _l2(subject: Subject) -> Penalty | None:
    return next((penalty for penalty in subject.recipe.penalties if penalty.word == "l2" and not penalty.own), None)


def _dominating_l2(subject: Subject) -> float:
    """Return the coefficient c at which c/2 · ‖w‖² of a fresh model is as large as its loss on the first batch."""
    from lossdoc import train

    model = subject.build(subject.seed)
    batch = next(iter(subject.batches("train", subject.seed)))
    loss = train.measure(subject, model, batch, training=True).loss
    squares = sum(float(weight.detach().square().sum()) for weight in model.parameters() if weight.ndim > 1)
    usable = math.isfinite(loss) and loss > 0 and squares > 0
    return 2 * loss / squares if usable else 0.1


def _decade(value: float) -> float:
    """Return the power of ten next to a positive number."""
    return float(10.0 ** round(math.log10(value)))


def default_budget(subject: Subject) -> Budget:
    """Return few epochs: three, or as many as a small data set needs for a hundred steps."""
    samples = subject.sizes.get("train")
    if samples is None or subject.batch_size is None:
        return Budget(epochs=FEW_EPOCHS)
    return Budget(epochs=max(FEW_EPOCHS, math.ceil(FEW_STEPS / math.ceil(samples / subject.batch_size))))


def sweep(plan: Plan, *, root: Path | None = ROOT, watch: Callable[[Progress], object] | None = None) -> Trials:
    """Train the points of a plan and return the trials, each with the verdict on its curve.

    Every trial is written into a new folder below `root` the moment it ends (nowhere where that is None), so that an
    interrupt, which passes through, loses only the one in training; at the end the curves are drawn there.

    Raises:
        UserError: when the search or the runner does not exist, or the folder cannot be made.
        UserCodeError: when the user's own code raises.
    """
    asker = searches.get(plan.search).start(plan.space, plan.points, plan.seeds[0])
    ledger = None if root is None else Ledger.open(root, plan.name, plan.space, _facts(plan))
    tally = _Tally(plan.points * len(plan.seeds), watch)
    try:
        _search(plan, asker, tally, ledger)
    except KeyboardInterrupt:
        where = "" if ledger is None else f"; they are in {ledger.folder}"
        raise KeyboardInterrupt(f"{len(tally.trials)} trials are finished{where}") from None
    trials = _trials(plan, tally.trials, None if ledger is None else ledger.folder)
    if ledger is not None:
        figures.curves(trials, ledger.folder / FIGURE)
    return trials


def _search(plan: Plan, asker: Asker, tally: _Tally, ledger: Ledger | None) -> None:
    """Train what the search asks for until it asks no more, and tell it what became of it."""
    run = runners.get(plan.runner).run
    while points := asker.ask():
        asked = [replace(point, seed=seed) for point in points for seed in plan.seeds]
        tally.expect(len(asked))
        answered = []
        for ended in run(Work(plan.make, asked, plan.budget, tally.step, plan.jobs)):
            trial = replace(ended, pattern=examine_curve(ended.curve).primary)
            if ledger is not None:
                ledger.add(trial)
            answered.append(trial)
            tally.end(trial)
        asker.tell(answered)


class _Tally:
    """Keeps the trials that have ended and tells the watcher."""

    def __init__(self, planned: int, watch: Callable[[Progress], object] | None) -> None:
        self.planned = planned
        self.asked = 0
        self.watch = watch
        self.trials: list[Trial] = []
        self.best: Trial | None = None

    def expect(self, more: int) -> None:
        """Note that so many more trials were asked for; a grid may have fewer points than it was allowed."""
        self.asked += more
        if not self.trials:
            self.planned = min(self.planned, self.asked)

    def step(self, seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
        """Tell of the steps of some points; no trial is ended early."""
        for point, tick in seen:
            self._tell(Progress(len(self.trials), self.planned, point, tick=tick, best=self.best))
        return ()

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
    return {"search": plan.search, "points": plan.points, "seeds": list(plan.seeds), "space": ranges, "budget": budget}


def report(trials: Trials, rules: Iterable[Rule[Any]] | None = None, *, source: str | None = None) -> Report:
    """Return the verdict on a sweep; an error only where no trial learned anything."""
    asked = [rule for rule in checks.all() if rule.matter == "Trials"] if rules is None else list(rules)
    judged = examine("sweep", trials, asked, source=source)
    findings = [*_failure(trials), *judged.findings, *_rate_too_high(trials)]
    return replace(judged, findings=tuple(sorted(findings, key=lambda finding: finding.severity.rank)))


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
