"""Points of one architecture in training as one: what a stack is, what it is given, and what it measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from lossdoc.masks import key_dropouts
from lossdoc.subject import LiveOptimizer, Subject


class UnstackableError(Exception):
    """These points cannot be trained as one; the text says why, to follow "because"."""


@dataclass(frozen=True)
class Joined:
    """One batch for each of K points.

    Inputs and targets are tensors (or mappings of such) of shape (B, ...) where all points see the same samples (`shared`),
    else (K, B, ...).
    """

    inputs: Any
    targets: Any
    shared: bool


@dataclass(frozen=True)
class Measured:
    """What K points measured before an update: tensors (K,), the loss without and with penalties, the accuracy or NaN."""

    loss: Tensor
    total: Tensor
    accuracy: Tensor


class Stack(Protocol):
    """K points in training as one. What became of one point never reaches another: a diverged one stays alone with it."""

    @property
    def rebuilding(self) -> float:
        """The seconds that it costs to go on with fewer points, as far as known; 0 where that is nothing."""

    def step(self, batch: Joined, factors: Tensor, keys: Sequence[int]) -> Measured:
        """Take one step; `factors` (K,) multiply the learning rates, `keys` are what seeds each point's random numbers."""

    def evaluate(self, batch: Joined) -> Measured:
        """Measure a batch in evaluation mode."""

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the points at these places only, in this order."""

    def parameters(self, place: int) -> dict[str, Tensor]:
        """Return copies of the parameters and buffers of one point, by their names in the model."""


StackMaker = Callable[[Sequence[Subject], Sequence[int], Joined, int], Stack]
"""Makes a stack of subjects, each with its seed; the batch shows shapes and types, the number is how many steps are planned,
0 where that is not known. Raises UnstackableError."""


def must_be_stackable(subjects: Sequence[Subject]) -> None:
    """Refuse what no stack trains: steps and optimizers that lossdoc only calls, and a loss that is scaled up.

    Raises:
        UnstackableError: when a subject has one of these, or the subjects differ in their optimizer.
    """
    for recipe in (subject.recipe for subject in subjects):
        if recipe.step is not None:
            raise UnstackableError("the training step is your own")
        if recipe.scaled:
            raise UnstackableError("float16 needs its loss scaled")
        if isinstance(recipe.optimizer, LiveOptimizer):
            raise UnstackableError(f"the optimizer {recipe.optimizer.word} is not one of lossdoc's own")
        if type(recipe.optimizer) is not type(subjects[0].recipe.optimizer):
            raise UnstackableError("the points differ in their optimizer")


def models_of(subjects: Sequence[Subject], seeds: Sequence[int]) -> list[nn.Module]:
    """Return a model for each subject and seed, dropouts by key; those that begin alike are one and the same object."""
    made: dict[tuple[int, int], nn.Module] = {}
    for subject, seed in zip(subjects, seeds, strict=True):
        key = id(subject.build), seed
        if key not in made:
            made[key] = key_dropouts(subject.build(seed)).train()
    return [made[id(subject.build), seed] for subject, seed in zip(subjects, seeds, strict=True)]
