"""From a file to a verdict: what is told, what is left out, and several runs in one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lossdoc import synthetic
from lossdoc.curve import Context, Curve, Runs, Series
from lossdoc.diagnosis import chosen, diagnose, examine_curve, examine_runs
from lossdoc.errors import UserError
from lossdoc.format import plain_report
from lossdoc.rule import patterns


def write(path: Path, *curves: Curve) -> Path:
    """Write curves as a log, with a column for the run where there are several."""
    lines = [("run," if len(curves) > 1 else "") + "step,train_loss,val_loss"]
    for run, curve in enumerate(curves):
        val = {} if curve.val is None else dict(zip(curve.val.step, curve.val.value, strict=True))
        for step, value in zip(curve.train.step, curve.train.value, strict=True):
            lines.append((f"seed {run}," if len(curves) > 1 else "") + f"{step:g},{float(value)!r},{val.get(step, '')}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (synthetic.healthy, "healthy"),
        (synthetic.healthy_epochs, "healthy"),
        (synthetic.flat, "not-learning"),
        (synthetic.overfit, "overfitting"),
        (synthetic.rising, "rising"),
        (synthetic.broken_off, "non-finite"),
        (synthetic.blown_up, "lr-too-high"),
        (synthetic.double_softmax, "double-softmax"),
        (synthetic.underfit, "underfitting"),
        (synthetic.slow, "slow-learning"),
        (synthetic.slow_start, "slow-start"),
        (synthetic.waves, "periodic"),
        (synthetic.rough_validation, "noisy-validation"),
        (synthetic.spiky, "spikes"),
        (synthetic.wrong_first_loss, "initial-loss-off"),
        (synthetic.short, "inconclusive"),
    ],
)
def test_the_gallery_is_named_from_a_file(make: Callable[[], Curve], verdict: str, tmp_path: Path) -> None:
    curve = make()
    (report,) = diagnose(write(tmp_path / "curve.csv", curve), context=curve.context)
    assert report.primary == verdict
    assert (report.title, report.source, report.run) == ("curve.csv", str(tmp_path / "curve.csv"), None)
    assert len(report.findings) + len(report.passed) + len(report.skipped) == len(patterns.names()) - 1
    assert all(span is None or span[0] <= span[1] for span in (finding.evidence.span for finding in report.findings))


def test_a_short_curve_is_inconclusive_unless_it_broke_off() -> None:
    report = examine_curve(synthetic.short())
    assert report.inconclusive == "4 points are too few: no test can prove anything below 7"
    assert set(report.skipped.values()) == {report.inconclusive}
    assert examine_curve(Curve(Series.of([2.0, np.nan]))).primary == "non-finite"


def test_a_frozen_log_beside_a_learning_model_is_a_fault_of_the_log() -> None:
    falling = Series.of(synthetic.descent(30, 2.3, 0.3))
    report = examine_curve(Curve(Series.of(np.full(30, 2.31)), falling))
    assert report.primary == "inconclusive"
    assert "a fault of the log" in str(report.inconclusive)
    rising = Series.of(1 - synthetic.descent(30, 0.9, 0.1))
    assert examine_curve(Curve(Series.of(np.full(30, 2.31)), others={"val_accuracy": rising})).primary == "inconclusive"
    assert examine_curve(Curve(Series.of(np.full(30, 2.31)), Series.of(np.full(30, 2.3)))).primary == "not-learning"


def test_a_file_of_runs_gets_a_report_for_each_and_one_for_the_group(tmp_path: Path) -> None:
    runs = synthetic.seeds()
    reports = diagnose(write(tmp_path / "runs.csv", *runs.curves), context=runs.curves[0].context)
    assert [report.run for report in reports] == [*(f"seed {i}" for i in range(5)), "*"]
    assert reports[-1].primary == "double-softmax"
    assert "explained by double-softmax" in reports[-1].skipped.values()
    (alone,) = diagnose(tmp_path / "runs.csv", run="seed 3")
    assert alone.run == "seed 3"
    with pytest.raises(UserError, match="has no run 'seed 9'; did you mean 'seed"):
        diagnose(tmp_path / "runs.csv", run="seed 9")


@pytest.mark.parametrize(("sick", "well", "verdict"), [(2, 3, "healthy"), (3, 2, "overfitting"), (5, 0, "overfitting")])
def test_a_group_has_what_more_than_half_of_it_has(sick: int, well: int, verdict: str) -> None:
    runs = Runs(tuple([synthetic.overfit(i) for i in range(sick)] + [synthetic.healthy_epochs(i) for i in range(well)]))
    report = examine_runs(runs, ignore=["run-to-run-variance"])
    assert report.primary == verdict
    assert verdict == "healthy" or report.findings[0].evidence.summary.startswith(f"{sick} of {sick + well} runs: ")


def test_a_healthy_verdict_is_as_sure_as_the_losses_are_many_and_log_n_is_known() -> None:
    short, long, blind = (
        examine_curve(synthetic.healthy(points=points)) if known else examine_curve(Curve(synthetic.healthy().train))
        for points, known in ((60, True), (2000, True), (0, False))
    )
    assert {report.primary for report in (short, long, blind)} == {"healthy"}
    assert short.confidence is not None
    assert long.confidence is not None
    assert blind.confidence is not None
    assert 0.5 < blind.confidence < short.confidence < long.confidence < 1
    assert plain_report(long)["confidence"] == long.confidence
    sick = [examine_curve(make()) for make in (synthetic.overfit, synthetic.short)]
    assert [(report.confidence, "confidence" in plain_report(report)) for report in sick] == [(None, False)] * 2


def test_select_and_ignore_name_patterns() -> None:
    only = examine_curve(synthetic.overfit(), select=["rising", "spikes"])
    assert (only.primary, len(only.passed) + len(only.skipped)) == ("healthy", 2)
    assert examine_curve(synthetic.overfit(), ignore=["overfitting"]).primary != "overfitting"
    with pytest.raises(UserError, match="no rule is called 'overfit'; did you mean 'overfitting'"):
        examine_curve(synthetic.overfit(), select=["overfit"])


def test_what_the_reader_and_the_columns_noticed_is_in_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text("step,train_loss\n" + "".join(f"{i},{'oops' if i % 7 == 3 else 2 / (i + 1)}\n" for i in range(100)))
    (report,) = diagnose(path)
    assert report.notes == ("14 cells of 'train_loss' are not numbers (first: line 5: 'oops') and left out",)


def test_a_folder_reports_on_what_it_can_and_says_what_not(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", synthetic.healthy())
    (tmp_path / "b.csv").write_text("x,y\n1,2\n3,4\n")
    (report,) = diagnose(tmp_path, context=Context(classes=10))
    assert report.primary == "healthy"
    assert any("b.csv" in note and "no loss column" in note for note in report.notes)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(UserError, match=r"b\.csv.*no loss column"):
        diagnose(tmp_path)


def test_told_columns_reach_the_curve(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("t,mine,theirs\n" + "".join(f"{i},{2 / i},{3 / i}\n" for i in range(1, 30)))
    (report,) = diagnose(path, train="mine", val="theirs", step="t", context=Context(axis="epoch"))
    assert isinstance(report.matter, Curve)
    assert report.matter.val is not None
    assert (report.matter.train.name, report.matter.val.name, report.matter.context.axis) == ("mine", "theirs", "epoch")


def test_nothing_left_to_judge_by_is_told() -> None:
    with pytest.raises(UserError, match="no pattern is left"):
        chosen(["spikes"], ["spikes"])
