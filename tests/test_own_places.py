"""The user's own code in each place of the language, and every form in which it may return data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossdoc import planning, sweeping
from lossdoc.build import subject, trial
from lossdoc.errors import UserCodeError, UserError
from lossdoc.spec import loads
from lossdoc.subject import Subject

OWN = '''
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

class Scaler:
    """As scikit-learn's."""
    def __init__(self, by=1.0): self.by = by
    def fit(self, x): self.mean_, self.names_, self.count_ = x.mean(0), ["a"], len(x)
    def transform(self, x): x -= self.mean_; return x * self.by
class Doubling:
    def __call__(self, x): return x * 2
class Idle: pass
def square(x, plus=0.0): return x ** 2 + plus
def fewer(x): return x[:-1]
def forgets(x): x * 2
def breaks(x): raise RuntimeError("no good")

def ones(weight, by=1.0): weight.fill_(by)
def fresh(weight): return torch.full_like(weight, 7.0)
def wrong(weight): return torch.zeros(2)
class Wide(nn.Module):
    def __init__(self, size, out):
        super().__init__()
        self.inner = nn.Linear(size, out)
    def forward(self, x): return self.inner(x)
def half(step, total, by=0.5): return by ** step
def none(step, total): step

X, Y = np.arange(240, dtype=np.float32).reshape(60, 4), np.arange(60) % 3
class Map(Dataset):
    def __len__(self): return 60
    def __getitem__(self, n): return torch.tensor(X[n]), int(Y[n])
class Duck:
    labels = Y
    def __len__(self): return 60
    def __getitem__(self, n): return X[n], Y[n]
class Stream(IterableDataset):
    def __iter__(self): return iter(zip(torch.tensor(X), torch.tensor(Y)))
class Again:
    def __iter__(self): return ((torch.tensor(X[i:i + 20]), torch.tensor(Y[i:i + 20])) for i in (0, 20, 40))
class Frame:
    def __init__(self, array): self.array = array
    def __array__(self, dtype=None, copy=None): return self.array
    def __len__(self): return len(self.array)
SAMPLES = [(x, int(y)) for x, y in zip(X, Y)]
RETURNED = {
    "arrays": (X, Y), "list of arrays": [X, Y], "tensors": (torch.tensor(X), torch.tensor(Y)),
    "lists": (X.tolist(), Y.tolist()),
    "frames": (Frame(X), Frame(Y)), "list of tuples and list": ([tuple(map(float, x)) for x in X], Y.tolist()),
    "column of targets": (X, Y[:, None]),
    "samples": SAMPLES, "samples of tensors": [(torch.tensor(x), torch.tensor(y)) for x, y in SAMPLES],
    "samples by key": [{"x": x, "y": y} for x, y in SAMPLES], "columns": {"x": X, "y": Y},
    "columns of tensors": {"features": torch.tensor(X), "labels": torch.tensor(Y)},
    "tensor dataset": TensorDataset(torch.tensor(X), torch.tensor(Y)), "dataset": Map(), "duck": Duck(),
    "loader": DataLoader(Map(), batch_size=20, shuffle=True), "stream": Stream(), "batches": list(Again()), "again": Again(),
    "train and validation": ((X[:40], Y[:40]), (X[40:], Y[40:])),
    "three splits": ((X[:40], Y[:40]), (X[40:50], Y[40:50]), (X[50:], Y[50:])),
    "two lists of samples": (SAMPLES[:40], SAMPLES[40:]), "two loaders": (DataLoader(Map()), DataLoader(Map())),
    "by split": {"train": (X[:40], Y[:40]), "val": (X[40:], Y[40:])},
    "by split, mixed": {"train": Map(), "validation": SAMPLES[40:], "test": (X, Y)},
}
BAD = {
    "none": None, "number": 3, "text": "digits", "array": X, "tensor": torch.tensor(X),
    "generator": (each for each in SAMPLES),
    "iterator": iter(SAMPLES), "four arrays": (X[:40], X[40:], Y[:40], Y[40:]), "three arrays": (X, Y, Y),
    "ragged": ([[1, 2], [3]], [0, 1]), "ragged samples": [(np.ones(2), 0), (np.ones(3), 1)],
    "texts": (X, np.array(["a"] * 60)), "unequal": (X, Y[:5]), "no keys": {"a": X, "b": Y},
    "splits": {"train": (X, Y), "extra": (X, Y)},
    "no train": {"val": (X, Y)}, "empty list": [], "empty mapping": {}, "empty arrays": (X[:0], Y[:0]), "class": Map,
    "set": {1, 2},
}
def give(what): return RETURNED[what]
def bad(what): return BAD[what]
'''
MODEL = "model: {layers: [{linear: 3}]}\n"
FORMS = [line.split('"') for line in OWN.partition("RETURNED")[2].partition("BAD")[0].splitlines()]
KINDS = [part for line in FORMS for part, after in zip(line[1::2], line[2::2], strict=False) if after.startswith(": ")]
KINDS = [each for each in KINDS if each not in ("x", "y", "features", "labels", "train", "val", "validation", "test")]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Subject]]:
    """Make subjects from files that lie beside places.py."""
    (tmp_path / "places.py").write_text(OWN)
    path = list(sys.path)
    sys.modules.pop("places", None)
    yield lambda text: subject(loads(text, str(tmp_path / "model.yaml")))
    sys.path[:] = path
    sys.modules.pop("places", None)


def given(what: str, function: str = "give", more: str = "") -> str:
    return f"data: {{source: {{call: 'places:{function}', args: {{what: {what!r}}}}}{more}}}\n"


@pytest.mark.parametrize("what", KINDS)
def test_every_usual_form_of_data_is_taken(make: Any, what: str) -> None:
    made = make(given(what) + MODEL)
    batch = next(iter(made.batches("train", 0)))
    assert batch.inputs.shape[1:] == (4,)
    assert batch.targets.shape == (len(batch.inputs),)
    assert batch.inputs.dtype == torch.float32
    assert not batch.targets.is_floating_point()
    rows = torch.cat([each.inputs for each in made.batches("train", 0)])[:, 0] / 4
    classes = torch.cat([each.targets for each in made.batches("train", 0)])
    torch.testing.assert_close(rows.long() % 3, classes.long())  # each input with its own target
    if "validation" in made.sizes:
        assert sum(len(each.targets) for each in made.batches("validation", 0)) == made.sizes["validation"]


def test_all_forms_are_tried() -> None:
    assert len(KINDS) == 25


@pytest.mark.parametrize("what", ["arrays", "samples", "columns", "train and validation", "tensor dataset"])
def test_whatever_lies_in_memory_can_be_preprocessed(make: Any, what: str) -> None:
    made = make(given(what, more=", preprocess: [standardize]") + MODEL)
    every = torch.cat([each.inputs for each in made.batches("train", 0)])
    torch.testing.assert_close(every.mean(0), torch.zeros(4), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("what", "classes"), [("arrays", 3), ("duck", 3), ("columns", 3), ("dataset", None)])
def test_classes_are_counted_where_the_targets_are_at_hand(make: Any, what: str, classes: int | None) -> None:
    assert make(given(what) + MODEL).classes == classes
    assert make(given(what, more=", classes: 5") + "model: {layers: [{linear: classes}]}\n").classes == 5


def test_a_layer_that_counts_on_unknown_classes_says_how_to_tell_them(make: Any) -> None:
    with pytest.raises(UserError, match=r"model.layers.0: 'classes' stands for .* say it as `data: {classes: 10}`"):
        make(given("dataset") + "model: {layers: [{linear: classes}]}\n").build(0)


def test_columns_that_the_model_gets_by_name(make: Any) -> None:
    made = make(
        given("columns", more=", batch: {x: [x, y], y: y}") + "model: {call: 'places:Wide', args: {size: 4, out: 3}}\n"
    )
    assert sorted(next(iter(made.batches("train", 0))).inputs) == ["x", "y"]


WANTED = "(inputs, targets) as arrays, a list of such samples, a torch Dataset, a DataLoader, or these by split"


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("none", f"'places:bad' returns nothing (a forgotten return?); {WANTED}"),
        ("number", f"returns an int; {WANTED}"),
        ("text", f"returns a str; {WANTED}"),
        ("array", f"returns one array shaped (60, 4), without targets; {WANTED}"),
        ("tensor", f"returns one array shaped (60, 4), without targets; {WANTED}"),
        ("generator", "returns a generator, which is used up after one epoch: make a list of it, or a class with __iter__"),
        ("iterator", "returns a list_iterator, which is used up after one epoch"),
        ("four arrays", f"returns a tuple of 4 (ndarray, ndarray, ndarray, ndarray); {WANTED}"),
        ("three arrays", f"returns a tuple of 3 (ndarray, ndarray, ndarray); {WANTED}"),
        ("ragged", "returns inputs of different shapes ((1,), (2,)); as arrays all must have one"),
        ("ragged samples", "returns inputs of different shapes ((2,), (3,)); as arrays all must have one"),
        ("texts", "got targets of <U1; class numbers from 0, or numbers to be predicted, are meant"),
        ("unequal", "got inputs shaped (60, 4) and targets shaped (5,); as many of both are meant"),
        ("no keys", "a mapping with the keys a, b; the keys train and validation, or inputs and targets (or x and y)"),
        ("splits", "a mapping with the keys train, extra; train, validation and test are meant"),
        ("no train", "a mapping with the keys val; train, validation and test are meant"),
        ("empty list", f"returns an empty list; {WANTED}"),
        ("empty mapping", "a mapping with the keys (none); the keys train and validation, or"),
        ("empty arrays", "cannot be split"),
        ("class", "returns the class Map itself, not an object of it; (inputs, targets)"),
        ("set", f"returns a set; {WANTED}"),
    ],
)  # fmt: skip
def test_any_other_form_is_told_in_one_sentence(make: Any, what: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        make(given(what, "bad") + MODEL).build(0)
    assert len(caught.value.problems) == 1
    assert told in str(caught.value)
    assert "model.yaml:1:" in str(caught.value)


PRE = "data: {source: iris, preprocess: [{call: 'places:%s'%s}]}\n" + MODEL


def test_a_class_with_fit_and_transform_is_fitted_on_the_training_split(make: Any) -> None:
    made, raw = make(PRE % ("Scaler", ", args: {by: 2}")), make("data: iris\n" + MODEL)
    train = torch.cat([each.inputs for each in raw.batches("train", 0)])
    validation = torch.cat([each.inputs for each in raw.batches("validation", 0)])
    got = torch.cat([each.inputs for each in made.batches("validation", 0)])
    torch.testing.assert_close(got, 2 * (validation - train.mean(0)), rtol=1e-4, atol=1e-5)
    (step,) = made.preprocessing
    assert list(step) == ["places:Scaler"]
    assert sorted(step["places:Scaler"]) == ["count_", "mean_"]  # the numbers that it learned, by scikit-learn's convention
    assert step["places:Scaler"]["mean_"] == pytest.approx(train.mean(0).tolist(), rel=1e-5)


@pytest.mark.parametrize(("name", "args"), [("square", ", args: {plus: 1}"), ("Doubling", "")])
def test_a_function_is_applied_to_each_split(make: Any, name: str, args: str) -> None:
    made, raw = make(PRE % (name, args)), make("data: iris\n" + MODEL)
    for split in ("train", "validation"):
        inputs = next(iter(raw.batches(split, 0))).inputs
        expected = inputs**2 + 1 if name == "square" else 2 * inputs
        torch.testing.assert_close(next(iter(made.batches(split, 0))).inputs, expected)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "fewer",
            "'places:fewer' makes ndarray shaped (119, 4) of float32 of 120 samples; an array of numbers with as many",
        ),
        ("forgets", "'places:forgets' makes nothing of 120 samples"),
        ("Idle", "'places:Idle' has no fit and transform, nor can its objects be called"),
        ("squares", "'places' has no 'squares'; did you mean 'square'?"),
    ],
)
def test_a_step_that_does_not_work_is_told(make: Any, name: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        make(PRE % (name, ""))
    assert f"model.yaml:1:42: error[{caught.value.problems[0].kind}] data.preprocess.0.call: {told}" in str(caught.value)


def test_a_step_that_raises_is_the_users(make: Any) -> None:
    with pytest.raises(UserCodeError, match="places:breaks raised RuntimeError: no good"):
        make(PRE % ("breaks", ""))


@pytest.mark.parametrize(
    ("init", "value"),
    [
        ("{call: 'places:ones'}", 1.0),
        ("{call: 'places:ones', args: {by: 3}}", 3.0),
        ("{call: 'places:fresh'}", 7.0),
        ("{call: 'torch.nn.init:constant_', args: {val: 4}}", 4.0),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_an_initializer_of_ones_own(make: Any, init: str, value: float, whole: bool) -> None:
    layers = "[{linear: 2}, {residual: [{linear: 2}]}]" if whole else f"[{{linear: {{out: 3, init: {init}}}}}]"
    made = make(
        f"data: iris\nmodel: {{layers: {layers[:-1]}, {{linear: {{out: 3, init: zeros}}}}]{f', init: {init}' * whole}}}\n"
    )
    weights = [each for name, each in made.build(0).named_parameters() if each.dim() > 1]
    assert [sorted(set(each.detach().flatten().tolist())) for each in weights] == [[value]] * (len(weights) - 1) + [[0.0]]
    assert all(each.requires_grad for each in weights)


def test_an_initializer_that_does_not_work_is_told(make: Any) -> None:
    with pytest.raises(
        UserError, match=r"model.layers.0.linear.init.call: 'places:wrong' returns a tensor shaped \(2,\) for"
    ):
        make("data: iris\nmodel: {layers: [{linear: {out: 3, init: {call: 'places:wrong'}}}]}\n").build(0)


def test_own_layers_in_nested_residual_blocks(make: Any, tmp_path: Path) -> None:
    inner = "{residual: [{call: 'places:Wide', args: {size: 5, out: 5}}]}"
    text = (
        f"data: iris\nmodel: {{layers: [{{residual: [relu, {{call: 'places:Wide', args: {{size: 4, out: 5}}}}, {inner}]}}, "
        "{linear: 3}]}\n"
    )
    made = make(text)
    names = [name for name, _ in made.build(0).named_parameters() if name.endswith("weight")]
    assert names == [
        "residual_0.body.own_1.inner.weight",
        "residual_0.body.residual_2.body.own_0.inner.weight",
        "residual_0.match.weight",  # 4 features become 5
        "linear_1.weight",
    ]
    assert "gradient norm" in trial(loads(text, str(tmp_path / "model.yaml")))
    with pytest.raises(
        UserCodeError, match=r"model.yaml:2:\d+: places:Wide, given 5, raised RuntimeError: mat1 and mat2 shapes"
    ):
        make(text.replace("size: 5", "size: 6")).build(0)


def test_what_an_own_layer_puts_out_is_one_tensor(make: Any) -> None:
    lstm = "{call: 'torch.nn:LSTM', args: {input_size: 4, hidden_size: 4}}"
    with pytest.raises(
        UserError, match=r"layers.0.call: 'torch.nn:LSTM' makes a tuple of two samples; one tensor, two long"
    ):
        make(f"data: iris\nmodel: {{layers: [{lstm}]}}\n").build(0)


def test_an_own_layer_that_changes_the_shape_does_not_fit_in_a_residual_block(make: Any) -> None:
    own = "{call: 'torch.nn:Flatten'}"
    with pytest.raises(UserError, match="residual gets 1x8x8; a list of layers that keeps it, not one that makes 64 of it"):
        make(f"data: digits\nmodel: {{layers: [{{residual: [{own}]}}, {{linear: classes}}]}}\n").build(0)


STEPS = (0, 1, 2, 3)


def factors(made: Subject) -> list[float]:
    return [made.recipe.schedule(step, 10) for step in STEPS]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("{call: 'places:half'}", [1, 0.5, 0.25, 0.125]),
        ("{warmup: {steps: 2, then: {call: 'places:half', args: {by: 0.1}}}}", [0.5, 1, 1, 0.1]),
        ("{warmup: {steps: 1, then: {warmup: {steps: 2, then: {call: 'places:half'}}}}}", [1, 0.5, 1, 1]),
        ("{call: 'torch.optim.lr_scheduler:StepLR', args: {step_size: 2, gamma: 0.1}}", [1, 1, 0.1, 0.1]),
        (
            "{warmup: {steps: 2, then: {call: 'torch.optim.lr_scheduler:ExponentialLR', args: {gamma: 0.5}}}}",
            [0.5, 1, 1, 0.5],
        ),
        ("{call: 'torch.optim.lr_scheduler:CyclicLR', args: {base_lr: 0.1, max_lr: 0.5, step_size_up: 2}}", [1, 3, 5, 3]),
    ],
)
def test_a_schedule_of_ones_own_or_of_torchs(make: Any, schedule: str, expected: list[float]) -> None:
    made = make(f"data: iris\n{MODEL}optimizer: {{sgd: 0.1}}\nschedule: {schedule}\n")
    assert factors(made) == pytest.approx(expected)
    assert made.recipe.schedule(0, 10) == pytest.approx(expected[0])  # asked for an earlier step again


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("{call: 'places:none'}", "schedule.call: 'places:none' returns None (a forgotten return?); a number, the factor"),
        ("{warmup: {steps: 2, then: {call: 'places:nope'}}}", "schedule.warmup.then.call: 'places' has no 'nope'"),
        ("{call: 'torch.optim.lr_scheduler:StepLR'}", "missing a required argument: 'step_size'"),
        ("{call: 'torch.optim.lr_scheduler:ReduceLROnPlateau'}", "ReduceLROnPlateau waits for a loss"),
    ],
)
def test_a_schedule_that_does_not_work_is_told(make: Any, schedule: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        factors(make(f"data: iris\n{MODEL}schedule: {schedule}\n"))
    assert told in str(caught.value)


def test_the_numbers_of_the_preprocessing_are_kept(make: Any) -> None:
    made = make(
        "data: {source: iris, preprocess: [{one_hot: [0]}, standardize, {clip: {high: 2}}, {scale: {divide_by: 2}}]}\n"
        + MODEL
    )
    one_hot, standardize, clip, scale = made.preprocessing
    train = np.concatenate([np.asarray(each.inputs) for each in make("data: iris\n" + MODEL).batches("train", 0)])
    assert one_hot == {"one_hot": {"0": pytest.approx(sorted(set(train[:, 0].tolist())))}}
    assert standardize["standardize"]["subtract"][-1] == pytest.approx(float(train[:, 3].mean()), rel=1e-5)
    assert standardize["standardize"]["divide_by"][-1] == pytest.approx(float(train[:, 3].std()), rel=1e-5)
    assert (clip, scale) == ({"clip": {"low": None, "high": 2.0}}, {"scale": {"subtract": 0.0, "divide_by": 2.0}})
    assert make("data: digits\nmodel: {layers: [{linear: 10}]}\n").preprocessing == ()


def test_a_sweep_keeps_the_numbers_beside_its_trials(tmp_path: Path) -> None:
    text = "data: {source: iris, preprocess: [standardize]}\n" + MODEL
    spec = loads(text + "sweep: {points: 1, steps: 2, parameters: {optimizer.lr: [1e-4, 1e-1]}}\n")
    made = subject(spec)
    trials = sweeping.sweep(planning.plan(spec, made, planning.Asked(runner="serial")), root=tmp_path)
    assert trials.folder is not None
    assert json.loads((Path(trials.folder) / "preprocessing.json").read_text()) == list(made.preprocessing)


def test_a_layer_that_memory_does_not_hold_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def linear(*_: Any, **__: Any) -> None:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 40000000000 bytes. Error code 12"
        )

    made = subject(loads("data: iris\nmodel:\n  layers:\n    - linear: 2000000000\n    - linear: classes\n"))
    monkeypatch.setattr(torch.nn, "Linear", linear)
    with pytest.raises(UserError, match=r"model.yaml:4:7: error\[memory\] model.layers.0: linear wants 40 GB, which this"):
        made.build(0)
