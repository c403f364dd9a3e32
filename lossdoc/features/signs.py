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
    summary: str = ""
    first: int = 0
    last: int = 0


NONE = Sign(0.0)


def peak(s: Shape, times: float) -> Sign:
    """Blow up in the first half, above `times` the loss of having learned nothing.

    In a log by steps it stands above the first loss too by more than noise, which was the later noise times the level, or
    the smooth curve rises by more than its own.
    """
    rise = unrest.peak(s)
    height = s.reference + rise.height
    noise = rise.noise * max(1.0, s.reference / s.end) if s.end > 0 else rise.noise
    if not (s.by_epoch or height - s.y[0] > noise or series.draw_up(s.smooth) > 8 * _smooth_noise(s)):
        return NONE
    summary = f"blew up to {height:.3g} at {s.unit} {s.x[rise.top]:g} and ends at {s.end:.3g}"
    return Sign(height / (times * s.reference) if rise.height > rise.noise else 0.0, summary, 0, s.n // 2)


def _smooth_noise(s: Shape) -> float:
    """Return the deviation of the smooth curve's noise in a log by steps; 0 by epoch, whose means have hardly any.

    A median of three has 0.67 of a point's, that of a block 1.25 of its mean's. Their second differences show less, as
    neighbors share points.
    """
    return 0.0 if s.by_epoch else s.noise * (0.67 if s.n <= 60 else 1.25 / (s.n / 60) ** 0.5)


def setback(s: Shape, least: float) -> Sign:
    """Rise again by a share of what was learned."""
    rise = unrest.setback(s)
    share = rise.height / s.learned
    real = rise.height > max(rise.noise, 8 * _smooth_noise(s)) and (s.gained or not rise.noise)
    summary = (
        f"rises again by {rise.height:.3g} after {s.unit} {s.x[rise.low]:g}, {100 * share:.0f} % of all that was learned"
    )
    return Sign(share / least if real else 0.0, summary, rise.low, s.n - 1)


def wandering(s: Shape, least: float, p: float) -> Sign:
    """Wander about a straight line by a share of what was learned, more than noise does (F test at `p`)."""
    if not (s.gained and abs(unrest.late_trend(s).z) < 2.58):
        return NONE
    swing = unrest.swing(s)
    summary = f"wanders in swings of {swing.size:.2g}, more than the noise of batches, and ends at {s.end:.3g}"
    return Sign(swing.size / s.learned / least if swing.p < p else 0.0, summary, s.n // 3, s.n - 1)


def regret(s: Shape, least: float) -> Sign:
    """End above the lowest level that was held, by a share of what was learned.

    Both are medians, of 1.25 of a mean's error: in a log by steps they differ by six means', as the lowest is one of forty.
    """
    if not (s.gained and s.end - float(s.y.min()) > least * s.learned):  # no level is lower than the lowest loss
        return NONE
    margin = (s.end - s.lowest[0]) / s.learned / least
    if not margin > 1 or not (s.by_epoch or s.end - s.lowest[0] > 6 * s.noise / max(3, s.n // 10) ** 0.5):
        return NONE
    rise = unrest.regret(s)
    summary = f"was down at {s.end - rise.height:.3g} by {s.unit} {s.x[rise.low]:g} and ends at {s.end:.3g}"
    return Sign(margin if rise.height > rise.noise else 0.0, summary, rise.low, s.n - 1)


def burst(s: Shape, ratio: float, least: float) -> Sign:
    """Begin with an epoch `ratio` times the second, and rise by a share of the level ever after."""
    burst = unrest.burst(s)
    if not burst > ratio:
        return NONE
    share = unrest.jumps(s)
    summary = (
        f"begins with a mean {burst:.3g} times the second epoch's, and jumps by {100 * share:.0f} % of its level ever after"
    )
    return Sign(share / least, summary, 0, s.n - 1)


def stuck(s: Shape, factor: float) -> Sign:
    """Lie flat above the loss of a uniform guess by a factor."""
    summary = f"is stuck at {s.end:.4g}, above that of a uniform guess, though the weights do move"
    return Sign(unrest.stuck(s) / factor, summary, 0, s.n - 1)


def above(s: Shape, times: float) -> Sign:
    """End above `times` the loss of having learned nothing, by five standard errors of the end.

    A median's error is 1.25 of a mean's.
    """
    if not s.end > s.reference > 0:
        return NONE
    error = 1.25 * s.noise / max(3, s.n // 10) ** 0.5
    if not s.end - s.reference > 5 * error:
        return NONE
    summary = f"ends at {s.end:.3g}, above the {s.reference:.3g} of having learned nothing"
    return Sign(s.end / (times * s.reference), summary, 0, s.n - 1)


def outburst(s: Shape, times: float, left: float) -> Sign:
    """Begin, by epoch, far above the loss of a uniform guess, be done with it within five epochs, and learn no more.

    Where the classes are known and more than a share of log n is left: what learns may fall a thousandfold in one epoch, but
    not to that level. By `times`; or, where the first six epochs rise in between, as no descent does, by the root of it; or
    above twice log n, to fall to the end's level within one epoch.
    """
    level = math.log(max(s.curve.context.classes or 1, 1))
    if not (s.by_epoch and level):
        return NONE
    highest, after = float(s.y[:2].max()), float(s.y[1:6].min())
    rises = series.draw_up(s.y[:6]) > 0.2 * after
    ratio = highest / after * (times**0.5 if rises else 1.0) if after > 0 and s.end > left * after else 0.0
    if s.end > 0.8 * level and s.y[1] - s.end < (s.y[0] - s.end) / 20:
        ratio = max(ratio, times * highest / (2 * level))
    summary = f"begins with {highest:.3g}, {highest / max(after, 1e-300):.3g} times what follows, and ends at {s.end:.3g}"
    return Sign(ratio / times if s.end > left * level else 0.0, summary, 0, s.n - 1)


def broken(s: Shape, times: float) -> Sign:
    """Begin above the end by `times` and by more than noise, fall no lower than a uniform guess among the classes, and stay.

    A network whose units the first steps have killed answers the same for all inputs.
    """
    level, first = math.log(max(s.curve.context.classes or 1, 1)), float(s.y[0])
    if not (level and s.end >= level and first - s.end > 5 * s.noise) or s.late_trend.z < -2.58:
        return NONE
    summary = f"begins with {first:.3g} and falls to that of a uniform guess, {level:.4g}, but no further"
    return Sign(first / (times * s.end), summary, 0, s.n - 1)


def jagged(s: Shape, share: float) -> Sign:
    """Jump, by epoch, from one mean to the next by a share of what was learned after the first third, in both losses.

    Of what was learned, or of a third of all there was to learn where that is more.
    """
    if not s.by_epoch:
        return NONE
    both = [s.y] if s.val is None else [s.y, s.val.value]
    jump, learned = min(series.jaggedness(each[len(each) // 3 :]) for each in both), max(s.learned, abs(s.reference) / 3)
    summary = f"jumps by {jump:.3g} from epoch to epoch, {100 * jump / learned:.0f} % of all that was learned"
    return Sign(jump / learned / share, summary, s.n // 3, s.n - 1)


def unsteady(s: Shape, share: float, left: float) -> Sign:
    """Stay, by epoch, about one high level but jump by a share of it in both losses.

    With fixed weights an epoch's mean does not.
    """
    if not s.by_epoch or s.left < left:
        return NONE
    both = [s.y] if s.val is None else [s.y, s.val.value]
    jump = min(series.jaggedness(each) / max(abs(series.median(each)), 1e-300) for each in both)
    summary = f"stays about {s.end:.3g}, but jumps by {100 * jump:.0f} % of it from epoch to epoch"
    return Sign(jump / share, summary, 0, s.n - 1)


def aloft(s: Shape, times: float) -> Sign:
    """Spend three twentieths of the run above `times` the first loss and that of having learned nothing.

    Not in a log by less than sixty steps, whose blocks are one or two losses, and which may begin low by chance.
    """
    level = max(s.reference, float(s.y[0]))
    if not (level > 0 and s.n >= (20 if s.by_epoch else 60)):
        return NONE
    high = float(np.sort(s.twenty)[-3])
    summary = f"is above {high:.3g} for a seventh of the run, which began with {level:.3g}"
    return Sign(high / (times * level), summary, 0, s.n - 1)
