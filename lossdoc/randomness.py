"""Random numbers that depend on a key alone, and work that leaves nobody else's changed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def mixed(*key: int) -> int:
    """Return one seed for a key of several numbers."""
    seed = 0
    for part in key:
        seed = (seed * 1_000_003 + part + 1) % (2**63 - 1)
    return seed


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed torch's generator for the block by the whole key, and leave the generator as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mixed(*key))  # torch.manual_seed queues seeds for idle devices, too
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the random numbers of torch, numpy and Python as they were before the block, whoever draws from them in it."""
    python, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002 - the generator that users' code draws from
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpys)  # noqa: NPY002
