"""The words of Keras that stand in the facts: numbers, activations, initializers, regularizers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any


class Unknown(Exception):  # noqa: N818 - an answer: the program cannot be expressed, and why
    """The facts hold something that cannot be expressed."""


def word(text: str) -> str:
    """Return a name without its spelling: "Max_Pooling-2D" is "maxpooling2d"."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def spoken(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the last name, the arguments in order and those by name of "keras.optimizers.Adam(0.1, decay=1e-6)".

    Raises:
        Unknown: when an argument is no plain value.
    """
    match = re.fullmatch(r"(?:\w+\.)*(\w+)\s*(?:\((.*)\))?", text.strip())
    if match is None:
        return text.strip(), [], {}
    try:
        call = ast.parse(f"f({match[2] or ''})", mode="eval").body
        assert isinstance(call, ast.Call)
        given = [ast.literal_eval(each) for each in call.args]
        named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise Unknown(f"{text!r}") from None
    return match[1], given, named


def sizes(given: Any) -> list[int]:
    """Return a shape told as a list, a number or a text such as "150x150x3", without the batch's None.

    Raises:
        Unknown: when it is none.
    """
    if isinstance(given, str):
        if not re.fullmatch(r"[\[(]?(?:\s*(?:None|-?\d+)\s*[x×*,]?)+[\])]?", given):
            raise Unknown(f"the shape {given!r}")
        given = re.findall(r"-?\d+", given)
    return [whole(each) for each in (given if isinstance(given, list | tuple) else [given]) if each not in (None, "None")]


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


RECURRENT: Mapping[str, str] = {  # activation → its name in keras_like.ACTIVATIONS
    **{name: name for name in ("tanh", "sigmoid", "relu", "linear", "elu", "selu", "softmax", "softplus", "softsign",
                               "relu6", "gelu", "exponential", "swish", "mish")},
    "none": "linear", "identity": "linear", "hardsigmoid": "hard_sigmoid", "leakyrelu": "leaky_relu", "silu": "swish",
    "exp": "exponential",
}  # fmt: skip


def recurrent_activation(given: Any, usual: str) -> str:
    """Return the name of a recurrent layer's activation in keras_like.

    Raises:
        Unknown: when there is none of that name.
    """
    name = usual if given is None else word(spoken(given)[0] if isinstance(given, str) else str(given))
    if name not in RECURRENT or (isinstance(given, str) and given.strip().endswith(")")):
        raise Unknown(f"the activation {given!r} of a recurrent layer")
    return RECURRENT[name]


def activation(given: Any) -> Any:
    """Return the layer of an activation, None for the identity.

    Raises:
        Unknown: when there is none of that name.
    """
    numbers: dict[str, Any] = {}
    if isinstance(given, str) and word(given) not in ACTIVATIONS:
        given, ordered, numbers = spoken(given)
        numbers |= {"alpha": ordered[0]} if len(ordered) == 1 else {"arguments": ordered} if ordered else {}
    if isinstance(given, Mapping):
        numbers = {key: value for key, value in given.items() if key not in ("name", "type") and value is not None}
        given = given.get("name", given.get("type"))
    name = word(str(given or ""))
    if name not in ACTIVATIONS:
        raise Unknown(f"the activation {given!r}")
    if name == "relu" and numbers.get("max_value") == 6:
        name = f"relu{whole(numbers.pop('max_value'))}"
    slope = numbers.pop("alpha", numbers.pop("negative_slope", None))
    if slope is not None and name in ("leakyrelu", "elu"):
        return {"leaky_relu" if name == "leakyrelu" else "elu": float(slope)}
    if numbers or slope is not None:
        raise Unknown(f"the activation {given!r} with {', '.join(numbers) or 'alpha'}")
    return ACTIVATIONS[name]


FAMILIES = ("glorot", "he", "lecun")
SCALED = {(1.0, "fan_avg"): "glorot", (2.0, "fan_in"): "he", (1.0, "fan_in"): "lecun"}  # Keras' VarianceScaling
PLAIN = {
    "randomnormal": "normal", "normal": "normal", "gaussian": "normal", "truncatednormal": "normal",
    "randomuniform": "uniform", "uniform": "uniform", "constant": "constant", "const": "constant", "zeros": "zeros",
    "zero": "zeros", "ones": "ones", "one": "ones", "orthogonal": "orthogonal", "identity": "identity", "eye": "identity",
}  # fmt: skip
ORDERED = {"normal": ("mean", "std"), "uniform": ("low", "high"), "constant": ("value",)}
ALONE: Mapping[str, Callable[[float], dict[str, float]]] = {  # what a single number means
    "uniform": lambda reach: {"low": -abs(reach), "high": abs(reach)}, "normal": lambda std: {"mean": 0.0, "std": std},
}  # fmt: skip
OF_TENSORS = ("randomnormal", "truncatednormal")  # tf.random_normal begins with a deviation of 1, Keras' with 0.05
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
    name = word(said.pop("name")).replace("kaiming", "he")
    said.pop("seed", None)
    if name == "orthogonal" and said.get("gain") == 1:
        said.pop("gain")
    match = re.fullmatch(r"(glorot|he|lecun|xavier)(normal|uniform|(?<=xavier))(?:initializer)?", name)
    if match is not None and not said:
        return {"init": f"{match[1].replace('xavier', 'glorot')}_{match[2] or 'uniform'}"}
    if name == "variancescaling":
        return _scaled(said, given)
    if name not in PLAIN:
        raise Unknown(f"the initializer {given!r}")
    init = PLAIN[name]
    numbers = said.pop("numbers", ())
    if len(numbers) > len(ORDERED.get(init, ())):
        raise Unknown(f"the initializer {given!r}")
    values = dict(zip(ORDERED.get(init, ()), numbers, strict=False))
    if len(numbers) == 1 and init in ALONE:
        values = ALONE[init](numbers[0])
    values |= {KEYS[key]: float(value) for key, value in said.items() if key in KEYS}
    if set(said) - set(KEYS):
        raise Unknown(f"the initializer {given!r}")
    return {"init": init, **values}


def _scaled(said: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """Return Keras' VarianceScaling as the family that it is."""
    left = set(said) - {"scale", "mode", "distribution", "seed"}
    family = SCALED.get((float(said.get("scale") or 1.0), str(said.get("mode") or "fan_in")))
    if left or family is None:
        raise Unknown(f"the initializer {given!r}")
    return {"init": f"{family}_{'uniform' if said.get('distribution') == 'uniform' else 'normal'}"}


def _spelled(given: Any) -> dict[str, Any]:
    """Return name, `numbers` in order and numbers by name of "uniform(-0.05, 0.05)", "Zeros{}" or a mapping."""
    if isinstance(given, Mapping):
        inner = dict(given.get("config", {}))
        rest = {key: value for key, value in given.items() if key not in ("name", "class_name", "type", "config")}
        name = given.get("name") or given.get("class_name") or given.get("type") or ""
        return {"name": str(name), **inner, **{key: value for key, value in rest.items() if value is not None}}
    match = re.fullmatch(r"\s*(?:\w+\.)*(\w+)\s*(\{.*\})\s*", str(given))
    if match is not None:
        return {"name": match[1], **{key: value for key, value in _literal(match[2]).items() if value is not None}}
    name, numbers, said = spoken(re.sub(r"\[(.*)\]$", r"(\1)", str(given)))
    if str(given).startswith("tf.") and "initializers" not in str(given) and not numbers and word(name) in OF_TENSORS:
        said = {"stddev": 1.0, **said}
    told = {key: value for key, value in said.items() if value is not None}
    return {"name": name, **told, **({"numbers": [number(each) for each in numbers]} if numbers else {})}


def _literal(text: str) -> dict[str, Any]:
    try:
        return dict(ast.literal_eval(text))
    except (SyntaxError, ValueError, TypeError):
        raise Unknown(f"{text!r}") from None


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
            inner = {**value, **dict(value.get("config") or {})}
            if not {"l1", "l2"} & set(inner):
                raise Unknown(f"the regularizer {value!r}")
            found |= {kind: float(inner[kind]) for kind in ("l1", "l2") if inner.get(kind)}
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
