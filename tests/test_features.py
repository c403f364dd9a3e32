"""The measures against closed forms, tables and brute force."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoc import synthetic
from lossdoc.curve import Context, Curve, Floats, Series
from lossdoc.features import folding, series, unrest
from lossdoc.features.distributions import (
    beta_share,
    chi2_tail,
    f_quantile,
    f_tail,
    gamma_below,
    normal_quantile,
    normal_tail,
)
from lossdoc.features.shape import MOST, entropy, shape
from lossdoc.features.softmax import guessed_classes, twice

floats = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40).map(np.array)


@pytest.mark.parametrize(
    ("p", "above", "below", "value"),
    [  # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.3
        (0.95, 1, 1, 161.448),
        (0.95, 5, 10, 3.326),
        (0.95, 20, 100, 1.676),
        (0.99, 1, 10, 10.044),
        (0.99, 10, 10, 4.849),
        (0.90, 3, 60, 2.177),
        (0.99, 20, 30, 2.549),
    ],
)
def test_f_quantiles_are_the_tabulated_ones(p: float, above: float, below: float, value: float) -> None:
    assert f_quantile(p, above, below) == pytest.approx(value, rel=3e-4)
    assert f_tail(value, above, below) == pytest.approx(1 - p, rel=5e-3)


@pytest.mark.parametrize(("p", "value"), [(0.5, 0.0), (0.975, 1.959964), (0.995, 2.575829), (0.0001, -3.719016)])
def test_normal_quantiles_are_the_tabulated_ones(p: float, value: float) -> None:
    assert normal_quantile(p) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "degrees", "p"), [(3.841, 1, 0.05), (18.307, 10, 0.05), (124.342, 100, 0.05), (6.635, 1, 0.01)]
)
def test_chi2_tails_are_the_tabulated_ones(value: float, degrees: float, p: float) -> None:
    assert chi2_tail(value, degrees) == pytest.approx(p, rel=2e-3)


@given(st.floats(0.01, 0.99), st.floats(0.5, 500), st.floats(0.5, 500))
def test_the_incomplete_beta_function_is_symmetric_and_rises(x: float, a: float, b: float) -> None:
    assert beta_share(x, a, b) + beta_share(1 - x, b, a) == pytest.approx(1, abs=1e-9)
    assert beta_share(x, a, b) <= beta_share(min(1, x + 0.005), a, b) + 1e-12


@pytest.mark.parametrize(("share", "ratio", "p"), [(0.1, 1, 1 - math.exp(-0.1)), (0.25, 2, 0.0189882), (2, 1, 1), (0, 1, 0)])
def test_gamma_shares_are_those_of_the_exponential_and_of_poisson_counts(share: float, ratio: float, p: float) -> None:
    assert gamma_below(share, ratio) == pytest.approx(p, rel=1e-5)  # of shape 4: 1 - exp(-1) (1 + 1 + 1/2 + 1/6)


def test_closed_forms_of_the_tails() -> None:
    assert f_tail(3.0, 2, 8) == pytest.approx((1 + 2 * 3 / 8) ** -4)
    assert normal_tail(0) == 0.5
    assert [f_tail(0, 3, 3), f_tail(-1, 3, 3), f_tail(math.inf, 3, 3)] == [1, 1, 0]


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=25))
def test_kendall_is_what_counting_pairs_gives(values: list[int]) -> None:
    pairs = [np.sign(b - a) for a, b in combinations(values, 2)]
    untied = sum(sign != 0 for sign in pairs)
    expected = sum(pairs) / math.sqrt(len(pairs) * untied) if untied else 0.0
    assert series.kendall(np.array(values, float)).tau == pytest.approx(expected)


def test_kendall_z_has_the_exact_variance_without_ties() -> None:
    n = 12
    score = n * (n - 1) / 2
    assert series.kendall(np.arange(n, dtype=float)).z == pytest.approx(
        (score - 1) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    )


@given(floats)
def test_medians_are_those_of_numpy(values: np.ndarray) -> None:
    assert series.median(values) == pytest.approx(float(np.median(values)))


@given(floats, st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values: np.ndarray, share: float) -> None:
    assert series.quantile(values, share) == pytest.approx(float(np.quantile(values, share)), abs=1e-6)


@given(floats, st.integers(1, 12))
def test_blocks_are_split_as_numpy_splits(values: np.ndarray, count: int) -> None:
    parts = np.array_split(values, count) if len(values) > count else values[:, None]
    assert series.blocks(values, count) == pytest.approx(np.array([np.median(part) for part in parts]))
    assert series.extremes(values, count).tolist() == [part.max() for part in parts]


def test_noise_is_the_deviation_and_not_the_slope() -> None:
    random = np.random.default_rng(0)
    white = random.normal(0, 0.3, 4000)
    assert series.noise(white) == pytest.approx(0.3, rel=0.05)
    assert series.noise(white + np.linspace(0, 50, 4000)) == pytest.approx(0.3, rel=0.05)
    assert series.noise(np.linspace(0, 50, 4000)) == pytest.approx(0, abs=1e-9)


def test_whiteness_has_the_false_alarms_that_it_promises() -> None:
    random = np.random.default_rng(1)
    p = np.array([series.whiteness(random.exponential(1, 400))[1] for _ in range(600)])
    assert 0.02 <= (p < 0.05).mean() <= 0.09
    assert series.whiteness(np.cumsum(random.normal(size=400)))[1] < 1e-6


@pytest.mark.parametrize(
    ("values", "half", "quarter"),
    [(np.linspace(2, 1, 200), 0.5, 0.25), (np.exp(-8 * np.linspace(0, 1, 2000)), math.exp(-4), math.exp(-6))],
)
def test_late_shares_of_known_shapes(values: np.ndarray, half: float, quarter: float) -> None:
    assert series.late_share(values, 0.5) == pytest.approx(half, abs=0.01)
    assert series.late_share(values, 0.25) == pytest.approx(quarter, abs=0.01)


def test_the_late_share_of_noisy_steps_is_that_of_the_line_through_the_second_half() -> None:
    falls = [shape(synthetic.slow(seed)).late_share(0.5) for seed in range(20)]
    levels = [shape(synthetic.healthy(seed)).late_share(0.25) for seed in range(20)]
    assert np.mean(falls) == pytest.approx(0.5, abs=0.1)
    assert max(map(abs, levels)) < 0.03


@pytest.mark.parametrize(("every", "epochs"), [(1, 1), (2, 2), (5, 5)])
def test_what_a_first_epoch_hides_does_not_depend_on_how_many_are_logged(every: int, epochs: int) -> None:
    loss = 2 - 0.01 * np.arange(60)
    thinned = Series.of(loss[::every], np.arange(1.0, 61)[::every])
    measured = shape(Curve(thinned, context=Context(axis="epoch")))
    assert measured.hidden == pytest.approx(0.01)
    assert thinned.step[1] - thinned.step[0] == epochs


def test_a_first_loss_far_below_the_next_is_no_chance_where_noise_is_moderate() -> None:
    def exploded(form: float) -> int:
        draws = [7 * np.random.default_rng(seed).gamma(form, 1 / form, 149) for seed in range(50)]
        return sum(shape(synthetic.curve(np.r_[0.5, each], classes=None)).exploded for each in draws)

    assert exploded(4) >= 40
    assert exploded(0.5) <= 2  # losses of single samples


def test_a_rising_curve_has_no_late_share() -> None:
    assert math.isnan(series.late_share(np.linspace(1, 2, 50), 0.5))


@pytest.mark.parametrize(
    ("values", "ratio"),
    [
        (np.exp(-8 * np.linspace(0, 1, 4000)), math.log(1 / 0.9) / math.log(0.9 / 0.5)),
        (np.linspace(1, 0, 4000), 0.1 / 0.4),
        (1 - np.linspace(0, 1, 4000) ** 2, math.sqrt(0.1) / (math.sqrt(0.5) - math.sqrt(0.1))),
    ],
    ids=["exponential", "line", "parabola"],
)
def test_plateau_ratios_of_known_shapes(values: np.ndarray, ratio: float) -> None:
    low = float(values[-1])
    tenth, half = (series.first_below(values.tolist(), 1 - part * (1 - low)) for part in (0.1, 0.5))
    assert tenth / (half - tenth) == pytest.approx(ratio, abs=0.01)


def test_first_below_interpolates_or_says_never() -> None:
    assert series.first_below([4.0, 2.0, 0.0], 3) == pytest.approx(0.5)
    assert math.isnan(series.first_below([4.0, 2.0], 1))


@given(floats)
def test_the_nearest_falling_values_are_those_of_the_minimax_formula(values: np.ndarray) -> None:
    n = len(values)
    means = np.array([[values[i : j + 1].mean() if i <= j else math.nan for j in range(n)] for i in range(n)])
    wanted = [min(means[i, place:].max() for i in range(place + 1)) for place in range(n)]
    assert series.falling(values) == pytest.approx(wanted, rel=1e-9, abs=1e-9)  # Barlow et al., 1972: (1.9)


@given(floats)
def test_draw_up_is_the_largest_rise(values: np.ndarray) -> None:
    assert series.draw_up(values) == max((later - earlier for earlier, later in combinations(values, 2)), default=0.0) or (
        series.draw_up(values) == 0
    )


def test_prominence_stands_above_both_sides_only() -> None:
    step = np.r_[np.zeros(20), np.ones(20)]
    assert series.prominence(step, 4).max() <= 0
    step[30] += 3
    assert series.prominence(step, 4).argmax() == 30
    assert series.prominence(step, 4)[30] == 3


def test_fold_finds_the_period_and_clears_noise() -> None:
    random = np.random.default_rng(2)
    noise = random.normal(size=1000)
    assert folding.fold(noise, 25).p > 1e-4
    wave = folding.fold(noise + 2 * np.sin(2 * np.pi * np.arange(1000) / 25), 25)
    assert wave.share == pytest.approx(2 / 3, abs=0.05)
    assert wave.p < 1e-6
    assert 25 in series.likely_periods(np.sin(2 * np.pi * np.arange(1000) / 25))


def test_the_running_median_follows_a_line_and_ignores_outliers() -> None:
    line = np.linspace(5, 1, 500)
    rough = line.copy()
    rough[::25] += 100
    assert np.abs(series.running_median(rough, 25) - line)[15:-15].max() < 0.2


def test_the_tail_bound_is_twelve_means_of_an_exponential() -> None:
    tail = np.random.default_rng(3).exponential(1, 200_000)
    assert series.tail_bound(tail) == pytest.approx(12, rel=0.03)
    assert series.tail_bound(tail[:99]) == pytest.approx(12, rel=0.35)


def test_long_curves_are_reduced_with_their_peaks() -> None:
    values = np.exp(-np.arange(1e6) / 1e5)
    values[700_001] = 9
    s = shape(Curve(Series.of(values)))
    assert s.n == MOST
    assert s.top.max() == 9
    assert s.y.max() <= 1


@pytest.mark.parametrize(
    ("classes", "factor", "expected"), [(10, 1.0, math.log(10)), (10, 37.5, None), (None, 1.0, None), (1, 1.0, None)]
)
def test_log_n_counts_only_where_the_loss_is_in_nats(classes: int | None, factor: float, expected: float | None) -> None:
    made = synthetic.healthy()
    curve = Curve(Series.of(made.train.value * factor), context=Context(axis="step", classes=classes))
    assert shape(curve).uniform == expected
    assert shape(curve) is shape(curve)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_a_softmax_applied_twice_ends_at_its_floor(classes: int) -> None:
    right = np.eye(classes)[0]  # probabilities of a model that is sure and right
    assert -math.log(math.exp(1) / np.exp(right).sum()) == pytest.approx(twice(classes))


@pytest.mark.parametrize(
    ("first", "classes"), [(2.3026, 10), (1.0986, 3), (1.12, 3), (0.6931, None), (3.5, None), (0.0, None), (1.25, None)]
)
def test_the_first_loss_tells_the_classes_where_one_number_fits(first: float, classes: int | None) -> None:
    assert guessed_classes(first) == classes


@pytest.mark.parametrize(
    ("loss", "known"),
    [
        (None, None),
        ("cross_entropy", True),
        ("CrossEntropyLoss", True),
        ("nll", True),
        ("binary_cross_entropy", True),
        ("bce", True),
        ("mse", False),
        ("gaussian_nll", False),
        ("huber", False),
    ],
)
def test_the_name_of_a_loss_tells_whether_a_guess_has_a_fixed_one(loss: str | None, known: bool | None) -> None:
    assert entropy(loss) is known


def test_the_lowest_level_is_that_of_a_stretch_as_long_as_the_end() -> None:
    values = np.r_[np.linspace(2, 1, 50), np.full(20, 0.4), np.full(30, 0.8)]
    values[30] = 0.01  # a single low point is no level
    level, at = shape(Curve(Series.of(values))).lowest
    assert level == pytest.approx(0.4)
    assert 50 <= at < 70


@given(floats.filter(lambda values: len(values) > 4))
def test_sliding_medians_are_those_of_every_window(values: Floats) -> None:
    expected = [np.median(values[i : i + 4]) for i in range(len(values) - 3)]
    np.testing.assert_allclose(series.sliding_medians(values, 4), expected, atol=1e-300)  # halves of the least floats


def test_a_bulge_is_the_quadratic_term_in_units_of_the_noise() -> None:
    time = np.linspace(0, 1, 101)
    parabola = np.linalg.qr(np.stack([time**0, time, time**2], axis=1))[0][:, 2]
    for values in (1 - time**2, np.exp(-5 * time), np.cos(time)):
        assert series.bulge(values) == pytest.approx(-math.copysign(1, parabola[0]) * float(parabola @ values))
    assert series.bulge(1 - time**2) > 0 > series.bulge(np.exp(-5 * time))
    assert series.bulge(1 - time) == pytest.approx(0, abs=1e-9)


@given(floats.filter(lambda values: len(values) > 2))
def test_the_nearest_line_is_that_of_polyfit(values: Floats) -> None:
    time = np.arange(len(values))
    expected = np.polyval(np.polyfit(time, values, 1), time)
    np.testing.assert_allclose(series.line(values), expected, atol=1e-6 * (1 + np.abs(values).max()))


def test_white_noise_is_steady_unless_it_begins_high() -> None:
    values = np.random.default_rng(0).normal(1, 0.1, 30)
    assert series.steady(values)
    values[:3] = [1.5, 1.45, 1.4]
    assert not series.steady(values)


def test_the_signs_of_unrest_are_measured_where_they_are() -> None:
    values = np.r_[np.full(10, 2.0), np.full(5, 9.0), np.linspace(2, 1, 45), np.full(40, 1.8)]
    s = shape(Curve(Series.of(values)))
    assert unrest.peak(s)[:3] == pytest.approx((7.0, 0, 10))
    assert unrest.regret(s).height == pytest.approx(1.8 - s.lowest[0])
    assert 50 <= unrest.regret(s).low < 62
    smooth = shape(Curve(Series.of(np.linspace(2, 1, 100))))
    assert unrest.peak(smooth).height == 0
    assert unrest.setback(smooth).height == 0
    assert (unrest.burst(smooth), unrest.jumps(smooth), unrest.stuck(smooth)) == (0, 0, 0)
