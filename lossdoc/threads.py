"""How many threads torch computes with: too many for small matrices, or for shared cores, cost more than they bring."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


def cores() -> int:
    """Return how many cores this process may use; OMP_NUM_THREADS, where it is set, may ask for fewer."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(here, int(asked)) if asked.isdecimal() and int(asked) > 0 else here


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads in the block, and with as many as before behind it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class ThreadTrial:
    """Finds in the first calls of a step whether one thread is as fast as all: small products cost less than sharing them.

    Every number of threads has several turns of some steps; its fastest step counts, since others may use the cores, too.
    Where one is far ahead after its first turn there are no others. Sums may differ in their last digits with the number of
    threads.
    """

    TURNS, STEPS = 4, 3  # the first step of a turn is not timed: another thread's caches are cold
    FAR = 1.5  # times as fast: more than what disturbs one turn of two
    FASTER = 0.95  # the share of the time alone below which more threads are worth the cores that they take

    def __init__(self) -> None:
        self.many = torch.get_num_threads()
        self.times: dict[int, float] = {}
        self.turns = [1, self.many] * self.TURNS if self.many > 1 else []
        self.taken = 0

    def step(self, call: Callable[[], None]) -> None:
        """Call, with the number of threads whose turn it is, or which was found."""
        if not self.turns:
            call()
            return
        count = self.turns[0]
        torch.set_num_threads(count)
        began = time.perf_counter()
        call()
        if self.taken % self.STEPS:
            self.times[count] = min(time.perf_counter() - began, self.times.get(count, math.inf))
        self.taken += 1
        if self.taken % self.STEPS == 0:
            self.turns.pop(0)
            if len(self.times) > 1 and max(self.times.values()) > self.FAR * min(self.times.values()):
                self.turns.clear()
        if not self.turns:
            torch.set_num_threads(self.many if self.times[self.many] < self.FASTER * self.times[1] else 1)
