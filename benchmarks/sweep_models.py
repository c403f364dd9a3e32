"""The networks of benchmarks/sweep.py: as a list of layers, and as anybody would write them as modules."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """64-128-64-10 or 64-32-10."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        sizes = (64, *widths, 10)
        self.layers = nn.ModuleList(nn.Linear(given, made) for given, made in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]


class Cnn(nn.Module):
    """Two 3x3 convolutions with 16 and 32 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = nn.functional.max_pool2d(torch.relu(self.one(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.two(x)), 2)
        return self.head(x.flatten(1))  # type: ignore[no-any-return]


class Rows(nn.Module):
    """A GRU over the rows of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 32, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        states, _ = self.gru(x.reshape(-1, 8, 8))
        return self.head(states[:, -1])  # type: ignore[no-any-return]


class Wide(nn.Module):
    """A wide residual block: too large for a stack to gain anything."""

    def __init__(self, channels: int = 160) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.one, self.two = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = torch.relu(self.stem(x))
        y = self.two(torch.relu(self.norm(self.one(x))))
        return self.head(torch.relu(self.norm2(x + y)).mean((2, 3)))  # type: ignore[no-any-return]


def mlp128() -> nn.Module:
    return Mlp(128, 64)


def mlp32() -> nn.Module:
    return Mlp(32)


def cnn() -> nn.Module:
    return Cnn()


def gru() -> nn.Module:
    return Rows()


def wide() -> nn.Module:
    return Wide()
