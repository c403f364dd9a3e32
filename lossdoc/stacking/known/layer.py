"""What a layer of K points is: forward and backward written out, over activations whose last dimension is the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lossdoc.stack import UnstackableError
from lossdoc.stacking.known.store import Slot, Store

LAYOUTS = 6  # how many shapes of batches memory is kept for: training, its last batch, and those of validation


@dataclass(frozen=True)
class Mode:
    """How a batch goes through the net: in training, with a key for each point's random numbers, or in evaluation."""

    training: bool
    keys: Sequence[int] = ()


class Room:
    """Memory that is used again at each step: fresh pages cost more than many of the sums that are written to them."""

    def __init__(self) -> None:
        self.made: dict[Any, Tensor] = {}

    def like(self, tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return a tensor of the same shape and layout, with anything in it."""
        key = (tensor.shape, tensor.stride())
        found = self.made.get(key)
        return self._keep(key, torch.empty_like(tensor, dtype=dtype)) if found is None else found

    def __call__(self, like: Tensor, *shape: int) -> Tensor:
        """Return a contiguous tensor of that shape, zeros at first, then what was left in it."""
        found = self.made.get(shape)
        return self._keep(shape, like.new_zeros(shape)) if found is None else found

    def _keep(self, key: Any, tensor: Tensor) -> Tensor:
        if len(self.made) >= LAYOUTS:
            self.made.clear()
        self.made[key] = tensor
        return tensor


class Layer:
    """One layer of K points.

    Activations are shaped (K, *sample, B), or (1, *sample, B) while all points still have the same. `forward` keeps what
    `backward` needs; `backward` may overwrite what it gets, and returns None unless the gradient of the inputs is wanted.
    """

    learns: bool = False  # whether it has parameters
    spare: ClassVar[bool] = False  # whether its output lies in memory of its own that its backward does not read
    mixes: bool = False  # whether what it makes of a sample depends on the others, in evaluation too

    def forward(self, x: Tensor, mode: Mode) -> Tensor:
        """Return what the layer puts out."""
        raise NotImplementedError

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Write the gradients of the parameters and return that of the inputs."""
        raise NotImplementedError

    def keep(self, places: list[int]) -> None:
        """Go on with the points at these places; the store has done so already."""


@dataclass(frozen=True)
class Site:
    """A place in the model, by its name, and the modules that stand there, one of each point."""

    name: str
    modules: Sequence[nn.Module]
    store: Store
    make: Callable[[Site], Layer]

    @property
    def module(self) -> Any:
        """The first point's module."""
        return self.modules[0]

    def child(self, name: str) -> Layer:
        """Return the layer for the modules of that name inside these."""
        inside = [getattr(module, name) for module in self.modules]
        return self.make(Site(self._path(name), inside, self.store, self.make))

    def slot(self, name: str) -> Slot | None:
        """Return a parameter of these modules, None where they have none of that name."""
        return self.store.slots.get(self._path(name))

    def needed(self, name: str) -> Slot:
        """Return a parameter that these modules must have."""
        return self.store.slots[self._path(name)]

    def buffer(self, name: str) -> Tensor:
        """Return a buffer (K, ...) of these modules."""
        return self.store.buffers[self._path(name)]

    def same(self, name: str) -> Any:
        """Return an attribute that all points must have in common."""
        first = getattr(self.module, name)
        if any(getattr(module, name) != first for module in self.modules):
            raise UnstackableError(f"the points differ in '{name}' of {type(self.module).__name__}")
        return first

    def _path(self, name: str) -> str:
        return f"{self.name}.{name}" if self.name else name


def must(holds: bool, why: str) -> None:  # noqa: FBT001 - reads like an assertion
    """Refuse points for which something does not hold."""
    if not holds:
        raise UnstackableError(why)
