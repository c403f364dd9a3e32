"""The pattern `lr-too-high`."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from lossdoc.curve import Curve
from lossdoc.features import unrest
from lossdoc.features.shape import Shape, shape, sureness
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import batch_of_one, blown_up, flat, healthy, healthy_epochs, spiky


@rule(
    code="LC105",
    severity=Severity.ERROR,
    fires_on=(blown_up, partial(blown_up, seed=1, points=200)),
    quiet_on=(healthy, healthy_epochs, batch_of_one, flat, spiky),
    mutes=(
        "spikes",
        "not-learning",
        "underfitting",
        "overfitting",
        "noisy-validation",
        "slow-start",
        "slow-learning",
        "initial-loss-off",
    ),
)
def lr_too_high(
    curve: Curve,
    *,
    peak: float = 1.25,
    left: float = 0.4,
    setback: float = 0.3,
    regret: float = 0.2,
    wander: float = 0.1,
    p: float = 0.005,
    burst: float = 5.0,
    jumps: float = 0.1,
    stuck: float = 1.02,
) -> Evidence | None:
    """The loss blows up, loses again what it had gained, or wanders about without settling.

    Looks like:
        A peak above the start and a level that stays high after it; or a valley early on and a plateau above it; or a
        loss that roams in long swings that the noise of batches cannot make.

    Causes:
        - the learning rate is too high
        - no warm-up, with Adam or a deep model
        - momentum too close to 1 for this rate
        - inputs that are not scaled make the same rate too high

    Confirm with:
        - lossdoc sweep model.yaml: does a lower rate learn more?
        - lossdoc overfit model.yaml: does a tenth of the rate learn what this one cannot?

    Try:
        - lower the learning rate three- to tenfold
        - warm it up over the first steps
        - clip the gradient's norm
        - standardize the inputs

    False alarms:
        Warm restarts and cyclic rates swing on purpose; a change of the data in the middle of a run loses ground too.

    Decided by:
        Six signs, any of which will do. Peak: in the first half a loss above `peak` times that of having learned nothing,
        beyond twelve means of an exponential tail of the later noise, after a real rise. Setback: the smooth loss rises
        again by `setback` of what was learned, far beyond its noise; in a log by epoch, training and validation both do.
        After these two more than `left` must be left at the end: a run that recovers is no failure. Wandering: after the
        first third no trend (1 %), but about a straight line block means vary more than white noise does (F test at `p`),
        and by more than `wander` of what was learned. Regret: the end is above the lowest level that was held as long, by
        `regret` of what was learned, and beyond that tail. Burst: the first epoch's mean is more than `burst` times the
        second's, and both losses go on to rise by `jumps` of their level. Stuck: training is flat above log n by the
        factor `stuck`, more than an untrained network's spread, while validation changes: the weights do move.

    Sources:
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 8.3 and 11.4.1
        - Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability, 2021
    """
    s = shape(curve)
    signs = [_stuck(s, stuck)] if s.flat else [_regret(s, regret), _burst(s, burst, jumps), _wandering(s, wander, p)]
    if s.left > left and not s.flat:
        signs += [_peak(s, peak), _setback(s, setback)]
    sign = max(signs, key=lambda each: each.margin)
    if not sign.margin > 1:
        return None
    facts = {"reference": s.reference, "lowest": float(s.smooth.min()), "highest": float(s.y.max()), "end": s.end}
    span = (float(s.x[sign.first]), float(s.x[sign.last]))
    return Evidence(f"the loss {sign.summary}", facts, span, sureness(sign.margin))


class Sign(NamedTuple):
    """A sign of a rate too high: by how much it exceeds its threshold, what it says, and its first and last point."""

    margin: float
    summary: str
    first: int
    last: int


def _peak(s: Shape, peak: float) -> Sign:
    rise = unrest.peak(s)
    height = s.reference + rise.height
    summary = f"blew up to {height:.3g} at {s.unit} {s.x[rise.top]:g} and ends at {s.end:.3g}"
    return Sign(height / (peak * s.reference) if rise.height > rise.noise else 0.0, summary, 0, s.n // 2)


def _setback(s: Shape, setback: float) -> Sign:
    rise = unrest.setback(s)
    share = rise.height / s.learned
    real = rise.height > rise.noise and (s.gained or not rise.noise)
    summary = f"rises again by {rise.height:.3g} after {s.unit} {s.x[rise.low]:g}, {share:.0%} of all that was learned"
    return Sign(share / setback if real else 0.0, summary, rise.low, s.n - 1)


def _wandering(s: Shape, wander: float, p: float) -> Sign:
    swing = unrest.swing(s)
    real = s.gained and abs(swing.z) < 2.58 and swing.p < p
    summary = f"wanders in swings of {swing.size:.2g}, more than the noise of batches, and ends at {s.end:.3g}"
    return Sign(swing.size / s.learned / wander if real else 0.0, summary, s.n // 3, s.n - 1)


def _regret(s: Shape, regret: float) -> Sign:
    rise = unrest.regret(s)
    summary = f"was down at {s.end - rise.height:.3g} by {s.unit} {s.x[rise.low]:g} and ends at {s.end:.3g}"
    return Sign(rise.height / s.learned / regret if rise.height > rise.noise else 0.0, summary, rise.low, s.n - 1)


def _burst(s: Shape, burst: float, jumps: float) -> Sign:
    ratio, share = unrest.burst(s), unrest.jumps(s)
    summary = f"begins with a mean {ratio:.3g} times the second epoch's, and jumps by {share:.0%} of its level ever after"
    return Sign(share / jumps if ratio > burst else 0.0, summary, 0, s.n - 1)


def _stuck(s: Shape, stuck: float) -> Sign:
    summary = f"is stuck at {s.end:.4g}, above that of a uniform guess, though the weights do move"
    return Sign(unrest.stuck(s) / stuck, summary, 0, s.n - 1)
