"""From what a command asks and what a description says to the plan of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossdoc import build, ledger, loop, ranging, sweeping
from lossdoc.build.own import OwnCode
from lossdoc.errors import NotApplicable, UserError
from lossdoc.parts.optimizers import OwnOptimizer
from lossdoc.ranking import RATE
from lossdoc.runner import Budget, Watch, go_on, runners, unheard
from lossdoc.search import Axis, Choices, Range, Space, searches
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from lossdoc.spec import Spec

Say = Callable[[str], object]
OWN_RATE = "optimizer.args.lr"  # what the rate of the user's own optimizer is called, too
ENOUGH = 200  # steps of a trial, below which the loss of a small data set shows too little of a rate


@dataclass(frozen=True)
class Asked:
    """What a command asks of a sweep in place of what the description says; None leaves it to the description."""

    search: str | None = None
    points: int | None = None
    steps: int | None = None
    epochs: int | None = None
    seeds: int | None = None
    runner: str = "auto"
    jobs: int | None = None
    halving: bool | None = None
    refine: bool | None = None
    confirm: bool = True
    resume: Path | None = None
    storage: str | None = None
    address: str | None = None
    write: Path | None = None
    force: bool = False


def plan(
    spec: Spec,
    subject: Subject,
    asked: Asked,
    *,
    watch: Watch = go_on,
    say: Say = unheard,
    make: build.Variants | None = None,
) -> sweeping.Plan:
    """Put together what the command asks, else the description, else what suits the subject.

    `make` builds the subjects of the spec's points, where there is something that has read the data already.
    Where nothing is said of what to vary, a range test is made first: `watch` sees its steps, `say` takes what came out.

    Raises:
        UserError: when there is no such search or runner, or it cannot do what is asked.
        UserCodeError: when the user's own code raises.
    """
    block, seed, make = spec.sweep, subject.seed, make or build.Variants(spec)
    name = asked.search or block.search
    searches.get(name)  # an unknown name is told before the work, not in it
    runners.get(asked.runner).must_be_able()
    testing = name == sweeping.RANGE_TEST
    budget = _budget(spec, subject, asked)
    shortened = ranging.shortened(subject, budget)
    if testing or not block.parameters:
        _must_take_a_rate(spec, subject)
    many = asked.seeds or (block.seeds if "seeds" in block.model_fields_set or not testing else ranging.SEEDS)
    return sweeping.Plan(
        make=make,
        space=_rates(spec, subject) if testing else _space(make, subject, asked, watch, say),
        budget=budget,
        search=name,
        points=asked.points or block.points,
        seeds=tuple(range(seed, seed + many)),
        runner=asked.runner,
        jobs=asked.jobs,
        name=subject.name,
        shortened=shortened,
        halving=0 if testing else _halving(subject, budget, asked, block.halving, say),
        refine=block.refine if asked.refine is None else asked.refine,
        confirm=asked.confirm and not testing,
        resume=asked.resume,
        storage=asked.storage,
        address=asked.address,
        described=_described(spec),
        preprocessing=subject.preprocessing,
    )


def _must_take_a_rate(spec: Spec, subject: Subject) -> None:
    """Refuse an optimizer of the user's own that has no argument for what is to be varied.

    Raises:
        UserError: when it has none.
    """
    changed = spec.with_values({RATE: float(subject.recipe.hyper["lr"])})
    word = changed.optimizer
    if not isinstance(word, OwnOptimizer):
        return
    try:
        OwnCode(changed).callee(word.call, word.args, ("optimizer",))
    except UserError:
        message = f"a sweep varies the learning rate where nothing else is said, and {word.call} takes no argument 'lr'"
        hint = "give it one, or say what to vary: --param PATH=RANGE, or sweep.parameters in the file"
        problem = spec.document.problem(("optimizer", "call"), f"{message}; {hint}", "optimizer")
        raise UserError(problem) from None


def _budget(spec: Spec, subject: Subject, asked: Asked) -> Budget:
    """Return how long a trial is: as was asked, else as described, else few epochs, more of them where data are few."""
    block = spec.sweep
    if (asked.search or block.search) == sweeping.RANGE_TEST:
        if asked.epochs is not None:
            raise UserError.of("a range test is counted in steps: use --steps in place of --epochs")
        return Budget(steps=asked.steps or block.steps or ranging.STEPS)
    steps = asked.steps or (None if asked.epochs else block.steps)
    if steps or asked.epochs or "epochs" in block.model_fields_set:
        return Budget(steps, asked.epochs or (None if steps else block.epochs))
    per_epoch = loop.steps_per_epoch(subject)
    enough = block.epochs if per_epoch is None else math.ceil(ENOUGH / per_epoch)
    return Budget(epochs=max(block.epochs, min(enough, subject.recipe.epochs)))


def _described(spec: Spec) -> dict[str, object]:
    """Return what the description says of a trial: what it says of the sweep itself is in the plan."""
    return {name: value for name, value in spec.resolved().items() if name != "sweep"}


def _space(make: build.Variants, subject: Subject, asked: Asked, watch: Watch, say: Say) -> Space:
    ranges = make.spec.sweep.parameters
    if not ranges:
        return ranging.default_space(subject, _tested(make, subject, asked, watch, say))
    axes: dict[str, Axis] = {
        RATE if path == OWN_RATE else path: Choices(one.values)
        if one.values is not None
        else Range(one.low or 0.0, one.high or 0.0, one.scale == "log")
        for path, one in ranges.items()
    }
    return Space(axes, {**values_at(make.spec, axes), **ranging.configured(subject, axes)})


def values_at(spec: Spec, paths: Iterable[str]) -> dict[str, Any]:
    """Return the values that a description has at some paths, which may leave out the names of words; unknown ones lack."""
    found = {}
    for path in paths:
        for source in (spec.document.data, spec.resolved()):  # as it is written, or with the defaults
            try:
                found[path] = _at(source, path.split("."))
                break
            except LookupError:
                continue
    return found


def _at(here: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        while isinstance(here, dict) and part not in here and len(here) == 1:
            (here,) = here.values()
        if isinstance(here, list) and part.isdecimal():
            here = here[int(part)]
        elif isinstance(here, dict):
            here = here[part]
        else:
            raise LookupError(part)
    return here


def _tested(make: build.Variants, subject: Subject, asked: Asked, watch: Watch, say: Say) -> Range | None:
    """Return the range of rates that a range test suggests, or suggested when the sweep began that is to be taken up again.

    It is None where the range test gives no answer.
    """
    if asked.resume is not None and (known := ledger.searched(sweeping.ROOT, subject.name, asked.resume, RATE)):
        say(f"range test: made when the sweep began; rates from {known.low:g} to {known.high:g} are searched")
        return known
    rate = float(subject.recipe.hyper["lr"])
    seeds = range(subject.seed, subject.seed + ranging.SEEDS)
    say(f"range test: no ranges are given, so {ranging.SEEDS} runs of {ranging.STEPS} steps with a rising rate find them")
    try:
        found = ranging.range_test(make, ranging.tested(rate), runners.get(asked.runner), seeds, watch=watch, say=say)
    except NotApplicable as why:
        say(f"range test: no answer, {why}; two decades to either side of the configured rate {rate:g} are searched")
        return None
    ends = found.range()
    say(f"range test: {found.told()}; rates from {ends.low:g} to {ends.high:g} are searched")
    return ends


def _rates(spec: Spec, subject: Subject) -> Space:
    """Return the rates of a range test: those that the description says, else wherever optimizers learn."""
    rate = float(subject.recipe.hyper["lr"])
    given = spec.sweep.parameters.get(RATE) or spec.sweep.parameters.get(OWN_RATE)
    if given is None:
        return Space({RATE: ranging.tested(rate)}, {RATE: rate})
    if given.values is not None or given.scale != "log":
        raise UserError.of(f"a range test raises the rate by factors: {RATE} needs a range on a log scale", kind="range")
    return Space({RATE: Range(given.low or 0.0, given.high or 0.0)}, {RATE: rate})


def _halving(subject: Subject, budget: Budget, asked: Asked, described: bool, say: Say) -> int:  # noqa: FBT001 - a value
    """Return the epochs of a trial, if points are to be ended early after some of them; 0 if not, or it cannot be."""
    if not (described if asked.halving is None else asked.halving):
        return 0
    per_epoch = loop.steps_per_epoch(subject)
    epochs = budget.epochs or (int(budget.steps // per_epoch) if budget.steps and per_epoch else 0)
    if "validation" not in subject.sizes:
        say("halving: there is no validation split to judge by; every point is trained to its end")
        return 0
    if epochs < 3:
        short = f"a trial of {epochs} epochs" if epochs else "a trial of so few steps"
        say(f"halving: {short} leaves no third to stop at; give it 3 or more (--epochs 9)")
        return 0
    return epochs
