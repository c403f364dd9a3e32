"""The parameters and buffers of K points, each stacked into one tensor, with a gradient beside every parameter."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lossdoc.stack import UnstackableError


class Slot:
    """One parameter of K points and its gradient, (K, ...).

    Where it is a matrix, or can be taken as one, `rows` and `rows_gradient` are the same memory as (K, out, in), `turned` is
    (K, in, out), and `tall` and `tall_gradient` are (K·out, in). Of a vector, `column` is (K, out, 1).
    """

    value: Tensor
    gradient: Tensor
    rows: Tensor
    rows_gradient: Tensor
    turned: Tensor
    tall: Tensor
    tall_gradient: Tensor
    column: Tensor

    def __init__(self, shape: torch.Size) -> None:
        self.shape = shape

    def lie(self, value: Tensor, gradient: Tensor) -> None:
        """Take these columns (K, n) of a block as the memory."""
        self.value, self.gradient = (parted(memory, 1, self.shape or (1,)) for memory in (value, gradient))
        self.column = self.value.unsqueeze(-1)
        if len(self.shape) > 1:
            self.rows, self.rows_gradient = self.value.flatten(2), self.gradient.flatten(2)
            self.turned = self.rows.transpose(1, 2)
            self.tall, self.tall_gradient = self.rows.flatten(0, 1), self.rows_gradient.flatten(0, 1)


@dataclass
class Block:
    """Parameters that the optimizer updates in one go, side by side in `value` (K, n): one matrix, or many vectors."""

    matrix: bool
    slots: dict[str, Slot] = field(default_factory=dict)
    value: Tensor = field(init=False)
    gradient: Tensor = field(init=False)

    def fill(self, value: Tensor) -> None:
        """Take other values (K, n), be it of fewer points."""
        self.value, self.gradient = value, torch.zeros_like(value)
        sizes = [slot.shape.numel() for slot in self.slots.values()]
        parts = torch.split(value, sizes, 1), torch.split(self.gradient, sizes, 1)
        for slot, its, gradient in zip(self.slots.values(), *parts, strict=True):
            slot.lie(its, gradient)


class Store:
    """All parameters and buffers of K models of one architecture.

    Each matrix is a block of its own, so that batched products can write its gradient; vectors that share their
    hyperparameters, by `likeness(name)`, are one block together.
    """

    def __init__(self, models: Sequence[nn.Module], likeness: Callable[[str], Hashable]) -> None:
        distinct = {id(model): dict(model.named_parameters()) for model in models}
        named = [distinct[id(model)] for model in models]
        _must_be_alike(models, named)
        blocks: dict[Hashable, Block] = {}
        for name, tensor in named[0].items():
            matrix = tensor.ndim > 1
            block = blocks.setdefault(name if matrix else (likeness(name),), Block(matrix))
            block.slots[name] = Slot(tensor.shape)
        self.blocks = list(blocks.values())
        self.slots = {name: slot for block in self.blocks for name, slot in block.slots.items()}
        for block in self.blocks:
            rows = [torch.cat([each[name].detach().reshape(-1) for name in block.slots]) for each in named]
            block.fill(torch.stack(rows))
        buffers = [dict(model.named_buffers()) for model in models]
        self.buffers = {name: torch.stack([each[name] for each in buffers]) for name in buffers[0]}

    @property
    def names(self) -> list[str]:
        """For each block the name of a parameter in it."""
        return [next(iter(block.slots)) for block in self.blocks]

    def keep(self, places: list[int]) -> None:
        """Go on with the points at these places."""
        for block in self.blocks:
            block.fill(block.value[places])
        self.buffers = {name: buffer[places] for name, buffer in self.buffers.items()}

    def of(self, place: int) -> dict[str, Tensor]:
        """Return copies of the parameters and buffers of one point, by name."""
        found = {name: slot.value[place].reshape(slot.shape).clone() for name, slot in self.slots.items()}
        return {**found, **{name: buffer[place].clone() for name, buffer in self.buffers.items()}}


def parted(tensor: Tensor, place: int, sizes: Sequence[int]) -> Tensor:
    """Return the tensor with one dimension split into several; the type that torch's own unflatten lacks."""
    return tensor.unflatten(place, sizes)  # type: ignore[no-any-return, no-untyped-call]


def _must_be_alike(models: Sequence[nn.Module], named: Sequence[dict[str, nn.Parameter]]) -> None:
    """Refuse models whose parameters cannot be stacked, each with a gradient of its own."""
    looks = {tuple((name, each.shape, each.dtype, each.device) for name, each in one.items()) for one in named}
    if len(looks) > 1:
        raise UnstackableError("their parameters differ in names, shapes or types")
    first = named[0]
    if not first or not all(each.is_floating_point() for each in first.values()):
        raise UnstackableError("the model has no parameters that are numbers with a fraction")
    if not all(each.requires_grad for each in first.values()):
        raise UnstackableError("some of the parameters are frozen")
    if len(list(models[0].named_parameters(remove_duplicate=False))) > len(first):
        raise UnstackableError("two layers share their weights")
