"""What is legal and odd: warnings, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.errors import Problem
from lossdoc.parts.layer import Layer
from lossdoc.parts.losses import BuiltinLoss
from lossdoc.spec.document import Document, Path
from lossdoc.spec.models import Spec

TUNED = frozenset({"rate", "dropout", "init", "eps", "momentum", "slope"})  # what there is to tune within a model
BEFORE_LOGITS = ("softmax", "log_softmax", "sigmoid")


def oddities(spec: Spec, document: Document) -> Iterator[Problem]:
    """Find what a reader of the file should look at twice."""
    for path, message, kind in _odd(spec):
        yield document.problem(path, message, kind, warning=True)


def _odd(spec: Spec) -> Iterator[tuple[Path, str, str]]:
    yield from _last_layer(spec.model.layers or (), spec.loss)
    if not spec.data.shuffle:
        yield ("data", "shuffle"), "the training data keep the order of the file in every epoch", "unshuffled-data"
    if getattr(spec.optimizer, "weight_decay", 0) and spec.regularization.l2:
        yield ("regularization", "l2"), "the weights are decayed twice: by l2 and by the optimizer's weight_decay", "twice"
    if isinstance(spec.loss, BuiltinLoss) and spec.loss.reduction == "sum":
        yield ("loss",), "summed over the batch, the loss and its gradient grow with the batch size", "summed-loss"
    if spec.optimizer.whole and "batch_size" in spec.data.model_fields_set:
        message = f"'{spec.optimizer.word}' takes the whole data at every step; the batch size counts for validation only"
        yield ("data", "batch_size"), message, "unused"
    if spec.overfit.batch_size > spec.overfit.samples:
        yield ("overfit", "batch_size"), f"a batch holds more than the {spec.overfit.samples} samples there are", "unused"
    for path in spec.sweep.parameters:
        parts = path.split(".")
        if parts[0] == "model" and not TUNED.intersection(parts):
            message = "this is the architecture; a sweep tunes everything else, since few epochs favor small networks"
            yield ("sweep", "parameters", path), message, "architecture"


def _last_layer(layers: tuple[Layer, ...], loss: object) -> Iterator[tuple[Path, str, str]]:
    if not layers or not isinstance(loss, BuiltinLoss):
        return
    last, place = layers[-1].word, ("model", "layers", len(layers) - 1)
    if last in BEFORE_LOGITS and loss.takes == "logits":
        yield place, f"'{last}' comes right before '{loss.word}', which applies its own: feed it logits", "double-softmax"
    if last == "relu":
        yield (
            place,
            f"'relu' comes right before '{loss.word}': outputs below 0 are cut off, and their gradient with them",
            "last-relu",
        )
