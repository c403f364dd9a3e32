"""Made-up subjects, put together of made-up data, models and steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lossdoc.parts.losses import Bce, CrossEntropy, Mse
from lossdoc.parts.optimizers import Sgd
from lossdoc.specimens.data import BATCH, CLASSES, SAMPLES, Source, blobs, fed, numbers, yes_no
from lossdoc.specimens.models import mlp, recurrent
from lossdoc.subject import OwnStep, Penalty, Recipe, Split, Subject, Task

if TYPE_CHECKING:
    from torch import Tensor

Change = Callable[["Tensor"], Any]


def healthy(**fields: Any) -> Subject:
    """Return a sound classifier of four classes; `fields` are those of Subject that differ."""
    recipe = Recipe(Sgd(lr=0.1))
    whole: dict[str, Any] = {
        "name": "specimen",
        "build": mlp(),
        "batches": fed(blobs),
        "sizes": {"train": SAMPLES, "validation": SAMPLES},
        "loss": CrossEntropy(),
        "recipe": recipe,
        "task": "classification",
        "classes": CLASSES,
        "batch_size": BATCH,
        "shuffled": True,
    }
    return Subject(**{**whole, **fields})


def regression(**fields: Any) -> Subject:
    """Return a sound regression on standardized targets."""
    given: dict[str, Any] = {"loss": Mse(), "build": mlp(1), "batches": fed(numbers), "task": "regression", "classes": None}
    return healthy(**{**given, **fields})


def binary(**fields: Any) -> Subject:
    """Return a sound binary classifier with one logit (B, 1)."""
    given: dict[str, Any] = {
        "loss": Bce(),
        "build": mlp(1),
        "batches": fed(yes_no),
        "task": "binary",
        "classes": 2,
    }
    return healthy(**{**given, **fields})


def sequences(**fields: Any) -> Subject:
    """Return a sound classifier of sequences of 24 measurements, told by their last."""

    def given(split: Split) -> tuple[Tensor, Any]:
        inputs, targets = blobs(split)
        return inputs.unsqueeze(1).repeat(1, 24, 1), targets

    return healthy(**{"build": recurrent(0.9), "batches": fed(given), **fields})


def with_recipe(subject: Subject, **fields: Any) -> Subject:
    """Return the subject with fields of its recipe replaced."""
    return replace(subject, recipe=replace(subject.recipe, **fields))


def with_penalty(*penalties: Penalty) -> Subject:
    """Return the sound classifier with penalties."""
    return with_recipe(healthy(), penalties=penalties)


def with_step(call: Callable[..., Any], subject: Subject | None = None) -> Subject:
    """Return the sound classifier trained by a step of its own."""
    return with_recipe(subject or healthy(), step=OwnStep("mine:step", call))


def with_inputs(change: Change, source: Source = blobs, **fields: Any) -> Subject:
    """Return the sound classifier with its inputs put through `change`."""

    def given(split: Split) -> tuple[Tensor, Any]:
        inputs, targets = source(split)
        return change(inputs.clone()), targets

    return healthy(batches=fed(given), **fields)


def with_targets(change: Change, source: Source = blobs, task: Task = "classification", **fields: Any) -> Subject:
    """Return the sound classifier with its targets put through `change`."""

    def given(split: Split) -> tuple[Tensor, Any]:
        inputs, targets = source(split)
        return inputs, change(targets.clone())

    return healthy(batches=fed(given), task=task, **fields)
