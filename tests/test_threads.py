"""How many threads a loop takes: those with which its first steps were the fastest."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from lossdoc import threads


@pytest.mark.parametrize(
    ("seconds", "found", "tried"),
    [
        ({1: 1.0, 2: 0.7}, 2, 24),
        ({1: 1.0, 2: 1.4}, 1, 24),
        ({1: 1.0, 2: 0.97}, 1, 24),
        ({1: 1.0, 2: 0.6}, 2, 6),  # so far ahead that no second turn is needed
        ({1: 1.0, 2: 1.6}, 1, 6),
        ({1: 1.0}, 1, 0),
    ],
    ids=["shared", "apart", "hardly", "surely shared", "surely apart", "one"],
)
def test_thread_trial(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], found: int, tried: int) -> None:
    used, now = [max(seconds)], [0.0]
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[-1])
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    trial = threads.ThreadTrial()
    taken: list[int] = []

    def step(slow: float) -> Callable[[], None]:
        def call() -> None:
            taken.append(used[-1])
            now[0] += seconds[used[-1]] * slow

        return call

    for at in range(40):
        trial.step(step(3.0 if at % 3 == 0 else 1.0))  # the first step of each turn is slow
    assert used[-1] == found
    assert taken[-1] == found
    assert set(taken) == set(seconds)
    assert set(taken[tried:]) == {found}
    assert tried == 0 or taken[:tried].count(1) == tried / 2
