"""The signs of a learning rate too high, each with the margin by which it exceeds its threshold."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lossdoc.features import series, unrest
from lossdoc.features.shape import Shape


class Sign(NamedTuple):
    """A sign of a rate too high: by how much it exceeds its threshold, what it says, and its first and last point."""

    margin: float
    summary: str
    first: int
    last: int


def peak(s: Shape, times: float) -> Sign:
    """Blow up in the first half, above `times` the loss of having learned nothing."""
    rise = unrest.peak(s)
    height = s.reference + rise.height
    summary = f"blew up to {height:.3g} at {s.unit} {s.x[rise.top]:g} and ends at {s.end:.3g}"
    return Sign(height / (times * s.reference) if rise.height > rise.noise else 0.0, summary, 0, s.n // 2)


def setback(s: Shape, least: float) -> Sign:
    """Rise again by a share of what was learned."""
    rise = unrest.setback(s)
    share = rise.height / s.learned
    real = rise.height > rise.noise and (s.gained or not rise.noise)
    summary = f"rises again by {rise.height:.3g} after {s.unit} {s.x[rise.low]:g}, {share:.0%} of all that was learned"
    return Sign(share / least if real else 0.0, summary, rise.low, s.n - 1)


def wandering(s: Shape, least: float, p: float) -> Sign:
    """Wander about a straight line by a share of what was learned, more than noise does (F test at `p`)."""
    swing = unrest.swing(s)
    real = s.gained and abs(swing.z) < 2.58 and swing.p < p
    summary = f"wanders in swings of {swing.size:.2g}, more than the noise of batches, and ends at {s.end:.3g}"
    return Sign(swing.size / s.learned / least if real else 0.0, summary, s.n // 3, s.n - 1)


def regret(s: Shape, least: float) -> Sign:
    """End above the lowest level that was held, by a share of what was learned."""
    rise = unrest.regret(s)
    summary = f"was down at {s.end - rise.height:.3g} by {s.unit} {s.x[rise.low]:g} and ends at {s.end:.3g}"
    return Sign(rise.height / s.learned / least if rise.height > rise.noise else 0.0, summary, rise.low, s.n - 1)


def burst(s: Shape, ratio: float, least: float) -> Sign:
    """Begin with an epoch `ratio` times the second, and rise by a share of the level ever after."""
    burst, share = unrest.burst(s), unrest.jumps(s)
    summary = f"begins with a mean {burst:.3g} times the second epoch's, and jumps by {share:.0%} of its level ever after"
    return Sign(share / least if burst > ratio else 0.0, summary, 0, s.n - 1)


def stuck(s: Shape, factor: float) -> Sign:
    """Lie flat above the loss of a uniform guess by a factor."""
    summary = f"is stuck at {s.end:.4g}, above that of a uniform guess, though the weights do move"
    return Sign(unrest.stuck(s) / factor, summary, 0, s.n - 1)


def above(s: Shape, times: float) -> Sign:
    """End above `times` the loss of having learned nothing, by five standard errors of the end.

    A median's error is 1.25 of a mean's.
    """
    error = 1.25 * s.noise / max(3, s.n // 10) ** 0.5
    real = s.end - s.reference > 5 * error and s.reference > 0
    summary = f"ends at {s.end:.3g}, above the {s.reference:.3g} of having learned nothing"
    return Sign(s.end / (times * s.reference) if real else 0.0, summary, 0, s.n - 1)


def outburst(s: Shape, times: float, left: float) -> Sign:
    """Begin, by epoch, far above the loss of a uniform guess, be done with it within five epochs, and learn no more.

    Where the classes are known and more than a share of log n is left: what learns may fall a thousandfold in one epoch, but
    not to that level. By `times`; or, where the first six epochs rise in between, as no descent does, by the root of it; or
    above twice log n, to fall to the end's level within one epoch.
    """
    level = math.log(max(s.curve.context.classes or 1, 1))
    highest, after = float(s.y[:2].max()), float(s.y[1:6].min())
    rises = series.draw_up(s.y[:6]) > 0.2 * after
    ratio = highest / after * (times**0.5 if rises else 1.0) if after > 0 and s.end > left * after else 0.0
    if s.end > 0.8 * level and s.y[1] - s.end < (s.y[0] - s.end) / 20 and level:
        ratio = max(ratio, times * highest / (2 * level))
    summary = f"begins with {highest:.3g}, {highest / max(after, 1e-300):.3g} times what follows, and ends at {s.end:.3g}"
    return Sign(ratio / times if s.by_epoch and level and s.end > left * level else 0.0, summary, 0, s.n - 1)


def jagged(s: Shape, share: float) -> Sign:
    """Jump, by epoch, from one mean to the next by a share of what was learned after the first third, in both losses.

    Of what was learned, or of a third of all there was to learn where that is more.
    """
    both = [s.y] if s.val is None else [s.y, s.val.value]
    jump, learned = min(series.jaggedness(each[len(each) // 3 :]) for each in both), max(s.learned, abs(s.reference) / 3)
    summary = f"jumps by {jump:.3g} from epoch to epoch, {jump / learned:.0%} of all that was learned"
    return Sign(jump / learned / share if s.by_epoch else 0.0, summary, s.n // 3, s.n - 1)


def unsteady(s: Shape, share: float, left: float) -> Sign:
    """Stay, by epoch, about one high level but jump by a share of it in both losses.

    With fixed weights an epoch's mean does not.
    """
    both = [s.y] if s.val is None else [s.y, s.val.value]
    jump = min(series.jaggedness(each) / max(abs(series.median(each)), 1e-300) for each in both)
    summary = f"stays about {s.end:.3g}, but jumps by {jump:.0%} of it from epoch to epoch"
    return Sign(jump / share if s.by_epoch and not s.left < left else 0.0, summary, 0, s.n - 1)


def aloft(s: Shape, times: float) -> Sign:
    """Spend three twentieths of the run above `times` the first loss and that of having learned nothing."""
    level = max(s.reference, float(s.y[0]))
    high = np.sort(s.twenty)[-3] if level > 0 and s.n >= 20 else 0.0
    summary = f"is above {high:.3g} for a seventh of the run, which began with {level:.3g}"
    return Sign(float(high) / (times * level) if level > 0 else 0.0, summary, 0, s.n - 1)
