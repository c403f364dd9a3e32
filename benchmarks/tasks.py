"""The tasks of the labelled runs: small data sets, each with a loss and a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DATA = Path(__file__).parents[1] / "lossdoc" / "datasets"
TEXT = (
    "the doctor reads the curve and the curve tells the doctor what the model will not say. a loss that falls and then lies "
    "still has learned what it can; a loss that climbs was pushed the wrong way; a loss that leaps was pushed too hard. "
    "patience is a remedy, more data is a better one, and a smaller step is often enough. "
) * 6
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A data set with a loss; `base` is the loss of having learned nothing, `classes` None unless one class is predicted.

    `kind` is softmax, binary, multilabel, mse or nll (a Gaussian's), `net` mlp, cnn or gru.
    """

    name: str
    split: str
    kind: str
    inputs: Tensor
    targets: Tensor
    outputs: int
    base: float
    n_train: int
    classes: int | None = None
    net: str = "mlp"


def _task(name: str, split: str, kind: str, data: tuple[Any, Any], outputs: int, **more: Any) -> Task:
    x, y = (np.asarray(each) for each in data)
    more.setdefault("n_train", min(400, int(0.6 * len(x))))
    base = {"softmax": math.log(max(outputs, 2)), "binary": math.log(2), "multilabel": math.log(2)}.get(kind, 1.0)
    classes = outputs if kind == "softmax" else 2 if kind == "binary" else None
    inputs, targets = (
        torch.tensor(x.astype(np.float32)),
        torch.tensor(y.astype(np.int64 if kind == "softmax" else np.float32)),
    )
    return Task(name, split, kind, inputs, targets, outputs, base, classes=classes, **more)


def _packed(name: str) -> tuple[Values, Any]:
    held = np.load(DATA / f"{name}.npz")
    x = held["inputs"].reshape(len(held["inputs"]), -1).astype(float)
    return (x - x.mean(0)) / (x.std(0) + 1e-3), held["targets"]


def tasks() -> list[Task]:
    """Make the tasks; thresholds and structure are chosen on those marked dev, the others judge."""
    draw = np.random.default_rng(7)
    real = {name: _packed(name) for name in ("digits", "wine", "iris")}
    return [*_first(draw, real), *_held(draw, real), *_more(np.random.default_rng(11), real)]


def _first(draw: np.random.Generator, real: dict[str, Any]) -> list[Task]:
    label = draw.integers(0, 5, 900)
    blobs = draw.normal(0, 1, (5, 6))[label] * 1.6 + draw.normal(0, 1, (900, 6))
    x1 = draw.uniform(-2, 2, (900, 1))
    turn, side = draw.uniform(0.5, 3, 900), draw.integers(0, 2, 900)
    angle = 1.6 * turn + math.pi * side
    spiral = np.c_[turn * np.cos(angle), turn * np.sin(angle)] / 1.5 + draw.normal(0, 0.06, (900, 2))
    return [
        _task("digits", "dev", "softmax", real["digits"], 10),
        _task("wine", "dev", "softmax", real["wine"], 3, n_train=90),
        _task("blobs", "dev", "softmax", (blobs, label), 5),
        _task("sine", "dev", "mse", (x1, np.sqrt(2) * np.sin(3 * x1) + draw.normal(0, 0.2, (900, 1))), 1),
        _task("spirals", "dev", "binary", (spiral * 1.2, side[:, None]), 1),
        _task("iris", "dev", "softmax", real["iris"], 3, n_train=90),
    ]


def _held(draw: np.random.Generator, real: dict[str, Any]) -> list[Task]:
    five = draw.uniform(0, 1, (900, 5))
    friedman = 10 * np.sin(np.pi * five[:, 0] * five[:, 1]) + 20 * (five[:, 2] - 0.5) ** 2 + 10 * five[:, 3] + 5 * five[:, 4]
    friedman = ((friedman - friedman.mean()) / friedman.std() + draw.normal(0, 0.15, 900))[:, None]
    flat = draw.normal(0, 1, (1200, 2))
    ring = np.digitize(np.hypot(*flat.T), [0.76, 1.18, 1.67])
    many = draw.normal(0, 1, (900, 10))
    tags = many @ draw.normal(0, 1, (10, 6)) + draw.normal(0, 0.3, (900, 6)) > 0
    code = np.unique(list(TEXT), return_inverse=True)[1]
    windows = np.lib.stride_tricks.sliding_window_view(code, 13)[::2]
    return [
        _task("digits_cnn", "test", "softmax", real["digits"], 10, net="cnn"),
        _task("chars", "test", "softmax", (windows[:, :-1], windows[:, 1:]), int(code.max()) + 1, net="gru"),
        _task("friedman", "test", "mse", (five * 3.4 - 1.7, friedman), 1),
        _task("rings", "test", "softmax", (flat, ring), 4),
        _task("tags", "test", "multilabel", (many, tags), 6),
        _task("friedman_nll", "test", "nll", (five * 3.4 - 1.7, friedman), 2),
    ]


def _more(draw: np.random.Generator, real: dict[str, Any]) -> list[Task]:
    digits = real["digits"][0] / np.sqrt((real["digits"][0] ** 2).mean())
    plane = draw.normal(0, 1, (900, 8))
    slopes = plane @ draw.normal(0, 1, (8, 3)) / math.sqrt(8)
    steps = np.sign(slopes) + draw.normal(0, 0.3, (900, 3))
    centers = draw.normal(0, 1, (20, 12))
    label = draw.integers(0, 20, 1200)
    moon = draw.uniform(0, math.pi, 900)
    half = draw.integers(0, 2, 900)
    moons = np.c_[np.cos(moon) + half, np.sin(moon) * (1 - 2 * half) + 0.3 * half] + draw.normal(0, 0.15, (900, 2))
    bits = draw.integers(0, 2, (900, 6)) * 2.0 - 1
    parity = (bits[:, 0] * bits[:, 1] > 0).astype(int)
    return [
        _task("codes", "dev", "mse", (digits, digits), 64),
        _task("plane", "dev", "mse", (plane, steps / steps.std()), 3),
        _task("twenty", "dev", "softmax", (centers[label] * 1.3 + draw.normal(0, 0.7, (1200, 12)), label), 20),
        _task("moons", "test", "softmax", (moons * 1.5 - 0.5, half), 2),
        _task("parity", "test", "binary", (bits + draw.normal(0, 0.2, bits.shape), parity[:, None]), 1),
        _task("wine_codes", "test", "mse", (real["wine"][0], real["wine"][0]), 13, n_train=110),
    ]
