"""Whether inputs too small for the weights' initialization can still be learned from in the training that is planned."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lossdoc.curve import Floats
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 5  # of training, from which is extrapolated
SAFE = 10.0  # learning may speed up: an error only where ten times as many steps would not do
ROOM = 5  # samples a column from which on a linear fit tells more than its own noise
WIDEST = 200  # columns: more are pixels or words, whose frailest columns say nothing


@dataclass(frozen=True)
class Faint:
    """Columns that are tiny beside the largest: which, how much of the targets' variance only they explain, and luck.

    `p` is the probability of so much in columns that hold nothing.
    """

    columns: tuple[int, ...]
    ratio: float
    share: float
    p: float


def planned(subject: Subject) -> int:
    """Return how many steps the configured training has; 0 where the length of an epoch is not known."""
    from lossdoc import loop

    return loop.planned_steps(subject, subject.recipe.max_steps, subject.recipe.epochs)


def reach(subject: Subject, batch: Batch, mute: Callable[[Tensor], Tensor]) -> float:
    """Return how much the outputs will depend on some inputs after the planned training; NaN where it is not known.

    `mute` takes these inputs away. The dependence is the root mean square, over the samples, of how the outputs differ
    without them; what five steps change in it is extrapolated to all steps.
    """
    from lossdoc import probe, randomness

    training = probe.training_of(subject, subject.seed)
    without = replace(batch, inputs=mute(batch.inputs))

    def dependence() -> Tensor:
        model = training.model()
        apart = probe.outputs_of(subject, model, batch).double() - probe.outputs_of(subject, model, without).double()
        return apart - apart.mean(0)

    before = dependence()
    with randomness.seeded(subject.seed, 0):
        for _ in range(STEPS):
            training.step(batch, 1.0, 0)
    moved = float((dependence() - before).square().mean().sqrt())
    steps = planned(subject)
    return moved / STEPS * steps if steps else math.nan


def faint_columns(inputs: Floats, targets: Floats, faint: float) -> Faint | None:
    """Return the columns whose deviation is below 1/`faint` of the largest, with what they alone explain of the targets.

    `inputs` is (N, d), `targets` (N, k). None where there are none, or too few samples for a linear fit of all columns.
    """
    deviations = inputs.std(0)
    varied = deviations > 1e-7 * np.abs(inputs).max(0)  # the rest are constants and rounding
    if not varied.any() or inputs.shape[1] > WIDEST or len(inputs) < ROOM * (inputs.shape[1] + 1):
        return None
    small = varied & (deviations < deviations.max() / faint)
    if not small.any():
        return None
    loud = varied & ~small
    whole, part = _residuals(inputs[:, varied], targets), _residuals(inputs[:, loud], targets)
    total = float(np.square(targets - targets.mean(0)).sum())
    free = len(inputs) - int(varied.sum()) - 1
    if total <= 0 or whole <= 0 or free < 1:
        return None
    added = (part - whole) / total - small.sum() * whole / (free * total)  # less what as many columns of noise explain
    ratio = float(deviations.max() / deviations[small].max())
    return Faint(tuple(np.flatnonzero(small).tolist()), ratio, max(0.0, added), _chance(whole, part, int(small.sum()), free))


def _residuals(inputs: Floats, targets: Floats) -> float:
    """Return the sum of squares that a linear fit leaves."""
    scaled = np.column_stack([np.ones(len(inputs)), (inputs - inputs.mean(0)) / inputs.std(0)])
    fitted, *_ = np.linalg.lstsq(scaled, targets, rcond=1e-9)
    return float(np.square(targets - scaled @ fitted).sum())


def _chance(whole: float, part: float, columns: int, free: int) -> float:
    """Return the tail of F for columns that hold nothing."""
    from lossdoc.features.distributions import f_tail

    return f_tail(((part - whole) / columns) / (whole / free), columns, free)
