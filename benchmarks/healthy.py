"""Healthy models, and how often lossdoc calls one sick: `python -m benchmarks.healthy`, and `--help` for its options.

Forty architectures × optimizers × data sets, each as sound as a textbook would have it: inputs scaled, an initialization for
the activation, a rate that works. Each (model, seed) is one run; every error of any check is a false alarm. At most 2 % of
the runs may have one. Warnings are shown behind a "?" and counted apart. `--thorough` makes trainings too (`sanity
--thorough`), else the checks are those of `sanity`. `models()` gives them as texts of model.yaml files.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
Pair = tuple[NDArray[Any], NDArray[Any]]


def twice() -> Pair:
    """Return the digits, flat and from 0 to 1, as inputs and as targets: what an autoencoder learns."""
    from lossdoc.datasets.builtin import Digits

    inputs = Digits().load(HERE).inputs.reshape(-1, 64) / 16
    return inputs, inputs


def sums(n: int = 800, features: int = 8, seed: int = 0) -> Pair:
    """Return points and a smooth function of them with mean 0 and deviation about 1, with some noise."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, features)).astype(np.float32)
    weights = rng.normal(size=features) / np.sqrt(features)
    values = np.sin(inputs @ weights) * 1.2 + 0.5 * inputs[:, 0] * inputs[:, 1] + rng.normal(0, 0.1, n)
    return inputs, ((values - values.mean()) / values.std()).astype(np.float32)


def waves(n: int = 800, length: int = 20, classes: int | None = None, seed: int = 0) -> Pair:
    """Return sines (n, length, 1) and either the value that follows, or the class of their speed."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(classes or 1, size=n)
    speed = 0.2 + 0.35 * kind if classes else rng.uniform(0.2, 0.8, n)
    time_ = np.arange(length + 1) * speed[:, None] + rng.uniform(0, 6.28, (n, 1))
    wave = (np.sin(time_) + rng.normal(0, 0.05, time_.shape)).astype(np.float32)
    return wave[:, :length, None], kind.astype(np.int64) if classes else wave[:, length] * np.float32(1.4)


def even(n: int = 800, length: int = 12, seed: int = 0) -> Pair:
    """Return words (n, length) out of 20, and whether more of them come from the first ten."""
    rng = np.random.default_rng(seed)
    lean = rng.uniform(0.2, 0.8, (n, 1))
    words = np.where(
        rng.uniform(size=(n, length)) < lean, rng.integers(0, 10, (n, length)), rng.integers(10, 20, (n, length))
    )
    return words.astype(np.int64), ((words < 10).sum(1) > length / 2).astype(np.int64)


def own(name: str, **args: Any) -> dict[str, Any]:
    """Return a data source of this module."""
    return {"source": {"call": f"benchmarks.healthy:{name}", "args": args}}


def dense(*sizes: int, act: Any = "relu", norm: str | None = None, drop: float = 0.0) -> list[Any]:
    """Return hidden layers of some sizes."""
    layers: list[Any] = []
    for size in sizes:
        layers += [{"linear": size}, *([norm] if norm else []), act, *([{"dropout": drop}] if drop else [])]
    return layers


def conv(*sizes: int, norm: Any = None, act: Any = "relu", kernel: int = 3) -> list[Any]:
    """Return convolutions of some sizes."""
    return [
        part
        for size in sizes
        for part in (
            {"conv": {"out": size, "kernel": kernel, "padding": "same", "bias": norm is None}},
            *([norm] if norm else []),
            act,
        )
    ]


def block(size: int, norm: Any = "batchnorm") -> dict[str, Any]:
    """Return a residual block that keeps the shape."""
    body = [
        {"conv": {"out": size, "kernel": 3, "padding": "same", "bias": False}},
        norm,
        "relu",
        {"conv": {"out": size, "kernel": 3, "padding": "same", "bias": False}},
        norm,
    ]
    return {"residual": body}


DIGITS = {"source": "digits", "preprocess": [{"scale": {"divide_by": 16}}]}
CENTERED = {"source": "digits", "preprocess": [{"standardize": "channel"}]}
IRIS = {"source": "iris", "preprocess": ["standardize"], "batch_size": 16}
WINE = {"source": "wine", "preprocess": ["standardize"], "batch_size": 16}
TEXT = {"source": {"text": {"path": str(HERE.parent / "README.md"), "length": 32}}}
HEAD = {"linear": {"out": "classes", "init": "xavier"}}
YES = {"linear": {"out": 1, "init": "xavier"}}


def plane(form: str, n: int = 600) -> dict[str, Any]:
    """Return points in the plane, or of a curve."""
    return {"source": {"synthetic": {"form": form, "n": n}}}


def adam(lr: float = 1e-3) -> dict[str, Any]:
    return {"adam": {"lr": lr}}


def sgd(lr: float, momentum: float = 0.9) -> dict[str, Any]:
    return {"sgd": {"lr": lr, "momentum": momentum}}


MSE = {"call": "torch.nn:MSELoss"}
# name: data, init, layers, loss, optimizer, epochs
MODELS: Mapping[str, tuple[Any, ...]] = {
    "mlp-digits-adam": (DIGITS, "he", [*dense(64), HEAD], "cross_entropy", adam(), 20),
    "mlp-digits-sgd": (CENTERED, "he", [*dense(64, 32), HEAD], "cross_entropy", sgd(0.02), 20),
    "mlp-digits-rmsprop": (DIGITS, "he", [*dense(100), HEAD], "cross_entropy", {"rmsprop": {"lr": 1e-3}}, 20),
    "mlp-digits-adamw-dropout": (DIGITS, "he", [*dense(128, 64, drop=0.2), HEAD], "cross_entropy",
                                 {"adamw": {"lr": 1e-3}}, 20),
    "mlp-digits-batchnorm": (DIGITS, "he", [*dense(64, 64, norm="batchnorm"), HEAD], "cross_entropy", sgd(0.05), 15),
    "mlp-digits-tanh": (CENTERED, "xavier", [*dense(64, act="tanh"), HEAD], "cross_entropy", adam(), 20),
    "mlp-digits-elu-nesterov": (CENTERED, "he", [*dense(64, 64, act="elu"), HEAD], "cross_entropy",
                                {"nesterov": {"lr": 0.01}}, 20),
    "mlp-digits-selu": (CENTERED, "lecun", [*dense(64, 64, act="selu"), HEAD], "cross_entropy", adam(), 20),
    "mlp-digits-gelu-layernorm": (DIGITS, "he", [*dense(64, act="gelu", norm="layernorm"), HEAD], "cross_entropy",
                                  adam(), 20),
    "mlp-digits-leaky": (DIGITS, "he", [*dense(64, 64, act={"leaky_relu": 0.1}), HEAD], "cross_entropy", sgd(0.05), 20),
    "mlp-digits-probabilities": (DIGITS, "he", [*dense(64), HEAD, "softmax"], {"cross_entropy": {"inputs": "probabilities"}},
                                 adam(), 20),
    "mlp-digits-maxout": (DIGITS, "xavier", ["flatten", {"maxout": 32}, HEAD], "cross_entropy", adam(), 20),
    "mlp-digits-hinge": (DIGITS, "he", [*dense(64), HEAD], "multiclass_hinge", adam(), 20),
    "mlp-digits-nll": (DIGITS, "he", [*dense(64), HEAD, "log_softmax"], "nll", adam(), 20),
    "mlp-digits-adagrad": (DIGITS, "he", [*dense(64), HEAD], "cross_entropy", {"adagrad": {"lr": 0.03}}, 20),
    "linear-iris": (IRIS, "xavier", [HEAD], "cross_entropy", sgd(0.05), 40),
    "mlp-iris-adam": (IRIS, "he", [*dense(16), HEAD], "cross_entropy", adam(5e-3), 40),
    "mlp-wine-adam": (WINE, "he", [*dense(32), HEAD], "cross_entropy", adam(3e-3), 30),
    "mlp-wine-silu": (WINE, "he", [*dense(32, 16, act="silu"), HEAD], "cross_entropy", {"adamw": {"lr": 3e-3}}, 30),
    "cnn-digits": (CENTERED, "he", [*conv(8, 16), {"maxpool": 2}, "flatten", HEAD], "cross_entropy", adam(2e-3), 10),
    "cnn-digits-batchnorm": (CENTERED, "he", [*conv(8, 16, norm="batchnorm"), {"maxpool": 2}, "flatten", HEAD],
                             "cross_entropy", sgd(0.05), 8),
    "cnn-digits-globalpool": (CENTERED, "he", [*conv(16, 32, norm={"groupnorm": 4}), {"globalpool": "mean"}, HEAD],
                              "cross_entropy", adam(5e-3), 15),
    "cnn-digits-lenet": (DIGITS, "xavier", [*conv(6, act="tanh", kernel=5), {"avgpool": 2}, "flatten",
                                            *dense(32, act="tanh"), HEAD], "cross_entropy", adam(2e-3), 15),
    "resnet-digits": (CENTERED, "he", [*conv(8, norm="batchnorm"), block(8), "relu", block(8), "relu",
                                       {"globalpool": "mean"}, HEAD], "cross_entropy", sgd(0.1), 10),
    "resnet-digits-adam": (CENTERED, "he", [*conv(16, norm="batchnorm"), block(16), "relu", {"maxpool": 2}, "flatten", HEAD],
                           "cross_entropy", adam(2e-3), 8),
    "cnn-waves": (own("waves", classes=3), "he", [{"call": "keras_like:Swap"}, *conv(16, 16), {"globalpool": "max"}, HEAD],
                  "cross_entropy", adam(2e-3), 15),
    "bce-circles": (plane("circles"), "he", [*dense(32, 32), YES], "bce", adam(3e-3), 40),
    "bce-moons-tanh": (plane("moons"), "xavier", [*dense(32, act="tanh"), YES], "bce", adam(1e-2), 40),
    "bce-xor-probabilities": (plane("xor"), "he", [*dense(16), YES, "sigmoid"], {"bce": {"inputs": "probabilities"}},
                              adam(1e-2), 30),
    "mlp-spirals": (plane("spirals", 900), "he", [*dense(64, 64), HEAD], "cross_entropy", adam(5e-3), 60),
    "mlp-blobs-gd": (plane("blobs"), "he", [*dense(16), HEAD], "cross_entropy", {"gd": {"lr": 0.5}}, 200),
    "regression-sine": (plane("sine"), "he", [*dense(64, act="tanh"), YES], "mse", adam(1e-2), 60),
    "regression-polynomial-huber": (plane("polynomial"), "he", [*dense(64), YES], "huber", adam(5e-3), 60),
    "regression-sums": (own("sums"), "he", [*dense(64, 64), YES], "mse", adam(), 40),
    "regression-sums-l1-sgd": (own("sums"), "he", [*dense(64), YES], "l1", sgd(0.02), 40),
    "gru-waves": (own("waves"), "xavier", [{"gru": 16}, {"take": "last"}, YES], "mse", adam(5e-3), 20),
    "lstm-waves": (own("waves", classes=3), "xavier", [{"lstm": 24}, {"take": "last"}, HEAD], "cross_entropy",
                   adam(5e-3), 20),
    "transformer-words": (own("even"), "xavier", [{"embedding": {"entries": 20, "out": 16, "init": {"normal": 0.1}}},
                                                  "positions", {"transformer": 2}, {"take": "mean"}, HEAD],
                          "cross_entropy", adam(2e-3), 20),
    "gpt-text": (TEXT, {"normal": 0.02}, [{"embedding": {"entries": "classes", "out": 32}}, "positions",
                                          {"transformer": {"heads": 4, "causal": True}}, "layernorm",
                                          {"linear": {"out": "classes"}}], "cross_entropy", {"adamw": {"lr": 2e-3}}, 10),
    "autoencoder-digits": (own("twice"), "he", [*dense(32, 8, 32), {"linear": {"out": 64, "init": "xavier"}}], MSE,
                           adam(2e-3), 30),
}  # fmt: skip


def models() -> Iterator[tuple[str, str]]:
    """Yield the name of each model and the text of its model.yaml."""
    for name, (data, init, layers, loss, optimizer, epochs) in MODELS.items():
        described = {"version": 1, "name": name, "python_path": [str(HERE.parent), str(HERE)], "data": data,
                     "model": {"init": init, "layers": layers}, "loss": loss, "optimizer": optimizer,
                     "train": {"epochs": epochs}}  # fmt: skip
        yield name, yaml.safe_dump(described, sort_keys=False, width=120)


def found_in(text: str, seed: int, *, thorough: bool) -> tuple[list[str], list[str]]:
    """Return the names of the errors and of the warnings that the checks find in a model with a seed."""
    from lossdoc import build, checkup, spec
    from lossdoc.checkup import Case
    from lossdoc.findings import Severity

    described = spec.loads(text, seed=seed)
    case = Case(described, build.subject(described))
    reports = list(checkup.thorough(case)) if thorough else [checkup.sanity(case)]
    findings = [one for report in reports for one in report.findings]
    errors, warnings = (
        [one.name for one in findings if one.severity is kind] for kind in (Severity.ERROR, Severity.WARNING)
    )
    return errors, warnings


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--thorough", action="store_true")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    runs = sick = warned = 0
    blamed: Counter[str] = Counter()
    for name, text in models():
        if asked.only not in name:
            continue
        began = time.process_time()
        found = [found_in(text, seed, thorough=asked.thorough) for seed in range(asked.seeds)]
        runs, sick = runs + len(found), sick + sum(bool(errors) for errors, _ in found)
        warned += sum(bool(warnings) for _, warnings in found)
        each = [[*errors, *(f"{one}?" for one in warnings)] for errors, warnings in found]
        blamed.update(one for names in each for one in set(names))
        told = "; ".join(f"seed {seed}: {', '.join(names)}" for seed, names in enumerate(each) if names) or "quiet"
        print(f"{name:30} {(time.process_time() - began) / asked.seeds:5.1f} CPU s  {told}", flush=True)
    share = 100 / max(runs, 1)
    print(
        f"{sick} of {runs} runs have an error ({sick * share:.1f} %), {warned} a warning ({warned * share:.1f} %): ", end=""
    )
    print(dict(blamed.most_common()) or "none")


if __name__ == "__main__":
    main()
