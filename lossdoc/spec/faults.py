"""What is wrong across keys: each value fits its key, but not the others."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.errors import Problem
from lossdoc.parts.layer import NoClassesError, Shape, ShapeError, UnknownShapeError, spoken
from lossdoc.parts.losses import BuiltinLoss, ModelLoss
from lossdoc.spec.document import Document, Path
from lossdoc.spec.models import Range, Spec


def faults(spec: Spec, document: Document) -> Iterator[Problem]:
    """Find the faults of a spec whose every block is right by itself."""
    yield from _model(spec, document)
    yield from _loss(spec, document)
    yield from _shapes(spec, document)
    yield from _others(spec, document)
    for path, given in spec.sweep.parameters.items():
        yield from _range(given, ("sweep", "parameters", path), document)


def layer_fault(document: Document, at: Path, word: str, shape: Shape, meant: ShapeError) -> Problem:
    """Make the problem of the layer at `at` that cannot take what comes in, or of one inside it, however deep."""
    if meant.path:
        word, shape = meant.word, meant.came
    told = str(meant) if isinstance(meant, NoClassesError) else f"{word} gets {spoken(shape)}; {meant} is meant"
    return document.problem((*at, *meant.path), told, "shape")


def output_fault(document: Document, layers: int, loss: str, shape: Shape, meant: str) -> Problem:
    """Make the problem of a model whose outputs its loss cannot take; it stands at the last of its layers."""
    message = f"the model puts out {spoken(shape)}; {meant} is meant, for {loss}"
    return document.problem(("model", "layers", layers - 1), message, "shape")


def output_meant(loss: BuiltinLoss, shape: Shape, classes: int | None) -> str | None:
    """Say which outputs a loss wants of a model that puts out `shape` for one sample; None where that fits.

    More outputs than classes are legal, and told by a check; fewer leave a class without one.
    """
    if loss.goal == "classes" and classes is not None and (not shape or shape[-1] < classes):
        return f"one number for each of the {classes} classes"
    return "a single number" if loss.goal != "classes" and shape not in ((), (1,)) else None


def _model(spec: Spec, document: Document) -> Iterator[Problem]:
    model = spec.model
    if (model.layers is None) == (model.call is None):
        got = "both 'layers' and 'call'" if model.layers else "neither 'layers' nor 'call'"
        yield document.problem(("model",), f"got {got}; one of them is meant", "model", key=True)
    if model.call is not None and model.init is not None:
        yield document.problem(
            ("model", "init"), "only a list of layers is initialized here, not one's own model", "model", key=True
        )
    for path, args, call in (
        (("model",), model.args, model.call),
        (("regularization",), spec.regularization.args, spec.regularization.call),
    ):
        if args and call is None:
            yield document.problem((*path, "args"), "arguments for nothing; 'call' says what gets them", "model", key=True)


def _loss(spec: Spec, document: Document) -> Iterator[Problem]:
    loss, goal = spec.loss, spec.data.source.goal
    if isinstance(loss, ModelLoss) and spec.model.layers is not None:
        message = (
            "a list of layers returns no loss; it is named here, as in 'loss: cross_entropy' ('model: {call: ...}' may)"
        )
        yield document.problem(("loss",), message, "loss")
    if not isinstance(loss, BuiltinLoss) or goal is None:
        return
    at: Path = ("loss",)
    if loss.goal == "numbers" and goal != "regression":
        meant = "cross_entropy, nll, multiclass_hinge (or bce for two classes)"
        told = f"'{loss.word}' compares numbers, but the targets are classes; {meant} is meant"
        if hasattr(spec.data.source, "task"):
            told += f", or 'task: regression' in '{spec.data.source.word}' where the targets are numbers"
        yield document.problem(at, told, "loss")
    if loss.goal != "numbers" and goal == "regression":
        yield document.problem(
            at, f"'{loss.word}' needs classes, but the targets are numbers; mse, l1 or huber is meant", "loss"
        )
    classes = spec.data.classes or spec.data.source.classes
    if loss.goal == "yes-no" and goal == "classification" and classes not in (2, None):
        yield document.problem(
            at, f"'{loss.word}' tells two classes apart, but there are {classes}; cross_entropy is meant", "loss"
        )


def _shapes(spec: Spec, document: Document) -> Iterator[Problem]:
    """Follow the shape of one sample through the layers, as far as it is known without running anything."""
    shape, classes = spec.data.source.shape, spec.data.classes or spec.data.source.classes
    if shape is None or spec.model.layers is None or spec.model.call is not None:
        return
    for place, layer in enumerate(spec.model.layers):
        try:
            shape = layer.shape(shape, classes)
        except UnknownShapeError:
            return
        except ShapeError as bad:
            yield layer_fault(document, ("model", "layers", place), layer.word, shape, bad)
            return
    meant = output_meant(spec.loss, shape, classes) if isinstance(spec.loss, BuiltinLoss) else None
    if meant is not None and not list(_loss(spec, document)):
        yield output_fault(document, len(spec.model.layers), spec.loss.word, shape, meant)


def _others(spec: Spec, document: Document) -> Iterator[Problem]:
    if spec.data.split.stratify and spec.data.source.goal == "regression":
        message = "the targets are numbers; only classes can be split in proportion"
        yield document.problem(("data", "split", "stratify"), message, "data")
    if spec.data.preprocess and spec.data.source.goal == "language":
        message = "a text is whole numbers, which only name characters; there is nothing to scale"
        yield document.problem(("data", "preprocess"), message, "data", key=True)
    if {"epochs", "steps"} <= spec.sweep.model_fields_set and spec.sweep.steps is not None:
        yield document.problem(("sweep", "steps"), "got both 'epochs' and 'steps'; one of them is meant", "sweep", key=True)


def _range(given: Range, path: Path, document: Document) -> Iterator[Problem]:
    low, high = given.low, given.high
    if given.values is not None:
        if low is not None or high is not None:
            yield document.problem(
                path, "got 'values' beside 'low' and 'high'; one or the other is meant", "sweep", key=True
            )
    elif low is None or high is None:
        yield document.problem(path, "a range has both 'low' and 'high', or 'values'", "sweep", key=True)
    elif low >= high:
        yield document.problem(path, f"got a range from {low:g} to {high:g}; the lower end comes first", "sweep", key=True)
    elif given.scale == "log" and low <= 0:
        yield document.problem(
            path, f"got a range from {low:g}; a log scale begins above 0 (or 'scale: linear')", "sweep", key=True
        )
