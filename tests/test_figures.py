"""Figures: files are written, nothing global is touched, and averages keep what they average."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from lossdoc import figures
from lossdoc.curve import Curve, Series
from lossdoc.subject import Point, Trial, Trials

PNG = b"\x89PNG"


def trial(index: int, rate: float | None, values: list[float], died: int | None = None) -> Trial:
    params = {} if rate is None else {"optimizer.lr": rate}
    return Trial(Point(index, params), Curve(Series.of(values)), math.nan if died else values[-1], math.nan, died)


@pytest.mark.parametrize(
    "trials",
    [
        [trial(0, 1e-3, [2.3, 1.0, 0.5]), trial(1, 1e-1, [2.3, 50.0, math.nan], died=3)],
        [trial(0, 1e-3, [2.3, -1.0, 0.0])],
        [trial(0, None, [2.3, 1.0])],
        [trial(0, 1.0, [math.nan], died=1)],
        [trial(index, 10.0 ** -(index % 4), [2.3, 1.0 + index]) for index in range(30)],
    ],
    ids=["diverged", "negative", "no-rate", "dead-at-once", "many"],
)
def test_the_curves_of_a_sweep_are_drawn(trials: list[Trial], tmp_path: Path) -> None:
    figures.curves(Trials(tuple(trials)), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ([2.3, 1.0, 0.5], None),
        ([2.3, math.nan, 0.5], (1.0, 2.0)),
        ([math.inf], None),
        (list(np.linspace(2, 0.1, 500)), (5.0, 9.0)),
    ],
)
def test_a_curve_is_drawn(values: list[float], span: tuple[float, float] | None, tmp_path: Path) -> None:
    figures.loss_curve(Curve(Series.of(values), Series.of(values[:2])), tmp_path / "loss.png", span)
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)


def test_averaging_keeps_the_mean_and_the_ends() -> None:
    series = Series.of(np.random.default_rng(0).normal(size=figures.POINTS * 7))
    smooth = figures.smoothed(series)
    assert len(smooth) == figures.POINTS
    assert smooth.value.mean() == pytest.approx(series.value.mean())
    assert smooth.step[[0, -1]].tolist() == [1, len(series)]


def test_few_points_are_left_as_they_are_but_for_what_is_no_number() -> None:
    smooth = figures.smoothed(Series.of([3.0, math.nan, 1.0]))
    assert smooth.step.tolist() == [1, 3]
    assert smooth.value.tolist() == [3, 1]
