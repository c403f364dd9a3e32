"""Layers that normalize: over the batch, over a sample, over groups of its channels."""

from __future__ import annotations

import torch
from torch import Tensor

from lossdoc.stacking.known.layer import Layer, Mode, Site, must


class BatchNorm(Layer):
    """nn.BatchNorm1d, nn.BatchNorm2d: the channels of all points are channels to torch's kernel."""

    learns = True

    def __init__(self, site: Site) -> None:
        self.site, norm = site, site.module
        must(norm.affine and norm.track_running_stats and norm.momentum is not None, "a batch norm has no running averages")
        self.momentum, self.eps = site.same("momentum"), site.same("eps")
        self.weight, self.bias = site.needed("weight"), site.needed("bias")
        self.kept: tuple[Tensor, ...] = ()

    def forward(self, x: Tensor, mode: Mode) -> Tensor:
        """Return what each channel is by the mean and deviation of the batch, or by those of all training."""
        many = len(self.weight.value)
        wide = x.expand(many, *x.shape[1:]).flatten(0, 1).flatten(1).unsqueeze(0)  # (1, K·C, places·B)
        if mode.training and wide.shape[2] == 1:
            raise ValueError("Expected more than 1 value per channel when training")  # as torch says
        mean, variance = self.site.buffer("running_mean").view(-1), self.site.buffer("running_var").view(-1)
        weight, bias = self.weight.value.reshape(-1), self.bias.value.reshape(-1)
        y, *moments = torch.native_batch_norm(wide, weight, bias, mean, variance, mode.training, self.momentum, self.eps)
        if mode.training:
            self.site.buffer("num_batches_tracked").add_(1)
        self.kept = (wide, weight, *moments)
        return y.view(many, *x.shape[1:])

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient of the inputs."""
        wide, weight, mean, inverse = self.kept
        training = True  # there is no way back through an evaluation
        dx, *own = torch.ops.aten.native_batch_norm_backward(
            dy.reshape(wide.shape), wide, weight, None, None, mean, inverse, training, self.eps, [wanted, True, True]
        )
        for slot, gradient in zip((self.weight, self.bias), own, strict=True):
            slot.gradient.copy_(gradient.view_as(slot.gradient))
        return dx.view(dy.shape) if wanted else None


class _Normalized(Layer):
    """x by the mean and deviation over some dimensions of it, times a weight, plus a bias."""

    learns = True

    def __init__(self, site: Site) -> None:
        self.site, self.eps = site, site.same("eps")
        must(site.module.weight is not None, f"{type(site.module).__name__} has no weight")
        self.weight, self.bias = site.needed("weight"), site.slot("bias")
        self.normal: Tensor
        self.inverse: Tensor

    def grouped(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Return x in the shape in which it is normalized, and the dimensions over which that is done."""
        raise NotImplementedError

    def shaped(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return a parameter (K, ...) in a shape that multiplies x."""
        raise NotImplementedError

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return the same shape."""
        grouped, over = self.grouped(x)
        variance, mean = torch.var_mean(grouped, over, correction=0, keepdim=True)
        self.inverse = variance.add_(self.eps).rsqrt_()
        self.normal = ((grouped - mean) * self.inverse).view(x.shape)
        y = self.normal * self.shaped(self.weight.value, x)
        return y if self.bias is None else y + self.shaped(self.bias.value, x)

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient of the inputs."""
        weight = self.shaped(self.weight.value, dy)
        _gather(dy * self.normal, weight, self.weight.gradient)
        if self.bias is not None:
            _gather(dy, weight, self.bias.gradient)
        if not wanted:
            return None
        slope, over = self.grouped(dy * weight)
        normal, _ = self.grouped(self.normal)
        centered = slope - slope.mean(over, keepdim=True) - normal * (slope * normal).mean(over, keepdim=True)
        return (centered * self.inverse).view(dy.shape)


class LayerNorm(_Normalized):
    """nn.LayerNorm, over the last dimensions of a sample."""

    def grouped(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Return x as it is."""
        return x, tuple(range(x.ndim - 1 - len(self.weight.shape), x.ndim - 1))

    def shaped(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return (K, 1, ..., features, 1)."""
        shape = self.weight.shape
        return parameter.reshape(len(parameter), *[1] * (x.ndim - 2 - len(shape)), *shape, 1)


class GroupNorm(_Normalized):
    """nn.GroupNorm, over each group of channels."""

    def grouped(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Return (K, groups, all in a group, B)."""
        return x.reshape(len(x), self.site.module.num_groups, -1, x.shape[-1]), (2,)

    def shaped(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return (K, C, 1, ...)."""
        return parameter.reshape(*parameter.shape, *[1] * (x.ndim - 2))


def _gather(full: Tensor, like: Tensor, into: Tensor) -> None:
    """Sum over the dimensions in which a parameter was spread out."""
    over = [place for place in range(1, full.ndim) if like.shape[place] == 1]
    into.copy_(full.sum(over, keepdim=True).view_as(into))
