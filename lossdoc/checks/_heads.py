"""The last activation of a model: which one it is, what it can put out, and which outputs of that are the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lossdoc.subject import Batch, Subject, kept

if TYPE_CHECKING:
    from torch import Tensor

INF = math.inf
RANGES: Mapping[str, tuple[float, float]] = {  # by the name of the function that makes the outputs
    "Sigmoid": (0.0, 1.0),
    "Hardsigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Sin": (-1.0, 1.0),
    "Cos": (-1.0, 1.0),
    "Relu": (0.0, INF),
    "Softplus": (0.0, INF),
    "Exp": (0.0, INF),
    "Abs": (0.0, INF),
    "LogSoftmax": (-INF, 0.0),
    "LogSigmoid": (-INF, 0.0),
}
LINEAR = ("Addmm", "Mm", "Bmm", "Convolution", "MkldnnConvolution", "LeakyRelu", "Prelu", "Elu", "Celu", "Silu", "Gelu")


@dataclass(frozen=True)
class Head:
    """The last activation by the name of its function, and the lowest and highest number that it can put out."""

    function: str
    low: float
    high: float

    @property
    def told(self) -> str:
        """The activation and its range, in words."""
        if math.isinf(self.high):
            return f"{self.function.lower()}, which puts out nothing below {self.low:g}"
        if math.isinf(self.low):
            return f"{self.function.lower()}, which puts out nothing above {self.high:g}"
        return f"{self.function.lower()}, which puts out numbers from {self.low:g} to {self.high:g}"


def head_of(subject: Subject, batch: Batch) -> Head | None:
    """Return the last activation of the fresh model; None where it is not one with a bounded range that is known."""
    function = function_of(subject, batch)
    return Head(function, *RANGES[function]) if function in RANGES else None


def function_of(subject: Subject, batch: Batch) -> str:
    """Return the name of the function that makes the fresh model's outputs, such as `Sigmoid`; empty where unknown."""
    from lossdoc import probe, signals

    def found() -> str:
        return probe.last_function(probe.untouched(subject).build(subject.seed), signals.some(subject, batch))

    return kept(subject, "last function", found)


def nearest(head: Head, goal: Tensor) -> Tensor:
    """Return what the activation can put out that is nearest to the goal, by squared distance."""
    if head.function == "Softmax" and goal.ndim > 1:
        return _on_simplex(goal)
    return goal.clamp(head.low, head.high)


def _on_simplex(goal: Tensor) -> Tensor:
    """Return the nearest rows of probabilities (Duchi et al. 2008, Efficient Projections onto the l1-Ball)."""
    import torch

    falling = goal.sort(-1, descending=True).values
    places = torch.arange(1, goal.shape[-1] + 1, dtype=goal.dtype)
    excess = (falling.cumsum(-1) - 1) / places
    last = (falling > excess).sum(-1, keepdim=True) - 1
    return (goal - excess.gather(-1, last)).clamp_min(0)
