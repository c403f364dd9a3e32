"""Learning a few samples by heart: the samples, the best that is possible on them, and the verdict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lossdoc import overfitting, samples
from lossdoc.errors import UserCodeError
from lossdoc.findings import Severity
from lossdoc.loop import Tick
from lossdoc.memorization import Memorization
from lossdoc.memorizing import LEFT_OVER
from lossdoc.parts.optimizers import Adam, Optimizer, Sgd
from lossdoc.parts.regularizers import L2
from lossdoc.subject import Batch, OwnStep, Recipe, Subject
from tests.subjects import digits, digits_pairs, mlp, subject


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def on_digits(optimizer: Optimizer, **known: Any) -> Subject:
    return subject(digits_pairs(), known.pop("build", mlp(64, 10, 64)), optimizer, **known)


def frozen(seed: int) -> nn.Module:
    return mlp(64, 10)(seed).requires_grad_(requires_grad=False)


def uphill(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer) -> Tensor:
    inputs, targets = batch
    loss = nn.functional.cross_entropy(model(inputs), targets)
    optimizer.zero_grad()
    (-loss).backward()  # type: ignore[no-untyped-call]  # torch's own
    optimizer.step()
    return loss


def names(found: Memorization) -> set[str]:
    return {finding.name for finding in overfitting.report(found).findings}


def product(rows: int = 200) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :1] * inputs[:, 1:2]


# which samples ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "most"), [(64, 7), (10, 1), (20, 2), (1, 1)])
def test_samples_are_spread_evenly_over_the_classes(count: int, most: int) -> None:
    drawn = samples.collect(on_digits(Adam(lr=1e-3)), count)
    held = torch.bincount(drawn.targets, minlength=10)
    assert drawn.size == count
    assert held.max() <= most
    assert held.max() - held.min() <= 1


def test_classes_that_come_late_in_sorted_data_are_found() -> None:
    x, y, *_ = digits()
    order = y.argsort()
    drawn = samples.collect(subject({"train": (x[order], y[order])}, mlp(64, 10), shuffled=False), 64)
    assert torch.bincount(drawn.targets, minlength=10).tolist() == [7, 7, 7, 7, 6, 6, 6, 6, 6, 6]


def test_few_data_are_taken_whole_and_no_batch_is_of_one() -> None:
    x, y, *_ = digits()
    drawn = samples.collect(subject({"train": (x[:33], y[:33])}, mlp(64, 10), classes=10), 64)
    assert sorted(drawn.targets.tolist()) == sorted(y[:33].tolist())
    assert [batch.size for batch in samples.split(drawn, 16, torch.randperm(33))] == [16, 17]


def test_named_inputs_stay_named() -> None:
    batch = Batch({"a": torch.arange(6.0), "b": torch.ones(6, 2)}, torch.arange(6))
    parts = samples.split(batch, 4, torch.tensor([5, 4, 3, 2, 1, 0]))
    assert parts[0].inputs["a"].tolist() == [5, 4, 3, 2]
    assert samples.joined(parts).inputs["b"].shape == (6, 2)


# the best that is possible ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=7))
def test_the_ceiling_is_what_the_best_of_all_functions_reaches(pairs: list[tuple[int, int]]) -> None:
    inputs, targets = (torch.tensor(column) for column in zip(*pairs, strict=True))
    functions = itertools.product(range(3), repeat=3)  # all maps from the three inputs to the three labels
    best = max(sum(function[x] == y for x, y in pairs) for function in functions)
    found = samples.ceiling(Batch(inputs, targets), "classification")
    assert found.accuracy == pytest.approx(best / len(pairs))
    assert found.missed == len(pairs) - best


@settings(max_examples=30, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12))
def test_the_ceiling_of_the_loss_is_the_conditional_entropy(pairs: list[tuple[int, int]]) -> None:
    inputs, targets = (torch.tensor(column) for column in zip(*pairs, strict=True))
    counts = torch.zeros(3, 3, dtype=torch.float64).index_put_(
        (inputs, targets), torch.tensor(1.0).double(), accumulate=True
    )
    frequencies = counts / counts.sum(1, keepdim=True).clamp_min(1)
    oracle = -(counts * frequencies.clamp_min(1e-300).log()).sum() / len(pairs)
    assert samples.ceiling(Batch(inputs, targets), "classification").loss == pytest.approx(float(oracle), abs=1e-9)


def test_what_follows_each_token_is_foretold_from_those_before_it_whatever_the_task_is_called() -> None:
    tokens = torch.tensor([[1, 2, 3], [1, 4, 5]])  # after a 1 comes a 2 or a 4: one of the two must be missed
    assert samples.ceiling(Batch(tokens[:, :-1], tokens[:, 1:]), "unknown").missed == 1
    assert samples.ceiling(Batch(tokens[:, :-1], 5 - tokens[:, 1:]), "unknown").missed == 0


def test_a_regression_of_contradictory_targets_keeps_their_variance() -> None:
    batch = Batch(torch.tensor([[1.0], [1.0], [2.0]]), torch.tensor([[0.0], [4.0], [9.0]]))
    found = samples.ceiling(batch, "regression")
    assert found.loss == pytest.approx((4 + 4 + 0) / 3)
    assert found.missed == 2


def test_a_token_is_told_from_another_by_all_that_came_before_it() -> None:
    inputs = torch.tensor([[1, 2, 3], [1, 2, 4]])
    targets = torch.tensor(
        [[2, 3, 0], [2, 4, -100]]
    )  # after "1 2" come 3 and 4: one of them is missed; -100 counts as missed
    found = samples.ceiling(Batch(inputs, targets), "language")
    assert found.missed == 2
    assert found.accuracy == pytest.approx(4 / 6)
    assert samples.ceiling(Batch(inputs, targets + 1), "classification").missed == 1  # a tag of each token, not the next


# learning by heart --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "build"),
    [
        (Adam(lr=1e-2), mlp(64, 10, 64)),
        (Adam(lr=1e-3), mlp(64, 10, 128)),
        (Sgd(lr=1e-1), mlp(64, 10, 64)),
        (Sgd(lr=3e-2, momentum=0.9), mlp(64, 10, 100, std=0.01)),  # begins with a long plateau
    ],
)
def test_a_healthy_network_is_healthy_at_its_own_rate(optimizer: Optimizer, build: Callable[[int], nn.Module]) -> None:
    told: list[Tick] = []
    found = overfitting.memorize(on_digits(optimizer, build=build), watch=told.append)
    report = overfitting.report(found)
    assert report.primary == "healthy"
    assert report.findings == ()
    assert report.passed == ("LS601",)
    assert found.reached is found.attempts[0]
    assert told[-1].train.accuracy == 1.0
    assert [tick.step for tick in told] == list(range(4, found.attempts[0].steps + 1, 4))


def test_the_score_is_that_of_the_trained_model_on_all_samples() -> None:
    made: list[nn.Module] = []

    def build(seed: int) -> nn.Module:
        made.append(mlp(64, 10)(seed))
        return made[-1]

    case = on_digits(Adam(lr=1e-3), build=build)
    found = overfitting.memorize(case, steps=20)
    drawn = samples.collect(case, 64)
    right = (made[-1](drawn.inputs).argmax(1) == drawn.targets).double().mean()
    assert found.attempts[-1].score == pytest.approx(float(right))
    assert found.attempts[-1].evaluated == pytest.approx(float(right))


def test_regularization_is_off_and_the_same_run_comes_out_again() -> None:
    plain = on_digits(Adam(lr=1e-2))
    heavy = replace(plain, recipe=replace(plain.recipe, penalties=(L2(100.0),)))
    first, second = overfitting.memorize(plain), overfitting.memorize(heavy)
    assert first.curve.train.value.tolist() == second.curve.train.value.tolist()


def test_a_much_too_high_rate_is_named_and_another_one_passes() -> None:
    found = overfitting.memorize(on_digits(Sgd(lr=10.0)))
    report = overfitting.report(found)
    assert report.primary == "healthy"
    assert [(finding.name, finding.severity) for finding in report.findings] == [("lr-too-high", Severity.WARNING)]
    assert found.reached is not None
    assert found.reached.lr == pytest.approx(1.0)


def test_a_too_low_rate_is_named_and_another_one_passes() -> None:
    found = overfitting.memorize(on_digits(Adam(lr=1e-3)), steps=100)
    assert [attempt.ended for attempt in found.attempts] == ["out of steps", "reached"]
    report = overfitting.report(found)
    assert [(finding.name, finding.severity) for finding in report.findings] == [("lr-too-low", Severity.WARNING)]


@pytest.mark.parametrize(
    ("sick", "wanted"),
    [
        (lambda: on_digits(Adam(lr=1e-2), build=frozen), "not-learning"),
        (lambda: on_digits(Sgd(lr=1e-2), recipe=Recipe(Sgd(lr=1e-2), step=OwnStep("mine", uphill))), "rising"),
        (lambda: on_digits(Adam(lr=1e-3), recipe=Recipe(Adam(lr=1e-3), step=OwnStep("mine", uphill))), "rising"),
        (lambda: on_digits(Sgd(lr=1e-2), build=lambda seed: nn.Sequential(mlp(64, 10)(seed), Overflow())), "non-finite"),
    ],
    ids=["frozen", "uphill", "uphill-adam", "overflow"],
)
def test_a_failed_curve_is_named(sick: Callable[[], Subject], wanted: str) -> None:
    found = overfitting.memorize(sick())
    report = overfitting.report(found)
    assert report.primary == "overfit-subset"
    assert wanted in names(found)
    assert len(found.attempts) == 3
    facts = report.findings[0].evidence.facts
    assert {"measured", "expected", "tolerance", "steps"} <= set(facts)
    assert facts["expected"] == 1.0


class Overflow(nn.Module):
    def forward(self, outputs: Tensor) -> Tensor:
        return outputs * 1e38 * 1e5


def test_contradictory_labels_are_a_ceiling_that_may_be_reached() -> None:
    x, y, *_ = digits()
    inputs = torch.cat([x[:30], x[:1], x[:1]])
    targets = torch.cat([y[:30], (y[:2] + 5) % 10])
    targets[31] = targets[0]  # two of three copies agree: one answer of 32 must be wrong
    found = overfitting.memorize(subject({"train": (inputs, targets)}, mlp(64, 10, 64), Adam(lr=1e-2), classes=10))
    report = overfitting.report(found)
    assert found.contradictory == 1
    assert found.goal == pytest.approx(31 / 32)
    assert report.primary == "healthy"
    assert "identical inputs" in report.notes[0]


def test_a_regression_is_known_when_one_percent_of_the_variance_is_left() -> None:
    case = subject({"train": product()}, mlp(3, 1, 64), Adam(lr=1e-2))
    found = overfitting.memorize(case)
    drawn = samples.collect(case, 64)
    variance = float(drawn.targets.var(correction=0))
    assert overfitting.report(found).primary == "healthy"
    assert found.goal == LEFT_OVER
    assert found.curve.train.value[-1] / variance == pytest.approx(found.attempts[0].score, rel=1e-3)
    assert found.attempts[0].score <= LEFT_OVER


def test_a_model_that_cannot_express_the_targets_fails() -> None:
    found = overfitting.memorize(subject({"train": product()}, lambda _: nn.Linear(3, 1), Adam(lr=1e-2)), steps=300)
    assert overfitting.report(found).primary == "overfit-subset"
    assert min(attempt.score for attempt in found.attempts) > 0.5  # a product has no linear part


def test_running_averages_that_disagree_are_a_warning() -> None:
    class Spoiled(nn.BatchNorm1d):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) if self.training else -super().forward(inputs)

    def build(kind: type[nn.BatchNorm1d]) -> Callable[[int], nn.Module]:
        def made(seed: int) -> nn.Module:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return nn.Sequential(nn.Linear(64, 64), kind(64), nn.ReLU(), nn.Linear(64, 10))

        return made

    healthy = overfitting.report(overfitting.memorize(on_digits(Adam(lr=1e-2), build=build(nn.BatchNorm1d))))
    assert healthy.findings == ()
    spoiled = overfitting.report(overfitting.memorize(on_digits(Adam(lr=1e-2), build=build(Spoiled))))
    assert spoiled.primary == "healthy"
    assert [(finding.name, finding.severity) for finding in spoiled.findings] == [("overfit-subset", Severity.WARNING)]


def test_what_cannot_be_counted_is_not_judged() -> None:
    case = replace(on_digits(Adam(lr=1e-3)), task="unknown")
    found = overfitting.memorize(case, steps=30)
    report = overfitting.report(found)
    assert found.measure is None
    assert report.skipped.keys() == {"LS601"}
    assert report.findings == ()


def test_the_users_own_mistake_is_the_users() -> None:
    def broken(_model: nn.Module, _batch: Batch, _optimizer: object) -> Tensor:
        raise KeyError("pixels")

    with pytest.raises(UserCodeError, match="mine raised KeyError"):
        overfitting.memorize(on_digits(Adam(lr=1e-3), recipe=Recipe(Adam(lr=1e-3), step=OwnStep("mine", broken))))


def test_a_stall_is_half_of_the_attempt_without_a_record() -> None:
    found = overfitting.memorize(on_digits(Adam(lr=1e-2), build=frozen))
    assert {attempt.ended for attempt in found.attempts} == {"stalled"}
    assert all(100 < attempt.steps < 200 for attempt in found.attempts)
    assert math.isclose(found.attempts[0].curve.train.value.min(), found.attempts[0].curve.train.value.max(), rel_tol=1e-5)
