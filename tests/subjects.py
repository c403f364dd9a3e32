"""Small subjects on real and made-up data for the tests of what trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.datasets.builtin import Digits
from lossdoc.parts.losses import CrossEntropy, Mse
from lossdoc.parts.optimizers import Adam, Optimizer
from lossdoc.subject import Batch, Recipe, Split, Subject

Pairs = dict[Split, tuple[Tensor, Tensor]]


@cache
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training inputs and labels, then those for validation: pixels from 0 to 1."""
    inputs, targets = Digits().arrays()
    x, y = torch.from_numpy(inputs).reshape(len(inputs), -1) / 16, torch.from_numpy(targets)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return x[360:], y[360:], x[:360], y[:360]


def digits_pairs(*, validation: bool = True) -> Pairs:
    x, y, xv, yv = digits()
    return {"train": (x, y), "validation": (xv, yv)} if validation else {"train": (x, y)}


def mlp(inputs: int, outputs: int, hidden: int = 32, std: float | None = None) -> Callable[[int], nn.Module]:
    """Build a net with one hidden layer; `std` makes its weights N(0, std²) and its biases 0."""

    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
            if std is not None:
                for parameter in model.parameters():
                    parameter.data.normal_(0, std) if parameter.ndim > 1 else parameter.data.zero_()
        return model

    return build


def subject(
    pairs: Pairs,
    build: Callable[[int], nn.Module],
    optimizer: Optimizer | None = None,
    *,
    batch_size: int = 32,
    shuffled: bool = True,
    **known: Any,
) -> Subject:
    """Make a subject of data in memory; targets that are not whole numbers make it a regression."""

    def batches(split: Split, epoch: int) -> Iterable[Batch]:
        x, y = pairs[split]
        order = torch.arange(len(x))
        if split == "train" and shuffled:
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for part in (order[at : at + batch_size] for at in range(0, len(order), batch_size)):
            yield Batch(x[part], y[part])

    targets = pairs["train"][1]
    labeled = not targets.is_floating_point()
    known = {
        "loss": CrossEntropy() if labeled else Mse(),
        "task": "classification" if labeled else "regression",
        "classes": int(targets.max()) + 1 if labeled else None,
        **known,
    }
    return Subject(
        name="made-up",
        build=build,
        batches=batches,
        sizes={split: len(y) for split, (_, y) in pairs.items()},
        recipe=known.pop("recipe", None) or Recipe(optimizer or Adam(lr=1e-2)),
        batch_size=batch_size,
        shuffled=shuffled,
        **known,
    )
