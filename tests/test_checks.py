"""The checks of `sanity`: their examples, the theory they rest on, and that they leave no trace."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lossdoc import expected, fetching, probe, specimens
from lossdoc.checks import _dropout, _first_loss, _weight_decay
from lossdoc.errors import NotApplicable, UserError
from lossdoc.findings import Passed, Severity
from lossdoc.parts.losses import Bce, CrossEntropy, Huber, L1Loss, Mse, MulticlassHinge
from lossdoc.parts.optimizers import Adagrad, Adam, AdamW, Gd, Momentum, Nesterov, RmsProp, Sgd
from lossdoc.parts.regularizers import L1, L2
from lossdoc.randomness import seeded
from lossdoc.rule import Rule, checks, examine
from lossdoc.specimens import OwnLoss, OwnPenalty
from lossdoc.subject import Subject

torch.set_num_threads(1)
SANITY: list[Rule[Subject]] = [each for each in checks.all() if each.matter == "Subject"]
BY_NAME = {each.name: each for each in SANITY}


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(each, thunk, id=f"{each.name}-{index}")
        for each in SANITY
        for index, thunk in enumerate(getattr(each, kind))
    ]


@pytest.mark.parametrize(("check", "thunk"), cases("fires_on"))
def test_fires_on_its_illness_and_gives_numbers(check: Any, thunk: Any) -> None:
    evidence = check.fires(thunk())
    assert evidence is not None
    measured, expected, tolerance = (evidence.facts[name] for name in ("measured", "expected", "tolerance"))
    assert not abs(measured - expected) <= tolerance, "what was found is what was expected"
    assert 0 < evidence.confidence <= 1


@pytest.mark.parametrize(("check", "thunk"), cases("quiet_on"))
def test_is_quiet_on_the_sound(check: Any, thunk: Any) -> None:
    try:
        evidence = check.fires(thunk())
    except NotApplicable as why:
        assert str(why)  # noqa: PT017 - a skip with its reason is quiet too
    else:
        assert evidence is None


@pytest.mark.parametrize("check", SANITY, ids=lambda each: each.name)
def test_has_a_whole_page_and_mutes_only_what_exists(check: Any) -> None:
    assert check.page.bullets("Causes")
    assert check.page.bullets("Try")
    assert set(check.mutes) <= set(BY_NAME) - {check.name}
    assert check.fires_on
    assert check.quiet_on


def test_codes_are_unique() -> None:
    codes = [each.code for each in checks.all()]
    assert len(set(codes)) == len(codes)


def test_muting_has_no_cycle() -> None:
    def reach(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, path
        for other in BY_NAME[name].mutes:
            reach(other, (*path, name))

    for name in BY_NAME:
        reach(name, ())


SICK = [(each, thunk) for each in SANITY if each.severity is Severity.ERROR for thunk in each.fires_on[:1]]


@pytest.mark.parametrize(("check", "thunk"), SICK, ids=[each.name for each, _ in SICK])
def test_one_illness_is_named_whatever_else_is_asked(check: Any, thunk: Any) -> None:
    report = examine("sanity", thunk(), SANITY)
    assert check.name in [finding.name for finding in report.findings]


@pytest.mark.parametrize("sound", [specimens.healthy, specimens.regression, specimens.binary])
def test_the_sound_are_healthy(sound: Any) -> None:
    report = examine("sanity", sound(), SANITY)
    assert report.primary == "healthy"
    assert [finding.name for finding in report.findings] == []


def test_an_examination_leaves_no_trace() -> None:
    kept = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4)).eval()
    kept[0].train()
    before = {name: tensor.clone() for name, tensor in kept.state_dict().items()}
    modes = [module.training for module in kept.modules()]
    torch.manual_seed(5)
    luck = torch.get_rng_state()
    subject = specimens.with_recipe(specimens.healthy(build=lambda _seed: kept), penalties=(L2(1e-3),))
    examine("sanity", subject, SANITY)
    assert torch.equal(torch.get_rng_state(), luck)
    assert [module.training for module in kept.modules()] == modes
    assert kept[3].p == 0.3
    assert all(torch.equal(tensor, before[name]) for name, tensor in kept.state_dict().items())
    assert all(each.grad is None for each in kept.parameters())


# --- theory


def brute_baseline(cells: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean([cells[i, k] for i in range(len(cells)) for k in labels]))


@given(st.integers(2, 5), st.integers(5, 12), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_spread_is_the_mean_over_all_pairings(classes: Any, samples: Any, seed: Any) -> None:
    luck = np.random.default_rng(seed)
    scores, labels = luck.normal(0, 2, (samples, classes)), luck.integers(0, classes, samples)
    cells = expected.softmax_cells(scores)
    split = expected.split_classes(cells, labels, math.log(classes))
    assert split.expected == pytest.approx(brute_baseline(cells, labels))
    right = nn.functional.cross_entropy(torch.tensor(scores), torch.tensor(labels)).item()
    assert split.expected + split.paired == pytest.approx(right)
    shares = np.bincount(labels, minlength=classes) / samples
    closed = (np.log(np.exp(scores).sum(1)) - scores @ shares).mean() - math.log(classes)
    assert split.spread == pytest.approx(closed)


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_the_error_is_that_over_all_codings_of_the_classes(classes: Any) -> None:
    luck = np.random.default_rng(classes)
    labels = np.repeat(np.arange(classes), 6)
    scores = luck.normal(0, 1, (len(labels), classes)) + luck.normal(0, 1, (classes, classes))[labels]
    cells = expected.softmax_cells(scores)
    centered = cells - cells.mean(0)
    codings = [
        np.mean(centered[np.arange(len(labels)), np.array(code)[labels]]) for code in itertools.permutations(range(classes))
    ]
    assert expected.split_classes(cells, labels, 0.0).error == pytest.approx(np.std(codings))


def test_the_error_over_samples_is_that_over_all_orders_of_the_labels(monkeypatch: Any) -> None:
    luck = np.random.default_rng(0)
    cells, labels = luck.normal(0, 1, (6, 3)), np.array([0, 0, 1, 1, 2, 2])
    orders = [np.mean(cells[np.arange(6), list(order)]) for order in itertools.permutations(labels)]
    monkeypatch.setattr(expected, "MOST_CLASSES", 1)
    assert expected.split_classes(cells, labels, 0.0).error == pytest.approx(np.std(orders))


def test_hinge_cells_against_torch() -> None:
    scores = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for label in range(4):
        right = 4 * nn.functional.multi_margin_loss(scores, torch.full((7,), label), reduction="none")
        assert expected.hinge_cells(scores.numpy())[:, label] == pytest.approx(right.numpy())


def test_binary_split_against_torch() -> None:
    luck = np.random.default_rng(1)
    logits, targets = luck.normal(0, 2, (50, 3)), (luck.random((50, 3)) < 0.3).astype(float)
    split = expected.split_binary(logits, targets)
    right = nn.functional.binary_cross_entropy_with_logits(torch.tensor(logits), torch.tensor(targets)).item()
    assert split.expected + split.paired == pytest.approx(right)
    shuffled = np.mean([expected.split_binary(logits, luck.permutation(targets)).paired for _ in range(400)])
    assert shuffled == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("loss", "torch_loss"), [(np.square, nn.MSELoss()), (np.abs, nn.L1Loss()), (expected.huber, nn.HuberLoss())]
)
def test_value_split_against_all_pairs(loss: Any, torch_loss: Any) -> None:
    luck = np.random.default_rng(2)
    outputs, targets = luck.normal(0, 1, (12, 2)), luck.normal(1, 2, (12, 2))
    split = expected.split_values(loss, outputs, targets)
    pairs = np.mean([[loss(targets[j] - outputs[i]).mean() for j in range(12) if j != i] for i in range(12)])
    assert split.expected == pytest.approx(pairs)
    assert split.zero == pytest.approx(torch_loss(torch.zeros(12, 2, dtype=torch.float64), torch.tensor(targets)).item())
    assert split.expected + split.paired == pytest.approx(torch_loss(torch.tensor(outputs), torch.tensor(targets)).item())


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2, 2], [0, 1, 0, 1, 1], [0, 0, 0]])
def test_runs_against_all_orders(labels: Any) -> None:
    orders = [1 + sum(a != b for a, b in itertools.pairwise(order)) for order in itertools.permutations(labels)]
    runs, mean, deviation = expected.runs_of_labels(np.array(labels))
    assert runs == orders[0]
    assert mean == pytest.approx(np.mean(orders))
    assert deviation == pytest.approx(np.std(orders), abs=1e-9)


OPTIMIZERS = [
    Sgd(lr=0.1, weight_decay=0.01),
    Sgd(lr=0.1, momentum=0.9, weight_decay=0.01),
    Momentum(weight_decay=0.1),
    Nesterov(weight_decay=0.1),
    Gd(weight_decay=0.1),
    Adagrad(weight_decay=0.1),
    RmsProp(weight_decay=0.1),
    Adam(weight_decay=0.1),
    AdamW(weight_decay=0.1),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: each.word)
def test_weight_decay_formulas_against_torch(optimizer: Any) -> None:
    weights = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    live = weights.clone().requires_grad_()
    live.grad = torch.zeros_like(weights)
    optimizer.torch([live], optimizer.hyper).step()
    assert expected.SHRINKS[optimizer.word](weights.numpy(), optimizer.hyper) == pytest.approx(
        live.detach().numpy(), rel=1e-9
    )
    assert isinstance(_weight_decay.judge(specimens.with_recipe(specimens.healthy(), optimizer=optimizer), 0.1), Passed)


# --- first loss

SOUND = [
    (specimens.healthy(), math.log(4)),
    (specimens.healthy(loss=CrossEntropy(label_smoothing=0.1)), math.log(4)),
    (specimens.healthy(loss=MulticlassHinge()), 3.0),
    (specimens.healthy(loss=MulticlassHinge(margin=2.0)), 6.0),
    (specimens.healthy(loss=OwnLoss(nn.CrossEntropyLoss(), "torch.nn:CrossEntropyLoss")), math.log(4)),
    (specimens.healthy(loss=OwnLoss(nn.MultiMarginLoss(), "torch.nn:MultiMarginLoss", "scores")), 3 / 4),
    (specimens.binary(), math.log(2)),
    (specimens.binary(build=specimens.mlp(1), loss=Bce()), math.log(2)),
    (specimens.regression(), 1.0),
    (specimens.regression(loss=L1Loss()), None),
    (specimens.regression(loss=Huber(delta=0.5)), None),
]


@pytest.mark.parametrize(("subject", "zero"), SOUND, ids=lambda each: getattr(getattr(each, "loss", None), "word", None))
def test_the_loss_at_zero_is_what_the_formula_says(subject: Any, zero: Any) -> None:
    first = _first_loss.first_loss(subject)
    start = probe.starts(subject, 1)[0]
    batches = zip(start.outputs, start.targets, strict=True)
    at_zero = float(np.mean([subject.loss(output * 0, target).item() for output, target in batches]))
    assert first.zero == pytest.approx(at_zero, rel=1e-5)
    if zero is not None:
        assert first.zero == pytest.approx(zero, rel=5e-3)
    assert abs(first.unexplained) < 5 * first.error


@pytest.mark.parametrize("loss", [CrossEntropy(), MulticlassHinge(), CrossEntropy(label_smoothing=0.2)])
def test_the_loss_is_its_expectation_plus_its_pairing(loss: Any) -> None:
    first = _first_loss.first_loss(specimens.healthy(loss=loss))
    assert [split.expected + split.paired for split in first.splits] == pytest.approx(list(first.losses), rel=1e-4)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 10.0, 100.0])
def test_initial_loss_does_not_mind_the_size_of_the_weights(scale: Any) -> None:
    subject = specimens.healthy(build=specimens.scaled(specimens.mlp(depth=2), scale))
    assert BY_NAME["initial-loss"].fires(subject) is None


def test_initial_loss_asks_for_what_it_cannot_know() -> None:
    report = examine("sanity", specimens.healthy(loss=OwnLoss(specimens.entropy)), SANITY)
    (asked,) = report.findings
    assert (asked.name, asked.severity, report.primary) == ("initial-loss", Severity.NOTE, "healthy")
    assert "expected: ..." in asked.evidence.summary


def test_initial_loss_falls_short_where_targets_leak() -> None:
    def build(_seed: int) -> nn.Module:
        model = nn.Linear(specimens.FEATURES, specimens.CLASSES)
        with torch.no_grad():
            model.weight.zero_()[:, :4] = torch.eye(4) * 6
        return model

    def leaked(split: Any) -> Any:
        inputs, labels = specimens.blobs(split)
        inputs[:, :4] = nn.functional.one_hot(labels, 4)
        return inputs, labels

    evidence = BY_NAME["initial-loss"].fires(specimens.healthy(build=build, batches=specimens.fed(leaked)))
    assert evidence is not None
    assert "leak" in evidence.summary


def test_saturated_logits_are_an_error_and_large_ones_a_warning() -> None:
    judged = [
        BY_NAME["large-logits"].fires(specimens.healthy(build=specimens.scaled(specimens.mlp(), scale)))
        for scale in (1.0, 4.0, 60.0)
    ]
    assert judged[0] is None
    assert judged[1] is not None
    assert judged[1].severity is None
    assert judged[2] is not None
    assert judged[2].severity is Severity.ERROR


def test_a_crash_inside_the_loss_is_foreseen() -> None:
    report = examine("sanity", specimens.healthy(build=specimens.mlp(3)), SANITY)
    assert report.primary == "head-width"
    assert "labels run from 0 to 3" in report.skipped["LS503"]


# --- regularization


@pytest.mark.parametrize("penalty", [L1(1e-3), L2(1e-3), L1(1e-8), L2(10.0), L2(0.3, include_bias=True)])
def test_penalties_rise_by_their_formula(penalty: Any) -> None:
    assert BY_NAME["regularization-raises-loss"].fires(specimens.with_penalty(penalty)) is None


def test_a_distance_from_the_first_weights_is_regularization_too() -> None:
    first = {name: each.detach() for name, each in specimens.mlp()(0).named_parameters()}

    def away(model: nn.Module) -> Any:
        return sum((each - first[name]).square().sum() for name, each in model.named_parameters())

    assert BY_NAME["regularization-raises-loss"].fires(specimens.with_penalty(OwnPenalty(away))) is None


def test_nothing_to_regularize_is_said() -> None:
    with pytest.raises(NotApplicable, match="no regularization"):
        BY_NAME["regularization-raises-loss"].fires(specimens.healthy())


class AlwaysOn(nn.Dropout):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(inputs, self.p, training=True)


class HalfDropout(nn.Dropout):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(inputs, self.p / 2, training=self.training)


@pytest.mark.parametrize(
    ("module", "word"),
    [(nn.Dropout(0.3), None), (nn.Dropout2d(0.5), None), (AlwaysOn(0.3), "evaluation"), (HalfDropout(0.3), "drops 15")],
)
def test_dropout_drops_what_it_says(module: Any, word: Any) -> None:
    answer = _dropout.judge({"here": module})
    assert isinstance(answer, Passed) == (word is None)
    assert word is None or word in answer.summary


# --- data


def test_random_order_is_seldom_called_sorted() -> None:
    luck = np.random.default_rng(0)
    apart = []
    for _ in range(200):
        runs, mean, deviation = expected.runs_of_labels(luck.integers(0, 5, 300))
        apart.append((mean - runs) / deviation)
    assert abs(np.mean(apart)) < 0.3
    assert np.std(apart) == pytest.approx(1, abs=0.15)


def test_sorted_numbers_are_seen() -> None:
    def ordered(split: Any) -> Any:
        inputs, targets = specimens.numbers(split)
        order = targets[:, 0].argsort()
        return inputs[order], targets[order]

    evidence = BY_NAME["unshuffled-data"].fires(specimens.regression(batches=specimens.fed(ordered, shuffle=False)))
    assert evidence is not None
    assert evidence.severity is None


def test_summed_squares_are_named_for_plain_values_too() -> None:
    report = examine("sanity", specimens.regression(loss=Mse(reduction="sum")), SANITY)
    assert report.primary == "summed-loss"
    assert "LS301" in report.skipped


# --- what does not fit is told


class Returning(nn.Module):
    """A net whose forward returns what `shape` makes of its outputs."""

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.layer, self.shape = nn.Linear(specimens.FEATURES, specimens.CLASSES), shape

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.shape(self.layer(inputs))


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (lambda _: None, r"returned None \(a forgotten return\?\); a tensor is meant"),
        (lambda outputs: (outputs, outputs), "returned a tuple; `cross_entropy` takes one tensor"),
        (lambda outputs: {"logits": outputs}, "returned a dict; `cross_entropy` takes one tensor"),
    ],
)
def test_outputs_that_are_no_tensor_are_the_models_fault(shape: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        examine("sanity", specimens.healthy(build=lambda _seed: Returning(shape)), SANITY)


def test_a_loss_of_ones_own_may_take_what_it_likes() -> None:
    def loss(outputs: Any, targets: Any) -> Any:
        return specimens.entropy(outputs["logits"], targets)

    subject = specimens.healthy(build=lambda _seed: Returning(lambda out: {"logits": out}), loss=OwnLoss(loss))
    assert [finding.name for finding in examine("sanity", subject, SANITY).findings] == []


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (
            lambda out, y: specimens.entropy(out, y).item(),
            r"mine:loss returned a float; a scalar tensor is meant \(no .item",
        ),
        (lambda _out, _y: None, r"mine:loss returned None; a scalar tensor is meant \(a forgotten return"),
        (
            lambda out, y: nn.functional.cross_entropy(out, y, reduction="none"),
            r"mine:loss returned a tensor of shape \(32,\); a scalar tensor is meant \(a .mean",
        ),
    ],
)
def test_a_loss_that_is_no_scalar_is_told(loss: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        examine("sanity", specimens.healthy(loss=OwnLoss(loss)), SANITY)


def shrinking(model: nn.Module) -> float:
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(0.9)
    return 0.1


@pytest.mark.parametrize(
    ("penalty", "says"),
    [
        (lambda _model: None, r"mine:penalty returned None; a single number is meant"),
        (lambda model: next(model.parameters()).sum(0), r"mine:penalty returned a tensor of shape \(8,\); .* .sum\(\)"),
        (shrinking, "mine:penalty changes the weights in place"),
    ],
)
def test_a_penalty_that_is_no_number_is_told(penalty: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        examine("sanity", specimens.with_penalty(OwnPenalty(penalty)), SANITY)


def test_a_step_on_a_model_without_parameters_is_told() -> None:
    bare = specimens.healthy(build=specimens.hidden_in_a_list(specimens.mlp()))
    with pytest.raises(UserError, match="no parameters: layers kept in a plain Python list"):
        examine("sanity", specimens.with_step(specimens.plain_step, bare), SANITY)


OWN_OF_TORCH = OwnLoss(nn.CrossEntropyLoss(), "torch.nn:CrossEntropyLoss")


@pytest.mark.parametrize("loss", [CrossEntropy(), MulticlassHinge(), OWN_OF_TORCH], ids=lambda each: str(each.word))
@pytest.mark.parametrize(("shift", "name"), [(-1, "bad-labels"), (1, "head-width")])
@pytest.mark.parametrize("task", ["classification", "unknown"])
def test_labels_that_do_not_fit_are_never_healthy(loss: Any, shift: int, name: str, task: Any) -> None:
    subject = specimens.with_targets(lambda labels: labels + shift, loss=loss, classes=None, task=task)
    assert examine("sanity", subject, SANITY).primary == name


@pytest.mark.parametrize("width", [1, None])
def test_yes_or_no_is_judged_by_all_the_essential_checks(width: int | None) -> None:
    build = specimens.squeezed(specimens.mlp(1)) if width is None else specimens.mlp(width)
    report = examine("sanity", specimens.binary(build=build), SANITY)
    essential = {BY_NAME[name].code for name in ("initial-loss", "summed-loss", "no-gradient", "wrong-sign", "large-logits")}
    assert report.primary == "healthy"
    assert essential <= set(report.passed)


def test_batches_of_one_are_measured_by_twos_and_a_single_one_left_over_not_at_all() -> None:
    ones = specimens.healthy(batches=specimens.fed(specimens.blobs, batch=1), batch_size=1)
    assert {each.size for each in (*fetching.take(ones), *fetching.take(ones, samples=1))} == {2}
    left = specimens.healthy(batches=specimens.fed(specimens.one_left_over))
    assert {each.size for each in fetching.take(left)} == {32}


def test_three_samples_in_one_order_prove_nothing() -> None:
    def few(split: Any) -> Any:
        inputs, labels = specimens.sorted_by_class(split)
        return inputs[:3], labels[:3]

    with pytest.raises(NotApplicable, match="too few"):
        BY_NAME["unshuffled-data"].fires(specimens.healthy(batches=specimens.fed(few, shuffle=False)))


class Wide(nn.Module):
    """A network that makes so many numbers of a sample that it counts as large; it notes how many samples it was given."""

    given: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(specimens.FEATURES, 150_000), nn.Linear(150_000, specimens.CLASSES)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        Wide.given.append(len(inputs))
        scores: torch.Tensor = self.head(self.body(inputs).relu())
        return scores


def test_all_checks_together_ask_a_large_model_for_a_handful_of_batches() -> None:
    def build(seed: int) -> nn.Module:
        with seeded(seed):
            return Wide()

    Wide.given.clear()
    subject = specimens.healthy(build=build)
    report = examine("sanity", subject, SANITY)
    assert [finding.name for finding in report.findings] == []
    whole = next(iter(subject.batches("train", 0))).size
    assert sum(Wide.given) <= 30 * whole, "what was measured is shared, and some samples stand for a batch"
