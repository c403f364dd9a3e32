"""Which stack for these points: products written out where all layers are known, else whatever vmap can follow."""

from __future__ import annotations

from collections.abc import Sequence

from lossdoc.stack import Joined, Stack, UnstackableError
from lossdoc.stacking import generic, known
from lossdoc.subject import Subject


def stack_of(subjects: Sequence[Subject], seeds: Sequence[int], sample: Joined, steps: int = 0) -> Stack:
    """Make the fastest stack that there is for these subjects, each with its seed, for so many steps (0: not known).

    Raises:
        UnstackableError: when there is none.
    """
    try:
        return known.make(subjects, seeds, sample, steps)
    except UnstackableError:
        return generic.make(subjects, seeds, sample, steps)
