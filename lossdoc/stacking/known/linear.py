"""Matrices: one product for all points where they share the inputs, else one batch of products."""

from __future__ import annotations

import torch
from torch import Tensor

from lossdoc.stacking.known.layer import Layer, Mode, Room, Site
from lossdoc.stacking.known.store import Slot, parted


class Affine:
    """W·x + b for K points: weights (K, out, in), inputs (K or 1, in, N), outputs (K, out, N)."""

    def __init__(self, weight: Slot, bias: Slot | None) -> None:
        self.weight = weight
        self.bias = bias
        self.out, self.inner = Room(), Room()
        self.x: Tensor
        self.flat: tuple[Tensor, Tensor] | None = None  # memory of outputs, and the same as one tall matrix

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, in memory that the next call overwrites."""
        self.x = x
        many, out, _ = self.weight.rows.shape
        z = self.out(x, many, out, x.shape[2])
        self.product(x, z)
        return z

    def product(self, x: Tensor, z: Tensor) -> None:
        """Write the outputs for x into z."""
        weight = self.weight
        if x.shape[0] == 1:
            if self.flat is None or self.flat[0] is not z:
                self.flat = z, z.flatten(0, 1)
            shared, into = x.squeeze(0), self.flat[1]
            if self.bias is None:
                torch.mm(weight.tall, shared, out=into)
            else:
                torch.addmm(self.bias.value.reshape(-1, 1), weight.tall, shared, out=into)
        elif self.bias is None:
            torch.bmm(weight.rows, x, out=z)
        else:
            torch.baddbmm(self.bias.column, weight.rows, x, out=z)

    def backward(self, dz: Tensor, *, wanted: bool) -> Tensor | None:
        """Write the gradients of weight and bias; return that of the inputs, if wanted."""
        weight = self.weight
        if self.bias is not None:
            torch.sum(dz, 2, out=self.bias.gradient)
        if self.x.shape[0] == 1:
            torch.mm(dz.flatten(0, 1), self.x.squeeze(0).t(), out=weight.tall_gradient)
        else:
            torch.bmm(dz, self.x.transpose(1, 2), out=weight.rows_gradient)
        if not wanted:
            return None
        return torch.bmm(weight.turned, dz, out=self.inner(dz, *weight.turned.shape[:2], dz.shape[2]))


class Linear(Layer):
    """nn.Linear, on the last dimension of a sample."""

    learns = True
    spare = True

    def __init__(self, site: Site) -> None:
        self.affine = Affine(site.needed("weight"), site.slot("bias"))
        self.others: tuple[int, ...] = ()  # the dimensions between the points and the features, and the batch

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return (K, ..., out, B)."""
        self.others = (*x.shape[1:-2], x.shape[-1])
        return back(self.affine.forward(columns(x)), self.others)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return (K, ..., in, B)."""
        dx = self.affine.backward(columns(dy), wanted=wanted)
        return None if dx is None else back(dx, self.others)


def columns(x: Tensor) -> Tensor:
    """Return (K, ..., features, B) as (K, features, N)."""
    return x if x.ndim == 3 else x.movedim(-2, 1).flatten(2)


def back(z: Tensor, others: tuple[int, ...]) -> Tensor:
    """Return (K, features, N) as (K, *others but the last, features, the last of the others)."""
    return z if len(others) == 1 else parted(z, 2, others).movedim(1, -2)
