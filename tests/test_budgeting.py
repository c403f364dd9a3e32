"""How a budget is divided, and what is said where it does not suffice."""

from __future__ import annotations

import math
import time

import pytest

from lossdoc import specimens
from lossdoc.budgeting import Bench, Fits, ending, share_of
from lossdoc.checks import _neighbors
from lossdoc.errors import NotApplicable
from lossdoc.experiments import Experiments
from lossdoc.following import OutOfTimeError
from lossdoc.rule import checks, examine
from lossdoc.subject import Batch


@pytest.mark.parametrize(
    ("stage", "now", "end", "until"),
    [
        ("sanity", 0.0, 60.0, 30.0),
        ("sanity", 0.0, 10.0, 15.0),  # some answer is better than none
        ("overfit", 20.0, 60.0, 26.0),
        ("training", 58.0, 60.0, 60.0),
        ("causes", 20.0, 60.0, 60.0),
        ("sanity", 0.0, math.inf, math.inf),
    ],
)
def test_each_stage_has_its_share(stage: str, now: float, end: float, until: float) -> None:
    assert share_of(stage, now, 0.0, end) == until


def test_a_check_after_its_time_is_skipped_with_the_reason() -> None:
    wrong = checks.get("head-width")
    late, early = (examine("sanity", specimens.healthy(), [ending(wrong, time.monotonic() + left)]) for left in (-1, 60))
    assert late.skipped == {wrong.code: "the share of the budget for sanity was spent"}
    assert early.passed == (wrong.code,)


def test_a_training_that_cannot_end_in_time_is_broken_off_early() -> None:
    now = time.monotonic()
    Fits(now + 10, steps=1000, began=now - 10)(600)  # half of the time, more than half of the steps
    Fits(now + 10, steps=None, began=now - 10)(1)  # its length is not known
    with pytest.raises(OutOfTimeError, match="too small for all its steps"):
        Fits(now + 10, steps=1000, began=now - 10)(400)


def test_experiments_are_planned_once_and_made_longer_where_there_is_time() -> None:
    bench, now = Bench(), time.monotonic()
    first = bench.experiments(specimens.healthy(), now + 5, now + 5)
    assert bench.experiments(specimens.healthy(), now + 9, now + 9) is first
    assert first.until == now + 9
    first.steps = 10
    bench.lengthen(now - 60, now + 30)  # three times as long would not fit in
    assert bench.made is first
    bench.lengthen(now - 1, now + 60)
    assert bench.made is not first
    assert bench.made.steps > 15


def test_targets_shuffled_apart_are_unrelated_to_their_inputs() -> None:
    def apart(batch: Batch) -> Batch:
        return Batch(batch.inputs, batch.targets.roll(len(batch.targets) // 2 + 1, 0))

    sound = specimens.healthy()
    shuffled = specimens.healthy(batches=lambda split, epoch: map(apart, sound.batches(split, epoch)))
    assert _neighbors.p_unrelated(sound)[0] == 0.005
    assert _neighbors.p_unrelated(shuffled)[0] > 0.05
    with pytest.raises(NotApplicable, match="hundred rows"):
        _neighbors.p_unrelated(specimens.healthy(batches=lambda *_: [next(iter(sound.batches("train", 0)))]))


def test_an_experiment_that_is_not_done_in_time_is_broken_off() -> None:
    """The pace promised to end in time, and did not keep its promise."""
    slow = Experiments(specimens.healthy(), (0, 1), 10**9, until=math.inf, deadline=time.monotonic() + 0.2)
    with pytest.raises(NotApplicable, match="--budget"):
        slow.tried("for ever", slow.subject)
    assert slow.done == {}
