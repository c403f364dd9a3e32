"""Every pattern on its own examples, what all patterns must be, and the laws that hold for any curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossdoc import synthetic
from lossdoc.curve import Axis, Context, Curve, Floats, Runs, Series
from lossdoc.diagnosis import examine_curve, examine_runs
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
