"""What the checks of initialization and gradients share: shares over networks, and words for them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lossdoc.subject import Subject

ADAPTIVE = ("adam", "adamw", "rmsprop", "adagrad", "nadam", "adamax", "adadelta", "radam")
RARE = 0.05  # of all seeds: with fewer struck nobody would speak of a fault of the architecture


def strikes(hit: int, networks: int) -> bool:
    """Tell whether a fault that struck so many networks strikes more than one in twenty, at 95 % (exact binomial test)."""
    tail = sum(math.comb(networks, k) * RARE**k * (1 - RARE) ** (networks - k) for k in range(hit, networks + 1))
    return hit > 0 and tail < 0.05


def names(places: Iterable[str], most: int = 4) -> str:
    """Return places in words, each once, cut off after a few."""
    given = [each or "the model itself" for each in dict.fromkeys(places)]
    return ", ".join(given[:most]) + (", ..." if len(given) > most else "")


def least_gradient(subject: Subject) -> float:
    """Return what a gradient must keep of its size on its way back where nothing but the size of the weights shrinks it.

    Networks of ReLU that begin with weights too small stayed at the base rate with momentum below 3e-4. Adam and its like,
    which divide each step by the gradient's size, trained 10 layers of 32 units down to 1e-4, and none below 1e-5.
    """
    return 1e-5 if subject.recipe.optimizer.word.rpartition(":")[2].lower() in ADAPTIVE else 3e-4
