"""Vectors looked up by number or by position."""

from __future__ import annotations

import torch
from torch import Tensor

from lossdoc.stacking.known.layer import Layer, Mode, Site, must


class Embedding(Layer):
    """nn.Embedding: (K or 1, ..., B) whole numbers -> (K, ..., d, B)."""

    learns = True

    def __init__(self, site: Site) -> None:
        entries = site.module
        must(entries.max_norm is None and not entries.scale_grad_by_freq, "an embedding changes its vectors by itself")
        must(not entries.sparse, "an embedding has sparse gradients")
        self.padding = site.same("padding_idx")
        self.weight = site.needed("weight")
        self.rows: Tensor

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the vectors."""
        many, entries, size = self.weight.value.shape
        if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < entries:
            raise IndexError("index out of range in self")  # as torch says; another point's vectors would come out else
        offsets = torch.arange(many, device=x.device).mul_(entries)
        self.rows = x + offsets.reshape(-1, *[1] * (x.ndim - 1))  # in the matrix of all points
        found = self.weight.value.view(-1, size).index_select(0, self.rows.flatten())
        return found.view(*self.rows.shape, size).transpose(-1, -2)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - numbers have no gradient
        """Write the gradient of the vectors that were used; that of the padding's stays 0."""
        gradient = self.weight.gradient.zero_()
        size = gradient.shape[-1]
        gradient.view(-1, size).index_add_(0, self.rows.flatten(), dy.transpose(-1, -2).reshape(-1, size))
        if self.padding is not None:
            gradient[:, self.padding] = 0
        return None


class Positions(Layer):
    """PositionVectors: (K or 1, T, d, B) plus (K, T, d)."""

    learns = True

    def __init__(self, site: Site) -> None:
        self.vectors = site.needed("vectors")

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the sum."""
        return x + self.vectors.value.unsqueeze(-1)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it is the same for the inputs
        """Return the gradient as it came."""
        torch.sum(dy, -1, out=self.vectors.gradient)
        return dy
