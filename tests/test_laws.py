"""Laws of a diagnosis: the order of columns and rows does not matter, nor in which file a run stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc import synthetic
from lossdoc.curve import Curve
from lossdoc.diagnosis import diagnose

MAKERS: list[Callable[[], Curve]] = [
    synthetic.healthy,
    synthetic.overfit,
    synthetic.rising,
    synthetic.flat,
    synthetic.underfit,
    synthetic.rough_validation,
    synthetic.spiky,
    synthetic.slow_start,
]
made = st.sampled_from(MAKERS)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def table(curve: Curve, run: str | None = None) -> list[dict[str, str]]:
    """Return a curve as the rows of a log."""
    val = {} if curve.val is None else dict(zip(curve.val.step, curve.val.value, strict=True))
    rows = []
    for step, value in zip(curve.train.step, curve.train.value, strict=True):
        row = {"step": f"{step:g}", "train_loss": repr(float(value)), "val_loss": str(val.get(step, ""))}
        rows.append(row if run is None else {"run": run, **row})
    return rows


def verdicts(folder: Path, rows: Sequence[dict[str, str]], head: Sequence[str]) -> dict[str | None, tuple[str, ...]]:
    """Write rows as a log with the columns in a certain order; return what is found, by run."""
    path = folder / "log.csv"
    path.write_text("\n".join([",".join(head), *(",".join(row[name] for name in head) for row in rows)]) + "\n")
    reports = diagnose(path)
    return {report.run: (report.primary, *(finding.name for finding in report.findings)) for report in reports}


@settings(max_examples=25, deadline=None)
@given(make=made, head=st.permutations(["step", "train_loss", "val_loss"]))
def test_the_order_of_columns_does_not_matter(folder: Path, make: Callable[[], Curve], head: list[str]) -> None:
    rows = table(make())
    assert verdicts(folder, rows, head) == verdicts(folder, rows, ["step", "train_loss", "val_loss"])


@settings(max_examples=25, deadline=None)
@given(make=made, random=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_where_no_step_comes_twice(
    folder: Path, make: Callable[[], Curve], random: Random
) -> None:
    rows, head = table(make()), ["step", "train_loss", "val_loss"]
    mixed = list(rows)
    random.shuffle(mixed)
    assert verdicts(folder, mixed, head) == verdicts(folder, rows, head)


@settings(max_examples=25, deadline=None)
@given(first=made, second=made)
def test_runs_in_one_file_are_judged_as_in_files_of_their_own(
    folder: Path, first: Callable[[], Curve], second: Callable[[], Curve]
) -> None:
    both = [table(first(), "a"), table(second(), "b")]
    head = ["run", "step", "train_loss", "val_loss"]
    together = verdicts(folder, [*both[0], *both[1]], head)
    for name, rows in zip("ab", both, strict=True):
        (alone,) = verdicts(folder, rows, head).values()
        assert together[name] == alone


@settings(max_examples=25, deadline=None)
@given(make=made, random=st.randoms(use_true_random=False))
def test_the_rows_of_two_runs_may_be_mingled(folder: Path, make: Callable[[], Curve], random: Random) -> None:
    a, b = table(make(), "a"), table(synthetic.healthy_epochs(), "b")
    left, mingled = [list(a), list(b)], []
    while left[0] or left[1]:
        mingled.append(random.choice([rows for rows in left if rows]).pop(0))
    head = ["run", "step", "train_loss", "val_loss"]
    assert verdicts(folder, mingled, head) == verdicts(folder, [*a, *b], head)
