"""What is known of the cross-entropy of a softmax: of a uniform guess, and of a softmax that is applied twice."""

from __future__ import annotations

import math


def twice(classes: int) -> float:
    """Return the least loss that a softmax applied twice can reach: log(e + n - 1) - 1, for n classes."""
    return math.log(math.e + classes - 1) - 1


LEVELS = [(n, math.log(n), twice(n), twice(n + 1)) for n in range(3, 21)]  # log n, its floor and the next one's


def guessed_classes(first: float) -> int | None:
    """Return the only number of classes, from three to twenty, whose log n the first loss allows; None where there is none.

    An untrained model begins within 2 % below and 4 % above log n. Two classes are left out, as many healthy losses end at
    the floor of two, 0.31; of more than twenty the floors lie closer together than a run comes near to one.
    """
    fits = [n for n, level, _, _ in LEVELS if 0.98 * first < level < 1.04 * first]
    return fits[0] if len(fits) == 1 else None


def stopped_at(first: float, end: float) -> int | None:
    """Return the only number of classes, from three to twenty, at whose floor of `twice` a loss stops; None where none fits.

    The end lies above the floor by less than a fifth of the way to the next one: by chance one end in five does. The first
    loss, be it that of a step or an epoch's mean, is at most a tenth above log n and has made no more than two thirds of the
    way from there to the floor.
    """
    found = [
        n
        for n, level, floor, above in LEVELS
        if 0 <= end + 0.002 - floor < (above - floor) / 5 and floor + (level - floor) / 3 <= first <= 1.1 * level
    ]
    return found[0] if len(found) == 1 else None
