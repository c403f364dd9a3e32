"""Spec → Subject: data, models, the user's own code."""

from __future__ import annotations

import inspect
import math
import pickle
import random
import sys
import textwrap
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossdoc.build import Variants, subject
from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.spec import load, loads, template
from lossdoc.subject import Loss, Optimizer, Penalty, Point, Subject

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))
SHORT = "data: digits\nmodel:\n  layers:\n    - linear: classes\n"
numbers = count()


def all_of(made: Subject, split: Any = "train", epoch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(made.batches(split, epoch))
    return torch.cat([each.inputs for each in batches]), torch.cat([each.targets for each in batches])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Any]:
    """Write a module of the user's own, with a name that no other test uses, and a model.yaml beside it."""

    def write(code: str, config: str) -> Any:
        name = f"own_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
        (tmp_path / "model.yaml").write_text(textwrap.dedent(config).replace("OWN", name))
        return load(tmp_path / "model.yaml")

    path = list(sys.path)
    yield write
    sys.path[:] = path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_start_near_log_n(path: Path) -> None:
    made = subject(load(path))
    batches = [batch for batch, _ in zip(made.batches("train", 0), range(8), strict=False)]
    inputs, targets = torch.cat([each.inputs for each in batches]), torch.cat([each.targets for each in batches])
    losses = []
    for seed in range(20):
        model = made.build(seed).eval()
        with torch.no_grad():
            losses.append(float(made.loss(model(inputs), targets)))
    assert made.classes is not None
    assert np.mean(losses) == pytest.approx(math.log(made.classes), abs=0.05)


@pytest.mark.parametrize(
    ("text", "accuracy"),
    [*((path.read_text(), 0.9) for path in CONFIGS), (template(), 0.9)],
    ids=[*(p.stem for p in CONFIGS), "init"],
)
def test_what_ships_learns(text: str, accuracy: float) -> None:
    made = subject(loads(text))
    recipe = made.recipe
    model = made.build(0)
    optimizer = recipe.optimizer.torch(model.parameters(), recipe.hyper)
    for epoch in range(recipe.epochs):
        for batch in made.batches("train", epoch):
            optimizer.zero_grad()
            terms = [each.coefficient * each.value(model) for each in recipe.penalties]
            torch.autograd.backward(made.loss(model(batch.inputs), batch.targets) + sum(terms))
            optimizer.step()
    inputs, targets = all_of(made, "validation")
    assert float((model.eval()(inputs).argmax(1) == targets).float().mean()) > accuracy


def test_the_parts_are_what_the_protocols_ask_for() -> None:
    made = subject(loads(template()))
    loss: Loss = made.loss
    optimizer: Optimizer = made.recipe.optimizer
    (penalty,) = made.recipe.penalties
    l2: Penalty = penalty
    assert (loss.word, loss.takes, loss.reduction) == ("cross_entropy", "logits", "mean")
    assert (optimizer.word, optimizer.hyper["lr"]) == ("adam", 1e-3)
    assert (l2.word, l2.own, l2.coefficient) == ("l2", False, 1e-4)
    assert (made.task, made.classes, made.sizes) == ("classification", 10, {"train": 1438, "validation": 359})


def test_building_leaves_random_numbers_alone_and_repeats() -> None:
    made = subject(loads(template()))
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002 - the user's code may use it
    one, same, other = (made.build(seed).state_dict() for seed in (5, 5, 6))
    list(made.batches("train", 0))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (repr(np.random.get_state()), random.getstate()) == before[1:]  # noqa: NPY002 - as above
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["linear_1.weight"], other["linear_1.weight"])


def test_shuffling_is_new_in_every_epoch_and_repeats() -> None:
    spec = loads(SHORT)
    made, again, seeded = subject(spec), subject(spec), subject(loads(SHORT, seed=1))
    (first, labels), (second, _) = all_of(made), all_of(made, epoch=1)
    assert not torch.equal(first, second)
    assert torch.equal(first, all_of(again)[0])
    assert not torch.equal(first, all_of(seeded)[0])
    assert torch.equal(first.sum(), second.sum())
    assert made.shuffled is True
    assert labels.bincount().sum() == 1438


def test_without_shuffling_the_order_of_the_file_is_kept() -> None:
    made = subject(loads(SHORT.replace("digits", "{source: iris, shuffle: false}").replace("linear: classes", "linear: 3")))
    (_, first), (_, second) = all_of(made), all_of(made, epoch=1)
    assert torch.equal(first, second)
    assert first.tolist() == sorted(first.tolist())  # the file is sorted by species
    assert made.shuffled is False


def test_validation_holds_each_class_in_proportion() -> None:
    made = subject(loads(SHORT.replace("digits", "{source: iris, split: 0.3}")))
    assert all_of(made, "validation")[1].bincount().tolist() == [15, 15, 15]
    assert all_of(made)[1].bincount().tolist() == [35, 35, 35]
    plain = subject(loads(SHORT.replace("digits", "{source: iris, split: {validation: 0.3, stratify: false}}")))
    assert all_of(plain, "validation")[1].bincount().tolist() != [15, 15, 15]


def test_the_splits_share_no_sample_and_leave_none_out(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\n" + "".join(f"{n},{n % 3}\n" for n in range(50)))
    (tmp_path / "model.yaml").write_text(
        "data: {source: {csv: {path: d.csv, target: y}}}\nmodel: {layers: [{linear: classes}]}\n"
    )
    made = subject(load(tmp_path / "model.yaml"))
    train, validation = all_of(made)[0].flatten().tolist(), all_of(made, "validation")[0].flatten().tolist()
    assert sorted(train + validation) == list(range(50))
    assert len(validation) == 10


def test_no_validation_split() -> None:
    made = subject(loads(SHORT.replace("digits", "{source: iris, split: 0}")))
    assert made.sizes == {"train": 150}
    with pytest.raises(NotApplicable, match="no validation split"):
        made.batches("validation", 0)


@pytest.mark.parametrize(
    ("more", "sizes"),
    [
        ("optimizer: sgd\n", [50, 50, 20]),
        ("optimizer: gd\n", [120]),
    ],
)
def test_batch_sizes(more: str, sizes: list[int]) -> None:
    made = subject(loads(SHORT.replace("digits", "{source: iris, batch_size: 50}") + more))
    assert [len(batch.targets) for batch in made.batches("train", 0)] == sizes
    assert made.batch_size == sizes[0]


@pytest.mark.parametrize(("batch_size", "sizes"), [(50, [50, 50]), (500, [120])])
def test_the_last_batch_may_be_dropped_but_never_the_only_one(batch_size: int, sizes: list[int]) -> None:
    made = subject(loads(SHORT.replace("digits", f"{{source: iris, batch_size: {batch_size}, drop_last: true}}")))
    assert [len(batch.targets) for batch in made.batches("train", 0)] == sizes


def test_preprocessing_is_fitted_on_the_training_split_alone() -> None:
    made = subject(loads(SHORT.replace("digits", "{source: wine, preprocess: [standardize]}")))
    train, validation = all_of(made)[0], all_of(made, "validation")[0]
    torch.testing.assert_close(train.mean(0), torch.zeros(13), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(13), atol=1e-5, rtol=0)
    assert validation.mean(0).abs().max() > 0.05


def test_init_for_all_and_for_one() -> None:
    text = """
    data: iris
    model:
      init: {constant: {value: 2, bias: 3}}
      layers: [{linear: 4}, batchnorm, {linear: {out: 3, init: default}}]
    """
    model = subject(loads(textwrap.dedent(text))).build(0)
    state = model.state_dict()
    assert (state["linear_0.weight"] == 2).all()
    assert (state["linear_0.bias"] == 3).all()
    assert (state["batchnorm_1.weight"] == 1).all()
    assert state["linear_2.weight"].abs().max() <= 0.5


def test_a_shape_fault_that_only_the_data_show_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\n1,a\n2,b\n3,a\n4,b\n5,c\n6,c\n")
    config = "data:\n  source: {csv: {path: d.csv, target: y}}\nmodel:\n  layers:\n    - linear: 2\n    - {}\n"
    faults = {"conv: 3": "conv gets 2;", "tanh": "the model puts out 2; one number for each of the 3 classes"}
    for last, told in faults.items():
        (tmp_path / "model.yaml").write_text(config.replace("{}", last))
        made = subject(load(tmp_path / "model.yaml"))
        with pytest.raises(UserError) as caught:
            made.build(0)
        assert f"yaml:6:7: error[shape] model.layers.1: {told}" in str(caught.value)


def test_variants_apply_a_point_and_keep_the_data() -> None:
    variants = Variants(loads(template()))
    one = variants(Point(0, {"optimizer.lr": 0.5, "regularization.l2": 0.1}, seed=3))
    other = pickle.loads(pickle.dumps(variants))(Point(1, {"data.batch_size": 100.2, "model.layers.1.out": 9}, seed=0))  # noqa: S301
    assert (one.recipe.optimizer.hyper["lr"], one.recipe.penalties[0].coefficient, one.seed) == (0.5, 0.1, 3)
    assert other.batch_size == 100
    assert other.build(0).state_dict()["linear_1.weight"].shape == (9, 64)
    assert next(iter(variants(Point(2, {})).batches("validation", 0))).inputs.shape == (256, 1, 8, 8)
    ((_, kept),) = variants._kept
    variants(Point(3, {"optimizer.lr": 0.1}))
    assert [data for _, data in variants._kept] == [kept]
    for share in (0.3, 0.4):
        variants(Point(4, {"data.split.validation": share}))
        assert len(variants._kept) == 2
        assert variants._kept[0][1] is kept
    assert variants.subject().sizes == variants(Point(5, {})).sizes


def test_regression_and_yes_or_no(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\n" + "".join(f"{n},{n % 2}\n" for n in range(20)))
    for source, more, task in (
        ("{path: d.csv, target: y}", "loss: bce\n", "binary"),
        ("{path: d.csv, target: y, task: regression}", "", "regression"),
    ):
        text = f"data: {{source: {{csv: {source}}}}}\nmodel: {{layers: [{{linear: 1}}]}}\n{more}"
        made = subject(loads(text, str(tmp_path / "model.yaml")))
        inputs, targets = all_of(made)
        assert made.task == task
        assert made.loss(made.build(0)(inputs), targets).isfinite()


YES_OR_NO = """
import numpy as np
import torch
def data(values):
    return np.random.default_rng(0).normal(size=(40, 3)).astype("float32"), np.resize(values, 40).astype("float32")
def loss(outputs, targets):
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs.squeeze(-1), targets)
"""


@pytest.mark.parametrize(("values", "task"), [([0, 1], "binary"), ([0, 1, 2], "regression"), ([0], "regression")])
def test_numbers_that_are_0_and_1_are_answers_to_a_question_where_the_loss_is_ones_own(
    values: list[int], task: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(YES_OR_NO)
    text = f"""
data: {{source: {{call: "mine:data", args: {{values: {values}}}}}}}
model: {{layers: [{{linear: 1}}]}}
loss: {{call: "mine:loss"}}
"""
    assert subject(loads(text, str(tmp_path / "model.yaml"))).task == task


MODEL = """
import torch
from torch import nn
def build(width=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
def number():
    return 3
def broken():
    raise RuntimeError("no such luck")
class Zoo:
    @staticmethod
    def net():
        return build(5)
not_callable = 3
def penalty(model, strength):
    return strength * sum(each.abs().sum() for each in model.parameters())
def loss(outputs, targets, scale=1.0):
    return scale * nn.functional.cross_entropy(outputs, targets)
def step(model, batch, optimizer, scheduler):
    return 0.0
def rate(step, total):
    return 0.5
class Double(nn.Module):
    def forward(self, x):
        return torch.cat([x, x], dim=1)
"""


def test_own_model_with_arguments(own: Any) -> None:
    made = subject(own(MODEL, "data: digits\nmodel: {call: 'OWN:build', args: {width: 5}}\n"))
    assert made.build(0)[1].weight.shape == (5, 64)  # type: ignore[index]
    again = subject(own(MODEL, "data: digits\nmodel: {call: 'OWN:Zoo.net'}\n"))
    assert torch.equal(again.build(3)[1].weight, again.build(3)[1].weight)  # type: ignore[index]


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (
            "{call: 'no_such_module:f'}",
            UserError,
            "yaml:2:15: error[no-module] model.call: there is no module 'no_such_module'",
        ),
        ("{call: 'torch.nothing:f'}", UserError, "there is no module 'torch.nothing'"),
        ("{call: 'OWN:biuld'}", UserError, "has no 'biuld'; did you mean 'build'?"),
        ("{call: 'OWN:Zoo.nett'}", UserError, "'Zoo' has no 'nett'; did you mean 'net'?"),
        (
            "{call: 'OWN:build', args: {wdith: 3}}",
            UserError,
            "model.args.wdith: there is no argument 'wdith'; did you mean 'width'? it is build(width=8)",
        ),
        ("{call: 'OWN:not_callable'}", UserError, "is an int, which cannot be called"),
        ("{call: 'OWN:number'}", UserError, "returns an int; a torch.nn.Module is meant"),
        ("{call: 'OWN:broken'}", UserCodeError, "raised RuntimeError: no such luck"),
    ],
)
def test_faults_of_own_code_are_told_apart(own: Any, call: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error) as caught:
        subject(own(MODEL, f"data: digits\nmodel: {call}\n")).build(0)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_package", "importing .* raised ModuleNotFoundError: No module named 'no_such_package'"),
        ("1 / 0", "raised ZeroDivisionError"),
        ("def f(:", "raised SyntaxError"),
    ],
)
def test_a_module_that_raises_while_imported_shows_its_own_traceback(own: Any, code: str, told: str) -> None:
    with pytest.raises(UserCodeError, match=told) as caught:
        subject(own(code, "data: digits\nmodel: {call: 'OWN:f'}\n")).build(0)
    assert code[:6] in caught.value.tail()


def test_python_path_is_relative_to_the_file_and_first(own: Any, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "own_lib_of_test.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Linear(64, 10)\n"
    )
    spec = own("", "python_path: [lib]\ndata: digits\nmodel: {call: 'own_lib_of_test:build'}\n")
    assert subject(spec).build(0).weight.shape == (10, 64)
    assert sys.path[0] == str(tmp_path / "lib")


def test_own_layer_loss_penalty_schedule_and_step(own: Any) -> None:
    spec = own(
        MODEL,
        """
        data: iris
        model:
          layers:
            - {call: 'OWN:Double'}
            - linear: classes
        loss: {call: 'OWN:loss', args: {scale: 2.0}}
        regularization: {l1: 0.5, call: 'OWN:penalty', args: {strength: 0.1}}
        schedule: {call: 'OWN:rate'}
        step: {call: 'OWN:step'}
        """,
    )
    made = subject(spec)
    model = made.build(0)
    inputs, targets = all_of(made)
    assert model.state_dict()["linear_1.weight"].shape == (3, 8)
    expected = 2 * torch.nn.functional.cross_entropy(model(inputs), targets)
    torch.testing.assert_close(made.loss(model(inputs), targets), expected)
    assert (made.loss.word.partition(":")[2], made.loss.takes, made.task) == ("loss", "unknown", "classification")
    l1, penalty = made.recipe.penalties
    assert (l1.own, penalty.own, penalty.coefficient) == (False, True, 1.0)
    torch.testing.assert_close(penalty.value(model), 0.1 * sum(each.abs().sum() for each in model.parameters()))
    assert made.recipe.schedule(3, 10) == 0.5
    assert made.recipe.step is not None
    assert list(inspect.signature(made.recipe.step.call).parameters) == ["model", "batch", "optimizer", "scheduler"]


def test_torchs_own_losses_are_known(own: Any) -> None:
    made = subject(own("", SHORT + "loss: {call: 'torch.nn:CrossEntropyLoss', args: {reduction: sum}}\n"))
    assert (made.loss.takes, made.loss.reduction) == ("logits", "sum")
    inputs, targets = all_of(made)
    assert made.loss(made.build(0)(inputs), targets) > 1000


def test_a_loss_that_cannot_be_called_with_outputs_and_targets(own: Any) -> None:
    with pytest.raises(UserError, match=r"loss.call: too many positional arguments; it is number\(\)"):
        subject(own(MODEL, SHORT + "loss: {call: 'OWN:number'}\n"))


DATA = """
import numpy as np, torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
X, Y = torch.arange(40.0).reshape(20, 2), torch.arange(20) % 4
def arrays():
    return X.numpy().astype("float64"), Y.numpy().astype("int32")
def tensors():
    return X, Y
def numbers():
    return X, Y.double()
def dataset():
    return TensorDataset(X, Y)
class Mapped(Dataset):
    classes = ["a", "b", "c", "d"]
    targets = Y.tolist()
    def __len__(self):
        return 20
    def __getitem__(self, place):
        return {"x": X[place], "y": Y[place], "id": place}
def loader(shuffle=False):
    return DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=shuffle)
def splits():
    return {"train": (X[:15], Y[:15]), "val": (X[15:], Y[15:])}
def loaders():
    return {"train": loader(True), "validation": loader()}
class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y))
def bad():
    return {"train": 3}
def unequal():
    return X, Y[:3]
def once():
    return iter([(X, Y)])
def odd_batches():
    return DataLoader(TensorDataset(X), batch_size=5)
"""


@pytest.mark.parametrize(
    ("call", "sizes", "classes", "shuffled"),
    [
        ("arrays", {"train": 16, "validation": 4}, 4, True),
        ("tensors", {"train": 16, "validation": 4}, 4, True),
        ("dataset", {"train": 16, "validation": 4}, 4, True),
        ("Mapped", {"train": 16, "validation": 4}, 4, True),
        ("loader", {"train": 20}, None, False),
        ("splits", {"train": 15, "validation": 5}, 4, True),
        ("loaders", {"train": 20, "validation": 20}, None, True),
        ("Stream", {"train": None}, None, None),
    ],
)
def test_own_data(own: Any, call: str, sizes: Any, classes: int | None, shuffled: bool | None) -> None:
    spec = own(DATA, f"data: {{source: {{call: 'OWN:{call}'}}, batch_size: 5}}\nmodel: {{layers: [{{linear: 4}}]}}\n")
    made = subject(spec)
    assert (made.sizes, made.classes, made.shuffled, made.task) == (sizes, classes, shuffled, "classification")
    inputs, targets = all_of(made)
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
    assert torch.equal((inputs[:, 0] / 2) % 4, targets.float())  # every sample keeps its own target
    assert len(inputs) == (sizes["train"] or 20)
    assert made.loss(made.build(0)(inputs), targets).isfinite()


def test_own_loader_shuffles_by_the_seed_and_leaves_random_numbers_alone(own: Any) -> None:
    made = subject(own(DATA, "data: {source: {call: 'OWN:loaders'}}\nmodel: {layers: [{linear: 4}]}\n"))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, second = all_of(made)[0], all_of(made)[0], all_of(made, epoch=1)[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_own_numbers_make_a_regression(own: Any) -> None:
    made = subject(own(DATA, "data: {source: {call: 'OWN:numbers'}}\nmodel: {layers: [{linear: 1}]}\nloss: mse\n"))
    assert (made.task, made.classes, all_of(made)[1].dtype) == ("regression", None, torch.float32)


@pytest.mark.parametrize(
    ("call", "more", "told"),
    [
        ("bad", "", "returns an int; (inputs, targets) as arrays, a list of such samples, a torch Dataset, a DataLoader"),
        ("unequal", "", "got inputs shaped (20, 2) and targets shaped (3,); as many of both are meant"),
        ("once", "", "a torch Dataset, a DataLoader"),
        ("odd_batches", "", "pairs (inputs, targets) are meant"),
        ("loader", ", preprocess: [standardize]", "'preprocess' works on arrays, but"),
    ],
)
def test_own_data_faults(own: Any, call: str, more: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        subject(own(DATA, f"data: {{source: {{call: 'OWN:{call}'}}{more}}}\nmodel: {{layers: [{{linear: 4}}]}}\n"))
    assert told in str(caught.value)
