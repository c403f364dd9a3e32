"""Self-attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossdoc.stacking.known.layer import Layer, Mode, Site
from lossdoc.stacking.known.store import parted


class Attention(Layer):
    """Attention: (K, T, d, B) -> (K, T, d, B)."""

    learns = True

    def __init__(self, site: Site) -> None:
        self.heads, self.causal = site.same("heads"), site.same("causal")
        self.three, self.join, self.drop = (site.child(name) for name in ("three", "join", "drop"))
        self.kept: tuple[Tensor, ...] = ()

    def forward(self, x: Tensor, mode: Mode) -> Tensor:
        """Return for each position the mean of the values that it attends to."""
        length, size, batch = x.shape[1:]
        three = self.three.forward(x, mode)
        parts = three.reshape(len(three), length, 3, self.heads, size // self.heads, batch)
        queries, keys, values = parts.permute(2, 0, 3, 5, 1, 4).contiguous()  # each (K, heads, B, T, d / heads)
        scores = queries @ keys.transpose(-2, -1)
        scores /= math.sqrt(size // self.heads)
        if self.causal:
            scores.masked_fill_(torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1), -math.inf)
        shares = scores.softmax(-1)  # (K, heads, B, T, T)
        # the dropout has to find the batch last; its own module sees (B, heads, T, T)
        seen = self.drop.forward(shares.movedim(2, -1), mode).movedim(-1, 2)
        self.kept = (queries, keys, values, shares, seen)
        return self.join.forward(_joined(seen @ values), mode)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient of the inputs."""
        queries, keys, values, shares, seen = self.kept
        length, size = dy.shape[1:3]
        inner = self.join.backward(dy, wanted=True)
        assert inner is not None  # noqa: S101 - it was wanted
        dout = parted(inner, 2, (self.heads, -1)).permute(0, 2, 4, 1, 3)  # (K, heads, B, T, d / heads)
        dseen = (dout @ values.transpose(-2, -1)).movedim(2, -1)
        dshares = self.drop.backward(dseen, wanted=True)
        assert dshares is not None  # noqa: S101 - it was wanted
        dscores = torch._softmax_backward_data(dshares.movedim(-1, 2).contiguous(), shares, -1, shares.dtype)  # noqa: SLF001 - no other name
        dscores /= math.sqrt(size // self.heads)
        parts = torch.stack([dscores @ keys, dscores.transpose(-2, -1) @ queries, seen.transpose(-2, -1) @ dout])
        dthree = parts.permute(1, 4, 0, 2, 5, 3).reshape(len(dy), length, 3 * size, -1)  # (K, T, 3·d, B)
        return self.three.backward(dthree, wanted=wanted)


def _joined(seen: Tensor) -> Tensor:
    """Return (K, heads, B, T, d / heads) as (K, T, d, B)."""
    return seen.permute(0, 3, 1, 4, 2).flatten(2, 3)
