"""Data and preprocessing told as facts: which function of `faults_data` makes them, and the words of model.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.faults_words import Unknown, number

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Where data come from: a function of faults_data with its arguments, and what comes out.

    `shape` is one sample's, channels first; `classes` is None where numbers are to be predicted; `length` is None or how
    many samples; `split` the share for validation.
    """

    name: str
    args: Mapping[str, Any]
    shape: tuple[int, ...]
    classes: int | None = None
    whole: bool = False  # whether the inputs are whole numbers
    targets: int = 1
    stands_for: str | None = None


ALIASES = {
    "auto-mpg": "auto-mpg", "autompg": "auto-mpg", "auto_mpg": "auto-mpg", "mpg": "auto-mpg",
    "mnist": "mnist", "fashion-mnist": "fashion-mnist", "fashion_mnist": "fashion-mnist", "cifar-10": "cifar-10",
    "cifar10": "cifar-10", "cifar": "cifar-10", "blobs": "blobs", "make_blobs": "blobs", "circles": "circles",
    "make_circles": "circles", "circle": "circles", "moons": "moons", "make_moons": "moons", "iris": "iris", "wine": "wine",
    "digits": "digits", "diabetes": "diabetes", "breast-cancer": "breast_cancer", "breast_cancer": "breast_cancer",
    "boston": "boston", "boston-housing": "boston", "boston_housing": "boston", "housing": "boston", "xor": "xor",
    "parity": "xor", "make_classification": "classes", "classification": "classes", "synthetic-classification": "classes",
    "make_regression": "numbers", "regression": "numbers", "synthetic-regression": "numbers", "linear": "numbers",
    "function": "function", "formula": "function", "sine": "function", "sin": "function", "sequence": "sequences",
    "sequences": "sequences", "time-series": "sequences", "timeseries": "sequences", "series": "sequences",
    "synthetic-sequences": "sequences", "tokens": "tokens", "text": "tokens", "imdb": "tokens", "reuters": "tokens",
}  # fmt: skip
TABLES = {"iris": (4, 3), "wine": (13, 3), "digits": (64, 10), "diabetes": (10, None), "breast_cancer": (30, 2)}
IMAGES = {"cifar-10": (3, 32, 32), "fashion-mnist": (1, 28, 28)}
RENAMED = {
    "n_samples": "n", "samples": "n", "size": "n", "count": "n", "n_features": "features", "inputs": "features",
    "dimensions": "features", "dim": "features", "cluster_std": "std", "random_state": "seed", "noise_std": "noise",
    "sigma": "noise", "n_classes": "classes", "timesteps": "length", "steps": "length", "window": "length",
    "sequence_length": "length", "seq_len": "length", "vocab": "vocabulary", "vocab_size": "vocabulary",
    "n_targets": "targets", "outputs": "targets", "input_shape": "shape", "x_shape": "shape", "f": "formula",
    "expression": "formula", "function": "formula", "y": "formula", "min": "low", "max": "high", "test_size": "share",
    "validation_share": "share", "val_share": "share", "validation_split": "share", "val": "validation",
    "test": "validation",
}  # fmt: skip


def source_of(given: Facts, facts: Facts) -> Source:
    """Return where the data come from; a source that is not known by name is stood for where its shape is told."""
    said = {RENAMED.get(name, name): value for name, value in given.items() if value not in (None, False)}
    name = str(said.pop("source", "")).strip().lower()
    if "range" in said:
        said["low"], said["high"] = said.pop("range")
    kind = ALIASES.get(name) or ALIASES.get(name.replace(" ", "-"))
    keep = {key: said.pop(key) for key in ("train", "validation", "share") if key in said}
    if "train" in keep and not isinstance(keep["train"], int):
        keep.pop("train")
    if isinstance(keep.get("validation"), float) and keep["validation"] < 1:
        keep["share"] = keep.pop("validation")
    if "train" not in keep:
        keep.pop("validation", None)
    made = _known(kind, said) if kind else _stand_in(name, said, facts)
    left = set(said) - set(made.args) - {"classes", "shape", "features", "targets"}
    if left:
        raise Unknown(f"data {name!r} with {', '.join(sorted(left))}")
    return Source(made.name, {**made.args, **keep}, made.shape, made.classes, made.whole, made.targets, made.stands_for)


def _known(kind: str, said: dict[str, Any]) -> Source:
    """Return a source that is known by its name, with the arguments that it takes."""
    if kind in ("circles", "moons"):
        taken = ("n", "noise", "seed", "factor") if kind == "circles" else ("n", "noise", "seed")
        return Source(kind, _some(said, *taken), (2,), 2)
    if kind == "mnist":
        flat = said.pop("flatten", None) is True or said.get("shape") in ([784], 784)
        return Source(kind, _some(said, "n") | ({"shape": [784]} if flat else {}), (784,) if flat else (1, 28, 28), 10)
    if kind in IMAGES:
        args = _some(said, "n") | {"shape": list(IMAGES[kind])}
        return Source("mnist", args, IMAGES[kind], 10, stands_for=kind)
    if kind in TABLES:
        width, classes = TABLES[kind]
        return Source("table", {"name": kind, **_some(said, "n")}, (width,), classes)
    return _made(kind, said)


def _some(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: said[name] for name in names if name in said}


MADE: Mapping[str, tuple[tuple[str, ...], int, int | None]] = {  # what it takes, how many features it has, and classes
    "blobs": (("n", "centers", "features", "std", "seed"), 2, 3), "boston": (("n",), 13, None),
    "auto-mpg": (("n", "features"), 9, None), "xor": (("n", "features", "noise", "seed"), 2, 2),
    "classes": (("n", "features", "informative", "classes", "seed"), 20, 2),
    "numbers": (("n", "features", "noise", "seed", "targets"), 10, None),
    "function": (("formula", "n", "low", "high", "features", "noise", "seed", "grid", "classes"), 1, None),
    "sequences": (("n", "length", "features", "classes", "horizon", "form", "seed"), 1, None),
    "tokens": (("n", "length", "vocabulary", "classes", "seed"), 1, 2),
}  # fmt: skip


def _made(kind: str, said: dict[str, Any]) -> Source:
    """Return a source whose arguments say how many features and classes it has."""
    taken, width, usual = MADE[kind]
    args = _some(said, *taken)
    classes = args.get("centers", args.get("classes", usual))
    shape: tuple[int, ...] = (args.get("features", width),)
    if kind in ("sequences", "tokens"):
        shape = (args.get("length", 20), *(shape if kind == "sequences" else ()))
    many = args.get("targets", args.get("horizon", 1))
    return Source(kind, args, shape, classes, whole=kind == "tokens", targets=many)


def _stand_in(name: str, said: dict[str, Any], facts: Facts) -> Source:
    """Return data of the shape that is told, or that the first layer asks for."""
    shape = said.get("shape") or ([said["features"]] if "features" in said else None) or _asked(facts["layers"] or [])
    if shape is None or not name or name in ("no", "none", "unavailable"):
        raise Unknown(f"data {name!r}")
    shape = [shape] if isinstance(shape, int) else [int(each) for each in shape if each is not None]
    if len(shape) == 3 and shape[-1] in (1, 3, 4):
        shape = [shape[2], shape[0], shape[1]]  # channels first
    classes = said.get("classes")
    if classes is None and facts["task"] == "classification":
        units = next((number(each.get("units")) for each in reversed(facts["layers"]) if each.get("units")), None)
        classes = max(int(units or 2), 2)
    args = {"shape": shape, **{key: said[key] for key in ("n", "seed") if key in said}}
    return Source("stand-in", args | ({"classes": classes} if classes else {}), tuple(shape), classes, stands_for=name)


def _asked(layers: list[Facts]) -> list[int] | None:
    first = layers[0] if layers else {}
    if first.get("input_shape"):
        return [int(each) for each in first["input_shape"] if each is not None]
    return [int(first["input_dim"])] if first.get("input_dim") and first.get("type") == "Dense" else None


STEPS: tuple[tuple[str, Callable[..., list[Any]]], ...] = (
    (r"(?:standardi[sz]e[d]?|standard ?scal\w*|z-?score\w*|normali[sz]e[d]? to mean 0.*)", lambda: ["standardize"]),
    (r"(?:min-?max\w*(?: scal\w*)?|to \[?0, ?1\]?)", lambda: ["min-max"]),
    (r"/ ?range", lambda: ["range"]),
    (r"/ ?max", lambda: ["max"]),
    (r"/ ?(-?[\d.e+-]+)", lambda a: ["divide", float(a)]),
    (r"\* ?(-?[\d.e+-]+)", lambda a: ["times", float(a)]),
    (r"- ?([\d.e+-]+)", lambda a: ["minus", float(a)]),
    (r"(?:center\w*|- ?mean|mean subtract\w*|subtract(?:ed)? mean)", lambda: ["center"]),
    (r"(?:min-?max )?to ?[\[(]? ?(-?[\d.]+) ?(?:,|\.\.) ?(-?[\d.]+) ?[\])]?", lambda a, b: ["to", float(a), float(b)]),
    (r"\(x ?- ?([\d.]+)\) ?/ ?([\d.]+)", lambda a, b: ["affine", float(a), float(b)]),
    (r"(log1p|log)", lambda a: [a]),
    (r"(?:one-?hot\w*|to_categorical|none|reshape\w*|flatten\w*|as float\w*)", list),
)


def preprocessing(given: list[str], *, image: bool) -> tuple[list[Any], list[list[Any]]]:
    """Return the steps for the inputs as words of model.yaml, and those for the targets as faults_data takes them."""
    inputs: list[Any] = []
    targets: list[list[Any]] = []
    for told in given:
        of, _, what = (
            told.strip().lower().partition(" ")
            if not told.lower().startswith(("x/", "y/", "x-", "y-", "x*", "y*"))
            else (told[0].lower(), "", told[1:].strip())
        )
        step = next((make(*match.groups()) for text, make in STEPS if (match := re.fullmatch(text, what.strip()))), None)
        if step is None or of not in ("x", "y"):
            raise Unknown(f"preprocessing {told!r}")
        if of == "y" and step:
            targets.append(step)
        elif step:
            inputs = _added(inputs, step, image=image)
    if any(step[0] in ("max", "affine") for step in targets):
        raise Unknown("preprocessing of y")
    return inputs, targets


def _added(steps: list[Any], step: list[Any], *, image: bool) -> list[Any]:
    """Return the steps for the inputs with one more."""
    per = {} if not image else {"per": "all"}
    name, *numbers = step
    if name == "range":  # of the data as they came, even where they were scaled before
        if steps and isinstance(steps[-1], dict) and steps[-1].get("call") == "keras_like:MinMax":
            args = steps[-1].get("args", {})
            return [*steps[:-1], {"call": "keras_like:MinMax", "args": {**args, "again": args.get("again", 0) + 1}}]
        return [*steps, {"call": "keras_like:MinMax", "args": {**per, "shift": False}}]
    made: Mapping[str, Callable[[], Any]] = {
        "standardize": lambda: {"standardize": "channel" if image else "feature"},
        "min-max": lambda: {"call": "keras_like:MinMax", "args": per},
        "to": lambda: {"call": "keras_like:MinMax", "args": {**per, "low": numbers[0], "high": numbers[1]}},
        "max": lambda: {"call": "keras_like:MinMax", "args": {**per, "shift": False}},
        "divide": lambda: {"scale": {"divide_by": numbers[0]}},
        "times": lambda: {"scale": {"divide_by": 1 / numbers[0]}},
        "minus": lambda: {"statistics": {"mean": [numbers[0]]}},
        "affine": lambda: {"statistics": {"mean": [numbers[0]], "std": [numbers[1]]}},
        "center": lambda: {"center": "channel"},
    }
    if name not in made:
        raise Unknown(f"preprocessing 'x {name}'")
    return [*steps, made[name]()]
