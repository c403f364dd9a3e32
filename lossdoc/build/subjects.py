"""The subject of a spec, and those of the points of a sweep."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lossdoc.build.data import Prepared, prepare
from lossdoc.build.feeds import LoaderFeed, Order
from lossdoc.build.models import builder
from lossdoc.build.optimizers import optimizer
from lossdoc.build.own import OwnCode
from lossdoc.build.places import placed
from lossdoc.build.placing import Placing, placing
from lossdoc.build.schedules import schedule
from lossdoc.errors import NotApplicable, UserError, user_code
from lossdoc.parts.losses import BuiltinLoss, CrossEntropy, ModelLoss, OwnLoss
from lossdoc.parts.regularizers import norms
from lossdoc.spec import Spec
from lossdoc.spec.loading import Changes
from lossdoc.subject import Batch, Loss, OwnStep, Penalty, Plain, Point, Recipe, Split, Subject, Takes, Task

EVALUATION = 256  # the least batch size outside training, where it changes nothing but the time
TASKS: Mapping[str, Task] = {"classes": "classification", "yes-no": "binary", "numbers": "regression"}
KNOWN_LOSSES: Mapping[str, Takes] = {  # torch's own, and what they take
    "CrossEntropyLoss": "logits",
    "cross_entropy": "logits",
    "BCEWithLogitsLoss": "logits",
    "BCELoss": "probabilities",
    "NLLLoss": "log-probabilities",
    "nll_loss": "log-probabilities",
    "MultiMarginLoss": "scores",
    "MSELoss": "values",
    "mse_loss": "values",
    "L1Loss": "values",
    "HuberLoss": "values",
    "SmoothL1Loss": "values",
}


@dataclass(frozen=True)
class OwnLossFunction:
    """The user's own loss; satisfies `lossdoc.subject.Loss`."""

    word: str
    call: Callable[..., Any]
    takes: Takes = "unknown"
    reduction: Literal["mean", "sum"] = "mean"

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return what the user's code returns."""
        with user_code(self.word):
            return self.call(outputs, targets)  # type: ignore[no-any-return]  # the user's own


@dataclass(frozen=True)
class OwnPenalty:
    """The user's own f(model) → scalar; satisfies `lossdoc.subject.Penalty`."""

    word: str
    call: Callable[..., Any]
    coefficient: float = 1.0
    own: ClassVar[bool] = True

    def value(self, model: nn.Module) -> Tensor:
        """Return what the user's code returns; a number as a tensor."""
        with user_code(self.word):
            value = self.call(model)
        return torch.as_tensor(float(value)) if isinstance(value, int | float) else value

    def parameters(self, model: nn.Module) -> Mapping[str, Tensor]:
        """Return all parameters by name: which of them the user's code weighs down is not known."""
        return dict(model.named_parameters())


def own_loss(outputs: Any, _targets: Any) -> Tensor:
    """Return the loss that a model put out itself.

    Raises:
        UserError: when there is none.
    """
    found = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if found is None:
        found = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
    if not isinstance(found, Tensor) or found.numel() != 1:
        message = (
            f"the model puts out {type(outputs).__name__}; with 'loss: model' it returns the loss, or has it as '.loss'"
        )
        raise UserError.of(message, kind="loss")
    return found.reshape(())


def subject(spec: Spec) -> Subject:
    """Make the subject that a spec describes.

    Raises:
        UserError: when data or code are not there, or do not fit.
        UserCodeError: when the user's own code raises.
    """
    return Variants(spec).subject()


class Variants:
    """Makes the subjects of a spec's points; data are read once and kept: the first ones, and those of the point before."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._kept: list[tuple[object, Prepared]] = []
        self._building: tuple[object, Callable[[int], nn.Module]] | None = None
        self._changed: Changes | None = None

    def subject(self) -> Subject:
        """Return the subject of the spec itself; see `subject`."""
        return _subject(self.spec, self._prepared(self.spec), self.spec.seed)

    def __call__(self, point: Point) -> Subject:
        """Return the subject with the point's values and seed.

        Raises:
            UserError: when a path does not exist or a value does not fit.
        """
        self._changed = self._changed or Changes(self.spec)
        spec = self._changed(point.params)
        data = self._prepared(spec)
        return _subject(spec, data, point.seed, self._builder(spec, data))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the data out: a worker reads them itself."""
        return {"spec": self.spec, "_kept": [], "_building": None, "_changed": None}

    def _builder(self, spec: Spec, data: Prepared) -> Callable[[int], nn.Module]:
        """Return the builder of the point before where it would make the same models, which may then be made once."""
        key = (spec.model, spec.loss, spec.train.device, spec.train.precision, id(data))
        if self._building is None or self._building[0] != key:
            self._building = key, _builder(spec, data, placing(spec))
        return self._building[1]

    def _prepared(self, spec: Spec) -> Prepared:
        # batch size matters where a stream is put into batches as it is read; shuffling never does
        key = spec.data.model_copy(update={"shuffle": True, "drop_last": False})
        for known, data in self._kept:
            if known == key:
                return data
        self._kept = [*self._kept[:1], (key, prepare(spec))]
        return self._kept[-1][1]


def _subject(spec: Spec, data: Prepared, seed: int, build: Callable[[int], nn.Module] | None = None) -> Subject:
    place = placing(spec)
    with placed(spec):
        loss, build = _loss(spec), build or _builder(spec, data, place)
    feed = data.feeds["train"]
    batch_size = feed.size if spec.optimizer.whole and feed.size is not None else spec.data.batch_size
    expected = spec.checks.initial_loss
    return Subject(
        name=spec.name,
        build=build,
        batches=_batches(spec, data, seed, batch_size, place),
        sizes={split: each.size for split, each in data.feeds.items()},
        loss=loss,
        recipe=_recipe(spec, build),
        task=_task(spec, data),
        classes=data.classes,
        batch_size=batch_size,
        shuffled=feed.shuffled if isinstance(feed, LoaderFeed) else spec.data.shuffle,
        expected_loss=None if expected is None else expected.expected,
        seed=seed,
        source=spec.file,
        plain=_plain(spec, data, loss, place),
        preprocessing=data.preprocessing,
    )


def _builder(spec: Spec, data: Prepared, place: Placing) -> Callable[[int], nn.Module]:
    def first() -> Batch:
        return next(place.batches(data.feeds["train"].batches(Order(2), 0)))

    return place.builder(builder(spec, data), first)


def _plain(spec: Spec, data: Prepared, loss: Loss, place: Placing) -> Plain | None:
    """Return model and loss without what regularizes inside them; None where there is nothing of that kind."""
    given = spec.regularization.disable
    off = spec.with_values(given) if given else spec
    bare = _unsmoothed(_loss(off) if given else loss)
    return Plain(_builder(off, data, place), bare) if given or bare is not loss else None


def _unsmoothed(loss: Loss) -> Loss:
    """Return the same loss without label smoothing; one of torch's own keeps it in an attribute."""
    if isinstance(loss, CrossEntropy) and loss.label_smoothing:
        return loss.model_copy(update={"label_smoothing": 0.0})
    if isinstance(loss, OwnLossFunction) and getattr(loss.call, "label_smoothing", False):
        plain = copy.copy(loss.call)
        plain.label_smoothing = 0.0  # type: ignore[attr-defined]  # it has one
        return replace(loss, call=plain)
    return loss


def _task(spec: Spec, data: Prepared) -> Task:
    if data.goal == "language" or not isinstance(spec.loss, BuiltinLoss):
        return data.goal or "unknown"
    return TASKS[spec.loss.goal]


def _batches(
    spec: Spec, data: Prepared, seed: int, batch_size: int, place: Placing
) -> Callable[[Split, int], Iterator[Batch]]:
    training = Order(batch_size, seed if spec.data.shuffle else None, spec.data.drop_last)
    others = Order(max(batch_size, EVALUATION))

    def batches(split: Split, epoch: int) -> Iterator[Batch]:
        if split not in data.feeds:
            raise NotApplicable(f"there is no {split} split")
        return told(place.batches(data.feeds[split].batches(training if split == "train" else others, epoch)))

    def told(given: Iterator[Batch]) -> Iterator[Batch]:
        with placed(spec):
            yield from given

    return batches


def _recipe(spec: Spec, build: Callable[[int], nn.Module]) -> Recipe:
    own, given = OwnCode(spec), spec.regularization
    penalties: list[Penalty] = list(norms(given))
    if given.call is not None:
        penalties.append(OwnPenalty(given.call, own.function(given.call, given.args, ("regularization",), takes=1)))
    step = None if spec.step is None else OwnStep(spec.step.call, own.step(spec.step.call, spec.step.args))
    chosen = optimizer(spec, build)
    return Recipe(
        optimizer=chosen,
        penalties=tuple(penalties),
        schedule=schedule(own, spec.schedule, chosen.hyper["lr"]),
        epochs=spec.train.epochs,
        max_steps=spec.train.max_steps,
        clip=spec.train.gradient_clip,
        scaled=spec.train.precision == "float16",
        step=step,
        groups=tuple((each.match, each.values) for each in getattr(spec.optimizer, "groups", ())),
    )


def _loss(spec: Spec) -> Loss:
    loss = spec.loss
    if isinstance(loss, BuiltinLoss):
        return loss
    if isinstance(loss, ModelLoss):
        return OwnLossFunction("model", own_loss)
    assert isinstance(loss, OwnLoss)  # noqa: S101 - the only other kind there is
    call = OwnCode(spec).function(loss.call, loss.args, ("loss",), takes=2)
    reduction = getattr(call, "reduction", loss.args.get("reduction"))
    takes = KNOWN_LOSSES.get(loss.call.rpartition(":")[2], "unknown")
    return OwnLossFunction(loss.call, call, takes, "sum" if reduction == "sum" else "mean")
