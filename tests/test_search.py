"""Searches: which points are asked for, what is learned from those that are told, what a rising rate says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc import ranging
from lossdoc.curve import Curve, Floats, Series
from lossdoc.errors import NotApplicable, UserError
from lossdoc.features.rising import smooth, suggest
from lossdoc.halving import Halving
from lossdoc.loop import Tick
from lossdoc.measuring import Losses
from lossdoc.parts.schedules import Rising
from lossdoc.ranking import RATE
from lossdoc.search import Asker, Choices, Planned, Range, Refined, Space, searches
from lossdoc.searches.tpe import ROUND
from lossdoc.subject import Point, Trial

SPACE = Space({RATE: Range(1e-4, 1e-1), "loss": Choices(("a", "b"))}, {RATE: 1e-2, "loss": "a"})
NAMES = ["random", "grid", "qmc", "tpe"]


def trial(point: Point, loss: float, *, died: int | None = None) -> Trial:
    curve = Curve(Series.of([2.3, math.nan if died else loss]))
    return Trial(point, curve, math.nan if died else loss, math.nan, died)


def bowl(point: Point) -> Trial:
    """Return a trial whose loss is lowest at a rate of 3e-3 and with b."""
    distance = math.log10(point.params[RATE] / 3e-3)
    return trial(point, distance**2 + 0.1 * (point.params["loss"] == "a"))


def through(asker: Asker, answer: Callable[[Point], Trial] = bowl) -> list[Point]:
    """Return all the points that a search asks for, each answered before the next ones."""
    found = []
    while points := asker.ask():
        found += points
        asker.tell([answer(point) for point in reversed(points)])
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("many", [1, 2, 13, 20])
def test_a_search_asks_for_no_more_than_allowed_the_configured_point_first(name: str, many: int) -> None:
    points = through(searches.get(name).start(SPACE, many, 3))
    assert 1 <= len(points) <= many
    assert [point.index for point in points] == list(range(len(points)))
    assert all(1e-4 <= point.params[RATE] <= 1e-1 and point.params["loss"] in "ab" for point in points)
    if name != "grid":
        assert len(points) == many
        assert points[0].params == SPACE.start
        assert len({point.params[RATE] for point in points}) == many


@pytest.mark.parametrize("name", [*NAMES, "refined"])
@pytest.mark.parametrize("seed", [0, 5])
def test_a_search_begun_anew_and_told_asks_for_what_is_left(name: str, seed: int) -> None:
    def begin() -> Asker:
        if name == "refined":
            return Refined(searches.get("tpe"), SPACE, 20, seed, ranging.refined)
        return searches.get(name).start(SPACE, 20, seed)

    whole = through(begin())
    for known in (whole[:1], whole[:11], whole[3:9][::-1], whole[:-1], whole):
        again = begin()
        again.tell([bowl(point) for point in known])
        rest = through(again)
        told = {point.index for point in known}
        if name in ("tpe", "refined") and known != whole[: len(known)]:
            assert told.isdisjoint(point.index for point in rest)  # a later round may differ: an earlier one was not told
        else:
            assert rest == [point for point in whole if point.index not in told]


def test_qmc_puts_one_point_into_each_equal_part_of_every_axis() -> None:
    space = Space({RATE: Range(1e-4, 1e-1), "optimizer.momentum": Range(0, 1, log=False)})
    for seed in (0, 1):
        points = through(searches.get("qmc").start(space, 32, seed), lambda point: trial(point, 1.0))
        for path, axis in space.axes.items():
            assert isinstance(axis, Range)
            assert sorted(int(32 * axis.share(point.params[path])) for point in points) == list(range(32))


def test_tpe_learns_where_the_best_points_are() -> None:
    def distance(points: Sequence[Point]) -> float:
        return float(np.mean([abs(math.log10(point.params[RATE] / 3e-3)) for point in points]))

    runs = [through(searches.get("tpe").start(SPACE, 5 * ROUND, seed)) for seed in range(4)]
    assert distance([point for run in runs for point in run[-ROUND:]]) < 0.6 * distance(
        [point for run in runs for point in run[:ROUND]]
    )
    assert np.mean([point.params["loss"] == "b" for run in runs for point in run[-2 * ROUND :]]) > 0.6


def test_tpe_lives_with_trials_that_died_and_values_outside_of_their_range() -> None:
    space = Space({RATE: Range(1e-4, 1e-1), "regularization.l2": Range(1e-6, 1e-2)}, {RATE: 1e-3, "regularization.l2": 0.0})

    def answer(point: Point) -> Trial:
        return trial(point, 1.0, died=2) if point.params[RATE] > 1e-2 else trial(point, point.params[RATE])

    points = through(searches.get("tpe").start(space, 4 * ROUND, 1), answer)
    alive = [point.params[RATE] <= 1e-2 for point in points]
    assert sum(alive[-ROUND:]) > sum(alive[:ROUND])


def test_the_points_of_tpe_do_not_depend_on_the_seeds_of_others() -> None:
    first = through(searches.get("tpe").start(SPACE, 20, 0))
    assert through(searches.get("tpe").start(SPACE, 20, 0)) == first
    assert through(searches.get("tpe").start(SPACE, 20, 1)) != first
    assert through(searches.get("tpe").start(SPACE, 12, 0)) == first[:12]


def test_a_second_search_goes_around_the_best() -> None:
    points = through(Refined(searches.get("random"), SPACE, 12, 0, ranging.refined))
    best = min(points[:12], key=lambda point: bowl(point).loss)
    assert len(points) == 18
    assert {point.params["loss"] for point in points[12:]} == {best.params["loss"]}
    assert all(abs(math.log10(point.params[RATE] / best.params[RATE])) <= 0.5 + 1e-9 for point in points[12:])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1e-3, (10**-3.5, 10**-2.5)), (1e-4, (1e-4, 10**-3.5)), (1e-1, (10**-1.5, 1e-1)), (0.0, (1e-4, 1e-1))],
)
def test_a_refined_range_is_a_third_and_stays_inside(value: float, expected: tuple[float, float]) -> None:
    space = Space({RATE: Range(1e-4, 1e-1)})
    axis = ranging.refined(space, [trial(Point(0, {RATE: value}), 1.0), trial(Point(1, {RATE: 3e-2}), 2.0)]).axes[RATE]
    assert isinstance(axis, Range)
    assert (axis.low, axis.high) == pytest.approx(expected)


def test_nothing_is_refined_where_everything_diverged() -> None:
    assert ranging.refined(SPACE, [trial(Point(0, {RATE: 1e-2, "loss": "a"}), 1.0, died=3)]).axes == SPACE.axes


# range tests --------------------------------------------------------------------------------------------------------------


RATES: Floats = np.logspace(-6, 1, 150)


def fall(middle: float = 1e-2, end: float = 0.3, *, noise: float = 0.03, seed: int = 0) -> Floats:
    """Return losses that fall from 2.3 to 0.3 over two decades around `middle`, and explode at `end`."""
    decades = np.log10(RATES / middle)
    losses = 0.3 + 2.0 / (1 + np.exp(4 * decades)) + 3 * np.maximum(np.log10(RATES / end), 0) ** 2 * 4
    return np.asarray(losses + noise * np.random.default_rng(seed).normal(size=len(RATES)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.15])
def test_a_range_test_finds_the_middle_of_the_fall(middle: float, noise: float, seed: int) -> None:
    found = suggest(RATES, fall(middle, 30 * middle, noise=noise, seed=seed))
    assert found is not None
    assert abs(math.log10(found.steepest / middle)) < 0.4  # within a factor of 2.5
    assert abs(math.log10(found.valley / middle)) < 0.6
    assert found.ceiling is not None
    assert 1 < found.ceiling / (30 * middle) < 10


@pytest.mark.parametrize("height", [5.0, 100.0, 1e9, math.inf])
@pytest.mark.parametrize("places", [(3,), (40, 41), (10, 60, 75), (90,)])
def test_spikes_change_little(height: float, places: tuple[int, ...]) -> None:
    calm, spiky = fall(), fall()
    spiky[list(places)] = min(height, 1e30)
    first, second = suggest(RATES, calm), suggest(RATES, spiky)
    assert first is not None
    assert second is not None
    assert abs(math.log10(second.valley / first.valley)) < 0.2
    assert abs(math.log10(second.steepest / first.steepest)) < 0.2


@pytest.mark.parametrize("alive", [0, 1, 19, 40])
def test_a_test_that_dies_before_anything_falls_gives_no_answer(alive: int) -> None:
    losses = fall(1e-1)
    losses[alive:] = math.nan
    assert suggest(RATES, losses) is None


def test_a_test_that_dies_after_the_fall_ends_there() -> None:
    losses = fall(1e-3)
    losses[110:] = math.inf
    found = suggest(RATES, losses)
    assert found is not None
    assert found.ceiling == RATES[110]


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-6, 1e6), zero=st.floats(-1e3, 1e3), seed=st.integers(0, 9))
def test_unit_and_zero_of_the_loss_change_nothing(scale: float, zero: float, seed: int) -> None:
    losses = fall(noise=0.05, seed=seed)
    first, second = suggest(RATES, losses), suggest(RATES, scale * (losses + zero))
    assert first is not None
    assert second is not None
    assert second.valley == pytest.approx(first.valley, rel=0.1)
    assert second.steepest == pytest.approx(first.steepest, rel=0.1)


def test_noise_alone_suggests_nothing() -> None:
    answers = [suggest(RATES, 2.3 + 0.1 * np.random.default_rng(seed).normal(size=150)) for seed in range(300)]
    assert sum(answer is not None for answer in answers) <= 3  # one in a hundred


def test_a_loss_that_only_rises_suggests_nothing() -> None:
    assert suggest(RATES, 2.3 + np.linspace(0, 5, 150) ** 2) is None


def test_smoothing_keeps_a_constant_and_a_line() -> None:
    assert smooth(RATES, np.full(150, 2.0)) == pytest.approx(np.full(150, 2.0))
    line = np.log10(RATES)
    assert smooth(RATES, line)[30:-30] == pytest.approx(line[30:-30], abs=1e-3)


def rising(losses: Floats, seed: int = 0) -> Trial:
    point = Point(0, ranging.rising(Range(1e-6, 10.0), 150), seed)
    return Trial(point, Curve(Series.of(losses)), 1.0, math.nan, None)


def test_runs_are_joined_by_their_median() -> None:
    runs = [rising(fall(middle), seed) for seed, middle in enumerate([1e-3, 1e-2, 1e-2])]
    found = ranging.read(runs)
    (alone,) = ranging.read(runs[1:2]).found
    assert found.valley == pytest.approx(alone.valley)
    assert found.range().low < found.suggested[RATE] < found.range().high
    assert ranging.rates_of(runs[0]) == pytest.approx(RATES)
    flat = rising(np.full(150, 2.3))
    assert len(ranging.read([*runs, flat]).found) == 3
    with pytest.raises(NotApplicable, match="2 of 3 runs never fell"):
        ranging.read([runs[0], flat, flat])


def test_the_rising_schedule_makes_the_rates_of_the_test() -> None:
    schedule = Rising(by=1e7, steps=150)
    assert [1e-6 * schedule(step, 999) for step in range(150)] == pytest.approx(list(RATES))
    assert Rising(by=100.0)(9, 10) == pytest.approx(100)


def test_a_range_test_needs_a_range_of_rates() -> None:
    (point,) = through(searches.get("range-test").start(SPACE, 5, 0), lambda _point: rising(fall()))
    assert ranging.rises(point)
    assert point.params[RATE] == 1e-4
    with pytest.raises(UserError, match=r"optimizer\.lr"):
        searches.get("range-test").start(Space({RATE: Choices((1e-3, 1e-2))}), 5, 0)


# successive halving -------------------------------------------------------------------------------------------------------


def tick(epoch: int, loss: float | None) -> Tick:
    return Tick(10 * (epoch + 1), epoch, Losses(1.0, 1.0), None if loss is None else Losses(loss, loss))


def ended(halving: Halving, epoch: int, losses: dict[int, float]) -> list[int]:
    """Return the indexes of the points that are ended among those that come to the end of an epoch together."""
    points = [Point(index, {}) for index in losses]
    places = halving.watch([(point, tick(epoch, loss)) for point, loss in zip(points, losses.values(), strict=True)])
    return [points[place].index for place in places]


@pytest.mark.parametrize(("epochs", "rungs"), [(0, []), (2, []), (3, [1]), (8, [2]), (9, [3, 1]), (27, [9, 3, 1])])
def test_rungs_are_thirds_of_the_epochs(epochs: int, rungs: list[int]) -> None:
    assert Halving(epochs).rungs == rungs


def test_side_by_side_the_best_third_goes_on() -> None:
    halving = Halving(9)
    assert ended(halving, 0, {index: float(index) for index in range(6)}) == [2, 3, 4, 5]
    assert ended(halving, 1, {0: 5.0, 1: 0.1}) == []
    assert ended(halving, 2, {0: 5.0, 1: math.nan}) == [1]
    assert halving.stopped == {1, 2, 3, 4, 5}


def test_one_after_another_each_is_held_against_those_before() -> None:
    halving = Halving(3)
    fates = [bool(ended(halving, 0, {index: loss})) for index, loss in enumerate([1.0, 2.0, 0.5, 0.7, 0.9, 0.6])]
    assert fates == [False, True, False, False, True, False]


def test_steps_without_validation_end_nothing_and_earlier_trials_count() -> None:
    halving = Halving(3)
    assert halving.watch([(Point(0, {}), tick(0, None))]) == []
    curve = Curve(Series.of([2.0]), Series.of([0.1, 0.05]))
    halving.know([Trial(Point(index, {}), curve, 0.1, math.nan) for index in range(3)])
    assert ended(halving, 0, {7: 0.2}) == [7]


def test_planned_points_that_are_told_are_left_out() -> None:
    planned = Planned([Point(index, {RATE: 1.0}) for index in range(4)])
    planned.tell([trial(Point(2, {RATE: 1.0}), 0.1)])
    assert planned.left == 3
    assert [point.index for point in planned.ask()] == [0, 1, 3]
    assert planned.ask() == []
