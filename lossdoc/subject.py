"""The thing under test: all that a check may know of a model, its data, its loss and how it is trained."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from lossdoc.curve import Context, Curve, Series
from lossdoc.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer as TorchOptimizer

Split = Literal["train", "validation", "test"]
Task = Literal["classification", "binary", "regression", "language", "unknown"]
Takes = Literal["logits", "probabilities", "log-probabilities", "scores", "values", "unknown"]
Hyper = Mapping[str, "float | Tensor"]
Slots = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class Batch:
    """Some samples: `inputs` is a tensor (B, ...) or a mapping of such, `targets` a tensor (B, ...)."""

    inputs: Any
    targets: Any

    def __iter__(self) -> Iterator[Any]:
        """Yield inputs and targets, so that a training step may say `x, y = batch`."""
        return iter((self.inputs, self.targets))

    def __getitem__(self, key: str | int) -> Any:
        """Return inputs (0) or targets (1), or one of several inputs by its name."""
        return self.inputs[key] if isinstance(key, str) else (self.inputs, self.targets)[key]

    def keys(self) -> Iterable[str]:
        """Return the names of several inputs, so that a training step may say `model(**batch)`."""
        names: Iterable[str] = self.inputs.keys()
        return names

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.targets)


class Loss(Protocol):
    """A loss function and what it takes."""

    @property
    def word(self) -> str:
        """Its name in model.yaml, or `pkg.module:name`."""

    @property
    def takes(self) -> Takes:
        """What the model is to put out: logits, (log-)probabilities, the scores of a hinge, or plain values."""

    @property
    def reduction(self) -> Literal["mean", "sum"]:
        """How the losses of single samples become one number."""

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss of a batch as a scalar tensor, reduced as configured."""


class Penalty(Protocol):
    """A term added to the loss: `coefficient` times `value(model)`.

    Setting the coefficient to 0 switches the term off and leaves its code in place.
    """

    @property
    def word(self) -> str:
        """Its name in model.yaml, or `pkg.module:name`."""

    @property
    def own(self) -> bool:
        """Whether the term is the user's own function; its coefficient is then 1."""

    @property
    def coefficient(self) -> float:
        """The factor on the value, as configured."""

    def value(self, model: nn.Module) -> Tensor:
        """Return sum |w| for `l1`, half of sum w² for `l2`, what the function returns for the user's own term; a scalar."""

    def parameters(self, model: nn.Module) -> Mapping[str, Tensor]:
        """Return the parameters that the term weighs down, by name; all of them for the user's own term."""


class Optimizer(Protocol):
    """An update rule as pure functions of single tensors, so that one or a thousand points are trained by the same code."""

    @property
    def word(self) -> str:
        """Its name in model.yaml."""

    @property
    def hyper(self) -> Mapping[str, float]:
        """The hyperparameters by name, `lr` among them."""

    def slots(self, parameter: Tensor) -> Slots:
        """Return the state of one parameter before the first step, by name."""

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, hyper: Hyper, taken: int) -> tuple[Tensor, Slots]:
        """Return the parameter and its slots after one step.

        `taken` is the number of steps taken before: 0 at the first. Hyperparameters may be floats, or tensors that
        broadcast against the parameter.
        """

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> TorchOptimizer:
        """Make the counterpart in torch.optim, for the user's own training step."""


@runtime_checkable
class LiveOptimizer(Optimizer, Protocol):
    """An optimizer that only works on a live module: the user's own, or another package's."""

    def attach(self, model: nn.Module, hyper: Mapping[str, float]) -> TorchOptimizer:
        """Make it for a model, with hyperparameters that differ from its own where `hyper` says so."""


@dataclass(frozen=True)
class OwnStep:
    """The user's own training step, `f(model, batch, optimizer) -> loss`, with further arguments by name if it asks."""

    word: str
    call: Callable[..., Any]


def constant_rate(_step: int, _total: int) -> float:
    """Return 1.0: the schedule that leaves the learning rate alone."""
    return 1.0


@dataclass(frozen=True)
class Recipe:
    """How the model is trained.

    `groups` are the hyperparameters of some parameters, each with a regular expression for their names; the first counts.

    `schedule(step, total)` is the factor on the learning rate at a step counted from 0. `clip` is the largest gradient
    norm, None for no limit. `scaled`: the loss is scaled up for gradients that float16 cannot hold. `max_steps` ends the
    training before the epochs are over, None for no limit. `changed` holds hyperparameters that differ from the optimizer's
    own.
    """

    optimizer: Optimizer
    penalties: tuple[Penalty, ...] = ()
    schedule: Callable[[int, int], float] = constant_rate
    epochs: int = 10
    max_steps: int | None = None
    clip: float | None = None
    scaled: bool = False
    step: OwnStep | None = None
    changed: Mapping[str, float] = field(default_factory=dict)
    groups: tuple[tuple[str, Mapping[str, float]], ...] = ()

    def hyper_of(self, name: str) -> dict[str, float]:
        """Return the hyperparameters of one parameter; a changed rate changes those of all groups in proportion."""
        group = next((values for match, values in self.groups if re.search(match, name)), {})
        given = {**self.optimizer.hyper, **group, **{key: value for key, value in self.changed.items() if key != "lr"}}
        return {**given, "lr": given["lr"] * self.hyper["lr"] / self.optimizer.hyper["lr"]}

    @property
    def hyper(self) -> dict[str, float]:
        """The hyperparameters to train with, by name."""
        return {**self.optimizer.hyper, **self.changed}


@dataclass(frozen=True)
class Plain:
    """Model and loss with what regularizes inside them set to 0: label smoothing, and what `disable` names."""

    build: Callable[[int], nn.Module]
    loss: Loss


@dataclass(frozen=True)
class Subject:
    """All that a check may know of the thing under test.

    `build(seed)` makes a fresh, untrained model. `batches(split, epoch)` iterates over a split's batches in the order of
    that epoch; `sizes` says which splits exist and how many samples each has (None: not known before the end).
    `classes` is the number of classes in the data, or of tokens; None in a regression or where it is not known.
    `expected_loss` is what the user says the first loss should be, for a loss that lossdoc does not know. `shuffled` says
    whether the training data are in a new order in each epoch, None where that is not known. `source` is the file it was
    described in. `plain` is None where neither model nor loss hides any regularization but dropout. `preprocessing` holds
    the numbers that each step of preprocessing took from the training split, under its word: all splits went through them.
    """

    name: str
    build: Callable[[int], nn.Module]
    batches: Callable[[Split, int], Iterable[Batch]]
    sizes: Mapping[Split, int | None]
    loss: Loss
    recipe: Recipe
    task: Task = "unknown"
    classes: int | None = None
    batch_size: int | None = None
    shuffled: bool | None = None
    expected_loss: float | None = None
    seed: int = 0
    source: str | None = None
    plain: Plain | None = None
    preprocessing: tuple[Mapping[str, Any], ...] = ()


class Shelf(dict[str, Any]):
    """What was measured of a subject; it stays in the process where it was measured."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Shelf, ()


Found = TypeVar("Found")


def kept(subject: Subject, key: str, make: Callable[[], Found]) -> Found:
    """Return what was made for a subject under a key, and make it where it is asked for first: several checks share it.

    Raises:
        NotApplicable: each time, where the making did.
    """
    shelf = vars(subject).setdefault("_shelf", Shelf())
    if key not in shelf:
        try:
            shelf[key] = make()
        except NotApplicable as why:
            shelf[key] = why
    found = shelf[key]
    if isinstance(found, NotApplicable):
        raise NotApplicable(str(found))
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Point:
    """One point of a sweep: values by their path in model.yaml (`optimizer.lr`), and the seed to train it with."""

    index: int
    params: Mapping[str, Any]
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """What became of one point.

    `loss` is the last validation loss (where there is no validation split, the training loss over the last epoch), NaN
    where the trial diverged; `metric` is the accuracy on the same split or NaN; `diverged_at` is the step at which a number
    left the range, None where none did. `pattern` is the verdict on its curve. `stopped_at` is the step at which successive
    halving ended it, None where it was trained to its end. `model` is the trained model, None unless it was asked for.
    """

    point: Point
    curve: Curve
    loss: float
    metric: float
    diverged_at: int | None = None
    pattern: str | None = None
    stopped_at: int | None = None
    model: nn.Module | None = field(default=None, repr=False, compare=False)

    @property
    def train_loss(self) -> float:
        """The training loss, averaged over the steps of the last epoch."""
        return _last_epoch(self.curve.train, self.curve.context)

    @property
    def val_loss(self) -> float:
        """The last validation loss, NaN where there is none."""
        return math.nan if self.curve.val is None else float(self.curve.val.value[-1])

    @property
    def train_accuracy(self) -> float:
        """The accuracy on the training split, averaged over the steps of the last epoch; NaN where there is none."""
        series = self.curve.others.get("train_accuracy")
        return math.nan if series is None else _last_epoch(series, self.curve.context)

    @property
    def val_accuracy(self) -> float:
        """The last accuracy on the validation split, NaN where there is none."""
        series = self.curve.others.get("val_accuracy")
        return math.nan if series is None else float(series.value[-1])


def _last_epoch(series: Series, context: Context) -> float:
    """Return the mean over the last epoch's steps (over the last tenth of them where an epoch's length is not known)."""
    steps = context.steps_per_epoch or math.ceil(len(series) / 10)
    return float(series.value[-max(1, round(steps)) :].mean())


@dataclass(frozen=True)
class Trials:
    """All trials of a sweep.

    `ranges` holds the range that was searched for each path as (low, high), NaN where it is a choice; `configured` the
    values in model.yaml; `log` the paths whose range is logarithmic. `shortened` is by how much the trials were shorter than
    the configured training, 1 where they were not. `folder` is where the trials were written down. `suggested` holds values
    by path that follow from all trials together, not from the best one: those of a range test. `confirmed` are the trials,
    not among the others, of what could be recommended and of the configured values, from seeds of their own.
    """

    trials: tuple[Trial, ...]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    configured: Mapping[str, Any] = field(default_factory=dict)
    log: frozenset[str] = frozenset()
    shortened: float = 1.0
    folder: str | None = None
    suggested: Mapping[str, Any] = field(default_factory=dict)
    confirmed: tuple[Trial, ...] = ()

    @property
    def ranked(self) -> list[Trial]:
        """The trials, best first by the mean loss over their point's seeds.

        Behind them those that were ended early, and last the diverged ones, the longest-lived first.
        """
        losses: dict[int, list[float]] = {}
        for trial in self.trials:
            losses.setdefault(trial.point.index, []).append(trial.loss if trial.stopped_at is None else math.inf)
        mean = {index: sum(values) / len(values) for index, values in losses.items()}

        def key(trial: Trial) -> tuple[float, bool, int, float, int]:
            whole = mean[trial.point.index]
            return (
                whole if math.isfinite(whole) else math.inf,
                trial.diverged_at is not None,
                -(trial.stopped_at or trial.diverged_at or 0),
                trial.loss if math.isfinite(trial.loss) else math.inf,
                trial.point.index,
            )

        return sorted(self.trials, key=key)

    @property
    def best(self) -> Trial | None:
        """The best trial of the best point, None where every trial diverged."""
        return next((trial for trial in self.ranked if math.isfinite(trial.loss)), None)

    @property
    def at_edge(self) -> tuple[str, ...]:
        """The paths in which no trial lies beyond the best one, on its lower or its upper side."""
        best = self.best
        if best is None:
            return ()
        found = []
        for path, (low, _high) in self.ranges.items():
            tried = {float(trial.point.params[path]) for trial in self.trials} if math.isfinite(low) else set()
            if len(tried) > 1 and float(best.point.params[path]) in (min(tried), max(tried)):
                found.append(path)
        return tuple(found)
