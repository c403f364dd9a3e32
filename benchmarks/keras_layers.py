"""More of Keras' layers, as a user's own code: copied beside each model.yaml, as keras_like.py is, with channels first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from keras_like import begin
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name


class LayerNorm(nn.Module):
    """Each place of an image by the mean and deviation of its channels, which are Keras' last axis."""

    def __init__(self, channels: int, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=epsilon)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return self.norm(inputs.movedim(1, -1)).movedim(-1, 1)


class GaussianDropout(nn.Module):
    """Multiplies by 1 + noise of deviation sqrt(rate / (1 - rate)) in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.std = math.sqrt(rate / (1 - rate))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return inputs * (1 + self.std * torch.randn_like(inputs)) if self.training else inputs


class ConvTranspose(nn.Module):
    """Conv2DTranspose: `lengths` are height and width behind it; "same" cuts away before and behind as TensorFlow does."""

    def __init__(
        self,
        *,
        sizes: list[int],
        kernel: list[int],
        stride: list[int],
        lengths: list[int],
        same: bool = False,
        bias: bool = True,
        init: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.lengths, self.same = tuple(lengths), same
        self.conv = nn.ConvTranspose2d(*sizes, tuple(kernel), tuple(stride), bias=bias)
        begin(self.conv.weight, **(init or {}))
        if bias:
            nn.init.constant_(self.conv.bias, (init or {}).get("bias", 0.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        outputs = F.conv_transpose2d(inputs, self.conv.weight, None, self.conv.stride)
        pads: list[int] = []
        for length, wanted in zip(reversed(outputs.shape[2:]), reversed(self.lengths), strict=True):
            before = max(length - wanted, 0) // 2 if self.same else 0
            pads += [-before, wanted - length + before]
        outputs = F.pad(outputs, pads)
        return outputs if self.conv.bias is None else outputs + self.conv.bias[:, None, None]
