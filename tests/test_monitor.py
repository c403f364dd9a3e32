"""The Monitor: a verdict at any time of a run in progress, and when a change of it is told."""

from __future__ import annotations

import doctest
import math
from typing import Any

import numpy as np
import pytest
import torch

import lossdoc
from lossdoc import Monitor, UserError, monitor
from lossdoc.curve import Curve
from lossdoc.diagnosis import examine_curve
from lossdoc.findings import Evidence, Report, Severity
from lossdoc.rule import patterns
from lossdoc.synthetic import broken_off, double_softmax, flat, healthy, overfit


def fed(watch: Monitor, curve: Curve) -> list[tuple[int, str]]:
    """Log a curve point by point, and return the verdict after each of them where it changed."""
    vals = {} if curve.val is None else dict(zip(curve.val.step.tolist(), curve.val.value.tolist(), strict=True))
    seen: list[tuple[int, str]] = []
    for step, value in zip(curve.train.step.tolist(), curve.train.value.tolist(), strict=True):
        watch.log(step, train=value, val=vals.get(step))
        if not seen or seen[-1][1] != watch.verdict:
            seen.append((watch.points, watch.verdict))
    return seen


@pytest.mark.parametrize(
    ("curve", "last"),
    [
        (healthy(), "healthy"),
        (overfit(), "overfitting"),
        (flat(), "not-learning"),
        (broken_off(), "non-finite"),
        (double_softmax(), "double-softmax"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_report_is_that_on_the_whole_curve(curve: Curve, last: str) -> None:
    told: list[str] = []
    watch = Monitor(on_change=lambda report: told.append(report.primary), classes=10)
    seen = fed(watch, curve)
    assert seen[0] == (1, "inconclusive")
    assert seen[1][0] >= 7 or last == "non-finite"
    assert watch.report().primary == last
    assert repr(watch) == f"<Monitor of training: {watch.points} points, {last}>"
    assert watch.lasting == told[-1]
    assert (watch.lasting == "non-finite") == (last == "non-finite")
    curves = [lossdoc.diagnose(curve, classes=10), watch.report()]
    assert curves[0].primary == curves[1].primary


def test_the_curve_is_what_was_logged() -> None:
    watch = Monitor(batch_size=32)
    watch.log(train=2.0)
    watch.log(train=torch.tensor(1.5), val=np.float32(1.75), lr=0.1, val_accuracy=None)
    watch.log(10, train=1.25)
    watch.log(10, train=1.0, lr=0.01)  # the later one of two at a step
    watch.log(12, val=1.5)
    curve = watch.curve()
    assert (curve.train.step.tolist(), curve.train.value.tolist()) == ([1, 2, 10], [2, 1.5, 1])
    assert curve.val is not None
    assert (curve.val.step.tolist(), curve.val.value.tolist()) == ([2, 12], [1.75, 1.5])
    assert {name: each.value.tolist() for name, each in curve.others.items()} == {"lr": [0.1, 0.01]}
    assert (curve.context.batch_size, curve.context.axis) == (32, "step")


def test_it_looks_so_seldom_that_a_point_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look(curve: Curve, **told: Any) -> Report:
        looks.append(len(curve.train))
        return examine_curve(curve, **told)

    monkeypatch.setattr(monitor, "examine_curve", look)
    watch = Monitor()
    for step in range(1, 5001):
        watch.log(step, train=2.0 / step)
        assert watch.lasting
    gaps = np.diff(looks)
    assert looks[0] == 7
    assert gaps.min() >= monitor.APART
    assert len(looks) < 60  # 8 to 96 points, then log(5000 / 96) / log 1.125
    assert all(gap <= max(monitor.APART, math.ceil(0.125 * n)) for n, gap in zip(looks, gaps.tolist(), strict=False))
    watch.report()
    watch.report()
    assert looks.count(5000) == 1, "what has been examined is not examined again"


def test_the_verdict_is_that_of_the_report_at_any_time_and_what_lasts_may_lag_behind() -> None:
    watch = Monitor(classes=10)
    assert (watch.verdict, watch.lasting) == ("inconclusive", "inconclusive")
    lagged = False
    for step, value in enumerate(overfit().train.value.tolist(), 1):
        watch.log(step, train=value, val=2.0 + 0.01 * step)
        assert watch.verdict == watch.report().primary == examine_curve(watch.curve()).primary
        lagged = lagged or watch.lasting != watch.verdict
    assert lagged
    watch.log(step, train=math.nan)  # the later one of two at a step
    assert watch.verdict == "non-finite"
    watch.tell(classes=3)
    assert watch.report() is watch.report()


def test_a_loss_that_is_no_number_is_told_at_once() -> None:
    told: list[tuple[int, str]] = []
    watch = Monitor(on_change=lambda report: told.append((watch.points, report.primary)))
    for step in range(1, 1001):
        watch.log(step, train=2.0 * 0.99**step if step != 777 else math.nan)
    assert (777, "non-finite") in told
    assert [each for each in told if each[1] == "non-finite"] == [(777, "non-finite")]


@pytest.mark.parametrize(("planned", "told"), [(None, True), (700, False), (500, True)])
def test_that_something_is_slow_is_told_in_the_second_half_only(
    planned: int | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (patterns.get("slow-learning").finding(Evidence("slow", confidence=0.9)),)
    monkeypatch.setattr(monitor, "examine_curve", lambda *_, **__: Report("run", findings=found, decisive=Severity.WARNING))
    heard: list[str] = []
    watch = Monitor(on_change=lambda report: heard.append(report.primary), planned=planned)
    fed(watch, healthy(points=300))
    assert (watch.verdict, watch.lasting) == ("slow-learning", "slow-learning" if told else "inconclusive")
    assert heard == ["slow-learning"] * told


def test_what_is_told_later_fills_in_only() -> None:
    watch = Monitor(classes=10)
    watch.tell(classes=3, steps_per_epoch=45, planned=100)
    watch.tell(steps_per_epoch=50, n_train=None)
    watch.log(1, train=1.0)
    context = watch.curve().context
    assert (context.classes, context.steps_per_epoch, context.n_train, watch.planned) == (10, 45, None, 100)


def test_what_cannot_be_meant_is_told() -> None:
    with pytest.raises(lossdoc.UserError, match="did you mean 'classes'"):
        Monitor(clases=10)  # type: ignore[call-arg]  # that is the point
    with pytest.raises(lossdoc.UserError, match="did you mean 'overfitting'"):
        Monitor(select=["overfiting"])
    watch = Monitor()
    with pytest.raises(lossdoc.UserError, match="no training loss was logged"):
        watch.report()
    watch.log(7, train=1.0)
    with pytest.raises(lossdoc.UserError, match="step 3 after step 7 of 'train'"):
        watch.log(3, train=1.0)


def test_what_the_callback_raises_passes_through() -> None:
    class Halt(Exception):  # noqa: N818 - a signal
        pass

    def halt(_: object) -> None:
        raise Halt

    with pytest.raises(Halt):
        Monitor(on_change=halt).log(1, train=math.nan)


def test_the_example_runs() -> None:
    assert doctest.testmod(monitor).failed == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"trian": 1.0}, "called train= and val="),
        ({"train": "a"}, "train: got .*a single number is meant"),
        ({"train": torch.ones(3)}, "a single number is meant"),
    ],
)
def test_what_cannot_be_a_loss_is_told(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Monitor().log(1, **given)


def test_a_loss_that_still_has_its_graph_is_taken() -> None:
    monitor = Monitor()
    monitor.log(1, train=torch.ones((), requires_grad=True) * 2, strange=1.0)
    assert monitor.points == 1


@pytest.mark.parametrize("known", [{"classes": "x"}, {"classes": 0}, {"lr": "1e-3"}, {"n_val": -1}])
def test_what_is_no_number_is_refused_at_once(known: Any) -> None:
    with pytest.raises(UserError, match="a number above 0 is meant"):
        Monitor(**known)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"classes": 1}, "a whole number from 2 on"),
        ({"classes": 2.5}, "a whole number from 2 on"),
        ({"planned": -1}, "the last step of the run"),
        ({"on_change": 3}, "on_change is an int"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(given: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Monitor(**given)


def test_a_step_is_a_number() -> None:
    with pytest.raises(UserError, match="the step is nan"):
        Monitor().log(math.nan, train=1.0)


def test_a_run_may_have_had_a_learning_rate_of_zero() -> None:
    monitor = Monitor(lr=0.0)
    monitor.log(1, train=2.3)
    assert monitor.curve().context.lr == 0
