"""The runner that chooses: by what a few steps took, never against what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lossdoc.runner import Budget, Work
from lossdoc.runners import auto, serial
from lossdoc.runners.auto import Times
from lossdoc.stacking import memory
from lossdoc.subject import Point, Subject
from lossdoc.threads import cores, threads
from tests.test_vmapped import RATE, described, points, trained

MANY = 2


@pytest.mark.parametrize(
    ("times", "steps", "choice"),
    [
        (Times({1: 1e-3, MANY: 2e-3}, {1: 2e-4, MANY: 1e-4}), 500, ("vmapped", MANY)),
        (Times({1: 1e-3, MANY: 2e-3}, {1: 1e-4, MANY: 9e-4}), 500, ("vmapped", 1)),  # threads that are in each other's way
        (Times({1: 1e-3, MANY: 2e-3}, {1: 0.95e-3}), 500, ("serial", 1)),  # a stack would gain nothing that is sure
        (Times({1: 1e-3, MANY: 2e-3}, {}, "your own step"), 500, ("serial", 1)),  # too short for processes to pay
        (Times({1: 1e-1, MANY: 0.9e-1}, {}, "your own step"), 5000, ("processes", MANY)),
        (Times({1: 1e-1, MANY: 0.4e-1}, {1: 0.5e-1}), 5000, ("serial", MANY)),  # large enough for all threads at once
    ],
)
def test_the_fastest_way_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: Times, steps: int, choice: tuple[str, int]
) -> None:
    monkeypatch.setattr(auto, "timed", lambda *_: times)
    monkeypatch.setattr(auto, "cores", lambda: MANY)
    name, count, why = auto.chosen(Work(described(tmp_path), points(), Budget(steps=steps)), points())
    assert (name, count) == choice
    assert why


def test_one_point_is_trained_alone(tmp_path: Path) -> None:
    one = [Point(0, {RATE: 1e-3})]
    assert auto.chosen(Work(described(tmp_path), one, Budget(steps=5)), one)[0] == "serial"


def test_what_cannot_be_stacked_is_known(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def step(model, batch, optimizer):\n    return 1.0\n", encoding="utf-8")
    make = described(tmp_path, step="{call: own:step}", python_path="[.]")
    with threads(1):
        found = auto.timed([make(point) for point in points()], [0] * 6, 100)
    assert not found.stacked
    assert "step of its own" in found.why or "your own" in found.why
    assert min(found.alone.values()) > 0


def test_a_stack_that_would_be_too_large_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = described(tmp_path)
    subjects = [make(point) for point in points()]
    batch = next(iter(subjects[0].batches("train", 0)))
    monkeypatch.setattr(memory, "ENOUGH", 2 * memory.bytes_of_point(subjects[0], 0, batch))
    with threads(1):
        assert auto.timed(subjects, [0] * 6, 100).stacked
        monkeypatch.setattr(memory, "ENOUGH", memory.ENOUGH - 1)
        found = auto.timed(subjects, [0] * 6, 100)
    assert not found.stacked
    assert "memory" in found.why


@pytest.mark.parametrize(("seconds", "steps", "tried"), [(1e-3, 1000, 8), (0.1, 320, 2), (0.1, 20000, 8), (0.02, 10, 3)])
def test_the_choice_costs_little_of_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int, tried: int
) -> None:
    asked: list[int] = []

    def stacked(subjects: Sequence[Subject], _seeds: Sequence[int]) -> float:
        asked.append(len(subjects))
        return seconds

    monkeypatch.setattr(auto, "_alone", lambda *_: seconds)
    monkeypatch.setattr(auto, "_stacked", stacked)
    monkeypatch.setattr(auto, "cores", lambda: 1)
    one = described(tmp_path)(points()[0])
    auto.timed([one] * 8, [0] * 8, steps)
    assert asked == [tried]


def test_every_point_comes_back_as_it_is_alone(tmp_path: Path) -> None:
    told: list[str] = []
    work = Work(
        described(tmp_path), points({RATE: 1e-3, "data.batch_size": 16}, {RATE: 1e-2}), Budget(steps=8), say=told.append
    )
    with threads(1):
        chosen, alone = trained(work, auto.run), trained(work, serial.run)
    assert [trial.loss for trial in chosen] == pytest.approx([trial.loss for trial in alone], rel=1e-6)
    assert len(told) == 2  # one line for each architecture


def test_threads_are_put_back() -> None:
    with threads(1):
        with threads(cores()):
            pass
        import torch

        assert torch.get_num_threads() == 1
