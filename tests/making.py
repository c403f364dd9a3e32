"""What makes the subjects of a sweep in other processes; workers import it, so it imports little."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.parts.optimizers import Adam
from lossdoc.ranking import RATE
from lossdoc.subject import Point, Subject
from tests.subjects import mlp, subject

POINTS = [Point(index, {RATE: 10.0 ** (-4 + index)}, seed=index) for index in range(5)]


def made_up(point: Point, *, build: Any = None) -> Subject:
    """Return a small regression whose model and order of data depend on the seed."""
    x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    pairs: Any = {"train": (x, x[:, :1] * x[:, 1:2]), "validation": (x[:16], x[:16, :1])}
    base = subject(pairs, build or mlp(4, 1, 8), Adam(lr=1e-2), batch_size=16)
    return replace(base, recipe=replace(base.recipe, changed={"lr": point.params[RATE]}), seed=point.seed)


def noisy(point: Point) -> Subject:
    print("noise")  # noqa: T201 - as users do
    return made_up(point)


def deadly(marks: Path, times: int, point: Point) -> Subject:
    """Kill the process that trains point 2, so many times."""
    died = len(list(marks.iterdir()))
    if point.index == 2 and died < times:
        (marks / str(died)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return made_up(point)


class Odd(Exception):  # noqa: N818 - the user's own
    """An exception that can be pickled and not be unpickled."""

    def __init__(self, one: str, _two: str) -> None:
        super().__init__(one)


class Faulty(nn.Module):
    """Raises in its second step."""

    def __init__(self, *, odd: bool) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 1)
        self.odd, self.steps = odd, 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        if self.steps > 1:
            raise Odd("no more of this", "") if self.odd else ValueError("no more of this")
        found: Tensor = self.inner(x)
        return found


def faulty(odd: bool, point: Point) -> Subject:
    return made_up(point, build=lambda _seed: Faulty(odd=odd))


def unreadable(_point: Point) -> Subject:
    raise FileNotFoundError(2, "No such file or directory", "data.csv")


def slow(marks: Path, point: Point) -> Subject:
    """Leave a mark for every time that the training of a point begins, and take a while for it."""
    (marks / f"{point.index}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.5)
    return made_up(point)
