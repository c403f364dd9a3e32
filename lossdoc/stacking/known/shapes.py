"""Layers without weights that move numbers about or let some through: flatten, take, dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossdoc.masks import draw, drop, mask_shape
from lossdoc.stacking.known.layer import Layer, Mode, Site, must
from lossdoc.stacking.known.store import parted


class Same(Layer):
    """nn.Identity."""

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the inputs."""
        return x

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - see Layer
        """Return the gradient."""
        return dy


class Flatten(Layer):
    """nn.Flatten of a whole sample."""

    def __init__(self, site: Site) -> None:
        must((site.same("start_dim"), site.same("end_dim")) == (1, -1), "a flatten leaves some dimensions as they are")
        self.shape = torch.Size()

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return (K or 1, n, B)."""
        self.shape = x.shape[1:]
        return x.flatten(1, -2) if x.ndim > 2 else x.unsqueeze(1)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - see Layer
        """Return the gradient in the sample's shape."""
        return dy.reshape(len(dy), *self.shape)


class Unflatten(Layer):
    """nn.Unflatten of the first dimension of a sample."""

    def __init__(self, site: Site) -> None:
        must(site.same("dim") == 1, "an unflatten takes another dimension than the first")
        self.sizes = tuple(site.same("unflattened_size"))

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return (K or 1, *sizes, ..., B)."""
        return parted(x, 1, self.sizes)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - see Layer
        """Return the gradient with these dimensions as one."""
        return dy.flatten(1, len(self.sizes))


class Take(Layer):
    """TakePosition: (K, T, d, B) -> (K, d, B)."""

    def __init__(self, site: Site) -> None:
        self.which = site.same("which")
        self.x: Tensor
        self.chosen: Tensor

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the last position, or the mean or maximum over all."""
        self.x = x
        if self.which == "last":
            return x[:, -1]
        if self.which == "mean":
            return x.mean(1)
        largest = x.amax(1)
        self.chosen = x == largest.unsqueeze(1)
        return largest

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - see Layer
        """Return the gradient of all positions; equal largest ones share it, as in torch's amax."""
        length = self.x.shape[1]
        if self.which == "mean":
            return (dy / length).unsqueeze(1).repeat(1, length, *[1] * (dy.ndim - 1))
        if self.which == "max":
            return self.chosen * (dy / self.chosen.sum(1)).unsqueeze(1)
        dx = dy.new_zeros(len(dy), *self.x.shape[1:])
        dx[:, -1] = dy
        return dx


class Dropout(Layer):
    """KeyedDropout: each point's mask follows from its own key, and is drawn once for all points that have the same."""

    def __init__(self, site: Site) -> None:
        self.place, self.channels = site.same("place"), site.same("channels")
        self.rates = torch.tensor([module.p for module in site.modules], dtype=torch.float64)
        self.last: tuple[Sequence[int], int] = ((), 0)  # the keys of the last call, and how many there were with them before
        self.factors: list[Tensor | None] = []  # those of the calls that no backward has answered yet

    def forward(self, x: Tensor, mode: Mode) -> Tensor:
        """Return the inputs, a share of them set to 0 and the others scaled up; all of them outside training."""
        if not mode.training:
            return x
        if not self.rates.any():
            self.factors.append(None)
            return x
        self.last = (mode.keys, self.last[1] + 1 if self.last[0] == mode.keys else 0)
        rates = self.rates.to(x).reshape(-1, *[1] * (x.ndim - 1))
        factor = drop(x.new_ones(()), self._numbers(x, mode.keys), rates)
        self.factors.append(factor)
        return x * factor

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient of what was not dropped."""
        factor = self.factors.pop()
        return dy if factor is None else dy * factor

    def keep(self, places: list[int]) -> None:
        """Go on with the points at these places."""
        self.rates = self.rates[places]
        keys, calls = self.last
        self.last = ([keys[place] for place in places] if keys else keys, calls)

    def _numbers(self, x: Tensor, keys: Sequence[int]) -> Tensor:
        """Return the numbers that decide what is dropped, (K, *sample, B), or one row where all keys are the same."""
        shape = mask_shape(x[0].movedim(-1, 0), channels=self.channels)
        made = {key: draw(key, self.place, self.last[1], shape, x) for key in dict.fromkeys(keys)}
        rows = [made[key] for key in keys] if len(made) > 1 else list(made.values())
        return torch.stack(rows).movedim(1, -1)
