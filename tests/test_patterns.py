"""Every pattern on its own examples, what all patterns must be, and the laws that hold for any curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossdoc import synthetic
from lossdoc.curve import Axis, Context, Curve, Floats, Runs, Series
from lossdoc.diagnosis import examine_curve, examine_runs
from lossdoc.errors import NotApplicable
from lossdoc.features import falls, folding
from lossdoc.features.certainty import MOST
from lossdoc.findings import Severity
from lossdoc.rule import Rule, patterns

RULES = patterns.all()
ERRORS = {
    "not-learning",
    "overfitting",
    "rising",
    "non-finite",
    "lr-too-high",
    "double-softmax",
    "underfitting",
    "run-to-run-variance",
}
WARNINGS = {"slow-learning", "slow-start", "periodic", "noisy-validation", "spikes", "initial-loss-off"}
ABSOLUTE = {"double-softmax", "initial-loss-off", "underfitting"}  # they know what a loss in nats must be


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_fires_on_its_examples_and_is_the_verdict(rule: Rule[Curve]) -> None:
    for make in rule.fires_on:
        thing = make()
        evidence = rule.fires(thing)
        assert evidence is not None
        assert 0.5 <= evidence.confidence <= (1.0 if rule.name == "non-finite" else MOST)
        report = examine_runs(thing) if isinstance(thing, Runs) else examine_curve(thing)
        assert rule.name in [finding.name for finding in report.findings]
        if rule.severity != Severity.NOTE:
            assert report.primary == rule.name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_is_quiet_where_it_must(rule: Rule[Curve]) -> None:
    assert [make for make in rule.quiet_on if rule.fires(make()) is not None] == []


@pytest.mark.parametrize(
    "make",
    [
        synthetic.healthy,
        synthetic.healthy_epochs,
        synthetic.batch_of_one,
        synthetic.below_train,
        synthetic.few_steps,
        synthetic.at_once,
        synthetic.low_from_the_first_epoch,
    ],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("seed", range(5))
def test_healthy_curves_are_healthy(make: Callable[[int], Curve], seed: int) -> None:
    assert examine_curve(make(seed)).primary == "healthy"


def test_rules_are_well_formed() -> None:
    assert [code for code, many in Counter(rule.code for rule in RULES).items() if many > 1] == []
    assert {rule.name for rule in RULES if rule.severity == Severity.ERROR} == ERRORS
    assert {rule.name for rule in RULES if rule.severity == Severity.WARNING} == WARNINGS
    names = set(patterns.names())
    for rule in RULES:
        assert rule.name in names
        assert set(rule.mutes) <= names - {rule.name}
        assert rule.matter in {"Curve", "Runs", "Curve | Runs"}
        assert rule.page.summary
        for heading in ("Causes", "Confirm with", "Try", "Sources"):
            assert all(rule.page.bullets(heading))
            assert rule.page.sections[heading].startswith("- ")


def test_mutes_has_no_cycle() -> None:
    mutes = {rule.name: set(rule.mutes) for rule in RULES}
    while free := [name for name, muted in mutes.items() if not muted]:
        mutes = {name: muted - set(free) for name, muted in mutes.items() if name not in free}
    assert mutes == {}


CURVES = [make for rule in RULES if rule.name not in ABSOLUTE for make in rule.fires_on if isinstance(make(), Curve)]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CURVES), st.floats(1e-6, 1e6))
def test_the_unit_of_the_loss_does_not_matter(make: Callable[[], Curve], factor: float) -> None:
    curve = make()
    curve = replace(curve, context=replace(curve.context, classes=None))
    val = None if curve.val is None else replace(curve.val, value=curve.val.value * factor)
    scaled = replace(curve, train=replace(curve.train, value=curve.train.value * factor), val=val)
    ignore = sorted(ABSOLUTE)
    before, after = examine_curve(curve, ignore=ignore), examine_curve(scaled, ignore=ignore)
    assert [finding.name for finding in before.findings] == [finding.name for finding in after.findings]


def thinned(curve: Curve, every: int, first: int) -> Curve:
    """Keep one of `every` training losses; validation losses that are not logged as often stay."""
    train = Series(curve.train.step[first::every], curve.train.value[first::every])
    val = curve.val
    if val is not None and len(val) == len(curve.train):
        val = Series(val.step[first::every], val.value[first::every])
    return replace(curve, train=train, val=val)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([synthetic.healthy, synthetic.few_steps, *CURVES]), st.sampled_from([(2, 0), (2, 1), (3, 0)]))
def test_half_or_a_third_of_the_points_give_the_same_verdict(make: Callable[[], Curve], kept: tuple[int, int]) -> None:
    curve = make()
    verdict, few = examine_curve(curve).primary, thinned(curve, *kept)
    assume(verdict != "spikes")  # a spike that is left out is gone
    assume(len(few.train) >= 40)  # noise hides the trend of fewer
    assert examine_curve(few).primary in {verdict, "inconclusive"}


@pytest.mark.parametrize("loss", ["mse", "bce", "gaussian_nll", "l1"])
def test_what_is_no_softmax_has_no_floor_of_its_own(loss: str) -> None:
    curve = synthetic.double_softmax()
    report = examine_curve(replace(curve, context=replace(curve.context, loss=loss)))
    assert f"the loss is {loss}" in report.skipped[patterns.get("double-softmax").code]
    named = examine_curve(replace(curve, context=replace(curve.context, loss="cross_entropy")))
    assert named.primary == "double-softmax"


def test_single_samples_with_a_loss_of_zero_now_and_then_are_no_spikes() -> None:
    random = np.random.default_rng(3)
    margins = random.normal(np.linspace(0, 4, 1500), 3)
    loss = np.where(margins > 9, 0.0, np.log1p(np.exp(-margins)))
    for classes in (2, None):
        report = examine_curve(synthetic.curve(loss, classes=classes))
        assert "spikes" not in [finding.name for finding in report.findings]


def test_a_noisy_low_point_is_no_level_to_regret() -> None:
    fired = [seed for seed in range(40) if patterns.get("lr-too-high").fires(synthetic.few_steps(seed)) is not None]
    assert fired == []


def smoothed(values: Floats, weight: float) -> Floats:
    """Return the exponential running mean."""
    means, mean = [], float(values[0])
    for value in values:
        mean = weight * mean + (1 - weight) * float(value)
        means.append(mean)
    return np.array(means)


def test_a_fall_is_out_of_the_question_as_rarely_as_the_level_says() -> None:
    random = np.random.default_rng(0)
    for points, weight in ((15, 0.0), (300, 0.0), (300, 0.6)):
        runs = [np.linspace(0.1, 0, points) + smoothed(random.normal(0, 0.1, points), weight) for _ in range(1000)]
        assert sum(falls.fall(run).below(0.1) for run in runs) < 25
    assert falls.fall(np.full(9, 2.3)).below(0.01)
    assert not falls.fall(np.linspace(2, 1, 9)).below(0.5)
    assert not falls.fall(np.array([1.0, 1.0])).below(0.5)


def test_a_handful_of_losses_does_not_tell_of_how_many_classes_they_are() -> None:
    few = Curve(Series.of([1, 0.9, 0.8, 0.7, 0.65, 0.6, 0.58, 0.56, 0.55]))
    with pytest.raises(NotApplicable, match="too short"):
        patterns.get("double-softmax").fires(few)


@pytest.mark.parametrize("points", [10, 15, 30, 60])
def test_too_few_noisy_steps_prove_neither_that_nothing_is_learned_nor_that_it_has_leveled_off(points: int) -> None:
    said = Counter[str]()
    for seed in range(60):
        random = np.random.default_rng(seed)
        loss = 2.3 * np.linspace(1, 1 - 0.004 * points, points) * (1 + 0.12 * random.normal(size=points))
        said.update([examine_curve(synthetic.curve(loss, classes=None)).primary])
    assert said["healthy"] + said["slow-learning"] + said["inconclusive"] >= 56


def test_weights_that_do_not_change_show_in_validation_however_short_the_log() -> None:
    loss = 2.3 * (1 + 0.1 * np.random.default_rng(1).normal(size=12))
    assert examine_curve(synthetic.curve(loss, np.full(12, 2.31))).primary == "not-learning"
    assert examine_curve(synthetic.curve(loss)).primary == "inconclusive"


@pytest.mark.parametrize("classes", [None, 10])
def test_batch_normalization_that_settles_is_no_learning_and_no_rate_too_high(classes: int | None) -> None:
    said = Counter[str]()
    for seed in range(20):
        made = synthetic.never_trained(seed, points=30)
        said.update([examine_curve(replace(made, context=Context(axis="epoch", classes=classes))).primary])
    assert said["not-learning"] >= 18  # white noise fails one test in fifty
    assert set(said) <= {"not-learning", "inconclusive"}


def test_weights_that_jump_above_the_loss_of_a_guess_do_move() -> None:
    random = np.random.default_rng(5)
    loss, val = (2.9 * (1 + noise * random.normal(size=40)) for noise in (0.03, 0.08))
    assert examine_curve(synthetic.curve(loss, val, axis="step")).primary == "lr-too-high"
    still = 2.9 * (1 + 1e-3 * random.normal(size=40))
    assert examine_curve(synthetic.curve(loss, still, axis="step")).primary == "not-learning"


def test_a_loss_that_hardly_falls_is_not_healthy() -> None:
    random = np.random.default_rng(6)
    noise = 1e-4 * random.normal(size=(2, 12))
    hardly, tangibly = (curve * np.linspace(1, end, 12) + noise for curve, end in ((2.3, 0.995), (2.3, 0.9)))
    said = [examine_curve(synthetic.curve(*each, classes=None, axis="epoch"), ignore=["slow-learning"])
            for each in (hardly, tangibly)]  # fmt: skip
    assert [report.primary for report in said] == ["inconclusive", "healthy"]
    assert "has fallen by 0.5 % only" in str(said[0].inconclusive)
    flat = [1 + 0.3 * np.random.default_rng(seed).normal(size=30) for seed in range(40)]
    assert [examine_curve(synthetic.curve(each, classes=None)).primary for each in flat].count("healthy") <= 2


def late_cliff(noise: float, seed: int) -> Curve:
    """Lie flat for a third of the run, then fall, in noise that is the same throughout."""
    loss = 2 + 2.2 / (1 + np.exp((np.arange(300) - 100) / 15))
    return synthetic.curve(loss + noise * np.random.default_rng(seed).normal(size=300), classes=None)


def test_a_plateau_that_noise_could_be_leaves_it_open() -> None:
    said = {noise: Counter(examine_curve(late_cliff(noise, seed)).primary for seed in range(20)) for noise in (0.1, 0.6)}
    assert said[0.1]["slow-start"] >= 18
    assert said[0.6]["inconclusive"] >= 4


def test_a_descent_that_comes_late_is_no_wandering() -> None:
    rule = patterns.get("lr-too-high")
    assert sum(rule.fires(late_cliff(noise, seed)) is not None for noise in (0.2, 0.4, 0.6) for seed in range(20)) == 0


NAN = np.array([np.nan])


@pytest.mark.parametrize(
    ("loss", "rate_first"),
    [
        (synthetic.exploded().train.value, True),
        (np.r_[2.3 + np.linspace(0, 3, 60), NAN], True),
        (np.array([2.3, 2.2, 4.9, 80, np.inf]), True),
        (synthetic.broken_off().train.value, False),
        (np.r_[synthetic.healthy().train.value, NAN], False),
        (np.r_[2.3, NAN, NAN], False),
        (np.r_[NAN, NAN, NAN], False),
    ],
)
def test_a_rate_too_high_is_the_first_cause_where_the_loss_was_on_its_way_up(loss: Floats, rate_first: bool) -> None:
    (finding,) = examine_curve(synthetic.curve(loss)).findings
    assert finding.name == "non-finite"
    assert finding.causes[0 if rate_first else -1].startswith("the learning rate is too high")
    assert finding.remedies[0].startswith("lower the learning rate") == rate_first
    assert len(finding.causes) == 4


def test_noise_around_zero_is_no_level_to_be_stuck_at() -> None:
    noise = [np.random.default_rng(seed).normal(size=1000) for seed in range(30)]
    assert "not-learning" not in {examine_curve(synthetic.curve(loss, classes=None)).primary for loss in noise}
    far = Counter(examine_curve(synthetic.curve(loss + 20, classes=None)).primary for loss in noise)
    assert far["not-learning"] >= 27


@pytest.mark.parametrize("period", [25.0, 12.5, 6.5, 20 / 3])
def test_a_fold_finds_a_period_that_is_no_whole_number_of_points(period: float) -> None:
    random = np.random.default_rng(2)
    wave = np.sin(2 * np.pi * np.arange(300) / period)
    found = folding.fold(2 * wave + random.normal(size=300), period)
    assert found.share == pytest.approx(2 / 3, abs=0.1)
    assert found.p < 1e-12


def test_a_fold_clears_noise_running_means_and_a_smaller_last_batch() -> None:
    random = np.random.default_rng(3)
    for seed in range(200):
        noise = random.normal(size=300)
        assert folding.fold(noise, 25).p > 1e-5
        assert folding.fold(smoothed(noise, 0.9), 50).p > 1e-5, seed
        half = np.where(np.arange(300) % 13 == 12, -3.0, 0.0)
        assert folding.fold(noise + half, 13).share < 0.1
    assert folding.fold(np.zeros(50), 5) == folding.Wave(5, 0.0, 1.0)
    assert folding.fold(np.arange(4.0), 5).p == 1


@pytest.mark.parametrize("shape", [lambda t: (1 + np.cos(np.pi * t)) / 2, lambda t: 1 - t, lambda t: np.exp(-5 * t)])
@pytest.mark.parametrize("axis", ["step", "epoch"])
def test_a_cosine_a_line_and_an_exponential_have_no_plateau(shape: Callable[[Floats], Floats], axis: Axis) -> None:
    for seed in range(5):
        loss = shape(np.linspace(0, 1, 200)) + 0.1 + 0.01 * np.random.default_rng(seed).normal(size=200)
        assert patterns.get("slow-start").fires(synthetic.curve(loss, axis=axis)) is None


@pytest.mark.parametrize(("until", "fires"), [(14, False), (60, True)])
def test_the_steps_that_momentum_takes_to_build_up_are_no_plateau(until: int, fires: bool) -> None:
    steps = np.arange(300)
    loss = 0.1 + 2.2 / (1 + np.exp((steps - 1.5 * until) / (until / 5))) + 0.03 * np.random.default_rng(4).normal(size=300)
    assert (patterns.get("slow-start").fires(synthetic.curve(loss, axis="step")) is not None) == fires


@pytest.mark.parametrize("points", [12, 20, 40, 80])
def test_small_batches_of_a_short_log_are_no_rate_too_high(points: int) -> None:
    fired = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        loss = np.exp(-np.arange(points) / 60) * random.gamma(8, 1 / 8, points)
        fired += patterns.get("lr-too-high").fires(synthetic.curve(loss, classes=None, axis="step")) is not None
    assert fired <= 6


anything = st.integers(0, 120).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(allow_nan=True, allow_infinity=True))
)
tame = st.integers(0, 120).flatmap(
    lambda n: arrays(np.float64, n, elements=st.sampled_from([0.0, -1.0, 1.0, 0.5, 2.3, 1e308, -1e308, 1e-320]))
)


@settings(max_examples=150, deadline=None)
@given(
    anything | tame,
    st.none() | tame,
    st.sampled_from([None, 1, 2, 10]),
    st.sampled_from([None, 0.0, 5.0, 1e9]),
    st.sampled_from(["step", "epoch"]),
)
@example(np.array([1e308] * 6 + [0.0]), None, None, None, "epoch")
def test_no_array_of_numbers_raises(
    train: Floats, val: Floats | None, classes: int | None, per_epoch: float | None, axis: Axis
) -> None:
    curve = Curve(
        Series.of(train),
        None if val is None else Series.of(val),
        context=Context(axis=axis, classes=classes, steps_per_epoch=per_epoch),
    )
    for report in (examine_curve(curve), examine_runs(Runs((curve, curve, curve)))):
        assert len(report.passed) + len(report.skipped) + len(report.findings) == len(RULES) - (report.run is None)
        if curve.diverged:
            assert report.primary == "non-finite"
        elif max(len(curve.train), 0 if curve.val is None else len(curve.val)) < 7:
            assert report.primary == "inconclusive"


@pytest.mark.parametrize(
    "values",
    [np.zeros(0), np.zeros(100), np.full(50, np.nan), np.full(50, 1e308), np.r_[np.full(50, 1e308), np.full(50, -1e308)]],
)
def test_extreme_arrays_get_a_report(values: Floats) -> None:
    assert examine_curve(Curve(Series.of(values))).primary in {
        "inconclusive",
        "non-finite",
        "not-learning",
        "healthy",
        "slow-learning",
    }


@pytest.mark.parametrize(
    ("level", "first", "classes", "verdict"),
    [
        (1.63, 11.0, None, "inconclusive"),  # log 5 = 1.609
        (1.63, 11.0, 5, "lr-too-high"),
        (1.75, 11.0, None, "healthy"),  # no guess among so few classes costs that
    ],
)
def test_a_loss_that_fell_to_a_guess_at_once_is_not_healthy(
    level: float, first: float, classes: int | None, verdict: str
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, 61)
    losses = np.concatenate([[first, 2.4, 2.1], level + noise])
    report = examine_curve(Curve(Series.of(losses), context=Context(classes=classes)))
    assert report.primary == verdict
    if verdict == "inconclusive":
        assert "--classes" in (report.inconclusive or "")


def test_validation_above_its_start_is_overfitting_however_little_of_the_training_data_is_known() -> None:
    train = synthetic.noisy(np.linspace(2.3, 1.4, 60), 0.01, 0)
    val = synthetic.noisy(np.linspace(2.3, 3.1, 60), 0.01, 1)
    assert examine_curve(synthetic.curve(train, val, axis="epoch")).primary == "overfitting"
    assert examine_curve(synthetic.curve(train, val[::-1].copy(), axis="epoch")).primary != "overfitting"


@pytest.mark.parametrize(
    ("make", "rate", "cause"),
    [
        (synthetic.underfit, [0.1, 1e-5], "lowered too early"),
        (synthetic.underfit, [0.1, 0.01], None),
        (synthetic.slow_start, [1e-4, 0.1], "climbs until then"),
        (synthetic.slow_start, [0.1, 0.1], None),
    ],
)
def test_a_logged_rate_that_explains_the_loss_is_the_first_cause(
    make: Callable[[], Curve], rate: list[float], cause: str | None
) -> None:
    run = make()
    turn = len(run.train) // 6
    logged = Series(run.train.step, np.array([rate[0]] * turn + [rate[1]] * (len(run.train) - turn)), "lr")
    (first, *_) = examine_curve(replace(run, others={"lr": logged})).findings[0].causes
    assert (cause in first) if cause else ("learning rate" not in first)


def test_a_wave_below_the_rounding_of_a_log_is_none() -> None:
    steps = np.arange(2000.0)
    wave = 1e-4 * np.sin(2 * np.pi * steps / 50)
    loss = 0.2 + 2.1 * np.exp(-steps / 200)
    assert examine_curve(synthetic.curve(loss + wave, steps_per_epoch=50.0)).primary == "healthy"
    assert examine_curve(synthetic.curve(loss + 1000 * wave, steps_per_epoch=50.0)).primary == "periodic"
