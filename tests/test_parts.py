"""The words of model.yaml against torch's own, closed forms and brute force."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from lossdoc.errors import UserError
from lossdoc.parts import (
    activations,
    initializers,
    layers,
    losses,
    optimizers,
    preprocessing,
    regularizers,
    schedules,
    sequences,
)  # fmt: skip
from lossdoc.parts.layer import Layer, OwnLayer, ShapeError

OPTIMIZERS = [
    optimizers.Gd(lr=0.1, weight_decay=0.01),
    optimizers.Sgd(lr=0.1),
    optimizers.Sgd(lr=0.05, momentum=0.8, weight_decay=0.1),
    optimizers.Momentum(lr=0.02),
    optimizers.Nesterov(lr=0.02, momentum=0.7, weight_decay=0.01),
    optimizers.Adagrad(lr=0.3, weight_decay=0.01),
    optimizers.RmsProp(lr=0.02, alpha=0.9, weight_decay=0.01),
    optimizers.Adam(lr=0.05, weight_decay=0.1),
    optimizers.Adam(lr=0.05, beta1=0.5, beta2=0.9, eps=1e-3),
    optimizers.AdamW(lr=0.05, weight_decay=0.2),
]


def bowl(w: torch.Tensor, step: int) -> torch.Tensor:
    """A noisy, ill-conditioned loss, with a step of its own for each dimension."""
    scale = torch.arange(1, w.shape[-1] + 1, dtype=w.dtype)
    return (scale * (w - math.sin(step)) ** 2).sum(dim=-1).sum()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: f"{each.word}-{each.lr:g}-{each.weight_decay:g}")
def test_optimizer_equals_torch_over_50_steps(optimizer: Any) -> None:
    torchs = nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3))
    theirs = optimizer.torch([torchs], optimizer.hyper)
    ours = torchs.detach().clone()
    slots = optimizer.slots(ours)
    for step in range(50):
        theirs.zero_grad()
        torch.autograd.backward(bowl(torchs, step))
        theirs.step()
        at = ours.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(bowl(at, step), at)
        ours, slots = optimizer.update(ours, gradient, slots, optimizer.hyper, step)
        torch.testing.assert_close(ours, torchs.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: f"{each.word}-{each.lr:g}-{each.weight_decay:g}")
def test_hyperparameters_may_be_tensors(optimizer: Any) -> None:
    rates = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64) * optimizer.lr
    many = torch.ones(3, 4, dtype=torch.float64)
    slots = optimizer.slots(many)
    singles = [(torch.ones(4, dtype=torch.float64), optimizer.slots(torch.ones(4, dtype=torch.float64))) for _ in rates]
    for step in range(3):
        gradient = torch.full((4,), 0.3 + step, dtype=torch.float64)
        many, slots = optimizer.update(many, gradient.expand(3, 4), slots, {**optimizer.hyper, "lr": rates}, step)
        singles = [
            optimizer.update(one, gradient, its, {**optimizer.hyper, "lr": float(rate)}, step)
            for (one, its), rate in zip(singles, rates, strict=True)
        ]
    torch.testing.assert_close(many, torch.stack([one for one, _ in singles]))


def test_nesterov_is_the_look_ahead_of_the_notes() -> None:
    optimizer = optimizers.Nesterov(lr=0.02, momentum=0.9)
    ours, slots = torch.ones(3, dtype=torch.float64), optimizer.slots(torch.ones(3, dtype=torch.float64))
    theirs, velocity = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    scale = torch.arange(1.0, 4.0, dtype=torch.float64)
    for step in range(20):
        ours, slots = optimizer.update(ours, 2 * scale * ours, slots, optimizer.hyper, step)
        ahead = theirs - 0.9 * velocity  # first the last move, then the gradient there
        velocity = 0.9 * velocity + 0.02 * 2 * scale * ahead
        theirs = theirs - velocity
        torch.testing.assert_close(ours, theirs - 0.9 * velocity)


def test_rmsprop_differs_from_the_notes_only_where_squares_are_near_epsilon() -> None:
    optimizer = optimizers.RmsProp(lr=0.01, alpha=0.9)
    one = torch.ones(1, dtype=torch.float64)
    for gradient, near in ((1e-1, True), (1e-5, False)):
        (moved, slots) = optimizer.update(one, gradient * one, optimizer.slots(one), optimizer.hyper, 0)
        notes = 1 - 0.01 * gradient / math.sqrt(float(slots["squares"]) + 1e-8)
        assert (abs(float(moved) - notes) < 1e-6) == near


LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0], [-2.0, 1.0, 1.0], [0.3, 0.2, 0.1]])
CLASSES = torch.tensor([0, 2, 1, 0])
VALUES = torch.tensor([0.5, -1.0, 2.0, 0.0])
F = nn.functional


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "expected"),
    [
        (losses.CrossEntropy(), LOGITS, CLASSES, F.cross_entropy(LOGITS, CLASSES)),
        (losses.CrossEntropy(label_smoothing=0.1), LOGITS, CLASSES, F.cross_entropy(LOGITS, CLASSES, label_smoothing=0.1)),
        (losses.CrossEntropy(weight=(1.0, 2.0, 5.0)), LOGITS, CLASSES,
         F.cross_entropy(LOGITS, CLASSES, torch.tensor([1.0, 2.0, 5.0]))),
        (losses.CrossEntropy(weight=(1.0, 2.0, 5.0), label_smoothing=0.2, reduction="sum"), LOGITS, CLASSES,
         F.cross_entropy(LOGITS, CLASSES, torch.tensor([1.0, 2.0, 5.0]), label_smoothing=0.2, reduction="sum")),
        (losses.CrossEntropy(reduction="sum"), LOGITS, CLASSES, F.cross_entropy(LOGITS, CLASSES, reduction="sum")),
        (losses.CrossEntropy(inputs="probabilities"), LOGITS.softmax(1), CLASSES, F.cross_entropy(LOGITS, CLASSES)),
        (losses.CrossEntropy(), LOGITS.reshape(2, 2, 3), CLASSES.reshape(2, 2), F.cross_entropy(LOGITS, CLASSES)),
        (losses.Nll(), LOGITS.log_softmax(1), CLASSES, F.cross_entropy(LOGITS, CLASSES)),
        (losses.MulticlassHinge(), LOGITS, CLASSES, 3 * F.multi_margin_loss(LOGITS, CLASSES)),
        (losses.MulticlassHinge(), torch.zeros(4, 3), CLASSES, torch.tensor(2.0)),
        (losses.Bce(), VALUES[:, None], CLASSES.clamp(max=1),
         F.binary_cross_entropy_with_logits(VALUES, CLASSES.clamp(max=1.0))),
        (losses.Bce(inputs="probabilities"), VALUES.sigmoid(), CLASSES.clamp(max=1),
         F.binary_cross_entropy_with_logits(VALUES, CLASSES.clamp(max=1.0))),
        (losses.Mse(), VALUES[:, None], CLASSES, F.mse_loss(VALUES, CLASSES.float())),
        (losses.L1Loss(reduction="sum"), VALUES, CLASSES, F.l1_loss(VALUES, CLASSES.float(), reduction="sum")),
        (losses.Huber(delta=0.7), VALUES, CLASSES, F.huber_loss(VALUES, CLASSES.float(), delta=0.7)),
    ],
)  # fmt: skip
def test_loss_equals_torch(loss: Any, outputs: Any, targets: Any, expected: Any) -> None:
    torch.testing.assert_close(loss(outputs, targets), expected)


def test_a_probability_of_zero_stays_in_range() -> None:
    wrong = torch.tensor([[0.0, 1.0]])
    assert losses.CrossEntropy(inputs="probabilities")(wrong, torch.tensor([0])) == pytest.approx(-math.log(1e-12), rel=1e-4)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "told"),
    [
        (losses.Mse(), LOGITS, VALUES, "the model puts out 4x3, but the targets are 4; the same shape is meant"),
        (losses.Bce(), VALUES, VALUES[:2], "the model puts out 4, but the targets are 2"),
        (losses.CrossEntropy(), LOGITS, VALUES, "the targets are 4 of torch.float32; outputs"),
        (losses.CrossEntropy(), LOGITS, CLASSES[:2], "the model puts out 4x3, the targets are 2"),
        (losses.MulticlassHinge(), VALUES, CLASSES, "one class number each"),
        (losses.CrossEntropy(weight=(1.0, 2.0)), LOGITS, CLASSES, "'weight' has 2 numbers, the model 3 outputs"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(loss: Any, outputs: Any, targets: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        loss(outputs, targets)


SHAPES: list[tuple[Layer, tuple[int, ...], tuple[int, ...]]] = [
    (layers.Linear(out=5), (7,), (5,)),
    (layers.Linear(out="classes", bias=False), (2, 3, 4), (10,)),
    (layers.Linear(out=5), (6, 7), (6, 5)),
    (layers.Conv(out=4), (2, 8, 8), (4, 6, 6)),
    (layers.Conv(out=4, kernel=5, stride=2, padding=2), (2, 9, 7), (4, 5, 4)),
    (layers.Conv(out=4, kernel=3, padding="same"), (2, 8, 8), (4, 8, 8)),
    (layers.Conv(out=4, kernel=3), (2, 10), (4, 8)),
    (layers.MaxPool(), (2, 8, 7), (2, 4, 3)),
    (layers.MaxPool(size=3, stride=1), (2, 8), (2, 6)),
    (layers.AvgPool(size=2), (2, 8, 8), (2, 4, 4)),
    (layers.AvgPool(size=2), (2, 8), (2, 4)),
    (layers.GlobalPool(), (3, 5, 4), (3,)),
    (layers.GlobalPool(take="max"), (3, 5), (3,)),
    (layers.Flatten(), (3, 5, 4), (60,)),
    (layers.BatchNorm(), (6,), (6,)),
    (layers.BatchNorm(), (6, 3), (6, 3)),
    (layers.BatchNorm(), (6, 3, 3), (6, 3, 3)),
    (layers.LayerNorm(), (6,), (6,)),
    (layers.LayerNorm(), (6, 3), (6, 3)),
    (layers.LayerNorm(), (2, 3, 3), (2, 3, 3)),
    (layers.Dropout(rate=0.3), (4,), (4,)),
    (layers.Embedding(entries=9, out=4), (6,), (6, 4)),
    (layers.GroupNorm(groups=2), (6, 3, 3), (6, 3, 3)),
    (sequences.Gru(out=5), (4, 3), (4, 5)),
    (sequences.Lstm(out=5), (4, 3), (4, 5)),
    (sequences.SelfAttention(heads=2), (4, 6), (4, 6)),
    (sequences.Transformer(heads=2, causal=True), (4, 6), (4, 6)),
    (sequences.Positions(), (4, 6), (4, 6)),
    (sequences.Take(position="max"), (4, 6), (6,)),
    (sequences.Residual(layers=(layers.Linear(out=7), activations.Relu(), layers.Linear(out=6))), (6,), (6,)),
    (sequences.Residual(layers=(layers.Conv(out=5, padding="same"), layers.BatchNorm())), (2, 4, 4), (5, 4, 4)),
    (activations.Maxout(out=3, pieces=4), (7,), (3,)),
    (activations.Prelu(per="channel"), (3, 2, 2), (3, 2, 2)),
    *((word(), (5,), (5,)) for name, word in activations.ACTIVATIONS.items() if name != "maxout"),
]


def module_of(layer: Any, shape: Any) -> Any:
    if isinstance(layer, sequences.Residual):
        return block_of(layer, shape)
    return nn.Sequential(*layer.modules(shape, 10).values())


def block_of(layer: Any, shape: Any) -> Any:
    body, after = nn.Sequential(), shape
    for inner in layer.layers:
        body.append(module_of(inner, after))
        after = inner.shape(after, 10)
    return layer.around(body, shape, after)


@pytest.mark.parametrize(("layer", "shape", "after"), SHAPES, ids=lambda each: getattr(each, "word", ""))
def test_the_shape_told_is_the_shape_that_comes_out(layer: Any, shape: Any, after: Any) -> None:
    inputs = torch.zeros(2, *shape, dtype=torch.long if layer.word == "embedding" else torch.float32)
    assert layer.shape(shape, 10) == tuple(module_of(layer, shape)(inputs).shape[1:]) == after


def test_every_layer_word_is_in_the_table_above() -> None:
    assert {layer.word for layer, _, _ in SHAPES} == set(layers.LAYERS) - {OwnLayer.word}


@pytest.mark.parametrize(("layer", "shape", "after"), SHAPES, ids=lambda each: getattr(each, "word", ""))
def test_layers_work_for_many_models_at_once(layer: Any, shape: Any, after: Any) -> None:
    """Two models through vmap give what each gives alone (dropout off: its masks differ)."""
    models = [module_of(layer, shape).train(layer.word != "dropout") for _ in range(2)]
    inputs = torch.randint(0, 9, (4, *shape)) if layer.word == "embedding" else torch.randn(4, *shape)
    params, buffers = stack_module_state(models)
    state = ({name: each.detach() for name, each in params.items()}, buffers)
    both = torch.stack([inputs, inputs.flip(0)])
    dims = (dict.fromkeys(state[0], 0), dict.fromkeys(state[1], 0), 0)
    together = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), in_dims=dims)(*state, both)
    for model, got, its in zip(models, together, both, strict=True):
        torch.testing.assert_close(got, model(its).detach(), rtol=1e-4, atol=1e-5)
    assert together.shape == (2, 4, *after)


@pytest.mark.parametrize(
    ("layer", "shape", "meant"),
    [
        (layers.Conv(out=3), (64,), "channels x height x width"),
        (layers.Conv(out=3, kernel=9), (1, 8, 8), "a length of at least 9 in every direction, that of the window,"),
        (
            layers.Conv(out=3, kernel=9, padding=1),
            (1, 8, 6),
            "at least 7 in every direction, that of the window less padding,",
        ),
        (layers.Conv(out=3, stride=2, padding="same"), (1, 8, 8), "stride 1, where padding is 'same'"),
        (layers.MaxPool(), (64,), "channels x length"),
        (layers.MaxPool(size=9), (1, 8, 8), "at least 9"),
        (layers.GlobalPool(), (64,), "channels x length"),
        (layers.Linear(out=3), (), "a vector"),
        (layers.BatchNorm(), (1, 2, 3, 4), "features"),
        (layers.LayerNorm(), (), "at least one dimension"),
        (layers.Embedding(entries=3, out=2), (3, 3), "a sequence of whole numbers"),
        (layers.GroupNorm(groups=4), (6, 3), "a number of channels that 4 groups divide"),
        (sequences.Gru(out=3), (8,), "'embedding' makes one of whole numbers"),
        (sequences.SelfAttention(heads=4), (5, 6), "a number of features that 4 heads divide"),
        (sequences.Take(), (8,), "positions x features"),
        (sequences.Residual(layers=(layers.Flatten(),)), (2, 4, 4), "keeps it, not one that makes 32 of it"),
        (activations.Maxout(out=3), (1, 8, 8), "'flatten' makes one"),
        (activations.Softmax(axis=2), (8,), r"an axis from -2 to 1 \(not 2\)"),
    ],
)
def test_a_shape_that_does_not_fit_is_told(layer: Any, shape: Any, meant: Any) -> None:
    with pytest.raises(ShapeError, match=meant):
        layer.shape(shape, None)


@pytest.mark.parametrize(("word", "theirs"), [(sequences.Gru(out=5), nn.GRU), (sequences.Lstm(out=5), nn.LSTM)])
def test_recurrent_networks_equal_torch(word: Any, theirs: Any) -> None:
    ours: Any = word.modules((4, 3), None)[word.word]
    torchs = theirs(3, 5, batch_first=True)
    pairs = {"weight_ih_l0": ours.given.weight, "weight_hh_l0": ours.kept.weight}
    torchs.load_state_dict(pairs | {"bias_ih_l0": ours.given.bias, "bias_hh_l0": ours.kept.bias})
    inputs = torch.randn(2, 4, 3)
    torch.testing.assert_close(ours(inputs), torchs(inputs)[0])


@pytest.mark.parametrize("causal", [True, False])
def test_attention_equals_torch(causal: bool) -> None:
    ours: Any = sequences.SelfAttention(heads=2, causal=causal).modules((4, 6), None)["attention"]
    torchs: Any = nn.MultiheadAttention(6, 2, batch_first=True)
    pairs = {"in_proj_weight": ours.three.weight, "in_proj_bias": ours.three.bias}
    torchs.load_state_dict(pairs | {"out_proj.weight": ours.join.weight, "out_proj.bias": ours.join.bias})
    inputs = torch.randn(2, 4, 6)
    mask = torch.ones(4, 4, dtype=torch.bool).triu(1) if causal else None
    torch.testing.assert_close(ours(inputs), torchs(inputs, inputs, inputs, attn_mask=mask)[0], rtol=1e-4, atol=1e-5)


def test_a_causal_block_does_not_see_what_comes_later() -> None:
    (block,) = sequences.Transformer(heads=2, causal=True).modules((5, 4), None).values()
    inputs = torch.randn(1, 5, 4)
    later = inputs.clone()
    later[:, 3:] += 1
    torch.testing.assert_close(block(inputs)[:, :3], block(later)[:, :3])
    assert not torch.allclose(block(inputs)[:, 3:], block(later)[:, 3:])


def test_a_residual_block_adds_what_came_in() -> None:
    block = block_of(sequences.Residual(layers=(layers.Linear(out=3),)), (3,))
    inputs = torch.randn(2, 3)
    torch.testing.assert_close(block(inputs), block.body(inputs) + inputs)


def test_classes_need_data_that_have_some() -> None:
    with pytest.raises(ShapeError, match=r"write the number itself, or say it as `data: {classes: 10}`"):
        layers.Linear(out="classes").shape((3,), None)


def test_maxout_is_the_maximum_of_its_pieces() -> None:
    modules = activations.Maxout(out=3, pieces=4).modules((5,), None)
    inputs = torch.randn(6, 5)
    pieces = modules["maxout"](inputs).reshape(6, 3, 4)
    torch.testing.assert_close(nn.Sequential(*modules.values())(inputs), pieces.amax(dim=2))


@pytest.mark.parametrize(
    ("word", "x", "expected"),
    [
        (activations.Relu(), -2.0, 0.0),
        (activations.LeakyRelu(slope=0.2), -2.0, -0.4),
        (activations.Prelu(slope=0.3), -2.0, -0.6),
        (activations.Elu(alpha=2.0), -2.0, 2 * math.expm1(-2.0)),
        (activations.Silu(), 2.0, 2 / (1 + math.exp(-2))),
        (activations.Tanh(), 0.5, math.tanh(0.5)),
        (activations.Sigmoid(), 0.5, 1 / (1 + math.exp(-0.5))),
        (activations.Softplus(), 0.5, math.log1p(math.exp(0.5))),
        (activations.Exponential(), 0.5, math.exp(0.5)),
        (activations.Gelu(), 0.5, 0.25 * (1 + math.erf(0.5 / math.sqrt(2)))),
    ],
    ids=lambda each: getattr(each, "word", ""),
)
def test_activation_at_a_point(word: Any, x: Any, expected: Any) -> None:
    assert float(word.module((1,))(torch.tensor([[x]])).detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("word", "theirs"),
    [
        (initializers.Xavier(), nn.init.xavier_uniform_),
        (initializers.Xavier(distribution="normal"), nn.init.xavier_normal_),
        (initializers.He(), lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
        (initializers.He(distribution="uniform", mode="fan_out"),
         lambda w: nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu")),
        (initializers.He(slope=0.2), lambda w: nn.init.kaiming_normal_(w, a=0.2)),
        (initializers.Lecun(), lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear")),
        (initializers.Normal(std=0.3, mean=1.0), lambda w: nn.init.normal_(w, 1.0, 0.3)),
        (initializers.Uniform(low=0.1, high=0.3), lambda w: nn.init.uniform_(w, 0.1, 0.3)),
        (initializers.Constant(value=0.2), lambda w: nn.init.constant_(w, 0.2)),
        (initializers.Zeros(), nn.init.zeros_),
        (initializers.Orthogonal(gain=2.0), lambda w: nn.init.orthogonal_(w, 2.0)),
    ],
    ids=lambda each: getattr(each, "word", ""),
)  # fmt: skip
@pytest.mark.parametrize("shape", [(8, 12), (8, 4, 3, 3)])
def test_initializer_equals_torch(word: Any, theirs: Any, shape: Any) -> None:
    ours, torchs = torch.empty(shape), torch.empty(shape)
    torch.manual_seed(3)
    word.fill(ours)
    torch.manual_seed(3)
    theirs(torchs)
    torch.testing.assert_close(ours, torchs)


def test_xavier_of_the_notes_divides_by_the_root_of_fan_in() -> None:
    weight = torch.empty(400, 900)
    initializers.Xavier(mode="fan_in").fill(weight)
    assert float(weight.std()) == pytest.approx(1 / 30, rel=0.01)


@pytest.mark.parametrize(
    ("schedule", "total", "expected"),
    [
        (schedules.Constant(), 10, {0: 1, 9: 1}),
        (schedules.Step(every=3, factor=0.5), 10, {0: 1, 2: 1, 3: 0.5, 6: 0.25}),
        (schedules.Cosine(), 10, {0: 1, 5: 0.5, 10: 0}),
        (schedules.Cosine(end=0.2), 10, {0: 1, 5: 0.6, 10: 0.2}),
        (schedules.Exponential(end=0.01), 10, {0: 1, 5: 0.1, 10: 0.01}),
        (schedules.Warmup(steps=4).before(schedules.Constant()), 10, {0: 0.25, 3: 1, 9: 1}),
        (schedules.Warmup(steps=4).before(schedules.Cosine()), 14, {1: 0.5, 4: 1, 9: 0.5, 14: 0}),
        (schedules.Cyclic(half=5, peak=3), 99, {0: 1, 5: 3, 10: 1, 15: 3, 20: 1}),
        (schedules.Cyclic(half=5, peak=3, mode="triangular2"), 99, {5: 3, 10: 1, 15: 2, 25: 1.5}),
        (schedules.Cyclic(half=5, peak=3, mode="exp_range", gamma=0.9), 99, {0: 1, 5: 1 + 2 * 0.9**5, 10: 1}),
    ],
    ids=lambda each: getattr(each, "word", ""),
)
def test_schedule_at_steps(schedule: Any, total: Any, expected: Any) -> None:
    assert {step: schedule(step, total) for step in expected} == pytest.approx(expected)


def test_one_cycle_equals_torch() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=40, cycle_momentum=False)
    for step in range(40):
        assert 0.1 * schedules.OneCycle()(step, 40) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        if step < 39:
            theirs.step()


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic_equals_torch(mode: Any) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.5, 4, mode=mode, gamma=0.95, cycle_momentum=False)
    ours = schedules.Cyclic(half=4, peak=5, mode=mode, gamma=0.95)
    for step in range(20):
        assert 0.1 * ours(step, 20) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


@given(step=st.integers(0, 1000), total=st.integers(0, 500))
@settings(max_examples=50, deadline=None)
def test_schedules_stay_finite_beyond_the_end(step: Any, total: Any) -> None:
    for each in (
        schedules.Cosine(),
        schedules.Exponential(),
        schedules.Warmup(steps=7).before(schedules.Exponential()),
        schedules.OneCycle(),
        schedules.Cyclic(half=3),
    ):
        assert 0 <= each(step, total) <= 10


def test_penalties_by_closed_form() -> None:
    linear = nn.Linear(3, 2)
    model = nn.Sequential(linear, nn.BatchNorm1d(2), nn.PReLU())
    weight, everything = linear.weight.detach().double(), list(model.parameters())
    given_ = regularizers.Regularization(l1=0.1, l2=0.2)
    l1, l2 = regularizers.norms(given_)
    assert (l1.word, l1.coefficient, l2.word, l2.coefficient) == ("l1", 0.1, "l2", 0.2)
    assert list(l1.parameters(model)) == ["0.weight"]
    assert float(l1.value(model).detach()) == pytest.approx(float(weight.abs().sum()), rel=1e-6)
    assert float(l2.value(model).detach()) == pytest.approx(float((weight**2).sum() / 2), rel=1e-6)
    (whole,) = regularizers.norms(regularizers.Regularization(l2=0, include_bias=True))
    assert float(whole.value(model).detach()) == pytest.approx(
        sum(float((each**2).detach().sum()) for each in everything) / 2, rel=1e-6
    )


def test_l2_has_the_gradient_of_weight_decay() -> None:
    model = nn.Linear(3, 2)
    torch.autograd.backward(regularizers.L2(0.3).value(model))
    torch.testing.assert_close(model.weight.grad, model.weight.detach())
    assert model.bias.grad is None


IMAGES = np.random.default_rng(0).normal(5, 3, (20, 3, 4, 4)).astype(np.float32)


def test_channel_means_equal_a_brute_force_mean_over_all_training_images() -> None:
    fitted = preprocessing.Center().fit(IMAGES)
    for channel in range(3):
        total = sum(float(IMAGES[n, channel, i, j]) for n, i, j in itertools.product(range(20), range(4), range(4)))
        assert float(fitted.shift[channel].item()) == pytest.approx(total / 320)
    np.testing.assert_allclose(fitted(IMAGES), IMAGES - fitted.shift, rtol=1e-6)


@pytest.mark.parametrize(("per", "axes"), [("feature", 0), ("channel", (0, 2, 3)), ("all", None)])
def test_standardized_inputs_have_mean_0_and_deviation_1(per: Any, axes: Any) -> None:
    done = preprocessing.Standardize(per=per).fit(IMAGES)(IMAGES)
    np.testing.assert_allclose(done.mean(axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(done.std(axis=axes), 1, atol=1e-5)
    assert done.dtype == np.float32


def test_a_constant_feature_becomes_0() -> None:
    inputs = np.full((1000, 2), 0.1, dtype=np.float32)
    inputs[:, 1] = np.arange(1000)
    done = preprocessing.Standardize().fit(inputs)(inputs)
    np.testing.assert_allclose(done[:, 0], 0, atol=1e-6)


def test_the_numbers_of_the_training_split_are_used_for_others() -> None:
    fitted = preprocessing.Standardize().fit(np.array([[0.0], [2.0]]))
    np.testing.assert_allclose(fitted(np.array([[5.0]])), [[4.0]])


def test_published_statistics_are_taken_as_they_are() -> None:
    done = preprocessing.Statistics(mean=(1.0, 2.0, 3.0), std=(2.0,)).fit(IMAGES)(IMAGES)
    np.testing.assert_allclose(done[:, 1], (IMAGES[:, 1] - 2) / 2, rtol=1e-6)
    with pytest.raises(ValueError, match="'mean' has 2 numbers, the inputs have 3 channels"):
        preprocessing.Statistics(mean=(1.0, 2.0)).fit(IMAGES)


def test_divide_by_255_gives_0_to_1() -> None:
    pixels = np.arange(256, dtype=np.float32).reshape(1, 1, 16, 16)
    done = preprocessing.Scale(divide_by=255).fit(pixels)(pixels)
    assert (done.min(), done.max()) == (0, 1)


def test_clipped_inputs_stay_within_their_bounds() -> None:
    done = preprocessing.Clip(low=2, high=7).fit(IMAGES)(IMAGES)
    np.testing.assert_array_equal(done, np.minimum(np.maximum(IMAGES, 2), 7))
    assert preprocessing.Clip(high=1).fit(IMAGES)(IMAGES).min() == IMAGES.min()
    for bad in (preprocessing.Clip(), preprocessing.Clip(low=3, high=3)):
        with pytest.raises(ValueError, match="'clip'"):
            bad.fit(IMAGES)


def test_one_hot_knows_the_values_of_the_training_data() -> None:
    fitted = preprocessing.OneHot(features=(1,)).fit(np.array([[0.5, 3.0], [0.7, 1.0]]))
    np.testing.assert_allclose(fitted(np.array([[9.0, 1.0], [8.0, 3.0], [7.0, 2.0]])), [[9, 1, 0], [8, 0, 1], [7, 0, 0]])
    with pytest.raises(ValueError, match="names feature 2, the inputs have 0 to 1"):
        preprocessing.OneHot(features=(2,)).fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="takes vectors, the inputs have 3 dimensions"):
        preprocessing.OneHot(features=(0,)).fit(IMAGES)
