"""Experiments: their scores against what can be computed by hand, their comparison, their limits in time."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lossdoc import experiments, specimens
from lossdoc.errors import NotApplicable
from lossdoc.experiments import Experiments, Gain, Pace, paced, planned
from lossdoc.parts.losses import Huber, L1Loss
from lossdoc.parts.optimizers import Adam, Sgd
from lossdoc.samples import thinned
from lossdoc.scoring import Yardstick
from lossdoc.specimens import SAMPLES, OwnLoss
from lossdoc.subject import OwnStep, Subject

torch.set_num_threads(1)
SEEDS = (0, 1, 2)
SCORES = st.lists(st.floats(0, 1), min_size=3, max_size=5)


def of(subject: Subject, steps: int = 20, **known: Any) -> Experiments:
    return Experiments(subject, SEEDS, steps, **known)


def silent(seed: int) -> nn.Module:
    model = specimens.mlp(1)(seed)
    with torch.no_grad():
        for each in model.parameters():
            each.zero_()
    return model.requires_grad_(requires_grad=False)


# --- scores


def test_a_score_is_the_accuracy_of_the_trained_model() -> None:
    tried = of(specimens.healthy())
    inputs, labels = specimens.blobs("validation")
    share = (tried.trained.eval()(inputs).argmax(1) == labels).double().mean()
    assert tried.baseline.scores[0] == pytest.approx(float(share))
    assert tried.baseline.measure == "accuracy"


def test_a_score_of_values_is_the_explained_variance() -> None:
    tried = of(specimens.regression())
    inputs, targets = specimens.numbers("validation")
    error = (tried.trained.eval()(inputs) - targets).detach().square().mean()
    right = 1 - float(error / targets.var(unbiased=False))
    assert tried.baseline.scores[0] == pytest.approx(right, abs=1e-5)


@pytest.mark.parametrize("loss", [L1Loss(), Huber(), OwnLoss(nn.MSELoss(), "torch.nn:MSELoss", "values")])
def test_the_score_does_not_depend_on_the_loss_it_was_trained_with(loss: Any) -> None:
    tried = of(specimens.regression(loss=loss), steps=10)
    inputs, targets = specimens.numbers("validation")
    error = (tried.trained.eval()(inputs) - targets).detach().square().mean()
    assert tried.baseline.scores[0] == pytest.approx(1 - float(error / targets.var(unbiased=False)), abs=1e-5)


def test_the_loss_of_the_curve_and_the_answers_of_the_model_score_alike() -> None:
    subject = specimens.regression()
    tried, stick = of(subject), Yardstick.of(subject)
    assert stick.reads_curves
    by_answers, by_curve = (
        stick.of_model(tried.trained, "validation"),
        stick.of_trial(tried.baseline.trials[0], "validation"),
    )
    assert by_answers == pytest.approx(by_curve, abs=1e-5)


def test_the_own_step_is_scored_by_the_models_answers() -> None:
    tried = of(specimens.with_step(specimens.plain_step))
    assert tried.baseline.measure == "accuracy"
    assert min(tried.baseline.scores) > tried.chance
    assert min(tried.baseline.train_scores) > 0.5


def test_without_a_known_answer_the_fall_of_the_loss_counts() -> None:
    subject = specimens.healthy(task="unknown", loss=OwnLoss(specimens.entropy))
    tried = of(subject)
    assert tried.baseline.measure == "fall of the loss"
    curve = tried.baseline.curve
    assert curve.val is not None
    first, last = float(curve.train.value[0]), float(curve.val.value[-1])
    assert tried.baseline.scores[0] == pytest.approx((first - last) / first)
    assert tried.chance == 0.0


def test_chance_is_the_share_of_the_most_frequent_class() -> None:
    _, labels = specimens.blobs("validation")
    assert of(specimens.healthy()).chance == pytest.approx(float(torch.bincount(labels).max() / SAMPLES))
    assert of(specimens.regression()).chance == 0.0


def test_who_answers_the_mean_explains_nothing() -> None:
    subject = specimens.with_recipe(specimens.regression(build=silent), optimizer=Sgd(lr=0.1))
    stick = Yardstick.of(subject)
    assert stick.of_model(subject.build(0), "validation") == pytest.approx(0, abs=1e-6)


def test_what_diverged_scores_what_knowing_nothing_scores() -> None:
    tried = of(specimens.with_recipe(specimens.regression(), optimizer=Sgd(lr=1e6)))
    assert tried.baseline.diverged == 1.0
    assert tried.baseline.scores == (0.0, 0.0, 0.0)


def test_a_broadcast_loss_does_not_flatter() -> None:
    """A loss of (B, B) pairs is lowest where every answer is the mean: nothing is explained by that."""
    flat = specimens.regression(build=specimens.squeezed(specimens.mlp(1)), loss=OwnLoss(nn.MSELoss(), takes="values"))
    with pytest.warns(UserWarning, match="target size"):
        score = of(specimens.with_recipe(flat, optimizer=Adam(lr=0.01)), 40).baseline.score
    assert score < 0.1


# --- the comparison


@given(SCORES, st.floats(-0.5, 0.5))
@settings(max_examples=60, deadline=None)
def test_a_gain_turned_around_is_a_loss(scores: list[float], shift: float) -> None:
    after = [score + shift * (1 + 0.1 * index) for index, score in enumerate(scores)]
    forth, back = Gain.between(scores, after, 100), Gain.between(after, scores, 100)
    assert forth.mean == pytest.approx(-back.mean)
    assert forth.error == pytest.approx(back.error)
    assert forth.p + back.p == pytest.approx(1, abs=1e-6)
    assert forth.error >= math.sqrt(min(1.0, abs(forth.mean)) / 100) - 1e-12


@pytest.mark.parametrize(
    ("apart", "p"),
    [((0.1, 0.2, 0.3), 0.0371), ((0.3, 0.3, 0.31), 0.0000602), ((-0.1, 0.1, 0.0), 0.5), ((-0.2, -0.2, -0.21), 0.99987)],
)  # the quantiles of Student's t with two degrees of freedom, 1/2 − t / 2√(2 + t²)
def test_p_is_that_of_students_t(apart: tuple[float, ...], p: float) -> None:
    assert Gain.between((0.5, 0.5, 0.5), [0.5 + each for each in apart]).p == pytest.approx(p, rel=0.02)


def test_few_samples_make_a_gain_unsure_however_well_the_seeds_agree() -> None:
    alike = (0.5, 0.5, 0.5), (0.6, 0.6, 0.6)
    assert Gain.between(*alike, samples=10_000).p < 1e-6
    assert Gain.between(*alike, samples=10).p > 0.1


def test_one_seed_proves_nothing() -> None:
    gain = Gain.between([0.1], [0.9])
    assert (gain.mean, gain.p) == (0.8, 1.0)
    assert math.isinf(gain.error)


# --- experiments


def test_an_experiment_is_made_once_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    tried = of(specimens.healthy(), 5)
    assert tried.tried("x", tried.subject) is tried.tried("x", tried.subject, longer=9)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seeds_give_the_same_scores() -> None:
    first, second = (of(specimens.healthy(), 8).baseline for _ in range(2))
    assert first.scores == second.scores
    assert len(set(first.scores)) > 1


def test_five_seeds_are_the_first_three_and_two_more() -> None:
    tried = of(specimens.healthy(), 8)
    assert tried.repeated.scores[:3] == tried.baseline.scores
    assert tried.repeated.scores == Experiments(tried.subject, (0, 1, 2, 3, 4), 8).baseline.scores
    assert len(tried.repeated.trials) == 5


def test_longer_is_longer() -> None:
    tried = of(specimens.healthy(), 6)
    assert tried.tried("more", tried.subject, longer=2.5).steps == 15
    assert len(tried.done["more"].curve.train) == 15


def test_nothing_begins_that_would_not_end_in_time() -> None:
    tried = of(specimens.healthy(), 5)
    assert tried.baseline.steps == 5
    tried.until = time.monotonic() + 60
    tried.pace = Pace(5.0, 10.0)
    with pytest.raises(NotApplicable, match="--budget"):
        tried.tried("longer", tried.subject, longer=2)
    assert "longer" not in tried.done


@pytest.mark.parametrize(("steps", "shortened"), [(100, 1.0), (50, 2.0), (200, 1.0)])
def test_shortened_is_the_configured_length_over_this_one(steps: int, shortened: float) -> None:
    assert of(specimens.healthy(), steps).shortened == shortened  # 10 epochs of 10 batches


def test_plans_are_no_longer_than_the_configured_training_and_than_there_is_time() -> None:
    subject = specimens.healthy()
    pace = Pace(0.0, 0.01)
    assert planned(subject, pace) == 100
    assert planned(replace(subject, recipe=replace(subject.recipe, epochs=1_000)), pace) == experiments.USUAL
    assert planned(replace(subject, recipe=replace(subject.recipe, epochs=1_000)), pace, 1e-3) == 1
    assert planned(replace(subject, recipe=replace(subject.recipe, max_steps=7)), pace, 1.0) == 7


@pytest.mark.parametrize(("seconds", "steps"), [(36.0, 450), (6.0, 100), (0.6, 20), (1e9, 2_000)])
def test_plans_leave_time_for_eight_trainings_or_else_for_three(seconds: float, steps: int) -> None:
    subject = specimens.with_recipe(specimens.healthy(), epochs=1_000)
    assert planned(subject, Pace(0.0, 0.01), seconds) == pytest.approx(steps, abs=1)
    assert planned(subject, Pace(0.1, 0.01), seconds + 3) <= planned(subject, Pace(0.0, 0.01), seconds + 3)


def test_the_pace_tells_what_a_training_takes() -> None:
    pace = paced(specimens.with_recipe(specimens.healthy(), epochs=1_000), SEEDS)
    assert pace.step > 0
    assert pace.fixed >= 0
    assert pace.seconds(10) == pytest.approx(pace.fixed + 10 * pace.step)


@pytest.mark.parametrize(("left", "room"), [(math.inf, 10.0), (40.0, 4.0), (24.0, 2.0), (1.0, 1.0)])
def test_the_room_is_for_half_of_the_time_that_is_left(left: float, room: float) -> None:
    tried = of(specimens.healthy(), 10, until=time.monotonic() + left, pace=Pace(2.0, 0.2))
    assert tried.room(2) == pytest.approx(room, abs=0.01)


@pytest.mark.parametrize("rate", [1e-3, 1e9])
def test_the_pace_is_that_of_a_training_which_does_not_diverge(rate: float) -> None:
    subject = specimens.with_recipe(specimens.regression(), optimizer=Sgd(lr=rate), epochs=1_000)
    assert planned(subject, paced(subject, SEEDS), 60.0) == experiments.USUAL


def test_what_diverges_at_once_has_a_pace_too() -> None:
    broken = specimens.healthy(build=specimens.scaled(specimens.mlp(), math.inf))
    assert paced(broken, SEEDS).step > 0


def test_a_large_validation_split_is_judged_by_a_part_that_is_always_the_same(monkeypatch: Any) -> None:
    subject = specimens.healthy()
    whole = subject.sizes["validation"] or 0
    monkeypatch.setattr(experiments, "JUDGED", 20)
    few = [thinned(subject, "validation", 20) for _ in range(2)]
    first, second = ([batch.inputs for batch in one.batches("validation", 0)] for one in few)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert sum(map(len, first)) == of(subject, 5).samples == 20 < whole
    assert {tuple(row.tolist()) for part in first for row in part} <= {
        tuple(row.tolist()) for batch in subject.batches("validation", 0) for row in batch.inputs
    }
    assert thinned(subject, "validation", whole) is subject


# --- how far the weights move


class Scaled(Sgd):
    """Moves each weight by a fixed share of itself."""

    def update(self, parameter: Tensor, gradient: Tensor, slots: Any, hyper: Any, taken: int) -> tuple[Tensor, Any]:  # noqa: ARG002
        return parameter * (1 + hyper["lr"]), slots


@pytest.mark.parametrize("rate", [1e-5, 1e-3, 0.1])
def test_update_ratios_are_the_share_by_which_weights_change(rate: float) -> None:
    subject = specimens.with_recipe(specimens.healthy(), optimizer=Scaled(lr=rate), schedule=lambda _step, _total: 0.0)
    ratios = of(subject).update_ratios
    assert list(ratios) == ["0.weight", "2.weight"]
    assert list(ratios.values()) == pytest.approx([math.log10(rate)] * 2, abs=0.01)


def test_weights_that_stay_have_no_finite_ratio() -> None:
    step = OwnStep("mine:step", specimens.idle_step)
    ratios = of(specimens.with_recipe(specimens.healthy(), step=step)).update_ratios
    assert set(ratios.values()) == {-math.inf}
