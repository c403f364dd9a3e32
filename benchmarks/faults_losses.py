"""Losses told in Keras' words, as words of model.yaml or as code of `keras_like` and torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.faults_sources import Source
from benchmarks.faults_words import Unknown, spoken, word

NAMES = {
    "l2": "mse", "l1": "mae", "l2loss": "mse", "meansquared": "mse", "bce": "binary_crossentropy",
    "logloss": "binary_crossentropy", "bceloss": "binary_crossentropy", "cce": "categorical_crossentropy",
    "crossentropy": "categorical_crossentropy", "scce": "sparse_categorical_crossentropy",
    "kld": "kullback_leibler_divergence", "kldivergence": "kullback_leibler_divergence", "cosine": "cosine_similarity",
    "cosineproximity": "cosine_similarity", "huberloss": "huber", "mseloss": "mse", "meansquarederror": "mse",
    "meanabsoluteerror": "mae", "l1loss": "mae", "meanabsolutepercentageerror": "mape",
    "meansquaredlogarithmicerror": "msle", "rootmeansquarederror": "rmse",
    "bcewithlogitsloss": "binary cross-entropy of logits", "sigmoidcrossentropy": "binary cross-entropy of logits",
    "sigmoidcrossentropywithlogits": "binary cross-entropy of logits", "crossentropyloss": "cross-entropy of logits",
    "softmaxcrossentropy": "cross-entropy of logits", "softmaxcrossentropywithlogits": "cross-entropy of logits",
    "softmaxcrossentropywithlogitsv2": "cross-entropy of logits",
    "sparsesoftmaxcrossentropywithlogits": "cross-entropy of logits", "sumsquarederror": "sum of squares", "nllloss": "nll",
    **{each.replace("_", ""): each for each in (
        "mse", "mae", "mape", "msle", "rmse", "huber", "logcosh", "hinge", "squared_hinge", "categorical_hinge", "poisson",
        "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "cosine_similarity",
        "kullback_leibler_divergence",
    )},
}  # fmt: skip
IN_WORDS = {
    "sum of squares, y unscaled": "sum of squares", "sum of squared errors": "sum of squares",
    "ce on raw logits": "cross-entropy of scores", "ce after softmax over the batch axis": "softmax over the batch",
    "softmax_cross_entropy_with_logits fed probabilities": "cross-entropy of logits",
    "mean((out[n,1]-y[n])^2) broadcast to n x n": "broadcast", "-sum(y log clip(out))": "log of outputs",
    "mean over classes, sum over batch": "summed", "ce reduced over the wrong axis": "over the batch",
}  # fmt: skip
OWN = {  # loss → its function, how its targets are encoded
    "mape": ("mean_absolute_percentage_error", "one-hot"), "msle": ("mean_squared_logarithmic_error", "one-hot"),
    "hinge": ("hinge", "one-hot"), "squared_hinge": ("squared_hinge", "one-hot"),
    "categorical_hinge": ("categorical_hinge", "one-hot"),
    "kullback_leibler_divergence": ("kullback_leibler_divergence", "one-hot"), "poisson": ("poisson", "one-hot"),
    "cosine_similarity": ("cosine_similarity", "one-hot"), "logcosh": ("logcosh", "one-hot"),
    "broadcast": ("broadcast_squared_error", "column"), "log of outputs": ("log_of_outputs", "column"),
    "rmse": ("root_mean_squared_error", "one-hot"),
    "summed": ("summed_cross_entropy", "labels"), "over the batch": ("cross_entropy_over_batch", "labels"),
}  # fmt: skip
DIFFERENCES = {  # loss → its word, torch's, and keras_like's, which broadcasts as Keras does
    "mse": ("mse", "MSELoss", "mean_squared_error"), "mae": ("l1", "L1Loss", "mean_absolute_error"),
    "huber": ("huber", "HuberLoss", None),
}  # fmt: skip
BOUNDED = ("softmax", "sigmoid", "keras_like:HardSigmoid")  # what puts out numbers from 0 to 1
PASSING = ("flatten", "keras_like:Reshape", "keras_like:Swap")


@dataclass(frozen=True)
class Ending:
    """What a loss is computed of: the layers, how many numbers come out for a sample, and where the targets come from.

    `scaled`: the targets are prepared, so that class numbers are none any more.
    """

    layers: list[Any]
    head: int
    source: Source
    scaled: bool = False

    @property
    def bounded(self) -> bool:
        """Whether the outputs lie between 0 and 1 whatever comes in."""
        last = next((each for each in reversed(self.layers) if _name(each) not in PASSING), None)
        return _name(last) in BOUNDED


def loss_of(given: Any, ending: Ending, task: str) -> tuple[Any, str]:
    """Return the loss as model.yaml has it, and how classes are to be encoded for it.

    Raises:
        Unknown: when there is none of that name, or it cannot be had of such outputs.
    """
    if word(task).startswith("multilabel"):
        raise Unknown(f"the task {task!r}")  # the data have one label for a sample
    name, args = _told(given)
    logits = args.pop("from_logits", False) is True
    if ending.source.copied:
        return _copied(name, args, logits=logits)
    if name == "softmax over the batch":
        last = next(
            (place for place in reversed(range(len(ending.layers))) if _name(ending.layers[place]) == "softmax"), None
        )
        if last is None:
            raise Unknown("a softmax over the batch where there is none")
        ending.layers[last] = {"softmax": {"axis": 0}}
        return {"cross_entropy": {"inputs": "probabilities"}}, "labels"
    for names, make in MAKERS:
        if name in names:
            loss, encode = make(name, args, ending, logits)
            if args or (encode == "labels" and ending.scaled and ending.source.classes is not None):
                raise Unknown(f"loss {given!r}{' of scaled class numbers' if not args else ''}")
            return loss, encode
    raise Unknown(f"loss {str(given)!r} of a {task}")


def _told(given: Any) -> tuple[str, dict[str, Any]]:
    """Return a loss by our name for it, and its arguments."""
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    args: dict[str, Any] = {}
    if isinstance(given, Mapping):
        args = {key: value for key, value in given.items() if key not in ("name", "loss", "type") and value is not None}
        given = given.get("name", given.get("loss", given.get("type")))
    said = str(given).strip()
    if said.lower() in IN_WORDS:
        return IN_WORDS[said.lower()], args
    said = re.sub(r"\(from_logits\)", "(from_logits=True)", said, flags=re.IGNORECASE)
    said = re.sub(r"=\s*true", "=True", said, flags=re.IGNORECASE)
    short, ordered, named = spoken(said)
    if ordered:
        raise Unknown(f"loss {said!r}")
    args |= {key: value for key, value in named.items() if key != "name" and value is not None}
    if args.get("from_logits") is False or not args.get("label_smoothing", 1):
        args = {key: value for key, value in args.items() if value}
    if word(str(args.get("reduction", "auto"))) in ("auto", "sumoverbatchsize", "mean"):
        args.pop("reduction", None)
    return NAMES.get(word(short), short), args


def _name(layer: Any) -> str:
    """Return the word of a layer, or the code that it calls."""
    found = next(iter(layer)) if isinstance(layer, Mapping) else layer
    return str(layer["call"] if found == "call" else found)


def _copied(name: str, args: Mapping[str, Any], *, logits: bool) -> tuple[Any, str]:
    """Return the loss of an autoencoder, whose targets are shaped as its outputs are."""
    known = {"mse": "torch.nn:MSELoss", "mae": "torch.nn:L1Loss", "binary_crossentropy": "keras_like:BCELoss"}
    known |= {"binary cross-entropy of logits": "torch.nn:BCEWithLogitsLoss"}
    name = "binary cross-entropy of logits" if logits and name == "binary_crossentropy" else name
    if name not in known or args:
        raise Unknown(f"the loss {name!r} of an autoencoder")
    return {"call": known[name]}, "labels"


def _own(name: str, _args: dict[str, Any], ending: Ending, _logits: bool) -> tuple[Any, str]:  # noqa: FBT001 - as all here
    function, encode = OWN[name]
    encode = "column" if ending.head == 1 and encode == "one-hot" else encode
    _fits(ending, encode, name)
    return {"call": f"keras_like:{function}"}, encode


def _fits(ending: Ending, encode: str, name: str) -> None:
    """Refuse outputs whose number neither the classes nor the targets have: Keras does, too."""
    many = ending.source.classes if ending.source.classes is not None else ending.source.targets
    short = ending.head < many if ending.source.classes is not None else many not in (1, ending.head)
    if encode == "one-hot" and short and ending.head != 1:
        raise Unknown(f"{ending.head} outputs for {many} {'classes' if ending.source.classes else 'targets'} with {name}")


def _squares(_name: str, _args: dict[str, Any], _ending: Ending, _logits: bool) -> tuple[Any, str]:  # noqa: FBT001
    return {"mse": {"reduction": "sum"}}, "column"


def _difference(name: str, args: dict[str, Any], ending: Ending, _logits: bool) -> tuple[Any, str]:  # noqa: FBT001
    builtin, torchs, broadcast = DIFFERENCES[name]
    delta = {"delta": float(args.pop("delta"))} if name == "huber" and "delta" in args else {}
    many = ending.source.targets if ending.source.classes is None else 1
    if ending.head == 1 and many == 1:
        return ({builtin: delta} if delta else builtin), "column"
    if ending.source.classes is None and many != ending.head and 1 in (many, ending.head) and broadcast is not None:
        return {"call": f"keras_like:{broadcast}"}, "column"
    _fits(ending, "one-hot", name)
    return {"call": f"torch.nn:{torchs}"} | ({"args": delta} if delta else {}), "one-hot"


def _crossentropy(name: str, args: dict[str, Any], ending: Ending, logits: bool) -> tuple[Any, str]:  # noqa: FBT001
    logits = logits or name == "cross-entropy of logits"
    classes, head = ending.source.classes, ending.head
    one = head == 1 or classes is None
    if classes is not None and head >= classes and (logits or ending.bounded or name == "cross-entropy of scores"):
        smooth = {"label_smoothing": float(args.pop("label_smoothing"))} if "label_smoothing" in args else {}
        return {"cross_entropy": {"inputs": "logits" if logits else "probabilities", **smooth}}, "labels"
    if logits:
        return {"call": "keras_like:sparse_from_logits"}, "labels"
    if name.startswith("sparse") or (classes is not None and 1 < head < classes):
        wide = classes is not None and head >= classes
        return {"call": "keras_like:sparse_categorical_crossentropy"}, "one-hot" if wide else "labels"
    return {"call": "keras_like:categorical_crossentropy"}, "column" if one else "one-hot"


def _likelihood(name: str, _args: dict[str, Any], ending: Ending, _logits: bool) -> tuple[Any, str]:  # noqa: FBT001
    if ending.source.classes is None or ending.head < ending.source.classes:
        raise Unknown(f"{name} of {ending.head} outputs for {ending.source.classes} classes")
    return "nll", "labels"


def _binary(name: str, _args: dict[str, Any], ending: Ending, logits: bool) -> tuple[Any, str]:  # noqa: FBT001
    logits = logits or name.endswith("logits")
    if ending.head == 1 and ending.source.targets == 1:
        if not logits and not ending.bounded:
            return {"call": "keras_like:BCELoss"}, "column"
        whole = ending.source.classes in (2, None) and not ending.scaled
        return {"bce": {"inputs": "logits" if logits else "probabilities"}}, "labels" if whole else "column"
    _fits(ending, "one-hot", name)
    return {"call": "torch.nn:BCEWithLogitsLoss" if logits else "keras_like:BCELoss"}, "one-hot"


Maker = Callable[[str, dict[str, Any], Ending, bool], tuple[Any, str]]
MAKERS: tuple[tuple[tuple[str, ...], Maker], ...] = (
    (tuple(OWN), _own),
    (tuple(DIFFERENCES), _difference),
    (("sum of squares",), _squares),
    (("nll",), _likelihood),
    (
        (
            "categorical_crossentropy",
            "sparse_categorical_crossentropy",
            "cross-entropy of logits",
            "cross-entropy of scores",
        ),
        _crossentropy,
    ),
    (("binary_crossentropy", "binary cross-entropy of logits"), _binary),
)
