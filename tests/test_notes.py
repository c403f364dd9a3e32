"""Each building block of the study notes, part A, tied to what the notes say of it.

Elsewhere: batchnorm's oracle, schedules, optimizers and preprocessing against torch and closed forms (test_parts).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lossdoc.build import subject
from lossdoc.build.models import _initialize
from lossdoc.parts import activations, initializers, layers, optimizers, preprocessing, regularizers, schedules
from lossdoc.spec import loads
from lossdoc.train import begin
from tests import test_parts

F = nn.functional


def trained(module: nn.Module, inputs: Tensor, targets: Tensor, steps: int = 60, lr: float = 0.1) -> list[float]:
    optimizer = torch.optim.SGD(module.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.mse_loss(module(inputs), targets)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_maxout_is_the_maximum_of_several_linear_pieces() -> None:
    torch.manual_seed(0)
    modules = activations.Maxout(out=3, pieces=4).modules((5,), None)
    linear: Any = modules["maxout"]
    inputs = torch.randn(6, 5)
    pieces = [inputs @ linear.weight[piece::4].T + linear.bias[piece::4] for piece in range(4)]
    torch.testing.assert_close(nn.Sequential(*modules.values())(inputs), torch.stack(pieces).amax(0))


def test_prelu_learns_its_slope() -> None:
    module: Any = activations.Prelu(slope=0.25).module((1,))
    inputs = torch.linspace(-2, 0, 20)[:, None]
    trained(module, inputs, 0.7 * inputs, steps=100)
    assert float(module.weight.detach()) == pytest.approx(0.7, abs=1e-3)


def test_leaky_and_elu_keep_the_negative_side() -> None:
    inputs = torch.linspace(-5, -0.1, 50)
    for word in (activations.LeakyRelu(), activations.Elu()):
        outputs = word.module((50,))(inputs)
        assert bool((outputs < 0).all())
        assert bool((outputs.diff() > 0).all())
    assert float(activations.Elu().module((1,))(torch.tensor([-1e3]))) == -1.0  # an outlier goes no further


@pytest.mark.parametrize(("word", "learns"), [(activations.Relu(), False), (activations.LeakyRelu(slope=0.1), True)])
def test_a_dead_relu_stays_dead_and_a_leaky_one_revives(word: Any, learns: bool) -> None:
    torch.manual_seed(0)
    first = nn.Linear(3, 1)
    nn.init.constant_(first.bias, -10.0)  # every input drives the unit negative
    inputs = torch.rand(40, 3)
    unit = nn.Sequential(first, word.module((1,)))
    before = first.weight.detach().clone()
    trained(unit, inputs, inputs.sum(1, keepdim=True), steps=300)
    outputs = unit(inputs).detach()
    assert bool((outputs > 0).any()) == learns
    assert bool(torch.equal(first.weight.detach(), before)) == (not learns)


@pytest.mark.parametrize(("word", "ratio"), [(initializers.He(), 1.0), (initializers.Xavier(), 0.5)])
def test_he_keeps_the_second_moment_through_20_relu_layers_where_xavier_halves_it(word: Any, ratio: float) -> None:
    moments = torch.zeros(20)
    for seed in range(50):
        torch.manual_seed(seed)
        signal = torch.randn(4, 512)
        for depth in range(20):
            weight = torch.empty(512, 512)
            word.fill(weight)
            signal = signal @ weight.T
            moments[depth] += float(signal.square().mean()) / 50
            signal = signal.relu()
    # a 512-wide ReLU layer has E z² = ratio·(E z² of the layer before); the first takes the raw inputs: 2·ratio
    expected = 2 * ratio ** torch.arange(1.0, 21.0)
    tolerance = 0.10 if ratio == 1 else 0.15  # of 50 means of 20 random factors each
    torch.testing.assert_close(moments / expected, torch.ones(20), rtol=0, atol=tolerance)


def test_too_large_a_spread_saturates_and_too_small_a_one_gives_0() -> None:
    def outputs(std: float) -> Tensor:
        torch.manual_seed(0)
        signal = torch.randn(100, 200)
        for _ in range(6):
            weight = torch.empty(200, 200)
            initializers.Normal(std=std).fill(weight)
            signal = torch.tanh(signal @ weight.T)
        return signal.abs()

    assert float((outputs(1.0) > 0.99).float().mean()) > 0.8
    assert float(outputs(0.01).max()) < 1e-3
    assert 0.05 < float(outputs(1 / math.sqrt(200)).mean()) < 0.95


def test_dropout_is_compensated_so_that_test_time_expects_the_same() -> None:
    module: Any = layers.Dropout(rate=0.3).modules((1,), None)["dropout"]
    torch.manual_seed(0)
    many = module.train()(torch.ones(200_000))
    assert float(many.mean()) == pytest.approx(1, abs=5 * math.sqrt(0.3 / 0.7 / 200_000))  # five standard errors
    assert sorted(set(many.tolist())) == pytest.approx([0.0, 1 / 0.7])
    assert bool((module.eval()(torch.ones(9)) == 1).all())


def batchnorm() -> Any:
    return layers.BatchNorm(momentum=0.5).modules((2,), None)["batchnorm"]


def test_batchnorm_uses_the_batch_in_training_and_what_it_stored_at_test_time() -> None:
    norm, batch = batchnorm(), torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    got = norm.train()(batch)
    torch.testing.assert_close(got, (batch - batch.mean(0)) / torch.sqrt(batch.var(0, unbiased=False) + 1e-5))
    mean, variance = 0.5 * batch.mean(0), 0.5 + 0.5 * batch.var(0)
    torch.testing.assert_close(norm.running_mean, mean)
    other = torch.tensor([[7.0, 7.0]])
    torch.testing.assert_close(norm.eval()(other), (other - mean) / torch.sqrt(variance + 1e-5))
    assert norm(other).shape == (1, 2)  # one sample is enough at test time


def test_batchnorm_takes_a_batch_for_the_data_which_is_worse_in_small_batches() -> None:
    torch.manual_seed(0)
    data = torch.randn(6400, 2)
    true = (data - data.mean(0)) / data.std(0, correction=0)
    errors = {}
    for size in (4, 16, 64, 6400):
        norm = batchnorm().train()
        got = torch.cat([norm(batch) for batch in torch.split(data, size)]).detach()
        errors[size] = float((got - true).square().mean())
    assert errors[6400] < 1e-8  # the whole data: nothing is estimated
    for size in (16, 64):  # mean: variance 1 / B; deviation: 1 / (2B) times E x² = 1
        assert errors[size] == pytest.approx(1.5 / size, rel=0.25)
    assert errors[4] > 2 * errors[16] > 4 * errors[64]


@pytest.mark.parametrize(("word", "sparse"), [("l1", True), ("l2", False)])
def test_l1_drives_weights_to_0_where_l2_only_makes_them_small(word: str, sparse: bool) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(200, 8)
    targets = inputs[:, :1] * 2  # seven of eight inputs say nothing
    model = nn.Linear(8, 1, bias=False)
    (penalty,) = regularizers.norms(regularizers.Regularization.model_validate({word: 0.2}))
    start, rate = model.weight.detach().clone(), 0.05
    for _ in range(1500):
        loss = F.mse_loss(model(inputs), targets + 0.05 * inputs[:, 1:2]) + penalty.coefficient * penalty.value(model)
        (gradient,) = torch.autograd.grad(loss, model.weight)
        with torch.no_grad():
            model.weight -= rate * gradient
        rate *= 0.995  # the sign of a weight flips around 0 by one rate
    weights = model.weight.detach().abs()[0]
    assert int((weights < 1e-4).sum()) == (7 if sparse else 0)
    assert float(weights.norm()) < float(start.norm() + 2)
    assert float(weights[0]) > 1.5


def walk(word: Any, gradient: Callable[[Tensor], Tensor], start: list[float], steps: int, schedule: Any = None) -> Tensor:
    """Return the points of a run, (steps + 1, d)."""
    at = torch.tensor(start, dtype=torch.float64)
    slots, points = word.slots(at), [at]
    for step in range(steps):
        factor = 1.0 if schedule is None else schedule(step, steps)
        hyper = {**word.hyper, "lr": word.lr * factor}
        at, slots = word.update(at, gradient(at), slots, hyper, step)
        points.append(at)
    return torch.stack(points)


def test_adagrads_step_only_shrinks_where_rmsprops_recovers() -> None:
    sizes = {}
    for word in (optimizers.Adagrad(lr=0.1), optimizers.RmsProp(lr=0.1, alpha=0.9)):
        at, slots, rates = torch.zeros(1), word.slots(torch.zeros(1)), []
        for step in range(60):
            gradient = torch.full((1,), 10.0 if step < 10 else 0.1)
            moved, slots = word.update(at, gradient, slots, word.hyper, step)
            rates.append(float((at - moved) / gradient))
            at = moved
        sizes[word.word] = np.array(rates)
    assert (np.diff(sizes["adagrad"]) <= 0).all()
    assert sizes["rmsprop"][-1] > 10 * sizes["rmsprop"][9]


def test_rmsprop_with_epsilon_inside_the_root_as_the_notes_have_it() -> None:
    """lr/√(G+ε)·g is what torch's lr/(√G+ε')·g is for ε' = √(G+ε) − √G, at most √ε."""
    squares, eps = torch.logspace(-12, 2, 50, dtype=torch.float64), 1e-8
    inside = 1 / torch.sqrt(squares + eps)
    torch.testing.assert_close(inside, 1 / (squares.sqrt() + (torch.sqrt(squares + eps) - squares.sqrt())))
    assert bool((inside >= 1 / (squares.sqrt() + math.sqrt(eps))).all())
    outside = 1 / (squares.sqrt() + eps)
    assert float((inside / outside - 1).abs()[squares > 1e-2].max()) < 1e-6


def ill_conditioned(at: Tensor) -> Tensor:
    """The gradient of (x² + 50·y²) / 2."""
    return at * torch.tensor([1.0, 50.0], dtype=torch.float64)


def test_momentum_zig_zags_less_than_plain_descent() -> None:
    """Both as fast along the flat axis: momentum's rate is ten times smaller, its moves add up to the same."""
    plain = walk(optimizers.Gd(lr=0.038), ill_conditioned, [10.0, 1.0], 60)
    heavy = walk(optimizers.Momentum(lr=0.0038, momentum=0.9), ill_conditioned, [10.0, 1.0], 60)

    def turns(points: Tensor) -> int:
        return int((points[1:, 1] * points[:-1, 1] < 0).sum())

    assert turns(heavy) < turns(plain) / 2
    assert float(heavy[-1].norm()) < float(plain[-1].norm())


def test_nesterov_overshoots_less_than_momentum() -> None:
    overshoot = [
        -float(walk(word, lambda at: at, [1.0], 200).min())
        for word in (optimizers.Momentum(lr=0.1, momentum=0.9), optimizers.Nesterov(lr=0.1, momentum=0.9))
    ]
    assert 0 < overshoot[1] < 0.8 * overshoot[0]


def saddle(at: Tensor) -> Tensor:
    """The gradient of x² / 2 − y² / 2 + y⁴ / 4: a saddle at 0, minima at y = ±1."""
    return torch.stack([at[0], -at[1] + at[1] ** 3])


def test_a_cyclic_rate_returns_to_its_base_and_leaves_a_saddle() -> None:
    cyclic = schedules.Cyclic(half=20, peak=20)
    assert [cyclic(step, 400) for step in (0, 40, 80)] == [1, 1, 1]
    stays = walk(optimizers.Gd(lr=0.02), saddle, [1.0, 1e-3], 200)
    leaves = walk(optimizers.Gd(lr=0.02), saddle, [1.0, 1e-3], 200, cyclic)
    assert abs(float(stays[-1, 1])) < 0.1
    assert float(leaves[-1, 1]) == pytest.approx(1, abs=0.01)


def test_plain_descent_stops_where_the_gradient_is_near_0() -> None:
    assert float(walk(optimizers.Gd(lr=0.1), saddle, [1.0, 0.0], 500)[-1].norm()) < 1e-9


@pytest.mark.parametrize(("optimizer", "batch", "sizes"), [("gd", 32, {120}), ("sgd", 1, {1}), ("sgd", 40, {40})])
def test_descent_over_all_one_and_several_samples_differ_in_the_samples_used(
    optimizer: str, batch: int, sizes: set[int]
) -> None:
    model = "model: {layers: [{linear: classes}]}\n"
    made = subject(loads(f"data: {{source: iris, batch_size: {batch}}}\n{model}optimizer: {optimizer}\n"))
    batches = list(made.batches("train", 0))
    assert {each.size for each in batches} == sizes
    ordered = subject(loads(f"data: {{source: iris, shuffle: false}}\n{model}"))
    expected = sorted(row for each in ordered.batches("train", 0) for row in each.inputs.tolist())
    for epoch in (0, 1):  # each sample once an epoch, whatever the batches
        used = sorted(row for each in made.batches("train", epoch) for row in each.inputs.tolist())
        assert len(used) == made.sizes["train"] == 120
        assert used == expected


def test_training_statistics_are_used_for_the_other_splits() -> None:
    """Published or fitted: test data are moved by the numbers of the training data, not by their own."""
    train, test = np.ones((4, 3, 2, 2)) * np.arange(1.0, 4.0)[:, None, None], np.full((2, 3, 2, 2), 10.0)
    fitted = preprocessing.Center().fit(train)
    assert fitted(test)[0, :, 0, 0].tolist() == [9, 8, 7]
    published = preprocessing.Statistics(mean=(1.0, 1.0, 4.0), std=(2.0, 1.0, 3.0)).fit(train)
    assert published(test)[0, :, 0, 0].tolist() == [4.5, 9, 2]


def test_adam_takes_the_direction_of_momentum_and_the_size_of_rmsprop() -> None:
    """Without correction for the start, its step is momentum's average over the root of RMSprop's."""
    word = optimizers.Adam(lr=0.1, beta1=0.9, beta2=0.99, eps=1e-8)
    at, slots, mean, squares = torch.zeros(1), word.slots(torch.zeros(1)), 0.0, 0.0
    for step in range(30):
        gradient = math.sin(step) + 0.5
        mean, squares = 0.9 * mean + 0.1 * gradient, 0.99 * squares + 0.01 * gradient**2
        moved, slots = word.update(at, torch.tensor([gradient]), slots, word.hyper, step)
        direction, size = mean / (1 - 0.9 ** (step + 1)), math.sqrt(squares / (1 - 0.99 ** (step + 1)))
        assert float(at - moved) == pytest.approx(0.1 * direction / size, rel=1e-3, abs=1e-6)
        at = moved


def test_an_initializer_reaches_a_layers_matrices_and_biases() -> None:
    linear = nn.Linear(3, 2)
    word = initializers.Constant(value=0.5, bias=0.1)
    _initialize([linear], word, word.fill)
    assert bool((linear.weight == 0.5).all())
    assert bool(torch.isclose(linear.bias.detach(), torch.tensor(0.1)).all())


MLP = "model: {init: %s, layers: [{linear: 16}, %s, {linear: classes}]}\n"
IRIS = "data: {source: iris, preprocess: [standardize]}\n"
DIGITS = "data: {source: digits, preprocess: [%s]}\nmodel: {layers: [{conv: 4}, relu, flatten, {linear: classes}]}\n"
ROWS: dict[str, tuple[str, tuple[str, ...]]] = {  # each row of the notes' table: a file that has it, and what proves it
    "ReLU": (IRIS + MLP % ("he", "relu"), ("test_a_dead_relu_stays_dead_and_a_leaky_one_revives",)),
    "Leaky ReLU, PReLU": (
        IRIS + MLP % ("he", "{leaky_relu: 0.1}, prelu"),
        ("test_leaky_and_elu_keep_the_negative_side", "test_prelu_learns_its_slope"),
    ),
    "ELU": (IRIS + MLP % ("he", "elu"), ("test_leaky_and_elu_keep_the_negative_side",)),
    "Maxout": (
        IRIS + MLP % ("xavier", "{maxout: {out: 8, pieces: 3}}"),
        ("test_maxout_is_the_maximum_of_several_linear_pieces",),
    ),
    "standardization": (
        DIGITS % "{standardize: {per: feature}}", ("test_parts.test_standardized_inputs_have_mean_0_and_deviation_1",)
    ),
    "per-channel mean (images)": (
        DIGITS % "{center: {per: channel}}",
        ("test_parts.test_channel_means_equal_a_brute_force_mean_over_all_training_images",),
    ),
    "published statistics": (
        DIGITS % "{statistics: {mean: [4.9], std: [6.0]}}",
        (
            "test_training_statistics_are_used_for_the_other_splits",
            "test_parts.test_published_statistics_are_taken_as_they_are",
        ),
    ),
    "divide by 255": (DIGITS % "{scale: {divide_by: 255}}", ("test_parts.test_divide_by_255_gives_0_to_1",)),
    "weight initialization": (
        IRIS + MLP % ("{normal: 0.1}", "tanh"), ("test_too_large_a_spread_saturates_and_too_small_a_one_gives_0",)
    ),
    "Xavier": (
        IRIS + MLP % ("{xavier: {mode: fan_in}}", "tanh"),
        (
            "test_he_keeps_the_second_moment_through_20_relu_layers_where_xavier_halves_it",
            "test_parts.test_xavier_of_the_notes_divides_by_the_root_of_fan_in",
        ),
    ),
    "He": (
        IRIS + MLP % ("{he: {mode: fan_in}}", "relu"),
        ("test_he_keeps_the_second_moment_through_20_relu_layers_where_xavier_halves_it",),
    ),
    "cyclic learning rate": (
        IRIS + MLP % ("he", "relu") + "schedule: {cyclic: {half: 20, peak: 10}}\n",
        ("test_a_cyclic_rate_returns_to_its_base_and_leaves_a_saddle",),
    ),
    "L1": (
        IRIS + MLP % ("he", "relu") + "regularization: {l1: 1e-3}\n",
        ("test_l1_drives_weights_to_0_where_l2_only_makes_them_small",),
    ),
    "L2": (
        IRIS + MLP % ("he", "relu") + "regularization: {l2: 1e-3}\n",
        ("test_l1_drives_weights_to_0_where_l2_only_makes_them_small",),
    ),
    "dropout": (
        IRIS + MLP % ("he", "relu, {dropout: 0.5}"), ("test_dropout_is_compensated_so_that_test_time_expects_the_same",)
    ),
    "batch normalization": (
        IRIS + MLP % ("he", "batchnorm, relu"),
        (
            "test_batchnorm_uses_the_batch_in_training_and_what_it_stored_at_test_time",
            "test_batchnorm_takes_a_batch_for_the_data_which_is_worse_in_small_batches",
        ),
    ),
    "batch gradient descent": (
        IRIS + MLP % ("he", "relu") + "optimizer: gd\n",
        ("test_descent_over_all_one_and_several_samples_differ_in_the_samples_used",),
    ),
    "stochastic gradient descent": (
        IRIS.replace("iris", "iris, batch_size: 1") + MLP % ("he", "relu") + "optimizer: sgd\n",
        ("test_descent_over_all_one_and_several_samples_differ_in_the_samples_used",),
    ),
    "mini-batch gradient descent": (
        IRIS.replace("iris", "iris, batch_size: 16") + MLP % ("he", "relu") + "optimizer: sgd\n",
        ("test_descent_over_all_one_and_several_samples_differ_in_the_samples_used",),
    ),
    "the trouble with plain GD": (
        IRIS + MLP % ("he", "relu") + "optimizer: {gd: 0.1}\n",
        (
            "test_plain_descent_stops_where_the_gradient_is_near_0",
            "test_momentum_zig_zags_less_than_plain_descent",
            "test_plain_descent_slows_near_the_optimum",
        ),
    ),
    "momentum": (
        IRIS + MLP % ("he", "relu") + "optimizer: {momentum: {lr: 0.01, momentum: 0.9}}\n",
        ("test_momentum_zig_zags_less_than_plain_descent", "test_nesterov_overshoots_less_than_momentum"),
    ),
    "NAG (Nesterov)": (
        IRIS + MLP % ("he", "relu") + "optimizer: nesterov\n",
        ("test_nesterov_overshoots_less_than_momentum", "test_parts.test_nesterov_is_the_look_ahead_of_the_notes"),
    ),
    "Adagrad": (
        IRIS + MLP % ("he", "relu") + "optimizer: adagrad\n", ("test_adagrads_step_only_shrinks_where_rmsprops_recovers",)
    ),
    "RMSprop": (
        IRIS + MLP % ("he", "relu") + "optimizer: rmsprop\n",
        (
            "test_adagrads_step_only_shrinks_where_rmsprops_recovers",
            "test_rmsprop_with_epsilon_inside_the_root_as_the_notes_have_it",
        ),
    ),
    "Adam": (
        IRIS + MLP % ("he", "relu") + "optimizer: adam\n",
        ("test_adam_takes_the_direction_of_momentum_and_the_size_of_rmsprop",),
    ),
}  # fmt: skip


def test_plain_descent_slows_near_the_optimum() -> None:
    """The step is lr·gradient, and the gradient of a bowl shrinks with the distance."""
    points = walk(optimizers.Gd(lr=0.1), lambda at: at, [1.0], 40)
    steps = points.diff(dim=0).abs().flatten()
    torch.testing.assert_close(steps, 0.1 * points[:-1].abs().flatten())
    assert float(steps[-1]) < float(steps[0]) / 50


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_notes_has_a_file_that_trains_and_a_proof(row: str) -> None:
    config, proofs = ROWS[row]
    for proof in proofs:
        module, _, name = proof.rpartition(".")
        assert callable(getattr(test_parts, name) if module else globals()[name])
    made = subject(loads(config))
    training, batches = begin(made, 0), itertools.cycle(list(made.batches("train", 0)))
    losses = [
        training.step(batch, made.recipe.schedule(step, 40), 0).loss for step, batch in zip(range(40), batches, strict=False)
    ]
    assert all(math.isfinite(loss) for loss in losses)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert list(made.batches("validation", 0))


def test_the_rows_are_those_of_the_notes() -> None:
    assert len(ROWS) == 25
