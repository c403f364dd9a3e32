"""A run beside a known-good one: where they part, and that runs of one network do not."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc import synthetic
from lossdoc.comparing import compared, good_run
from lossdoc.curve import Context, Curve, Pair, Series
from lossdoc.diagnosis import examine_curve
from lossdoc.errors import NotApplicable, UserError
from lossdoc.features.parting import parting
from lossdoc.findings import Evidence, Passed, Severity
from lossdoc.rule import comparisons

RULE = comparisons.get("departure")


def falling(
    points: int, seed: int, *, every: int = 1, times: float = 1.0, after: float = math.inf, by: float = 0.0
) -> Series:
    """Fall over 2,000 steps with noise, logged every so many; from step `after` on the loss lies higher by `by`."""
    step = np.arange(0.0, points, every)
    noise = np.random.default_rng(seed).normal(0, 0.05, len(step))
    return Series(step, times * (2.3 * np.exp(-step / 300) + 0.5 + noise + by * (step >= after)), "loss")


@pytest.mark.parametrize("every", [1, 7, 40])
@pytest.mark.parametrize("by", [0.3, -0.3])
def test_the_first_step_of_a_lasting_departure(every: int, by: float) -> None:
    pair = Pair(Curve(falling(2000, 1, after=1000, by=by)), Curve(falling(2000, 2, every=every)), "good.csv")
    found = RULE.judge(pair)
    assert isinstance(found, Evidence)
    assert found.facts["step"] == pytest.approx(1000, abs=160)  # a block is 100 steps long, and every 40th was logged
    assert found.facts["difference"] == pytest.approx(by, abs=0.05)
    assert found.facts["noise_deviations"] == pytest.approx(0.3 / (0.05 * math.sqrt(2)), rel=0.35)
    assert ("above" if by > 0 else "below") in found.summary
    assert found.span is not None
    assert found.span == pytest.approx((found.facts["step"], 1999), abs=40)


def test_a_departure_that_ends_is_none() -> None:
    run = falling(2000, 1, after=600, by=0.5)
    back = Series(run.step, np.where(run.step > 1500, falling(2000, 3).value, run.value), run.name)
    assert isinstance(RULE.judge(Pair(Curve(back), Curve(falling(2000, 2)))), Passed)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 600))
def test_two_runs_of_one_network_do_not_part(seed: int, points: int) -> None:
    good, run = synthetic.healthy(seed), synthetic.healthy(seed + 1, points=points)
    step = run.train.step * 400 / points
    assert isinstance(RULE.judge(Pair(replace(run, train=Series(step, run.train.value), val=None), good)), Passed)


@pytest.mark.parametrize(
    ("run", "good", "why"),
    [
        (Curve(falling(2000, 1, times=1 / math.log(2))), Curve(falling(2000, 2)), "different units: .* 1.4"),
        (Curve(falling(2000, 1, times=64)), Curve(falling(2000, 2, every=9)), "different units: .* 6[45]"),
        (Curve(Series.of([2.0, 1.0, 0.5])), Curve(falling(2000, 2)), "3 points"),
        (Curve(Series.of([1.0] * 9, range(9000, 9009))), Curve(falling(2000, 2)), "0 points"),
        (Curve(falling(2000, 1)), Curve(falling(2000, 2), context=Context(axis="epoch")), "--axis"),
        (Curve(Series.of([math.nan] * 9)), Curve(falling(2000, 2)), "finite"),
    ],
)
def test_what_cannot_be_compared(run: Curve, good: Curve, why: str) -> None:
    if good.context.axis is None:
        run, good = (replace(each, context=Context(axis="step")) for each in (run, good))
    with pytest.raises(NotApplicable, match=why):
        RULE.judge(Pair(run, good))


def test_smoothing_widens_the_errors() -> None:
    rough, good = falling(2000, 1), falling(2000, 2)
    smooth = Series(rough.step[30:], np.convolve(rough.value, np.full(31, 1 / 31), mode="valid"), "loss")
    assert not parting(smooth, good, share=0.0, p=0.01).outside[5:].any()


def test_validation_is_compared_too() -> None:
    val = falling(2000, 3, every=50)
    good = Curve(falling(2000, 1), val)
    run = Curve(falling(2000, 2), falling(2000, 4, every=25, after=900, by=0.6))
    found = RULE.judge(Pair(run, good))
    assert isinstance(found, Evidence)
    assert "validation" in found.summary


def test_the_report_gets_a_note_and_keeps_its_verdict() -> None:
    pair = synthetic.parted()
    report = examine_curve(pair.run)
    more = compared(report, pair.good)
    assert more.primary == report.primary
    assert [(one.name, one.severity) for one in more.findings if one not in report.findings] == [
        ("departure", Severity.NOTE)
    ]
    assert compared(report, pair.good, ignore=["departure"]) == report
    same = compared(examine_curve(pair.good), pair.good)
    assert "LC201" in same.passed
    assert "ends +0 from it" in same.measured["LC201"].summary


def test_the_good_log_holds_one_run(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("step,loss\n" + "".join(f"{n},{0.9**n}\n" for n in range(20)))
    (tmp_path / "two.csv").write_text("run,loss\n" + "".join(f"{name},{0.9**n}\n" for name in "ab" for n in range(20)))
    assert good_run(str(tmp_path / "one.csv"), train="loss", val="not there").run == "one.csv"
    with pytest.raises(UserError, match="this holds 2"):
        good_run(str(tmp_path / "two.csv"))


@pytest.mark.parametrize("make", [*RULE.fires_on, *RULE.quiet_on])
def test_the_examples_in_the_rule(make: partial[Pair]) -> None:
    assert isinstance(RULE.judge(make()), Evidence) == (make in RULE.fires_on)
    assert RULE.page.bullets("Causes")
    assert RULE.code.startswith("LC2")
