"""The checks of head, loss and data: what they measure against closed forms, their null distributions, and many seeds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lossdoc import specimens
from lossdoc.checks import _answers, _heads, _scales, metric_mismatch, mismatched_preprocessing
from lossdoc.errors import NotApplicable
from lossdoc.findings import Severity
from lossdoc.parts.losses import Bce, CrossEntropy, Mse
from lossdoc.parts.optimizers import Adam, Sgd
from lossdoc.rule import checks
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject

torch.set_num_threads(1)
HEAD = (
    "output-range",
    "label-coding",
    "shape-broadcast",
    "metric-mismatch",
    "mismatched-preprocessing",
    "missing-activation",
    "double-softmax",
    "one-unit-softmax",
    "softmax-axis",
)


def answer(name: str, subject: Subject) -> Any:
    return checks.get(name).fires(subject)


def quiet(name: str, subject: Subject) -> bool:
    try:
        return answer(name, subject) is None
    except NotApplicable:
        return True


# --- many seeds


@pytest.mark.parametrize("name", HEAD)
def test_each_fires_on_the_sick_and_is_quiet_on_the_sound_whatever_the_seed(name: str) -> None:
    check = checks.get(name)
    sick, sound = check.fires_on[0](), check.quiet_on[0]()
    for seed in range(20):
        assert answer(name, replace(sick, seed=seed)) is not None, seed
        assert quiet(name, replace(sound, seed=seed)), seed


SOUND_LOSSES = [
    specimens.healthy(),
    specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")),
    specimens.healthy(
        build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1),
        loss=OwnLoss(specimens.entropy_of_probabilities, takes="unknown"),
    ),
    specimens.healthy(loss=OwnLoss(nn.MultiMarginLoss(), "torch.nn:MultiMarginLoss", "scores")),
    specimens.binary(loss=OwnLoss(specimens.entropy_of_logits, takes="unknown")),
    specimens.binary(
        build=specimens.followed_by(specimens.mlp(1), "Sigmoid"),
        loss=OwnLoss(lambda out, y: nn.functional.binary_cross_entropy(out[:, 0], y.float()), takes="unknown"),
    ),
    specimens.regression(loss=OwnLoss(specimens.squares, takes="unknown")),
    specimens.regression(loss=OwnLoss(specimens.pinball, takes="unknown")),
    specimens.regression(loss=OwnLoss(specimens.minus_correlation, takes="unknown")),
    specimens.regression(loss=OwnLoss(lambda out, y: (out - y).cosh().log().mean(), takes="unknown")),
    specimens.regression(loss=OwnLoss(lambda out, y: (out - y).abs().clamp_min(0.1).mean(), takes="unknown")),
    specimens.regression(
        batches=specimens.fed(specimens.in_shares), build=specimens.followed_by(specimens.mlp(1), "Sigmoid")
    ),
    specimens.regression(  # a Poisson likelihood of counts with a logarithm as its link
        batches=specimens.fed(specimens.in_years), loss=OwnLoss(lambda out, y: (out.exp() - y * out).mean(), takes="unknown")
    ),
    specimens.with_step(specimens.plain_step),
    specimens.with_step(specimens.step_of(specimens.squares), specimens.regression()),
]


@pytest.mark.parametrize("name", HEAD)
@pytest.mark.parametrize("subject", SOUND_LOSSES, ids=range(len(SOUND_LOSSES)))
def test_sound_losses_of_every_kind_pass(name: str, subject: Subject) -> None:
    assert quiet(name, subject)
    assert quiet(name, replace(subject, seed=1))


# --- what the last activation can put out


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize(("activation", "low", "high"), [("Sigmoid", 0.0, 1.0), ("Tanh", -1.0, 1.0)])
def test_what_bounded_logits_can_never_learn(classes: int, activation: str, low: float, high: float) -> None:
    subject = specimens.healthy(
        build=specimens.followed_by(specimens.mlp(classes), activation),
        batches=specimens.fed(lambda split: specimens.blobs(split, classes=classes)),
        classes=classes,
    )
    evidence = answer("output-range", subject)
    floor = math.log(1 + (classes - 1) * math.exp(low - high)) / math.log(classes)
    assert evidence.facts["measured"] == pytest.approx(floor, rel=1e-4)
    assert evidence.severity is Severity.ERROR


@pytest.mark.parametrize(("top", "severity"), [(0.5, None), (1.5, Severity.WARNING), (5.0, Severity.ERROR)])
def test_outliers_out_of_reach_are_weighed_by_what_they_cost(top: float, severity: Any) -> None:
    def source(split: Any) -> Any:
        inputs, targets = specimens.in_shares(split)
        targets[0] = top
        return inputs, targets

    subject = specimens.regression(
        build=specimens.followed_by(specimens.mlp(1), "Sigmoid"), batches=specimens.fed(source, shuffle=False)
    )
    evidence = answer("output-range", subject)
    targets = torch.cat([batch.targets for batch in list(subject.batches("train", 0))[:8]]).double()
    share = float((targets - targets.clamp(0, 1)).square().mean() / targets.var(correction=0))
    if severity is None:
        assert evidence is None
        assert share == 0
    else:
        assert evidence.facts["measured"] == pytest.approx(share, rel=1e-3)
        assert evidence.severity is severity


@given(st.integers(2, 6), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_nearest_rows_of_probabilities_are_such_and_nearest(width: int, seed: int) -> None:
    luck = torch.Generator().manual_seed(seed)
    goal = 2 * torch.randn(5, width, generator=luck, dtype=torch.float64)
    found = _heads.nearest(_heads.Head("Softmax", 0.0, 1.0), goal)
    assert bool((found >= 0).all())
    assert found.sum(-1).numpy() == pytest.approx(1)
    others = torch.rand(500, 1, width, generator=luck, dtype=torch.float64).log().neg()
    others = others / others.sum(-1, keepdim=True)
    assert bool(((others - goal).square().sum(-1) >= (found - goal).square().sum(-1) - 1e-12).all())


# --- what the loss takes


@pytest.mark.parametrize(
    ("subject", "takes"),
    [
        (specimens.healthy(loss=OwnLoss(specimens.entropy_of_probabilities, takes="unknown")), True),
        (specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")), False),
        (specimens.healthy(loss=OwnLoss(specimens.raw_likelihood, takes="unknown")), False),
        (specimens.healthy(loss=OwnLoss(specimens.twice_softened, takes="unknown")), False),
        (specimens.binary(loss=OwnLoss(specimens.entropy_of_logits, takes="unknown")), False),
        (specimens.binary(loss=OwnLoss(Bce(inputs="probabilities"), takes="unknown")), True),
        (specimens.regression(loss=OwnLoss(specimens.squares, takes="unknown")), False),
        (specimens.with_step(specimens.step_of(specimens.entropy_of_probabilities)), True),
    ],
)
def test_losses_of_probabilities_are_known_by_what_they_cost(subject: Subject, takes: bool) -> None:
    assert _answers.takes_probabilities(subject, _answers.probed(subject)) is takes


def test_sigmoids_before_cross_entropy_are_a_warning_and_a_relu_an_error() -> None:
    found = {
        activation: answer(
            "missing-activation",
            specimens.healthy(
                build=specimens.followed_by(specimens.mlp(), activation), loss=CrossEntropy(inputs="probabilities")
            ),
        ).severity
        for activation in ("Sigmoid", "ReLU", "Tanh")
    }
    assert found == {"Sigmoid": Severity.WARNING, "ReLU": None, "Tanh": None}


# --- shapes


SHAPES = [((32, 1), (32, 1), False), ((32,), (32,), False), ((32, 1), (32,), True), ((32,), (32, 1), True)]
KINDS = {
    "mean of squares": lambda out, y: (out - y).square().mean(),
    "sum of squares": lambda out, y: (out - y).square().sum(),
    "mean of distances": lambda out, y: (out - y).abs().mean(),
    "halved": lambda out, y: 0.5 * (out - y).square().mean() + 3.0,
}


@pytest.mark.parametrize(("outputs", "targets", "wrong"), SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_broadcasting_is_seen_whatever_the_shapes_and_the_loss(outputs: Any, targets: Any, wrong: bool, kind: str) -> None:
    build = specimens.mlp(1) if len(outputs) == 2 else specimens.squeezed(specimens.mlp(1))
    batches = specimens.fed(specimens.numbers) if len(targets) == 2 else specimens.flat_numbers()
    subject = specimens.regression(build=build, batches=batches, loss=OwnLoss(KINDS[kind], takes="unknown"))
    assert (answer("shape-broadcast", subject) is not None) is wrong


# --- codings


def constant_start(outputs: int) -> Any:
    """Make networks whose outputs are all equal at first."""

    def zero(model: Any) -> None:
        model[-1].weight.zero_()
        model[-1].bias.zero_()

    return specimens.followed_by(specimens.changed(specimens.mlp(outputs), zero), "Softmax", dim=-1)


def one_hot_subject(classes: int, optimizer: Any, loss: Any) -> Subject:
    def source(split: Any) -> Any:
        inputs, labels = specimens.blobs(split, classes=classes)
        return inputs, nn.functional.one_hot(labels, classes).float()

    subject = specimens.regression(loss=loss, build=constant_start(classes), batches=specimens.fed(source))
    return specimens.with_recipe(subject, optimizer=optimizer)


def test_one_hot_rows_ask_for_a_softmax() -> None:
    loss = OwnLoss(lambda shares, rows: -(rows * shares.clamp_min(1e-7).log()).sum(-1).mean(), takes="probabilities")
    subject = one_hot_subject(3, Sgd(lr=0.1), loss)
    found = answer("missing-activation", replace(subject, build=specimens.followed_by(specimens.mlp(3), "ReLU")))
    assert found.remedies == ("end the model in a softmax",)


@pytest.mark.parametrize("classes", [3, 4, 10])
def test_squared_error_after_a_softmax_slows_gradient_descent_by_the_formula(classes: int) -> None:
    evidence = answer("label-coding", one_hot_subject(classes, Sgd(lr=0.1), Mse()))
    assert evidence.facts["measured"] == pytest.approx(2 / classes**2, rel=0.02)  # 2/n · p at p = 1/n
    assert evidence.severity is (None if classes == 10 else Severity.WARNING)


def test_adam_does_not_mind_the_size_of_the_gradient() -> None:
    evidence = answer("label-coding", one_hot_subject(10, Adam(lr=1e-3), Mse()))
    assert evidence.facts["measured"] == pytest.approx(1, rel=0.05)
    assert evidence.severity is Severity.WARNING


def test_two_outputs_and_yes_or_no_for_each_are_the_same_as_cross_entropy() -> None:
    assert answer("label-coding", one_hot_subject(2, Sgd(lr=0.1), Bce(inputs="probabilities"))) is None


@pytest.mark.parametrize(("classes", "fires"), [(None, False), (4, True)])
def test_grades_are_no_class_numbers_unless_the_data_say_so(classes: Any, fires: bool) -> None:
    subject = specimens.regression(batches=specimens.fed(specimens.as_numbers), classes=classes)
    evidence = answer("label-coding", subject)
    assert (evidence is not None) is fires
    assert evidence is None or evidence.severity is Severity.WARNING


# --- splits


def test_kolmogorov_and_smirnov_against_all_orders() -> None:
    luck = np.random.default_rng(0)
    one, other = luck.normal(0, 1, 30), luck.normal(0.8, 1, 50)
    p = mismatched_preprocessing.kolmogorov_smirnov(one, other)
    both = np.concatenate([one, other])

    def apart(order: Any) -> float:
        left, right = np.sort(both[order[:30]]), np.sort(both[order[30:]])
        at = np.sort(both)
        gap = np.searchsorted(left, at, side="right") / 30 - np.searchsorted(right, at, side="right") / 50
        return float(np.abs(gap).max())

    seen = apart(np.arange(80))
    drawn = np.mean([apart(luck.permutation(80)) >= seen - 1e-12 for _ in range(4000)])
    assert p == pytest.approx(drawn, abs=0.01)


@pytest.mark.parametrize("size", [12, 60, 1000])
@pytest.mark.parametrize("columns", [1, 8, 300])
def test_splits_of_one_kind_are_never_told_apart(size: int, columns: int) -> None:
    luck = np.random.default_rng(size + columns)
    for _ in range(20):
        known = luck.standard_t(3, (200, columns)) * luck.uniform(0.1, 10, columns)
        given = luck.standard_t(3, (size, columns)) * known.std(0) / math.sqrt(3)
        found = mismatched_preprocessing.compare(known, known[luck.integers(0, 200, size)])
        assert mismatched_preprocessing._scaled("validation", found, (3.0, 2.0), (1.5, 0.5)) is None
        assert mismatched_preprocessing._by_itself("validation", given) is None


@pytest.mark.parametrize("size", [12, 60, 1000])
@pytest.mark.parametrize("free", [0, 1])
def test_a_scaler_fitted_again_is_seen(size: int, free: int) -> None:
    given = np.random.default_rng(size).exponential(3.0, (size, 4))
    scaled = ((given - given.mean(0)) / given.std(0, ddof=free)).astype(np.float32).astype(np.float64)
    assert mismatched_preprocessing._by_itself("validation", scaled) is not None


# --- columns


def test_tiny_columns_of_noise_are_passed_and_what_others_hold_is_weighed() -> None:
    luck = np.random.default_rng(3)
    loud = luck.normal(0, 1, (500, 3))
    for _ in range(100):
        found = _scales.faint_columns(
            np.column_stack([loud, 1e-4 * luck.normal(0, 1, 500)]), loud[:, :1] + luck.normal(0, 1, (500, 1)), 100.0
        )
        assert found is not None
        assert found.p > 1e-6
    quiet_column = luck.normal(0, 1, 5000)
    targets = luck.normal(0, 1, 5000) + quiet_column + luck.normal(0, 1, 5000)
    found = _scales.faint_columns(np.column_stack([luck.normal(0, 1, 5000), 1e-3 * quiet_column]), targets[:, None], 100.0)
    assert found is not None
    assert found.columns == (1,)
    assert found.share == pytest.approx(1 / 3, abs=0.03)  # one of three equal parts of the variance


def test_rank_correlation_against_the_formula_without_ties() -> None:
    luck = np.random.default_rng(4)
    one, other = luck.permutation(20).astype(float), luck.permutation(20).astype(float)
    formula = 1 - 6 * np.square(one - other).sum() / (20 * (20**2 - 1))
    assert metric_mismatch.rank_correlation(one**3, np.exp(other / 5)) == pytest.approx(formula)
    assert metric_mismatch.rank_correlation(one, np.ones(20)) == 0


@pytest.mark.parametrize(("activation", "warned"), [("ReLU", True), ("Softplus", True), ("LeakyReLU", False)])
def test_logits_that_cannot_fall_below_zero_are_a_warning(activation: str, warned: bool) -> None:
    subject = specimens.healthy(build=specimens.followed_by(specimens.mlp(), activation))
    try:
        evidence = checks.get("output-range").fires(subject)
    except NotApplicable:
        evidence = None
    assert (evidence is not None) == warned
    assert evidence is None or evidence.severity is Severity.WARNING
