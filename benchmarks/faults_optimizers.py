"""Optimizers told in Keras' words, as words of model.yaml or as code of torch's and of `keras_like`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.faults_words import Unknown, number, spoken, word

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
    "global_clipnorm": "clipnorm",
    "clip_value": "clipvalue",
    "weight_decay": "weight_decay",
}
EPSILON = 1e-7
DECAY = 0.004  # of AdamW
ORDERED = {
    "sgd": ("lr", "momentum", "nesterov"),
    "momentum": ("lr", "momentum"),
    "adam": ("lr", "beta_1", "beta_2", "epsilon"),
}
USUAL = {"schedule_decay": 0.004, "use_locking": False, "jit_compile": True}  # arguments that say what holds anyway
DECAYS = {"initial_learning_rate", "decay_steps", "decay_rate", "staircase"}


def optimizer_of(given: Any) -> tuple[Any, dict[str, Any]]:
    """Return the optimizer as model.yaml has it, and what stands elsewhere there: decay, clipnorm, clipvalue."""
    said = _said(given)
    name = word(str(said.pop("name", "adam"))).replace("gradientdescent", "sgd").removesuffix("optimizer")
    if name == "momentum" and "momentum" in said:
        name = "sgd"
    extra = {key: _number(said.pop(key)) for key in ("decay", "clipnorm", "clipvalue") if key in said}
    if name not in RATES:
        raise Unknown(f"optimizer {name!r}")
    rate = said.pop("lr", RATES[name])
    if isinstance(rate, Mapping):
        rate, extra["schedule"] = _scheduled(rate)
    values = {"lr": _number(rate)}
    if not 0 < values["lr"] < float("inf"):
        raise Unknown(f"a learning rate of {values['lr']:g}")
    if "weight_decay" in said or name == "adamw":
        values["weight_decay"] = _number(said.pop("weight_decay", DECAY))
    made = _sgd(said, values) if name == "sgd" else _adaptive(name, said, values)
    if said:
        raise Unknown(f"{name} with {', '.join(sorted(said))}")
    return made, extra


def _said(given: Any) -> dict[str, Any]:
    """Return the name and the arguments of an optimizer told as a text or as a mapping, by Keras' names."""
    said = dict(given) if isinstance(given, Mapping) else {"name": given} if given else {}
    said = {ARGUMENTS.get(key, key): value for key, value in said.items()}
    if isinstance(said.get("name"), str):
        name, ordered, named = spoken(said["name"])
        places = ORDERED.get(word(name).replace("gradientdescent", "sgd").removesuffix("optimizer"), ("lr",))
        if len(ordered) > len(places):
            raise Unknown(f"optimizer {said['name']!r}")
        told = {ARGUMENTS.get(key, key): value for key, value in named.items()}
        said = {**dict(zip(places, ordered, strict=False)), **told, **said, "name": name}
    if isinstance(said.get("betas"), list | tuple) and len(said["betas"]) == 2:
        said["beta_1"], said["beta_2"] = said.pop("betas")
    return {
        key: value for key, value in said.items() if value is not None and value is not False and USUAL.get(key) != value
    }


def _scheduled(given: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the rate at first and the schedule of Keras' ExponentialDecay or InverseTimeDecay.

    Raises:
        Unknown: when it is another.
    """
    said = dict(given)
    name = word(str(said.pop("name", said.pop("type", "ExponentialDecay"))))
    if name not in ("exponentialdecay", "inversetimedecay") or set(said) - DECAYS or not DECAYS - {"staircase"} <= set(said):
        raise Unknown(f"the learning rate {dict(given)!r}")
    args = {"steps": _number(said["decay_steps"]), "rate": _number(said["decay_rate"])}
    if name == "inversetimedecay":
        if said.get("staircase"):
            raise Unknown(f"the learning rate {dict(given)!r}")
        args = {"decay": args["rate"] / args["steps"]}
        return said["initial_learning_rate"], {"call": "keras_like:inverse_time", "args": args}
    args |= {"stairs": True} if said.get("staircase") else {}
    return said["initial_learning_rate"], {"call": "keras_like:exponential_decay", "args": args}


def _number(value: Any) -> float:
    found = number(value)
    if found is None or isinstance(value, bool):
        raise Unknown(f"the number {value!r}")
    return found


def _sgd(said: dict[str, Any], values: dict[str, Any]) -> Any:
    momentum = _number(said.pop("momentum", 0.0))
    nesterov = bool(said.pop("nesterov", False)) and momentum > 0
    if momentum >= 1:
        raise Unknown(f"a momentum of {momentum:g}")
    return {"nesterov" if nesterov else "sgd": values | ({"momentum": momentum} if momentum else {})}


def _adaptive(name: str, said: dict[str, Any], values: dict[str, Any]) -> Any:
    eps = _number(said.pop("epsilon", EPSILON)) or 1e-30
    if name == "adagrad":
        said.pop("initial_accumulator_value", None)
        return {"adagrad": values | {"eps": eps}}
    if name == "adadelta":
        return {"call": "torch.optim:Adadelta", "args": values | {"rho": _number(said.pop("rho", 0.95)), "eps": eps}}
    if name == "rmsprop":
        values |= {"alpha": _number(said.pop("rho", 0.9)), "eps": eps}
        if said.keys() & {"momentum", "centered"}:
            more = {key: said.pop(key) for key in ("momentum", "centered") if key in said}
            return {"call": "torch.optim:RMSprop", "args": values | more}
        return {"rmsprop": values}
    betas = [_number(said.pop("beta_1", 0.9)), _number(said.pop("beta_2", 0.999))]
    if max(betas) >= 1:
        raise Unknown(f"{name} with betas {betas}")
    if name in ("adamax", "nadam") or said.pop("amsgrad", False):
        kind, more = {"adamax": ("Adamax", {}), "nadam": ("NAdam", {})}.get(name, ("Adam", {"amsgrad": True}))
        return {"call": f"torch.optim:{kind}", "args": values | {"betas": betas, "eps": eps} | more}
    changed = {"beta1": betas[0], "beta2": betas[1]} if betas != [0.9, 0.999] else {}
    return {name: values | changed | {"eps": eps}}
