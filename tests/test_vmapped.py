"""Points trained as one end where they end alone: the same curves, whatever layers, losses, optimizers and schedules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossdoc import build, loop, spec
from lossdoc.errors import UserError
from lossdoc.runner import Budget, Work
from lossdoc.runners import serial, vmapped
from lossdoc.stacking import generic
from lossdoc.subject import Point, Trial
from lossdoc.threads import threads

RATE, L2 = "optimizer.lr", "regularization.l2"
MLP = "[{linear: {out: 12}}, relu, {linear: {out: classes}}]"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


def described(folder: Path, **blocks: str) -> build.Variants:
    """Return the variants of a small network on iris in float64, with some blocks in place of its own."""
    parts = {
        "data": "{source: iris, batch_size: 40, preprocess: [standardize]}",
        "model": f"{{layers: {MLP}}}",
        "loss": "cross_entropy",
        "optimizer": "{adam: {lr: 1e-2}}",
        "train": "{precision: float64}",
        **blocks,
    }
    path = folder / "model.yaml"
    path.write_text("version: 1\n" + "".join(f"{name}: {text}\n" for name, text in parts.items()), encoding="utf-8")
    return build.Variants(spec.load(path))


def points(*params: dict[str, Any], seeds: tuple[int, ...] = (0, 1)) -> list[Point]:
    """Return every point with every seed."""
    given = params or ({RATE: 1e-3}, {RATE: 1e-2}, {RATE: 5e-2})
    return [Point(index, each, seed) for index, each in enumerate(given) for seed in seeds]


def trained(work: Work, run: Any) -> list[Trial]:
    """Return the trials in the order of the points."""
    return sorted(run(work), key=lambda trial: (trial.point.index, trial.point.seed))


def assert_alike(work: Work, *, within: float = 1e-4) -> None:
    """Hold the stacked trials against the serial ones."""
    told: list[str] = []
    stacked = trained(Work(work.make, work.points, work.budget, work.watch, say=told.append), vmapped.run)
    assert not told
    alone = trained(work, serial.run)
    assert [trial.point for trial in stacked] == [trial.point for trial in alone]
    for one, other in zip(stacked, alone, strict=True):
        assert one.diverged_at == other.diverged_at
        np.testing.assert_allclose(one.curve.train.value, other.curve.train.value, rtol=within, atol=within)
        assert one.loss == pytest.approx(other.loss, rel=within, abs=within, nan_ok=True)
        assert one.metric == pytest.approx(other.metric, abs=0.02, nan_ok=True)
        assert one.curve.others.keys() == other.curve.others.keys()
        assert one.curve.context == other.curve.context


@pytest.fixture(params=["any module", "known layers"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train by vmap alone, and by whatever is fastest."""
    if request.param == "any module":
        monkeypatch.setattr(vmapped, "stack_of", generic.make)


OPTIMIZERS = ["gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]


@pytest.mark.parametrize("word", OPTIMIZERS)
@pytest.mark.usefixtures("way")
def test_every_optimizer(tmp_path: Path, word: str) -> None:
    make = described(tmp_path, optimizer=f"{{{word}: {{lr: 1e-2, weight_decay: 1e-2}}}}")
    assert_alike(Work(make, points(), Budget(steps=20)))


@pytest.mark.parametrize(
    "params",
    [
        [{L2: 1e-3}, {L2: 1e-1}],
        [{"regularization.l1": 1e-3}, {"regularization.l1": 1e-1}],
        [{"optimizer.weight_decay": 0.0}, {"optimizer.weight_decay": 0.1}],
        [{"optimizer.beta1": 0.5}, {"optimizer.beta1": 0.95}],
        [{"schedule": "constant"}, {"schedule": "cosine"}, {"schedule": {"step": {"every": 5}}}],
        [{"model.init": "he"}, {"model.init": "xavier"}],
        [{"data.batch_size": 16}, {"data.batch_size": 50}],
    ],
    ids=lambda params: "".join(params[0]),
)
@pytest.mark.usefixtures("way")
def test_every_value_that_is_swept(tmp_path: Path, params: list[dict[str, Any]]) -> None:
    assert_alike(Work(described(tmp_path, regularization="{l1: 0, l2: 0}"), points(*params), Budget(steps=20)))


@pytest.mark.parametrize(
    "layers",
    [
        "[{linear: {out: 12}}, relu, {dropout: 0.3}, {linear: {out: 9}}, tanh, {dropout: 0.2}, {linear: {out: classes}}]",
        "[{linear: {out: 12}}, batchnorm, leaky_relu, {linear: {out: classes}}]",
        "[{linear: {out: 12}}, layernorm, gelu, {residual: [{linear: {out: 12}}, elu]}, {linear: {out: classes}}]",
        "[{maxout: {out: 8, pieces: 3}}, prelu, {linear: {out: classes}}]",
        "[{linear: {out: 12}}, softplus, {groupnorm: 3}, silu, selu, sigmoid, {linear: {out: classes}}]",
    ],
)
@pytest.mark.usefixtures("way")
def test_layers_of_vectors(tmp_path: Path, layers: str) -> None:
    assert_alike(Work(described(tmp_path, model=f"{{layers: {layers}}}"), points(), Budget(steps=20)))


DIGITS = "{source: digits, batch_size: 32, preprocess: [{scale: {divide_by: 16}}]}"
TEXT = "{source: {text: {path: words.txt, length: 8}}, batch_size: 16}"


@pytest.mark.parametrize(
    ("data", "layers"),
    [
        (
            DIGITS,
            "[{conv: {out: 4, padding: 1}}, relu, {maxpool: 2}, batchnorm, {conv: 6}, globalpool, {linear: classes}]",
        ),
        (DIGITS, "[{conv: {out: 4, stride: 2}}, {avgpool: 2}, flatten, {dropout: 0.2}, {linear: {out: classes}}]"),
        (TEXT, "[{embedding: {entries: classes, out: 6}}, {gru: 7}, {linear: {out: classes}}]"),
        (TEXT, "[{embedding: {entries: classes, out: 6}}, {lstm: 7}, {linear: {out: classes}}]"),
        (TEXT, "[{embedding: {entries: classes, out: 6}}, positions, {transformer: {heads: 2}}, {linear: {out: classes}}]"),
    ],
)
@pytest.mark.usefixtures("way")
def test_layers_of_images_and_texts(tmp_path: Path, data: str, layers: str) -> None:
    (tmp_path / "words.txt").write_text("the quick brown fox jumps over the lazy dog " * 12, encoding="utf-8")
    make = described(tmp_path, data=data, model=f"{{layers: {layers}}}")
    assert_alike(Work(make, points({RATE: 1e-3}, {RATE: 3e-3}), Budget(steps=20)))


@pytest.mark.parametrize(
    ("loss", "layers"),
    [
        ("{cross_entropy: {label_smoothing: 0.1}}", MLP),
        ("{cross_entropy: {weight: [1, 2, 3]}}", MLP),
        ("{cross_entropy: {inputs: probabilities}}", "[{linear: {out: classes}}, softmax]"),
        ("{cross_entropy: {reduction: sum}}", MLP),
        ("multiclass_hinge", MLP),
        ("nll", "[{linear: {out: classes}}, log_softmax]"),
    ],
)
@pytest.mark.usefixtures("way")
def test_losses_of_classes(tmp_path: Path, loss: str, layers: str) -> None:
    assert_alike(Work(described(tmp_path, loss=loss, model=f"{{layers: {layers}}}"), points(), Budget(steps=20)))


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "{mse: {reduction: sum}}"])
@pytest.mark.usefixtures("way")
def test_losses_of_numbers(tmp_path: Path, loss: str) -> None:
    data = "{source: {synthetic: {form: sine, n: 200}}, batch_size: 25}"
    make = described(tmp_path, data=data, loss=loss, model="{layers: [{linear: {out: 8}}, tanh, {linear: {out: 1}}]}")
    assert_alike(Work(make, points({RATE: 1e-4}, {RATE: 1e-3}), Budget(steps=20)))


@pytest.mark.usefixtures("way")
def test_yes_or_no(tmp_path: Path) -> None:
    data = "{source: {synthetic: {form: moons, n: 200}}, batch_size: 25}"
    make = described(tmp_path, data=data, loss="bce", model="{layers: [{linear: {out: 8}}, tanh, {linear: {out: 1}}]}")
    assert_alike(Work(make, points(), Budget(steps=20)))


@pytest.mark.usefixtures("way")
def test_clipped_gradients_and_groups(tmp_path: Path) -> None:
    groups = "{adam: {lr: 1e-2, groups: [{match: bias, weight_decay: 0, lr: 1e-3}]}}"
    make = described(tmp_path, optimizer=groups, train="{precision: float64, gradient_clip: 0.1}")
    assert_alike(Work(make, points(), Budget(epochs=4)))


@pytest.mark.usefixtures("way")
def test_dropout_rates_of_their_own(tmp_path: Path) -> None:
    layers = "[{linear: {out: 12}}, relu, {dropout: 0.3}, {linear: {out: classes}}]"
    params = [{"model.layers.2.dropout.rate": rate} for rate in (0.0, 0.1, 0.6)]
    assert_alike(Work(described(tmp_path, model=f"{{layers: {layers}}}"), points(*params), Budget(steps=20)))


def test_a_recorded_graph_goes_on_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmapped, "stack_of", generic.make)
    monkeypatch.setattr(generic, "recording_costs", lambda: 0.0)
    layers = "[{linear: {out: 12}}, batchnorm, relu, {dropout: 0.3}, {linear: {out: classes}}]"
    make = described(tmp_path, model=f"{{layers: {layers}}}", regularization="{l2: 1e-3}")
    assert_alike(Work(make, points(), Budget(steps=3 * generic.RECORDED)))


@pytest.mark.usefixtures("way")
def test_diverged_points_end_where_they_end_alone_and_harm_no_other(tmp_path: Path) -> None:
    make = described(
        tmp_path,
        optimizer="{sgd: {lr: 1e-2}}",
        loss="mse",
        data="{source: {synthetic: {form: sine, n: 200}}, batch_size: 25}",
        model="{layers: [{linear: {out: 8}}, relu, {linear: {out: 1}}]}",
    )
    work = Work(make, points({RATE: 1e-3}, {RATE: 1e3}, {RATE: 1e-2}, {RATE: 1e5}), Budget(epochs=12))
    assert_alike(work)
    ended = trained(work, vmapped.run)
    assert {trial.point.index for trial in ended if trial.diverged_at is not None} == {1, 3}
    assert all(math.isnan(trial.loss) == (trial.diverged_at is not None) for trial in ended)


@pytest.mark.usefixtures("way")
def test_a_watch_ends_points(tmp_path: Path) -> None:
    def watch(seen: Any) -> list[int]:
        return [at for at, (point, tick) in enumerate(seen) if point.index == 1 and tick.epoch >= 2]

    ended = trained(Work(described(tmp_path), points(seeds=(0,)), Budget(epochs=6), watch), vmapped.run)
    lengths = [len(trial.curve.train) for trial in ended]
    assert lengths[0] == lengths[2] == 2 * lengths[1]
    assert math.isfinite(ended[1].loss)


@pytest.mark.parametrize(
    "made",
    [
        "GRU(8, 6, batch_first=True)",
        "LSTM(8, 6, num_layers=2, batch_first=True)",
        "RNN(8, 6, bidirectional=True, batch_first=True, bias=False)",
        "RNN(8, 6, nonlinearity='relu')",
    ],
)
def test_recurrent_networks_of_torch(tmp_path: Path, made: str) -> None:
    (tmp_path / "own.py").write_text(
        f"from torch import nn\nclass Own(nn.Module):\n def __init__(self):\n  super().__init__()\n  self.a = nn.{made}\n"
        "  self.b = nn.LazyLinear(10)\n def forward(self, x):\n  return self.b(self.a(x.reshape(-1, 8, 8))[0][:, -1])\n",
        encoding="utf-8",
    )
    make = described(tmp_path, data=DIGITS, model="{call: own:Own}", python_path="[.]")
    assert_alike(Work(make, points(), Budget(steps=12)))


def test_data_without_an_end_end_the_stack_as_they_end_a_point_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\nclass Endless(torch.utils.data.IterableDataset):\n def __iter__(self):\n"
        "  while True:\n   yield torch.ones(4), 1\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(loop, "MOST_BATCHES", 20)
    data = "{source: {call: own:Endless}, classes: 3, batch_size: 4}"
    work = Work(described(tmp_path, data=data, python_path="[.]"), points(seeds=(0,)), Budget(epochs=1))
    for run in (serial.run, vmapped.run):
        with pytest.raises(UserError, match="had no end after 20 batches"):
            trained(work, run)


def test_what_cannot_be_stacked_is_trained_alone(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\nclass Own(torch.nn.Module):\n"
        " def __init__(self):\n  super().__init__()\n  self.a = torch.nn.Linear(4, 3)\n"
        " def forward(self, x):\n  y = self.a(x)\n  return y if bool(y.sum() > 0) else y * 2\n",
        encoding="utf-8",
    )
    make = described(tmp_path, model="{call: own:Own}", train="{epochs: 1}", python_path="[.]")
    told: list[str] = []
    work = Work(make, points(seeds=(0,)), Budget(steps=5), say=told.append)
    stacked, alone = trained(work, vmapped.run), trained(work, serial.run)
    assert [trial.loss for trial in stacked] == [trial.loss for trial in alone]
    assert len(told) == 1
    assert told[0].startswith("3 points are trained one after another: vmap cannot follow the model: ")


def test_points_are_grouped_by_what_changes_the_computation() -> None:
    many = [
        Point(0, {RATE: 0.1, "data.batch_size": 8}),
        Point(1, {RATE: 0.2, "data.batch_size": 16}),
        Point(2, {RATE: 0.3, "data.batch_size": 8}),
        Point(3, {"optimizer": "sgd"}),
    ]
    assert [[point.index for point in group] for group in vmapped.alike(many)] == [[0, 2], [1], [3]]
