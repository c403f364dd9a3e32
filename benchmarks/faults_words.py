"""The words of Keras that stand in the facts: numbers, activations, initializers, regularizers."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any


class Unknown(Exception):  # noqa: N818 - an answer: the program cannot be expressed, and why
    """The facts hold something that cannot be expressed."""


def word(text: str) -> str:
    """Return a name without its spelling: "Max_Pooling-2D" is "maxpooling2d"."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def number(value: Any) -> float | None:
    """Return a number, None for None.

    Raises:
        Unknown: when it is anything else.
    """
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Unknown(f"the number {value!r}") from None


def whole(value: Any) -> int:
    """Return a whole number.

    Raises:
        Unknown: when it is none.
    """
    found = number(value)
    if found is None or found != int(found):
        raise Unknown(f"the whole number {value!r}")
    return int(found)


def several(value: Any, axes: int, default: int) -> list[int]:
    """Return one number for each axis of what may be one number for all."""
    value = default if value is None else value
    if isinstance(value, str):
        value = [each for each in re.split(r"[^\d]+", value) if each]
    given = list(value) if isinstance(value, list | tuple) else [value] * axes
    if len(given) == 1:
        given = given * axes
    if len(given) != axes:
        raise Unknown(f"{value!r} for {axes} axes")
    return [whole(each) for each in given]


ACTIVATIONS: Mapping[str, Any] = {
    "linear": None, "none": None, "identity": None, "": None, "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh",
    "softmax": "softmax", "elu": "elu", "selu": "selu", "gelu": "gelu", "swish": "silu", "silu": "silu",
    "softplus": "softplus", "leakyrelu": {"leaky_relu": 0.2}, "logsoftmax": "log_softmax", "prelu": {"prelu": 0.0},
    "exponential": "exponential", "exp": "exponential",
    "hardsigmoid": {"call": "keras_like:HardSigmoid"}, "softsign": {"call": "torch.nn:Softsign"},
    "relu6": {"call": "torch.nn:ReLU6"}, "mish": {"call": "torch.nn:Mish"},
    "thresholdedrelu": {"call": "keras_like:ThresholdedReLU"},
}  # fmt: skip


def activation(given: Any) -> Any:
    """Return the layer of an activation, None for the identity.

    Raises:
        Unknown: when there is none of that name.
    """
    numbers: dict[str, Any] = {}
    if isinstance(given, Mapping):
        numbers = {key: value for key, value in given.items() if key not in ("name", "type") and value is not None}
        given = given.get("name", given.get("type"))
    name = word(str(given or ""))
    if name not in ACTIVATIONS:
        raise Unknown(f"the activation {given!r}")
    slope = numbers.pop("alpha", numbers.pop("negative_slope", None))
    if slope is not None and name in ("leakyrelu", "elu"):
        return {"leaky_relu" if name == "leakyrelu" else "elu": float(slope)}
    if numbers or slope is not None:
        raise Unknown(f"the activation {given!r} with {', '.join(numbers) or 'alpha'}")
    return ACTIVATIONS[name]


FAMILIES = ("glorot", "he", "lecun")
PLAIN = {
    "randomnormal": "normal", "normal": "normal", "gaussian": "normal", "truncatednormal": "normal",
    "randomuniform": "uniform", "uniform": "uniform", "constant": "constant", "const": "constant", "zeros": "zeros",
    "zero": "zeros", "ones": "ones", "one": "ones", "orthogonal": "orthogonal", "identity": "identity", "eye": "identity",
}  # fmt: skip
ORDERED = {"normal": ("mean", "std"), "uniform": ("low", "high"), "constant": ("value",)}
KEYS = {"stddev": "std", "std": "std", "mean": "mean", "minval": "low", "maxval": "high", "low": "low", "high": "high",
        "value": "value"}  # fmt: skip


def initializer(given: Any) -> dict[str, Any] | None:
    """Return an initializer as `keras_like.begin` takes it: its name as `init`, and its numbers; None for None.

    Raises:
        Unknown: when there is none of that name.
    """
    if given is None:
        return None
    said = _spelled(given)
    name = word(said.pop("name"))
    said.pop("seed", None)
    for family in FAMILIES:
        if name in (f"{family}uniform", f"{family}normal", f"xavier{name[6:]}" if family == "glorot" else ""):
            return {"init": f"{family}_{'normal' if name.endswith('normal') else 'uniform'}"}
    if name == "variancescaling" and not said:
        return {"init": "lecun_normal"}
    if name not in PLAIN:
        raise Unknown(f"the initializer {given!r}")
    init = PLAIN[name]
    values = dict(zip(ORDERED.get(init, ()), said.pop("numbers", ()), strict=False))
    values |= {KEYS[key]: float(value) for key, value in said.items() if key in KEYS}
    if set(said) - set(KEYS):
        raise Unknown(f"the initializer {given!r}")
    return {"init": init, **values}


def _spelled(given: Any) -> dict[str, Any]:
    """Return name, `numbers` in order and numbers by name of "uniform(-0.05, 0.05)", "Zeros{}" or a mapping."""
    if isinstance(given, Mapping):
        inner = dict(given.get("config", {}))
        rest = {key: value for key, value in given.items() if key not in ("name", "class_name", "type", "config")}
        name = given.get("name") or given.get("class_name") or given.get("type") or ""
        return {"name": str(name), **inner, **{key: value for key, value in rest.items() if value is not None}}
    match = re.fullmatch(r"\s*(\w+)\s*(?:(\{.*\})|\((.*)\))?\s*", str(given))
    if match is None:
        raise Unknown(f"the initializer {given!r}")
    name, mapping, arguments = match.groups()
    said: dict[str, Any] = {"name": name}
    if mapping:
        return said | dict(ast.literal_eval(mapping))
    numbers = []
    for each in filter(None, (part.strip() for part in (arguments or "").split(","))):
        key, equals, value = each.partition("=")
        if equals:
            said[key.strip()] = float(value)
        else:
            numbers.append(float(each))
    return said | ({"numbers": numbers} if numbers else {})


def initial(init: Mapping[str, Any] | None) -> Any:
    """Return an initializer as a word of model.yaml; None stands for the model's own, which is Glorot's."""
    if init is None or init["init"] == "glorot_uniform":
        return None
    family, _, shape = init["init"].partition("_")
    numbers = {key: value for key, value in init.items() if key != "init"}
    if family in FAMILIES:
        return {{"glorot": "xavier"}.get(family, family): {"distribution": shape}}
    if family == "ones":
        return {"constant": 1.0}
    if family == "identity":
        return {"call": "torch.nn.init:eye_"}
    if family in ("normal", "uniform"):
        return {family: {**({"std": 0.05} if family == "normal" else {}), **numbers}}
    return {"constant": numbers.get("value", 0.0)} if family == "constant" else family


def penalty(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the coefficients of a layer's regularizers on its weights, as Keras counts them: c·sum |w|, c·sum w².

    Raises:
        Unknown: when they are told in another way, or are on biases or outputs.
    """
    found = {kind: float(given[kind]) for kind in ("l1", "l2") if given.get(kind)}
    for key in ("kernel_regularizer", "regularizer", "W_regularizer"):
        value = given.get(key)
        if isinstance(value, Mapping):
            found |= {kind: float(value[kind]) for kind in ("l1", "l2") if value.get(kind)}
        elif isinstance(value, str):
            found |= _regularizer(value)
        elif value is not None:
            raise Unknown(f"the regularizer {value!r}")
    return found


def _regularizer(text: str) -> dict[str, float]:
    match = re.fullmatch(r"(?:\w+\.)*([lL]1_?[lL]2|[lL][12])\s*(?:\((.*)\)|=?\s*([\d.e+-]+))?", text.strip())
    if match is None:
        raise Unknown(f"the regularizer {text!r}")
    kinds = {"l1l2": ("l1", "l2")}.get(match[1].lower().replace("_", ""), (match[1].lower(),))
    numbers = [float(each) for each in re.findall(r"(?<![a-z])[\d.]+(?:e[+-]?\d+)?", match[2] or match[3] or "0.01")]
    return dict(zip(kinds, numbers, strict=False))
