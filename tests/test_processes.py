"""Worker processes: the same curves, whatever dies or goes wrong in them."""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lossdoc.errors import Problem, UserCodeError, UserError, user_code
from lossdoc.loop import Tick
from lossdoc.runner import Budget, Work, runners
from lossdoc.runners import processes
from lossdoc.subject import Point, Trial
from tests.conftest import PROJECT
from tests.making import POINTS, deadly, faulty, made_up, unreadable


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))


def exactly(one: Sequence[Trial], other: Sequence[Trial]) -> bool:
    return repr(sorted(one, key=key)) == repr(sorted(other, key=key))


def key(trial: Trial) -> int:
    return trial.point.index


def work(make: Any = made_up, **known: Any) -> Work:
    return Work(make, **{"points": POINTS, "budget": Budget(epochs=3), **known})


@pytest.mark.parametrize("inner", ["serial", "vmapped"])
def test_the_curves_are_those_of_one_process(inner: str) -> None:
    alone = list(runners.get(inner).run(work(points=POINTS[:3])))
    assert math.isfinite(alone[0].loss)
    assert exactly(list(processes.run(work(points=POINTS[:3], jobs=1), inner, chunk=3)), alone)


def test_the_watch_hears_of_every_validation_and_its_answer_counts() -> None:
    heard: dict[int, list[int]] = {}

    def watch(seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
        for point, tick in seen:
            if tick.validation is not None:
                heard.setdefault(point.index, []).append(tick.epoch)
        return [
            place for place, (point, tick) in enumerate(seen) if point.index == 2 and tick.epoch == 1 and tick.validation
        ]

    trials = sorted(processes.run(work(watch=watch, jobs=2)), key=key)
    assert heard == {**{n: [0, 1, 2] for n in range(5)}, 2: [0, 1]}
    assert [len(trial.curve.train) for trial in trials] == [9, 9, 6, 9, 9]
    assert exactly(trials, list(runners.get("serial").run(work(watch=watch))))


# what goes wrong ----------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_costs_its_point_one_more_try(tmp_path: Path) -> None:
    said: list[str] = []
    trials = list(processes.run(work(partial(deadly, tmp_path, 1), jobs=1, say=said.append)))
    assert exactly(trials, list(runners.get("serial").run(work())))
    assert said == ["a worker process was killed by SIGKILL, perhaps for want of memory: its points (2) are tried once more"]


def test_a_point_that_kills_its_workers_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"point 2 \(optimizer.lr 0.01, seed 2\) cannot be trained: .*SIGKILL") as told:
        list(processes.run(work(partial(deadly, tmp_path, 9), jobs=1, points=POINTS[1:4])))
    assert told.value.problems[0].kind == "worker"
    assert not children()


@pytest.mark.parametrize("odd", [False, True])
def test_what_the_users_own_code_raises_arrives_with_its_traceback(odd: bool) -> None:
    with pytest.raises(UserCodeError) as told:
        list(processes.run(work(partial(faulty, odd), jobs=1)))
    assert str(told.value).endswith(f"raised {'Odd' if odd else 'ValueError'}: no more of this")
    assert type(told.value.cause).__name__ == ("Odd" if odd else "ValueError")
    assert "making.py" in told.value.tail()
    assert "no more of this" in told.value.tail().splitlines()[-1]
    assert "in forward" in str(told.value.cause.__cause__)
    assert not children()


def test_an_error_of_a_file_is_not_taken_for_one_of_the_pipe() -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.csv"):
        list(processes.run(work(unreadable, jobs=1)))


def children() -> list[int]:
    """Return the numbers of this process's children, the dead that nobody asked after among them."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found}
    return [int(pid) for pid, name in names.items() if b"resource_tracker" not in name]


def test_errors_can_be_sent_to_another_process() -> None:
    bad = UserError(Problem("one", file="a.yaml", line=3), Problem("two"))
    again = pickle.loads(pickle.dumps(bad))  # noqa: S301 - our own
    assert again.problems == bad.problems
    assert str(again) == str(bad)
    with pytest.raises(UserCodeError) as told, user_code("pkg:call"):
        int("x")
    far = pickle.loads(pickle.dumps(told.value))  # noqa: S301 - our own
    twice = pickle.loads(pickle.dumps(far))  # noqa: S301 - our own
    assert far.tail() == twice.tail() == told.value.tail()
    assert str(twice) == str(told.value)
    assert isinstance(twice.cause, ValueError)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from lossdoc.runner import Budget, Work
from lossdoc.runners import processes
from tests.making import POINTS, noisy
def here(point):
    return noisy(point)
print("begins", flush=True)
trials = list(processes.run(Work({make}, POINTS[:3], Budget(epochs=30000 if "long" in sys.argv else 2), jobs=2)))
print(len(trials))
"""


@pytest.mark.parametrize(("make", "fine"), [("noisy", True), ("here", False)])
def test_a_script_needs_no_guard(tmp_path: Path, make: str, fine: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(PROJECT), make=make))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode == 0) is fine, done.stderr
    if fine:  # what the user's own code prints goes to standard error
        assert "noise" in done.stderr
        assert done.stdout == "begins\n3\n"
    else:  # what is defined in the script itself makes it run again in the worker: that needs the guard
        assert "before it could train" in done.stderr


def test_an_interrupt_ends_the_workers_at_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(PROJECT), make="noisy"))
    run = subprocess.Popen(
        [sys.executable, script, "long"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "begins\n"
    listed = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    while len(workers := listed.read_text().split()) < 3:  # two workers, and what multiprocessing starts beside them
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    began = time.monotonic()
    _, errors = run.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert errors.count("KeyboardInterrupt") == 1, errors
    assert not [
        pid for pid in workers if Path(f"/proc/{pid}").exists() and b"lossdoc" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
