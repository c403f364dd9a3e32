"""Random numbers that repeat, and leave everybody else's alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(*seeds: int) -> Iterator[None]:
    """Seed torch, numpy and random inside the block, and put their states back behind it."""
    seed = int(np.random.SeedSequence(seeds).generate_state(1, np.uint32)[0]) if len(seeds) > 1 else seeds[0]
    own, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's code may draw from it
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch has no type for it
                torch.manual_seed(seed)
            else:  # torch.manual_seed would note for later devices who called it, which takes longer than a small model
                torch.default_generator.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002 - as above
            random.seed(seed)
            yield
    finally:
        random.setstate(own)
        np.random.set_state(numpys)  # noqa: NPY002 - as above
