"""Small networks of many runs at once: each parameter has a leading axis, one slice a run; batched products train all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from tasks import Task
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name torch's own documentation uses)

ACTS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
CHANNELS, EMBEDDED, HIDDEN = 8, 16, 32
Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Build:
    """What one run's network is: sizes, activation, the factor on its weights, a head without bias that has died."""

    width: int
    depth: int
    act: str
    scale: float
    dead: bool
    seed: int


class Runs:
    """What differs between the networks of runs that are trained together; sorted by activation.

    `acts` counts the runs of each activation in the order of `ACTS`; `mask` is (runs, 1, width), 0 where a run is narrower;
    `depth` and `drop` (the probabilities of dropout, None for none) are (runs, 1, 1).
    """

    def __init__(self, builds: list[Build], dropout: list[float] | None, width: int) -> None:
        kinds = [list(ACTS).index(build.act) for build in builds]
        self.acts = [kinds.count(kind) for kind in range(len(ACTS))]
        self.depth = torch.tensor([build.depth for build in builds])[:, None, None]
        self.mask = (torch.arange(width) < torch.tensor([build.width for build in builds])[:, None, None]).float()
        self.drop = torch.tensor(dropout)[:, None, None] if dropout and any(dropout) else None


def sizes(task: Task, depth: int, width: int) -> dict[str, tuple[int, int]]:
    """Return the shapes of the weight matrices, (inputs, outputs) by name, in order; biases are rows of one."""
    if task.net == "gru":
        front = {"embed": (task.outputs, EMBEDDED), "in": (EMBEDDED, 3 * HIDDEN), "again": (HIDDEN, 3 * HIDDEN)}
        shapes = front | {"head": (HIDDEN, task.outputs)}
    else:
        inputs = 16 * CHANNELS if task.net == "cnn" else task.inputs[0].numel()
        layers = {f"layer{i}": (inputs if i == 0 else width, width) for i in range(depth)}
        shapes = ({"conv": (9, CHANNELS)} if task.net == "cnn" else {}) | layers | {"head": (width, task.outputs)}
    return {key: size for name, (n, m) in shapes.items() for key, size in ((name, (n, m)), (name + "_bias", (1, m)))}


def draw(build: Build, shapes: Mapping[str, tuple[int, int]]) -> Tensor:
    """Draw one run's parameters as torch's own layers do, uniform within 1 / sqrt(fan in), one after another: (p,).

    A run narrower than the widest has its first units alone; their fan in counts, and `forward` holds the others at 0.
    """
    random = torch.Generator().manual_seed(build.seed)
    parts, fan = [], 1
    for name, (rows, columns) in shapes.items():
        if not name.endswith("_bias"):
            fan = HIDDEN if name in {"in", "again"} else rows if name in {"layer0", "conv"} else min(rows, build.width)
        bound = math.sqrt(3) if name == "embed" else 1 / math.sqrt(fan)
        made = torch.empty(rows * columns).uniform_(-bound, bound, generator=random)
        if name.endswith("_bias"):
            made = made * 0 - 100.0 * name.startswith("layer") if build.dead else made
        else:
            made *= build.scale
        parts.append(made)
    return torch.cat(parts)


def views(flat: Tensor, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    """Return the parameters of (runs, p) weights as leaves that share their memory, (runs, rows, columns) each."""
    parts = flat.split([rows * columns for rows, columns in shapes.values()], 1)
    return {
        name: part.view(-1, *shape).detach().requires_grad_()
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def forward(task: Task, p: Parameters, x: Tensor, runs: Runs) -> Tensor:
    """Map (runs, n, ...) inputs to (runs, n, outputs); characters to (runs, n * length, outputs)."""
    if task.net == "gru":
        return _layer(p, "head", _recur(p, x))
    h = _convolve(p, x) if task.net == "cnn" else x
    for i in range(int(runs.depth.max())):
        parts = _layer(p, f"layer{i}", h).split(runs.acts)
        new = torch.cat([act(part) for act, part in zip(ACTS.values(), parts, strict=True)]) * runs.mask
        if runs.drop is not None:
            new = new * (torch.rand_like(new) >= runs.drop) / (1 - runs.drop)
        h = torch.where(runs.depth > i, new, h) if i else new
    return _layer(p, "head", h)


def _layer(p: Parameters, name: str, x: Tensor) -> Tensor:
    return torch.baddbmm(p[name + "_bias"], x, p[name])


def _convolve(p: Parameters, x: Tensor) -> Tensor:
    """Filter 8 x 8 images with 3 x 3 kernels and take the largest of four: (runs, n, 64) to (runs, n, 16 * channels)."""
    runs, n, _ = x.shape
    patches = F.pad(x.reshape(runs, n, 8, 8), (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
    found = _layer(p, "conv", patches.reshape(runs, n * 64, 9)).relu()
    return found.reshape(runs, n, 4, 2, 4, 2, CHANNELS).amax((3, 5)).reshape(runs, n, -1)


def _recur(p: Parameters, x: Tensor) -> Tensor:
    """Run a GRU over letters: (runs, n, length) to (runs, n * length, hidden)."""
    runs, n, length = x.shape
    letters = p["embed"].shape[1]
    seen = torch.bmm(F.one_hot(x.long(), letters).float().reshape(runs, n * length, letters), p["embed"])
    given = _layer(p, "in", seen).reshape(runs, n, length, -1)
    h, states = given.new_zeros(runs, n, HIDDEN), []
    for t in range(length):
        here = given[:, :, t].chunk(3, 2)
        held = _layer(p, "again", h).chunk(3, 2)
        reset, keep = torch.sigmoid(here[0] + held[0]), torch.sigmoid(here[1] + held[1])
        h = (1 - keep) * torch.tanh(here[2] + reset * held[2]) + keep * h
        states.append(h)
    return torch.stack(states, 2).reshape(runs, n * length, HIDDEN)
