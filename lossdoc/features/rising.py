"""What the loss does while the learning rate rises from step to step: the measurements of a range test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lossdoc.curve import Floats
from lossdoc.features.series import SIGMA

SPIKE = 5  # losses of which the median is taken: up to two outliers in a row leave no trace
SMOOTH = 0.12  # decades: the standard deviation of the bell that averages neighbors, narrow beside any slope that matters
CALM = 0.15  # the first share of the test, whose rates are too low to change anything: it gives the level and the noise
BEYOND_NOISE = 5.0  # standard errors by which the loss must have fallen: of noise, one test in 300 seems to
ROUNDING = 1e-12  # of the loss, which is no fall
BEGUN = 0.05  # the share of the fall by which it has begun: less may be chance
LEAST = 40  # losses, below which a level, a fall and an end cannot be told apart
FIRST = 10  # losses at the least that give the level and the noise


@dataclass(frozen=True)
class Suggestion:
    """Learning rates that a range test suggests.

    At `steepest` the smoothed loss falls fastest; `valley` is the middle of its fall; `lowest` is where it is lowest;
    at `ceiling` half of its fall is lost again, or it is no longer finite: None where the test ended before.
    """

    steepest: float
    valley: float
    lowest: float
    ceiling: float | None


def smooth(rates: Floats, losses: Floats) -> Floats:
    """Return losses (n,) without spikes (medians of five) and averaged over rates nearby; all are finite."""
    half = SPIKE // 2
    padded = np.pad(losses, half, mode="edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, SPIKE), axis=1)
    return np.asarray(_weights(rates) @ calm, dtype=np.float64)


def _weights(rates: Floats) -> Floats:
    """Return the share (n, n) that each loss has in each smoothed one."""
    decades = np.log10(rates)
    weights = np.exp(-0.5 * ((decades[:, None] - decades) / SMOOTH) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def suggest(rates: Floats, losses: Floats) -> Suggestion | None:
    """Return what the losses (n,) at rising rates (n,) suggest; None where they never fall by more than noise.

    The loss is judged by its own level and fall, so that its unit and its zero change nothing. What comes after the end of
    the test is not looked at: the first loss that is not finite, or a smoothed one as far above the first level as the
    lowest one is below. A single spike is neither.
    """
    finite = np.isfinite(losses)
    alive = len(losses) if finite.all() else int(np.argmin(finite))
    if alive < LEAST:
        return None
    curve = smooth(rates[:alive], losses[:alive])
    first = losses[: max(FIRST, round(CALM * alive))]
    level = float(np.median(first))
    end = _end(curve, level)
    bottom = int(np.argmin(curve[:end]))
    if bottom < 2 or not level - curve[bottom] > BEYOND_NOISE * _error(first, level, _weights(rates[:alive])[bottom]):
        return None
    slope = np.gradient(curve[: bottom + 1], np.log10(rates[: bottom + 1]))
    lost = np.flatnonzero(curve[bottom:] > (level + curve[bottom]) / 2)
    over = bottom + int(lost[0]) if len(lost) else alive
    ceiling = float(rates[over]) if over < len(losses) else None
    steepest, valley = int(np.argmin(slope)), _valley(curve[: bottom + 1])
    return Suggestion(float(rates[steepest]), float(rates[valley]), float(rates[bottom]), ceiling)


def _error(first: Floats, level: float, weights: Floats) -> float:
    """Return the standard error of the level minus a smoothed loss; both are medians, of π/2 the variance."""
    noise = SIGMA * float(np.median(np.abs(first - level))) + ROUNDING * abs(level)
    return noise * math.sqrt(math.pi / 2 * (1 / len(first) + float((weights**2).sum())))


def _end(curve: Floats, level: float) -> int:
    """Return the place from which on the curve is as far above its first level as its lowest point before is below."""
    lowest = np.minimum.accumulate(curve)
    over = (curve - level > level - lowest) & (lowest < level) & (curve - lowest > 0.5 * (level - lowest.min()))
    return int(np.argmax(over)) if over.any() else len(curve)


def _valley(curve: Floats) -> int:
    """Return the place in the middle of the fall: of the rates from where it has begun to where the curve is lowest."""
    fallen = (curve[0] - curve) / (curve[0] - curve[-1])
    return (int(np.flatnonzero(fallen <= BEGUN)[-1]) + len(curve)) // 2
