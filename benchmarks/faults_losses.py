"""Losses and optimizers told in Keras' words, as words of model.yaml or as code of `keras_like` and torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.faults_sources import Source
from benchmarks.faults_words import Unknown, word

NAMES = {
    "mean_squared_error": "mse", "meansquarederror": "mse", "l2": "mse", "mean_absolute_error": "mae",
    "meanabsoluteerror": "mae", "l1": "mae", "mean_absolute_percentage_error": "mape",
    "mean_squared_logarithmic_error": "msle",
    "binarycrossentropy": "binary_crossentropy", "bce": "binary_crossentropy", "log_loss": "binary_crossentropy",
    "categoricalcrossentropy": "categorical_crossentropy", "cce": "categorical_crossentropy",
    "cross_entropy": "categorical_crossentropy", "crossentropy": "categorical_crossentropy",
    "sparsecategoricalcrossentropy": "sparse_categorical_crossentropy", "scce": "sparse_categorical_crossentropy",
    "kld": "kullback_leibler_divergence", "kldivergence": "kullback_leibler_divergence", "kl_divergence":
    "kullback_leibler_divergence", "cosine": "cosine_similarity", "cosine_proximity": "cosine_similarity",
    "log_cosh": "logcosh", "huber_loss": "huber",
    # in words
    "sum of squares, y unscaled": "sum of squares", "sum of squared errors": "sum of squares",
    "ce on raw logits": "categorical_crossentropy", "ce after softmax over the batch axis": "softmax over the batch",
    "softmax_cross_entropy_with_logits fed probabilities": "cross-entropy of logits",
    "softmax_cross_entropy_with_logits": "cross-entropy of logits",
    "sigmoid_cross_entropy_with_logits": "binary cross-entropy of logits",
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
    "summed": ("summed_cross_entropy", "labels"), "over the batch": ("cross_entropy_over_batch", "labels"),
}  # fmt: skip
DIFFERENCES = {"mse": ("mse", "MSELoss"), "mae": ("l1", "L1Loss"), "huber": ("huber", "HuberLoss")}


def loss_of(given: Any, layers: list[Any], head: int | None, source: Source, task: str) -> tuple[Any, str]:
    """Return the loss as model.yaml has it, and how classes are to be encoded for it."""
    logits = False
    if isinstance(given, Mapping):
        logits = bool(given.get("from_logits"))
        if set(given) - {"name", "from_logits", "loss"}:
            raise Unknown(f"loss {given}")
        given = given.get("name", given.get("loss"))
    said = str(given).strip()
    logits = logits or "from_logits=true" in said.replace(" ", "").lower()
    name = re.sub(r"\(from_logits.*\)", "", said, flags=re.IGNORECASE).strip().lower()
    name = NAMES.get(name) or NAMES.get(name.removeprefix("tf.").removeprefix("keras.losses.")) or name
    inputs = {"inputs": "logits" if logits else "probabilities"}
    if name in OWN:
        function, encode = OWN[name]
        return {"call": f"keras_like:{function}"}, "column" if head == 1 and encode == "one-hot" else encode
    if name == "softmax over the batch":
        last = next(place for place in reversed(range(len(layers))) if _is(layers[place], "softmax"))
        layers[last] = {"softmax": {"axis": 0}}
        return {"cross_entropy": inputs}, "labels"
    if name in ("categorical_crossentropy", "sparse_categorical_crossentropy", "cross-entropy of logits"):
        return _crossentropy(name, head, source, logits=logits or "logits" in name)
    if name in ("binary_crossentropy", "binary cross-entropy of logits"):
        return _binary(head, source, logits=logits or "logits" in name)
    if name == "sum of squares":
        return {"mse": {"reduction": "sum"}}, "column"
    if name in DIFFERENCES:
        builtin, torchs = DIFFERENCES[name]
        one = head == 1 and source.targets == 1
        return (builtin, "column") if one else ({"call": f"torch.nn:{torchs}"}, "one-hot")
    raise Unknown(f"loss {said!r} of a {task}")


def _is(layer: Any, name: str) -> bool:
    return layer == name or (isinstance(layer, Mapping) and name in layer)


def _crossentropy(name: str, head: int | None, source: Source, *, logits: bool) -> tuple[Any, str]:
    if source.classes is not None and head is not None and head >= source.classes:
        return {"cross_entropy": {"inputs": "logits" if logits else "probabilities"}}, "labels"
    if logits:
        return {"call": "keras_like:sparse_from_logits"}, "labels"
    one = head == 1 or source.classes is None
    if name.startswith("sparse"):
        return {"call": "keras_like:sparse_categorical_crossentropy"}, "labels"
    return {"call": "keras_like:categorical_crossentropy"}, "column" if one else "one-hot"


def _binary(head: int | None, source: Source, *, logits: bool) -> tuple[Any, str]:
    if head == 1 and source.targets == 1:
        whole = source.classes in (2, None)
        return {"bce": {"inputs": "logits" if logits else "probabilities"}}, "labels" if whole else "column"
    return {"call": "torch.nn:BCEWithLogitsLoss" if logits else "keras_like:BCELoss"}, "one-hot"


# Optimizer -------------------------------------------------------------------------------------------------------------
RATES = {"sgd": 0.01, "rmsprop": 0.001, "adagrad": 0.01, "adadelta": 1.0, "adam": 0.001, "adamax": 0.002, "nadam": 0.002,
         "adamw": 0.001}  # fmt: skip
ARGUMENTS = {
    "learning_rate": "lr",
    "alpha": "rho",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "eps": "epsilon",
    "type": "name",
    "optimizer": "name",
    "clip_norm": "clipnorm",
    "clip_value": "clipvalue",
    "weight_decay": "weight_decay",
}
EPSILON = 1e-7


def optimizer_of(given: Any) -> tuple[Any, dict[str, Any]]:
    """Return the optimizer as model.yaml has it, and what stands elsewhere there: decay, clipnorm, clipvalue."""
    said = {"name": given} if isinstance(given, str) else dict(given or {})
    said = {ARGUMENTS.get(key, key): value for key, value in said.items() if value is not None and value is not False}
    name = word(str(said.pop("name", "adam"))).replace("gradientdescent", "sgd").removesuffix("optimizer")
    extra = {key: float(said.pop(key)) for key in ("decay", "clipnorm", "clipvalue") if key in said}
    if name not in RATES:
        raise Unknown(f"optimizer {name!r}")
    values = {"lr": float(said.pop("lr", RATES[name]))}
    if values["lr"] <= 0:
        raise Unknown(f"a learning rate of {values['lr']:g}")
    made = _sgd(said, values) if name == "sgd" else _adaptive(name, said, values)
    if said:
        raise Unknown(f"{name} with {', '.join(sorted(said))}")
    return made, extra


def _sgd(said: dict[str, Any], values: dict[str, Any]) -> Any:
    momentum = float(said.pop("momentum", 0.0))
    nesterov = bool(said.pop("nesterov", False)) and momentum > 0
    if momentum >= 1:
        raise Unknown(f"a momentum of {momentum:g}")
    return {"nesterov" if nesterov else "sgd": values | ({"momentum": momentum} if momentum else {})}


def _adaptive(name: str, said: dict[str, Any], values: dict[str, Any]) -> Any:
    eps = float(said.pop("epsilon", EPSILON)) or 1e-30
    if name == "adagrad":
        said.pop("initial_accumulator_value", None)
        return {"adagrad": values | {"eps": eps}}
    if name == "adadelta":
        return {"call": "torch.optim:Adadelta", "args": values | {"rho": float(said.pop("rho", 0.95)), "eps": eps}}
    if name == "rmsprop":
        values |= {"alpha": float(said.pop("rho", 0.9)), "eps": eps}
        if said.keys() & {"momentum", "centered"}:
            more = {key: said.pop(key) for key in ("momentum", "centered") if key in said}
            return {"call": "torch.optim:RMSprop", "args": values | more}
        return {"rmsprop": values}
    betas = [float(said.pop("beta_1", 0.9)), float(said.pop("beta_2", 0.999))]
    decay = {"weight_decay": float(said.pop("weight_decay"))} if "weight_decay" in said else {}
    if name in ("adamax", "nadam") or said.pop("amsgrad", False):
        kind, more = {"adamax": ("Adamax", {}), "nadam": ("NAdam", {})}.get(name, ("Adam", {"amsgrad": True}))
        return {"call": f"torch.optim:{kind}", "args": values | {"betas": betas, "eps": eps} | more | decay}
    changed = {"beta1": betas[0], "beta2": betas[1]} if betas != [0.9, 0.999] else {}
    return {name: values | changed | {"eps": eps} | decay}
