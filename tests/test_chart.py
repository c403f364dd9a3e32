"""The drawing of curves: goldens that were looked at, and that no array of numbers breaks it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoc.chart import Scale, draw
from lossdoc.curve import Context, Curve, Series

STEPS = np.arange(1.0, 201.0)
FALL = 2.3 * np.exp(-STEPS / 40) + 0.05
TURN = 2.3 * np.exp(-STEPS / 40) + 0.002 * STEPS
CURVES = {
    "train": (Curve(Series(STEPS, FALL, "loss")), None),
    "overfitting": (
        Curve(Series(STEPS, FALL, "loss"), Series(STEPS[9::10], TURN[9::10], "val_loss"), context=Context(axis="epoch")),
        (120.0, 200.0),
    ),
    "logarithmic": (Curve(Series(STEPS, np.exp(-STEPS / 10), "loss")), (1.0, 20.0)),
    "broken-off": (Curve(Series(STEPS, np.where(STEPS > 150, math.nan, FALL), "loss")), (151.0, 200.0)),
    "constant": (Curve(Series.of([0.7] * 9)), None),
    "sparse": (Curve(Series.of([3.0, 1.0, 2.0])), None),
}


@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
@pytest.mark.parametrize("name", CURVES)
def test_drawings(name: str, unicode: bool, golden: Callable[[str, str], None]) -> None:
    curve, span = CURVES[name]
    text = "\n".join(line.rstrip() for line in draw(curve, span, width=70, height=9, unicode=unicode)) + "\n"
    golden(f"chart/{name}.{'unicode' if unicode else 'ascii'}.txt", text)


@given(
    st.lists(st.floats(allow_subnormal=True), max_size=40),
    st.lists(st.floats(), max_size=10),
    st.integers(20, 120),
    st.integers(2, 20),
    st.booleans(),
)
def test_no_numbers_break_it_and_it_fits(
    train: list[float], val: list[float], width: int, height: int, unicode: bool
) -> None:
    lines = draw(Curve(Series.of(train), Series.of(val)), (1.0, 3.0), width=width, height=height, unicode=unicode)
    assert bool(lines) == any(map(math.isfinite, [*train, *val]))
    assert max(map(len, lines), default=0) <= max(width, 24)
    assert unicode or all(line.isascii() for line in lines)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300), st.floats(0, 1))
def test_a_scale_goes_both_ways(low: float, high: float, share: float) -> None:
    scale = Scale.of(np.array([low, high]), log=True)
    assert -1e-9 <= float(scale.share(np.array([low]))[0]) <= 1 + 1e-9
    tolerance = 1e-6 if scale.high - scale.low > 1e-6 * max(abs(low), abs(high)) else 1.0
    assert math.isclose(float(scale.share(np.array([scale.at(share)]))[0]), share, abs_tol=tolerance)


def test_the_curve_is_where_its_values_are() -> None:
    rows = draw(Curve(Series.of([1.0, 2.0, 3.0, 4.0])), width=40, height=4, unicode=False)[:4]
    assert [row.index("*") for row in rows] == sorted((row.index("*") for row in rows), reverse=True)
    crossed = draw(Curve(Series.of([1.0, math.inf])), width=40, height=4, unicode=False)
    assert crossed[0].endswith("x")
