"""How many threads torch computes with: too many for small matrices, or for shared cores, cost more than they bring."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
