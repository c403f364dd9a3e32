"""Points trained as one by the layers written out equal the serial run, each alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossdoc import measuring, randomness, train
from lossdoc.masks import key_dropouts
from lossdoc.parts import networks as net
from lossdoc.parts.layers import LAYERS
from lossdoc.parts.losses import LOSSES as LOSS_WORDS
from lossdoc.parts.losses import Bce, CrossEntropy, Huber, L1Loss, Mse, MulticlassHinge, Nll
from lossdoc.parts.optimizers import BUILTIN, Adam, Optimizer
from lossdoc.parts.regularizers import L1, L2
from lossdoc.stack import Joined, Stack, UnstackableError
from lossdoc.stacking import known
from lossdoc.stacking.known import losses, make
from lossdoc.stacking.known.kinds import KINDS
from lossdoc.subject import Batch, Recipe, Subject
from tests.subjects import subject

STEPS, BATCH, CLASSES = 20, 6, 3
RATES = (1e-3, 3e-3, 1e-2, 2e-3)  # one a point
Make = Callable[[], nn.Module]


def built(modules: Make) -> Callable[[int], nn.Module]:
    def build(seed: int) -> nn.Module:
        with randomness.seeded(seed):
            return modules().double()

    return build


def points(modules: Make | Sequence[Make], optimizer: type[Optimizer] = Adam, **known: Any) -> list[Subject]:
    """Subjects that differ in their rates, and in what is given as a list with one entry a point."""
    each = [modules] * len(RATES) if callable(modules) else modules
    recipe = known.pop("recipe", Recipe(optimizer(lr=1.0)))
    penalties = known.pop("penalties", [()] * len(RATES))
    losses = known.pop("losses", [known.pop("loss", CrossEntropy())] * len(RATES))
    pairs: Any = {"train": (torch.zeros(1, 1), torch.zeros(1).long())}
    return [
        subject(
            pairs,
            built(one),
            loss=loss,
            recipe=replace(recipe, optimizer=recipe.optimizer.model_copy(update={"lr": rate}), penalties=terms),
            **known,
        )
        for one, rate, terms, loss in zip(each, RATES, penalties, losses, strict=True)
    ]


def images(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(BATCH, *shape, dtype=torch.float64)


def numbers(*shape: int, high: int = CLASSES) -> Callable[[], Tensor]:
    return lambda: torch.randint(0, high, (BATCH, *shape))


LABELS = numbers()


def agree(
    subjects: Sequence[Subject],
    inputs: Callable[[], Tensor],
    targets: Callable[[], Tensor] = LABELS,
    *,
    shared: bool = True,
    kept: Sequence[int] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 2),
) -> Stack:
    """Train for some steps as one and alone, and compare losses, parameters and buffers; `kept` go on after half of them."""
    torch.manual_seed(0)
    trainings = [train.PureTraining(one, seed) for one, seed in zip(subjects, seeds, strict=True)]
    places, stack = list(range(len(subjects))), None
    steps = STEPS if shared else STEPS // 2  # apart, only the way in differs
    for step in range(steps):
        batches = [Batch(inputs(), targets())] * len(subjects)
        if not shared:
            batches = [Batch(inputs(), targets()) for _ in subjects]
        joined = together([batches[place] for place in places], shared=shared)
        if stack is None:
            stack = make(subjects, seeds, joined)
        if kept is not None and step == steps // 2:
            places = list(kept)
            stack.keep(places)
            joined = together([batches[place] for place in places], shared=shared)
        factors = torch.full((len(places),), 1 - step / (2 * STEPS))
        measured = stack.step(joined, factors, [randomness.mixed(seeds[place], step) for place in places])
        for row, place in enumerate(places):
            with randomness.seeded(seeds[place], step):
                alone = trainings[place].step(batches[place], float(factors[row]))
            found = (measured.loss[row], measured.total[row], measured.accuracy[row])
            assert [float(one) for one in found] == pytest.approx(
                [alone.loss, alone.total, alone.accuracy], 1e-9, nan_ok=True
            )
    assert stack is not None
    measured = stack.evaluate(joined)
    for row, place in enumerate(places):
        same_state(stack.parameters(row), trainings[place].model())
        alone = measuring.measure(subjects[place], trainings[place].model(), batches[place], training=False)
        assert float(measured.total[row]) == pytest.approx(alone.total, 1e-9)
    return stack


def together(batches: Sequence[Batch], *, shared: bool) -> Joined:
    if shared:
        return Joined(batches[0].inputs, batches[0].targets, shared=True)
    inputs, targets = (torch.stack([getattr(batch, part) for batch in batches]) for part in ("inputs", "targets"))
    return Joined(inputs, targets, shared=False)


def same_state(found: dict[str, Tensor], model: nn.Module) -> None:
    expected = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor.detach(), rtol=1e-8, atol=1e-8)


def chain(*modules: Callable[[], nn.Module]) -> Make:
    return lambda: nn.Sequential(*(module() for module in modules))


def linear(size: int, out: int = CLASSES) -> Make:
    return lambda: nn.Linear(size, out)


NETS: dict[str, tuple[Make, Callable[[], Tensor]]] = {
    "linear": (linear(5), images(5)),
    "no bias": (chain(lambda: nn.Linear(5, 4, bias=False), nn.ReLU, linear(4)), images(5)),
    "image": (chain(nn.Flatten, linear(12)), images(3, 2, 2)),
    **{
        type(module()).__name__: (chain(linear(5, 8), module, linear(8)), images(5))
        for module in (
            nn.ReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.LeakyReLU, nn.PReLU,
            nn.Identity, net.Exponential,
        )
    },
    "gelu tanh": (chain(linear(5, 8), lambda: nn.GELU("tanh"), linear(8)), images(5)),
    "two in a row": (chain(linear(5, 8), nn.Tanh, nn.Sigmoid, nn.ReLU, linear(8)), images(5)),
    "prelu per channel": (chain(lambda: nn.Conv1d(2, 4, 3), lambda: nn.PReLU(4), nn.Flatten, linear(16)), images(2, 6)),
    "prelu first": (chain(lambda: nn.PReLU(5), linear(5)), images(5)),
    "softmax": (chain(linear(5, 8), lambda: nn.Softmax(1), linear(8), lambda: nn.LogSoftmax(-1)), images(5)),
    "softmax over the batch": (chain(linear(5, 8), lambda: nn.Softmax(0), linear(8)), images(5)),
    "maxout": (
        chain(linear(5, 8), lambda: nn.Unflatten(1, (4, 2)), lambda: nn.AdaptiveMaxPool1d(1), nn.Flatten, linear(4)),
        images(5),
    ),
    "cnn": (
        chain(
            lambda: nn.Conv2d(1, 4, 3, padding=1), nn.ReLU, lambda: nn.MaxPool2d(2),
            lambda: nn.Conv2d(4, 5, 3, padding=1), nn.GELU, lambda: nn.MaxPool2d(2), nn.Flatten, linear(20),
        ),
        images(1, 8, 8),
    ),
    "strides": (
        chain(
            lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), nn.Tanh, lambda: nn.Conv2d(4, 3, 2, padding="same"),
            lambda: nn.AvgPool2d(2, 1), nn.Flatten, linear(12),
        ),
        images(2, 6, 5),
    ),
    "wide frame": (
        chain(
            lambda: nn.Conv2d(1, 2, 1), lambda: nn.Conv2d(2, 3, 5, stride=3, padding=3), nn.Tanh,
            lambda: nn.Conv2d(3, 3, 3, padding=2, bias=False), nn.Flatten, linear(48),
        ),
        images(1, 2, 2),
    ),
    "pool first": (chain(lambda: nn.MaxPool2d(2), lambda: nn.Conv2d(2, 3, 2), nn.Flatten, linear(12)), images(2, 6, 6)),
    "signal": (
        chain(
            lambda: nn.Conv1d(2, 4, 4, padding="same"), nn.ReLU, lambda: nn.MaxPool1d(3, 2),
            lambda: nn.Conv1d(4, 4, 2, stride=2), lambda: nn.AvgPool1d(2), lambda: nn.AdaptiveAvgPool1d(1), nn.Flatten,
            linear(4),
        ),
        images(2, 12),
    ),
    "ties": (
        chain(
            lambda: nn.Conv2d(1, 4, 3), nn.ReLU, lambda: nn.BatchNorm2d(4), lambda: nn.MaxPool2d(2, 1), nn.Flatten,
            linear(36),
        ),
        images(1, 6, 6),
    ),
    "global": (chain(lambda: nn.Conv2d(1, 4, 3), lambda: nn.AdaptiveMaxPool2d(1), nn.Flatten, linear(4)), images(1, 5, 5)),
    "global mean": (
        chain(lambda: nn.Conv2d(1, 4, 3), lambda: nn.AdaptiveAvgPool2d(1), nn.Flatten, linear(4)), images(1, 5, 5),
    ),
    "batchnorm": (chain(lambda: nn.BatchNorm1d(5), linear(5, 8), lambda: nn.BatchNorm1d(8), nn.ReLU, linear(8)), images(5)),
    "batchnorm 2d": (
        chain(lambda: nn.Conv2d(1, 4, 3), lambda: nn.BatchNorm2d(4, momentum=0.3), nn.ReLU, nn.Flatten, linear(36)),
        images(1, 5, 5),
    ),
    "layernorm": (chain(lambda: nn.LayerNorm(5), linear(5, 8), lambda: nn.LayerNorm(8), nn.ReLU, linear(8)), images(5)),
    "layernorm of images": (
        chain(lambda: nn.Conv2d(1, 4, 3), lambda: nn.LayerNorm((4, 3, 3)), nn.Flatten, linear(36)),
        images(1, 5, 5),
    ),
    "groupnorm": (
        chain(lambda: nn.Conv2d(1, 4, 3), lambda: nn.GroupNorm(2, 4), nn.ReLU, nn.Flatten, linear(36)),
        images(1, 5, 5),
    ),
    "groupnorm flat": (chain(linear(5, 8), lambda: nn.GroupNorm(2, 8), linear(8)), images(5)),
    "gru": (chain(lambda: net.GruNetwork(4, 6), lambda: net.TakePosition("last"), linear(6)), images(5, 4)),
    "two grus": (
        chain(lambda: net.GruNetwork(4, 6), lambda: net.GruNetwork(6, 3), lambda: net.TakePosition("mean"), linear(3)),
        images(5, 4),
    ),
    "lstm": (chain(lambda: net.LstmNetwork(4, 6), lambda: net.TakePosition("max"), linear(6)), images(5, 4)),
    "two lstms": (
        chain(lambda: net.LstmNetwork(4, 6), lambda: net.LstmNetwork(6, 3), lambda: net.TakePosition("last"), linear(3)),
        images(5, 4),
    ),
    "attention": (
        chain(
            linear(4, 6), lambda: net.PositionVectors(5, 6), lambda: net.Attention(6, 2, causal=True, dropout=0.2),
            lambda: net.TakePosition("mean"), linear(6),
        ),
        images(5, 4),
    ),
    "transformer": (
        chain(
            lambda: nn.Embedding(7, 6, 0), lambda: net.PositionVectors(5, 6),
            lambda: net.TransformerBlock(6, 2, 8, causal=False, dropout=0.3),
            lambda: net.TransformerBlock(6, 1, 8, causal=True, dropout=0.1), lambda: net.TakePosition("last"), linear(6),
        ),
        numbers(5, high=7),
    ),
    "residual": (
        chain(
            linear(5, 8), lambda: net.Shortcut(chain(nn.ReLU, linear(8, 8), nn.Tanh)(), nn.Identity()),
            lambda: net.Shortcut(chain(nn.Tanh, linear(8, 4))(), nn.Linear(8, 4)), nn.ReLU, linear(4),
        ),
        images(5),
    ),
    "residual first": (
        chain(lambda: net.Shortcut(chain(nn.ReLU, linear(5, 5), lambda: nn.Dropout(0.2))(), nn.Identity()), linear(5)),
        images(5),
    ),
    "dropout": (
        chain(lambda: nn.Dropout(0.1), linear(5, 8), nn.ReLU, lambda: nn.Dropout(0.5), linear(8)), images(5),
    ),
    "channels dropped": (
        chain(lambda: nn.Conv2d(1, 4, 3), lambda: nn.Dropout2d(0.4), nn.Flatten, linear(36)), images(1, 5, 5),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "apart"])
@pytest.mark.parametrize("name", NETS)
def test_layers(name: str, shared: bool) -> None:
    modules, inputs = NETS[name]
    agree(points(modules), inputs, shared=shared, kept=[3, 0, 2])


@pytest.mark.parametrize("optimizer", BUILTIN.values(), ids=BUILTIN)
def test_optimizers(optimizer: type[Optimizer]) -> None:
    modules = chain(linear(5, 8), nn.Tanh, linear(8))
    recipe = Recipe(optimizer(lr=1.0, weight_decay=0.02), clip=0.3, groups=(("bias", {"lr": 0.5, "weight_decay": 0.0}),))
    agree(points(modules, recipe=recipe), images(5), kept=[1, 2])


@pytest.mark.parametrize("include_bias", [True, False])
@pytest.mark.parametrize("kind", [L1, L2])
def test_penalties(kind: type[L1 | L2], include_bias: bool) -> None:
    terms = [(kind(strength, include_bias), L2(strength / 2)) for strength in (0.0, 0.01, 0.1, 1.0)]
    agree(points(chain(linear(5, 8), nn.Tanh, linear(8)), penalties=terms), images(5), kept=[3, 1])


def decimals(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(BATCH, *shape, dtype=torch.float64)


LOSSES: dict[str, tuple[Any, Make, Callable[[], Tensor], str]] = {
    "sum": (CrossEntropy(reduction="sum"), linear(5), numbers(), "classification"),
    "weights": (CrossEntropy(weight=(0.5, 2.0, 1.0)), linear(5), numbers(), "classification"),
    "weights and smoothing": (
        CrossEntropy(weight=(0.5, 2.0, 1.0), label_smoothing=0.2), linear(5), numbers(), "classification",
    ),
    "weights, sum": (CrossEntropy(weight=(0.5, 2.0, 1.0), reduction="sum"), linear(5), numbers(), "classification"),
    "probabilities": (
        CrossEntropy(inputs="probabilities"), chain(linear(5), lambda: nn.Softmax(1)), numbers(), "classification",
    ),
    "nll": (Nll(), chain(linear(5), lambda: nn.LogSoftmax(1)), numbers(), "classification"),
    "nll, sum": (Nll(reduction="sum"), chain(linear(5), lambda: nn.LogSoftmax(1)), numbers(), "classification"),
    "hinge": (MulticlassHinge(margin=0.7), linear(5), numbers(), "classification"),
    "bce": (Bce(), linear(5, 1), lambda: torch.rand(BATCH).round().double(), "binary"),
    "bce of several": (Bce(reduction="sum"), linear(5, 2), lambda: torch.rand(BATCH, 2).round().double(), "binary"),
    "bce of probabilities": (
        Bce(inputs="probabilities"), chain(linear(5, 1), nn.Sigmoid), numbers(high=2), "binary",
    ),
    "mse": (Mse(), linear(5, 2), decimals(2), "regression"),
    "mse, sum": (Mse(reduction="sum"), linear(5, 1), decimals(), "regression"),
    "mse, one": (Mse(), chain(linear(5, 1), lambda: nn.Unflatten(1, (1, 1))), decimals(1), "regression"),
    "l1": (L1Loss(), linear(5, 1), decimals(1), "regression"),
    "huber": (Huber(delta=0.3), linear(5, 1), decimals(1), "regression"),
}  # fmt: skip


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "apart"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, shared: bool) -> None:
    loss, modules, targets, task = LOSSES[name]
    agree(points(modules, loss=loss, task=task), images(5), targets, shared=shared, kept=[2, 1])


WORDS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {  # arguments, and the shape of what comes in
    **{word: ({"out": 3}, (5,)) for word in ("linear", "maxout")},
    **{word: ({"out": 3}, (5, 4)) for word in ("gru", "lstm")},
    **{word: ({}, (5, 4)) for word in ("attention", "transformer", "positions", "take")},
    **{
        word: ({}, (2, 6, 6))
        for word in ("maxpool", "avgpool", "globalpool", "flatten", "batchnorm", "layernorm", "dropout")
    },
    "conv": ({"out": 3}, (2, 6, 6)),
    "groupnorm": ({"groups": 2}, (2, 6, 6)),
    "embedding": ({"entries": 7, "out": 3}, (5,)),
}


@pytest.mark.parametrize("word", sorted(LAYERS.keys() - {"call", "residual"}))
def test_every_word_of_a_layer_is_known(word: str) -> None:
    given, shape = WORDS.get(word, ({}, (5,)))
    model = key_dropouts(nn.Sequential(*LAYERS[word](**given).modules(shape, CLASSES).values()))
    assert {type(module) for module in model.modules()} <= KINDS.keys()


def test_every_word_of_a_loss_is_known() -> None:
    assert losses.LOSSES.keys() == {kind for word, kind in LOSS_WORDS.items() if word not in ("call", "model")}


def test_each_point_has_its_own_smoothing() -> None:
    losses = [CrossEntropy(label_smoothing=share) for share in (0.0, 0.1, 0.2, 0.3)]
    agree(points(chain(linear(5, 8), nn.Tanh, linear(8)), losses=losses), images(5), kept=[3, 1, 0])


def test_each_point_has_its_own_dropout() -> None:
    nets = [chain(linear(5, 8), partial(nn.Dropout, rate), linear(8)) for rate in (0.0, 0.2, 0.5, 0.9)]
    agree(points(nets), images(5), kept=[3, 1, 0])
    agree(points(nets), images(5), seeds=(1, 1, 1, 1))


def test_language() -> None:
    modules = chain(
        lambda: nn.Embedding(7, 6), lambda: net.TransformerBlock(6, 2, 8, causal=True, dropout=0.0), linear(6, 7)
    )
    agree(points(modules, task="language"), numbers(5, high=7), numbers(5, high=7), shared=False)


def test_a_class_that_is_ignored() -> None:
    def targets() -> Tensor:
        found = numbers()()
        found[0] = -100
        return found

    agree(points(linear(5)), images(5), targets)


@pytest.mark.parametrize(
    "modules", [NETS["cnn"][0], chain(nn.Flatten, linear(64), lambda: nn.Softmax(0))], ids=["each", "mixed"]
)
@pytest.mark.parametrize(("large", "parts"), [(known.LARGE, known.EVALUATED), (1, 4)])
def test_a_whole_split_is_measured_in_parts(monkeypatch: pytest.MonkeyPatch, modules: Make, large: int, parts: int) -> None:
    monkeypatch.setattr(known, "LARGE", large)
    subjects = points(modules)
    x, y = torch.randn(300, 1, 8, 8, dtype=torch.float64), torch.randint(0, CLASSES, (300,))
    stack = make(subjects, (0, 1, 2, 2), Joined(x[:4], y[:4], shared=True))
    assert isinstance(stack, known.KnownStack)
    assert stack.evaluated == parts
    measured = stack.evaluate(Joined(x, y, shared=True))
    for row, (one, seed) in enumerate(zip(subjects, (0, 1, 2, 2), strict=True)):
        alone = measuring.measure(one, one.build(seed), Batch(x, y), training=False)
        assert float(measured.loss[row]) == pytest.approx(alone.loss, 1e-9)
        assert float(measured.accuracy[row]) == pytest.approx(alone.accuracy, 1e-9)


def test_what_diverges_stays_alone() -> None:
    nets = [linear(5)] * 3 + [_huge]
    modules = [
        chain(lambda: nn.Conv1d(1, 4, 2), nn.ReLU, lambda: nn.MaxPool1d(2), nn.Flatten, linear(8, 5), each) for each in nets
    ]
    subjects = points(modules)
    torch.manual_seed(0)
    x, y = images(1, 5)(), numbers()()
    stack = make(subjects, (0, 1, 2, 2), Joined(x, y, shared=True))
    trainings = [train.PureTraining(one, seed) for one, seed in zip(subjects[:3], (0, 1, 2), strict=True)]
    for _ in range(5):
        measured = stack.step(Joined(x, y, shared=True), torch.ones(4), (0, 0, 0, 0))
        for training in trainings:
            training.step(Batch(x, y))
    assert not measured.loss[3].isfinite()
    for place, training in enumerate(trainings):
        same_state(stack.parameters(place), training.model())


def _huge() -> nn.Module:
    layer = nn.Linear(5, CLASSES)
    nn.init.constant_(layer.weight, float("inf"))
    return layer


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(1)


@pytest.mark.parametrize(
    ("subjects", "why"),
    [
        (points(chain(Own, linear(5))), "cumsum is not written out"),
        (points(chain(lambda: nn.Conv1d(2, 2, 1, groups=2), nn.Flatten, linear(10))), "has groups"),
        (points([linear(5)] * 3 + [chain(linear(5))]), "differ"),
        (points(linear(5), penalties=[(L2(0.1),)] * 3 + [()]), "differ in their penalties"),
        (points(linear(5), losses=[CrossEntropy()] * 3 + [Nll()]), "differ in their loss"),
        (points(linear(6)), "does not go through"),
        (points(linear(5), loss=Mse()), "does not go through"),
        (points(linear(5), loss=CrossEntropy(weight=(1.0, 2.0))), "does not go through"),
        (points(nn.ReLU), "no parameters"),
    ],
)
def test_what_is_not_known(subjects: list[Subject], why: str) -> None:
    with pytest.raises(UnstackableError, match=why):
        make(subjects, (0,) * 4, Joined(images(5)(), numbers()(), shared=True))
