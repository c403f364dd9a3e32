"""Figures: files are written, nothing global is touched, and averages keep what they average."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lossdoc import figures
from lossdoc.curve import Curve, Series
from lossdoc.errors import UserError
from lossdoc.findings import Evidence, Finding, Report, Severity
from lossdoc.subject import Point, Trial, Trials

PNG = b"\x89PNG"
pytestmark = pytest.mark.usefixtures("no_pyplot")


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


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ([2.0, 1.0, 0.5], None),
        ([2.0, 1.0, math.nan], (3.0, 3.0)),
        ([-1.0, 0.0, 1e-3], (1.0, 2.0)),
        (np.linspace(3, 1, 500).tolist(), (100.0, 500.0)),
    ],
)
@pytest.mark.parametrize("name", ["loss.png", "loss.SVG"])
def test_a_diagnosed_run_is_drawn_the_same_each_time(
    values: list[float], span: tuple[float, float] | None, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    figures.diagnosed([report(values, span)], path)
    first = path.read_bytes()
    assert first.startswith(PNG) if name == "loss.png" else b"<svg" in first
    figures.diagnosed([report(values, span)], path)
    assert path.read_bytes() == first


def report(values: list[float], span: tuple[float, float] | None, title: str = "a.csv") -> Report:
    found = Finding("LC101", "rising", Severity.ERROR, Evidence("it rises", span=span), (), (), ())
    curve = Curve(Series.of(values), Series.of(values[:2]))
    return Report(title, findings=() if span is None else (found,), matter=curve, decisive=Severity.WARNING)


def test_verdict_and_span_are_in_the_picture(tmp_path: Path) -> None:
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        figures.diagnosed([report([2.0, 1.0, 3.0], (2.0, 3.0)), report([2.0, 1.0], None, "b" * 60)], tmp_path / "x.svg")
    drawn = (tmp_path / "x.svg").read_text()
    assert "a.csv: rising" in drawn
    assert "…" + "b" * 33 + ":" in drawn  # and the verdict in a line of its own
    assert "suspicious" in drawn


def test_of_many_runs_the_worst_are_drawn(tmp_path: Path) -> None:
    from matplotlib import rc_context

    reports = [report([2.0, 1.0], None, f"well{n}") for n in range(20)] + [report([1.0, 2.0], (1.0, 2.0), "ill")]
    with rc_context({"svg.fonttype": "none"}):
        figures.diagnosed(reports, tmp_path / "x.svg")
    text = (tmp_path / "x.svg").read_text()
    assert "ill: rising" in text
    assert "and 9 more runs" in text


def test_what_cannot_be_drawn_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run holds a finite loss"):
        figures.diagnosed([report([math.nan] * 3, None)], tmp_path / "x.png")
    with pytest.raises(UserError, match="cannot be written"):
        figures.diagnosed([report([2.0, 1.0], None)], tmp_path / "no" / "x.png")


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
