"""Data and preprocessing told as facts: which function of `faults_data` makes them, and the words of model.yaml."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.faults_data import function
from benchmarks.faults_words import Unknown, number, sizes, whole, word

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
    copied: bool = False  # whether the inputs are the targets, too


ALIASES = {
    "auto-mpg": "auto-mpg", "autompg": "auto-mpg", "auto_mpg": "auto-mpg", "mpg": "auto-mpg",
    "mnist": "mnist", "fashion-mnist": "fashion-mnist", "fashion_mnist": "fashion-mnist", "cifar-10": "cifar-10",
    "cifar10": "cifar-10", "cifar": "cifar-10", "blobs": "blobs", "make_blobs": "blobs", "circles": "circles",
    "make_circles": "circles", "circle": "circles", "moons": "moons", "make_moons": "moons", "iris": "iris", "wine": "wine",
    "digits": "digits",
    "wisconsin": "breast_cancer", "breast-cancer-wisconsin": "breast_cancer", "mnist-5k": "mnist",
    "diabetes": "diabetes", "breast-cancer": "breast_cancer", "breast_cancer": "breast_cancer",
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
    "test_share": "share",
    "n_informative": "informative",
    "n_redundant": "redundant",
    "n_clusters_per_class": "clusters",
    "maxlen": "length",
    "max_len": "length",
    "num_words": "vocabulary",
    "max_features": "vocabulary",
}  # fmt: skip


COPIES = ("x", "input", "inputs", "same", "itself")  # what an autoencoder's targets are called


def source_of(given: Facts, facts: Facts) -> Source:
    """Return where the data come from; a source that is not known by name is stood for where its shape is told.

    Raises:
        Unknown: when there are no such data, or an argument has no place.
    """
    if not isinstance(given, Mapping):
        given = {"source": given}
    if isinstance(given.get("x"), list) and isinstance(given.get("y"), list):
        return _inline(given, facts)
    said = {
        RENAMED.get(name, name): value
        for name, value in given.items()
        if value is not None and value is not USUAL.get(name, False)
    }
    name = re.sub(r"^(?:\w+\.)*(?:load_)?", "", str(said.pop("source", "")).strip().lower())
    said |= {key: whole(said[key]) for key in WHOLE if key in said and not isinstance(said[key], int)}
    said |= {key: number(said[key]) for key in REAL if isinstance(said.get(key), str)}
    copied = "autoencoder" in str(facts["task"] or "").lower() or str(said.get("targets")).lower() in COPIES
    if copied:
        said.pop("targets", None)
    if "range" in said:
        said["low"], said["high"] = _two(said.pop("range"))
    for key in ("shape", "features"):
        if key in said and not isinstance(said[key], int):
            said[key] = sizes(said[key])
            said[key] = whole(said[key][0]) if key == "features" and len(said[key]) == 1 else said[key]
    keep = _kept(said)
    kind = _kind(name, said)
    if name == "reuters":
        said.setdefault("classes", 46)
    made = _known(kind, said, facts) if kind else _stand_in(name, said, facts)
    made = replace(made, stands_for=name) if name in ("imdb", "reuters") else made
    left = set(said) - set(made.args) - _agreeing(made, said)
    if left:
        raise Unknown(f"data {name!r} with {', '.join(sorted(left))}")
    args = {**made.args, **keep}
    if made.name in ENDLESS and "train" in keep:  # as many as it takes
        args["n"] = min(max(int(args.get("n", 0)), keep["train"] + keep.get("validation", 0)), MOST)
    return replace(made, args=args | ({"copied": True} if copied else {}), copied=copied)


WHOLE = ("n", "seed", "classes", "length", "vocabulary", "horizon", "informative", "redundant")
REAL = ("noise", "std", "factor", "low", "high", "bias")
USUAL = {"shuffle": True}  # what holds anyway, where it is not the absence of something
MOST = 10_000  # samples that are made
ENDLESS = ("blobs", "circles", "moons", "classes", "numbers", "xor", "function", "sequences", "tokens", "stand-in")
DROPPED = re.compile(r"^(?:synthetic|random|generated|toy|custom|)$")


def _kind(name: str, said: dict[str, Any]) -> str | None:
    """Return which source of ours it is."""
    if DROPPED.fullmatch(name) and isinstance(said.get("kind"), str):
        name = str(said.pop("kind")).strip().lower()
    kind = ALIASES.get(name) or ALIASES.get(name.replace(" ", "-")) or ALIASES.get(name.replace("_", "-"))
    if kind == "diabetes" and (said.get("classes") or said.get("features", 10) != 10):
        return None  # that of the Pima, not scikit-learn's
    return kind or ("function" if "formula" in said else None)


def _kept(said: dict[str, Any]) -> dict[str, Any]:
    """Take out how many samples are for training and for validation.

    Raises:
        Unknown: when they are no numbers.
    """
    keep = {key: number(said.pop(key)) for key in ("train", "validation", "share") if key in said}
    found = {key: value for key, value in keep.items() if value is not None}
    for key in ("train", "validation"):
        if 0 < found.get(key, 0) < 1:
            share = found.pop(key)
            found.setdefault("share", share if key == "validation" else round(1 - share, 9))
    made: dict[str, Any] = {key: whole(value) if key != "share" else value for key, value in found.items()}
    if "validation" in made and "train" not in made and isinstance(said.get("n"), int) and said["n"] > made["validation"]:
        made["train"] = said["n"] - made["validation"]
    return made


def _agreeing(made: Source, said: Mapping[str, Any]) -> set[str]:
    """Return which arguments only say what the data are anyway."""
    shape = [*made.shape[1:], made.shape[0]] if len(made.shape) == 3 else list(made.shape)
    told = said.get("shape")
    shapes = (shape, list(made.shape), shape[:2] if len(shape) == 3 and shape[2] == 1 else shape, [math.prod(shape)])
    agrees = {
        "classes": said.get("classes") == made.classes,
        "shape": (told if isinstance(told, list) else [told]) in shapes,
        "features": said.get("features") in (math.prod(shape), shape[-1]),
        "targets": said.get("targets") == made.targets,
    }
    return {name for name, same in agrees.items() if same}


def _two(given: Any) -> tuple[float, float]:
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise Unknown(f"the range {given!r}")
    return (float(given[0]), float(given[1]))


def _inline(given: Facts, facts: Facts) -> Source:
    """Return data that are written down in the facts themselves."""
    rest = set(given) - {"source", "x", "y", "n", "classes", "shape", "features", "targets"}
    if rest:
        raise Unknown(f"data with {', '.join(sorted(rest))}")
    inputs, targets = np.asarray(given["x"]), np.asarray(given["y"])
    inputs = inputs[:, None] if inputs.ndim == 1 else inputs
    if inputs.dtype.kind not in "iuf" or targets.dtype.kind not in "biuf" or len(inputs) != len(targets) or inputs.ndim > 3:
        raise Unknown("data that are no numbers, or not as many inputs as targets")
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 2 and ((targets == 0) | (targets == 1)).all() and (targets.sum(1) == 1).all():
        targets = targets.argmax(1)  # one-hot
    labels = targets.ndim == 1 and targets.dtype.kind in "biu" and (bool(given.get("classes")) or _of_classes(facts))
    labels = labels and bool((targets >= 0).all())  # -1 and 1 are numbers
    classes = whole(given.get("classes") or int(targets.max()) + 1) if labels else None
    args = {"x": inputs.tolist(), "y": targets.tolist(), **({"classes": classes} if classes else {}), "n": len(inputs)}
    return Source("inline", args, inputs.shape[1:], classes, targets=1 if targets.ndim == 1 else targets.shape[1])


def _known(kind: str, said: dict[str, Any], facts: Facts) -> Source:
    """Return a source that is known by its name, with the arguments that it takes."""
    if kind in ("circles", "moons"):
        taken = ("n", "noise", "seed", "factor") if kind == "circles" else ("n", "noise", "seed")
        return Source(kind, _some(said, *taken), (2,), 2)
    if kind == "mnist":
        return _mnist(said)
    if kind in IMAGES:
        args = _some(said, "n") | {"shape": list(IMAGES[kind])}
        return Source("mnist", args, IMAGES[kind], 10, stands_for=kind)
    if kind in TABLES:
        width, classes = TABLES[kind]
        if classes and 1 < said.get("classes", classes) < classes:
            classes = said["classes"]
        width = said["features"] if 0 < said.get("features", width) < width else width
        args = _some(said, "n") | ({"classes": classes} if classes != TABLES[kind][1] else {})
        args |= {"features": width} if width != TABLES[kind][0] else {}
        if kind == "digits" and said.get("shape") in ([8, 8, 1], [1, 8, 8], [8, 8]):
            return Source("table", {"name": kind, **args, "shape": [1, 8, 8]}, (1, 8, 8), classes)
        return Source("table", {"name": kind, **args}, (width,), classes)
    return _made(kind, said, facts)


def _mnist(said: dict[str, Any]) -> Source:
    """Return MNIST, flat where that is told, of the first few digits, or in another size."""
    flat = said.pop("flatten", None) is True or said.get("shape") in ([784], 784)
    args = _some(said, "n") | ({"shape": [784]} if flat else {})
    shape: tuple[int, ...] = (784,) if flat else (1, 28, 28)
    told = said.get("shape")
    if isinstance(told, list) and len(told) in (2, 3) and not flat and min(told) > 0:
        told = [*told, 1][:3]
        shape = (told[0], *told[1:]) if told[0] in (1, 3) else (told[2], told[0], told[1])
        args |= {"shape": list(shape)} if shape != (1, 28, 28) else {}
    classes = said.get("classes", 10)
    if classes not in range(2, 11):
        raise Unknown(f"MNIST of {classes} classes")
    return Source("mnist", args | ({"classes": classes} if classes != 10 else {}), shape, classes)


def _some(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: said[name] for name in names if name in said}


MADE: Mapping[str, tuple[tuple[str, ...], int, int | None]] = {  # what it takes, how many features it has, and classes
    "blobs": (("n", "centers", "features", "std", "seed"), 2, 3), "boston": (("n",), 13, None),
    "auto-mpg": (("n", "features"), 9, None), "xor": (("n", "features", "noise", "seed"), 2, 2),
    "classes": (("n", "features", "informative", "classes", "seed", "redundant", "clusters", "class_sep", "flip_y",
                 "weights"), 20, 2),
    "numbers": (("n", "features", "noise", "seed", "targets", "bias", "informative"), 10, None),
    "function": (("formula", "n", "low", "high", "features", "noise", "seed", "grid", "classes"), 1, None),
    "sequences": (("n", "length", "features", "classes", "horizon", "form", "seed"), 1, None),
    "tokens": (("n", "length", "vocabulary", "classes", "seed"), 1, 2),
}  # fmt: skip


def _made(kind: str, said: dict[str, Any], facts: Facts) -> Source:
    """Return a source whose arguments say how many features and classes it has."""
    taken, width, usual = MADE[kind]
    args = _some(said, *taken)
    told = asked(facts["layers"] or []) or []
    if "features" in taken and "features" not in args and kind not in ("auto-mpg", "sequences") and len(told) == 1:
        args |= {"features": told[0]} if told[0] != width else {}
    if (kind, len(told)) in (("sequences", 2), ("tokens", 1)):
        args = dict(zip(("length", "features"), told, strict=False)) | args
    if args.get("form", "sine") not in ("sine", "walk"):
        raise Unknown(f"sequences of the form {args['form']!r}")
    if kind == "blobs":
        args = _centered(args, said)
    if kind == "function":
        _is_formula(args)
    if kind == "tokens" and (entries := _entries(facts["layers"] or [])) is not None:
        args = {"vocabulary": min(entries, 100), **args}
        if entries < args["vocabulary"] or told[:1] not in ([], [args.get("length")]):
            raise Unknown(f"an Embedding of {entries} words and length {told} for {args}")
    classes = args.get("centers", args.get("classes", usual))
    classes = len(classes) if isinstance(classes, list) else classes
    shape: tuple[int, ...] = (args.get("features", width),)
    if kind in ("sequences", "tokens"):
        shape = (args.get("length", 20), *(shape if kind == "sequences" else ()))
    many = args.get("targets", args.get("horizon", 1))
    return Source(kind, args, shape, classes, whole=kind == "tokens", targets=many)


def _centered(args: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of blobs, whose centers may be points, and as many as there are classes."""
    centers = args.get("centers", said.get("classes"))
    if centers is None:
        return args
    if isinstance(centers, list):
        return {**args, "centers": centers, "features": len(centers[0])}
    return {**args, "centers": whole(centers)}


def _is_formula(args: Mapping[str, Any]) -> None:
    """Refuse what is no formula, or has other values than the numbers of the classes."""
    formula = args.get("formula", "sin(x)")
    try:
        _, values = function(**args)
    except (ValueError, SyntaxError, TypeError, NameError) as why:
        raise Unknown(f"the formula {formula!r}: {why}") from None
    if args.get("classes") and not set(np.unique(values)) <= set(range(args["classes"])):
        raise Unknown(f"the formula {formula!r} of {args['classes']} classes")


def _entries(layers: list[Any]) -> int | None:
    """Return how many words the embedding that stands first knows, None where none stands there."""
    for each in layers:
        kind = word(str(each.get("type"))) if isinstance(each, Mapping) else ""
        if kind == "embedding":
            return whole(each.get("input_dim", each.get("entries", each.get("vocabulary"))))
        if kind not in ("input", "inputlayer"):
            return None
    return None


def _stand_in(name: str, said: dict[str, Any], facts: Facts) -> Source:
    """Return data of the shape that is told, or that the first layer asks for."""
    layers = facts["layers"] or []
    shape = said.get("shape") or ([said["features"]] if "features" in said else None) or asked(layers)
    if shape is None or not name or name in ("no", "none", "unavailable"):
        raise Unknown(f"data {name!r}")
    shape = sizes(shape)
    if len(shape) == 3 and shape[-1] in (1, 3, 4):
        shape = [shape[2], shape[0], shape[1]]  # channels first
    classes, outputs = said.get("classes"), _outputs(layers)
    if classes is None and _of_classes(facts):
        classes = max(int(outputs or 2), 2)
    args: dict[str, Any] = {key: said[key] for key in ("n", "seed") if key in said}
    entries = _entries(layers)
    if entries is not None and len(shape) == 1 and classes:
        args |= {"length": shape[0], "vocabulary": min(entries, said.pop("vocabulary", 100)), "classes": classes}
        return Source("tokens", args, tuple(shape), classes, whole=True, stands_for=name)
    targets = said.get("targets", outputs or 1) if classes is None else 1
    args = {"shape": shape, **args} | ({"classes": classes} if classes else {})
    args |= {"targets": whole(targets)} if targets != 1 else {}
    return Source("stand-in", args, tuple(shape), classes, targets=whole(targets), stands_for=name)


def _outputs(layers: list[Any]) -> int | None:
    units = (number(each.get("units", each.get("output_dim"))) for each in reversed(layers) if isinstance(each, Mapping))
    return next((int(each) for each in units if each), None)


def _of_classes(facts: Facts) -> bool:
    """Tell whether classes are to be named, by the task and, where it is not told, by the loss."""
    task = str(facts["task"] or "").lower()
    return "class" in task or "binary" in task or (not task and "entropy" in str(facts["loss"]).lower())


def asked(layers: list[Any]) -> list[int] | None:
    """Return the shape of a sample that the first layer is told to get, in Keras' order; None where none is told."""
    first = layers[0] if layers and isinstance(layers[0], Mapping) else {}
    shape = next((first[key] for key in ("input_shape", "shape") if first.get(key)), None)
    if shape is not None and (first.get("input_shape") or word(str(first.get("type"))) in ("input", "inputlayer")):
        return sizes(shape)
    kind = word(str(first.get("type")))
    if first.get("input_length") and (kind == "embedding" or first.get("input_dim")):
        return [whole(first[key]) for key in ("input_length", "input_dim") if key == "input_length" or kind != "embedding"]
    return [whole(first["input_dim"])] if first.get("input_dim") and kind == "dense" else None
