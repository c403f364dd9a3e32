"""Taking training steps on a copy and looking at what they did to the weights, and at what was done inside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lossdoc.checks._events import Event, Record, recorded, watching
from lossdoc.errors import UserCodeError
from lossdoc.parts.optimizers import Sgd
from lossdoc.subject import Batch, LiveOptimizer, Optimizer, Recipe, Subject, kept

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lossdoc.train import Training

HORIZON = 2_000  # steps: what a run of unknown length is taken for
FEWEST, USUAL, MOST = 3, 8, 16  # steps: where all weights of an own step move at once, where some do, where none does
ROUNDING = 1e-5  # of the largest gradient: what is smaller, such as that of a bias before batch normalization, may be 0


@dataclass
class Course:
    """Some first training steps of a fresh model, regularization and dropout at 0.

    `before` are the weights at the start, by name, `first` those after the first step; `changed` the names of those in
    which any number changed, `buffers` the same for buffers, `replaced` those that are another object than at the start,
    `held` those that an optimizer holds which has taken a step (None where none was seen), `frozen` those that are no
    longer to learn. `each` has the events of each step of the user's own, `losses` what it returned; `gathered` is the
    step at which the optimizer took its first, from 1, 0 where it never did. `cut` tells that the loss had no gradient,
    so that the step raised.
    """

    before: Mapping[str, Tensor]
    batches: list[Batch]
    record: Record
    first: Mapping[str, Tensor] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    buffers: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    held: set[str] | None = None
    each: list[list[Event]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    gathered: int = 0
    cut: bool = False


def course(subject: Subject) -> Course:
    """Take the first steps; shared by all checks that ask.

    Raises:
        NotApplicable: where the labels do not fit the outputs.
    """
    return kept(subject, "course", lambda: _course(subject))


def _course(subject: Subject) -> Course:
    from lossdoc import fetching, probe, randomness, train

    batches = fetching.take(subject, samples=USUAL * (subject.batch_size or 1))
    training = train.begin(probe.bare(subject), subject.seed)
    if isinstance(training, train.OwnTraining):
        training.total = planned(subject)
    for batch in batches:
        probe.must_have_loss(subject, training.model(), batch)
    before = probe.parameters_of(training.model())
    found = Course(before, batches, Record())
    first = _Shape.of(training.model())
    own = subject.recipe.step is not None
    watched = recorded(found.record, training.model) if own else nullcontext()
    with randomness.seeded(subject.seed, 0), probe.unwarned(), watched:
        while not found.cut and not _enough(found, own=own):
            _take(found, training, first)
            if found.steps == 1:
                found.first = probe.parameters_of(training.model())
    _look_back(found, training.model(), first)
    return found


@dataclass(frozen=True)
class _Shape:
    """What a model is made of, to be compared with what it is made of later."""

    objects: Mapping[str, Any]
    buffers: Mapping[str, Tensor]

    @classmethod
    def of(cls, model: nn.Module) -> _Shape:
        return cls(dict(model.named_parameters()), {name: each.clone() for name, each in model.named_buffers()})


def _enough(found: Course, *, own: bool) -> bool:
    if found.steps < (FEWEST if own else 1):
        return False
    if len(found.changed) == len(found.before):
        return True
    return found.steps >= (USUAL if found.changed else MOST)


def _take(found: Course, training: Training, first: _Shape) -> None:
    from lossdoc.probe import has_no_gradient

    heard = len(found.record.events)
    try:
        losses = training.step(found.batches[found.steps % len(found.batches)], 1.0, 0)
    except UserCodeError as bad:
        if not has_no_gradient(bad):
            raise
        found.cut = True
        return
    found.steps += 1
    found.losses.append(losses.loss)
    events = found.record.events[heard:]
    found.each.append(events)
    if not found.gathered and any(event.kind == "optimizer" for event in events):
        found.gathered = found.steps
    model = training.model()
    now = dict(model.named_parameters())
    still = (name for name in found.before if name not in found.changed)
    found.changed |= {name for name in still if name not in now or _differ(now[name], found.before[name])}
    found.buffers |= {name for name, each in model.named_buffers() if _differ(each, first.buffers.get(name))}


def _differ(one: Tensor, other: Tensor | None) -> bool:
    return other is None or one.shape != other.shape or not bool((one.detach() == other).all())


def _look_back(found: Course, model: nn.Module, first: _Shape) -> None:
    """Say which parameters are other objects than at the start, which an optimizer holds, and which were frozen."""
    now = dict(model.named_parameters())
    found.replaced = {name for name, each in now.items() if first.objects.get(name) is not each}
    found.frozen = {name for name in found.before if name in now and not now[name].requires_grad}
    stepped = found.record.of("optimizer")
    if stepped:
        held = {id(each) for optimizer in stepped for group in optimizer.param_groups for each in group["params"]}
        found.held = {name for name, each in now.items() if id(each) in held}
        found.record.forget("optimizer")


def planned(subject: Subject) -> int:
    """Return how many steps the configured training takes, `HORIZON` where that is not known."""
    from lossdoc import loop

    return max(2, loop.planned_steps(subject, subject.recipe.max_steps, subject.recipe.epochs) or HORIZON)


def slopes(subject: Subject) -> dict[str, Tensor]:
    """Return the gradient of the first batch's loss at the first weights, by name, computed apart from any step."""

    def make() -> dict[str, Tensor]:
        from lossdoc import fetching, probe

        plain = probe.bare(subject)
        return probe.gradient(plain, plain.build(subject.seed), fetching.take(subject, samples=1)[0])

    return kept(subject, "slopes", make)


def with_slope(subject: Subject) -> set[str]:
    """Return the names of the parameters whose gradient at the first weights is more than rounding."""
    sizes = {name: float(slope.abs().max()) for name, slope in slopes(subject).items()}
    largest = max(sizes.values(), default=0.0)
    return {name for name, size in sizes.items() if size > ROUNDING * largest}


@dataclass(frozen=True)
class Flow:
    """Where lossdoc's own gradient arrives in some steps: `zero` are the parameters where it is 0 or missing in all.

    `missing` are those of them to which no path leads, `names` all that are to learn, `flat` those of one dimension at most.
    `every` tells whether the model has any parameters. `record` has what cut the graph.
    """

    names: tuple[str, ...]
    zero: tuple[str, ...]
    missing: tuple[str, ...]
    flat: frozenset[str]
    every: bool
    steps: int
    record: Record


def flow(subject: Subject, steps: int = 4) -> Flow:
    """Take up to four steps with lossdoc's own gradient, until every parameter has had one; shared by the checks."""
    return kept(subject, "flow", lambda: _flow(subject, steps))


def _flow(subject: Subject, steps: int) -> Flow:
    from lossdoc import fetching, measuring, probe, randomness, train

    plain = probe.bare(subject)
    batches = fetching.take(subject, samples=steps * (subject.batch_size or 1))
    objective = measuring.Objective(plain.build(subject.seed), plain.loss, plain.recipe.penalties).train()
    probe.must_have_loss(subject, objective.model, batches[0])
    optimizer, hyper = _mover(plain.recipe)
    state = train.start(objective, optimizer)
    record = Record()
    known = {f"model.{name}" for name, slope in slopes(subject).items() if bool((slope != 0).any())}
    zero = missing = [] if known >= set(state.params) else list(state.params)  # of the first step, where they have one
    for step in range(steps if zero else 0):
        with randomness.seeded(subject.seed, step), watching(record):
            grads, state, _ = train.gradients(objective, state, batches[step % len(batches)])
        missing = [name for name in missing if name not in grads]
        zero = [name for name in zero if name not in grads or not bool((grads[name] != 0).any())]
        if not zero:
            break
        state = train.update(optimizer, state, grads, hyper)
    return Flow(
        _short(state.params),
        _short(zero),
        _short(missing),
        frozenset(_short(name for name in state.params if state.params[name].ndim < 2)),
        bool(list(objective.model.parameters())),
        steps,
        record,
    )


def _mover(recipe: Recipe) -> tuple[Optimizer, Mapping[str, float]]:
    """Return what moves the weights a little while their gradients are watched: descent for one that needs a module."""
    if isinstance(recipe.optimizer, LiveOptimizer):
        plain = Sgd()
        return plain, plain.hyper
    return recipe.optimizer, recipe.hyper


def _short(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.removeprefix("model.") for name in names)


def distance(parts: Iterable[Tensor]) -> float:
    """Return the joint Euclidean norm of several tensors."""
    return math.sqrt(sum(float(part.detach().double().square().sum()) for part in parts))


def listed(names: Iterable[str]) -> str:
    """Return the first five names in words."""
    each = sorted(names)
    return ", ".join(each[:5]) + (", ..." if len(each) > 5 else "")
