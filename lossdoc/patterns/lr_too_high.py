"""The pattern `lr-too-high`."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from lossdoc.curve import Curve
from lossdoc.features import series
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
        Five signs, any of which will do. Peak: in the first half a loss above `peak` times that of having learned
        nothing, beyond twelve means of an exponential tail of the later noise, after a real rise. Setback: the smooth
        loss rises again by `setback` of what was learned, far beyond its noise; in a log by epoch, training and
        validation both do. Wandering: after the first third no trend (1 %), but block means that vary more than white
        noise does (F test at `p`) and by more than `wander` of what was learned. For these more than `left` must be left
        at the end: a run that recovers is no failure. Regret: the end is above the best level by `regret` of what was
        learned, and beyond that tail. Burst: the first epoch's mean is more than `burst` times the second's, and both
        losses jump by a tenth of their level ever after. Stuck: training is flat above log n while validation changes, so
        that the weights do move.

    Sources:
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 8.3 and 11.4.1
        - Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability, 2021
    """
    s = shape(curve)
    if s.flat:
        return _stuck(s)
    if s.trend.tau <= -0.9:
        return None
    if s.left > left:
        found = _peak(s, peak, setback) or _setback(s, setback) or _wandering(s, wander, p)
        if found is not None:
            return found
    return _regret(s, regret) or _burst(s, burst)


def _peak(s: Shape, peak: float, setback: float) -> Evidence | None:
    half = s.n // 2
    at = int(s.y[: max(1, half)].argmax())
    highest = float(s.y[at])
    over, bound = highest - s.reference, series.tail_bound(s.y[half:] - series.median(s.y[half:]))
    if not (highest > peak * s.reference and over > bound):
        return None
    if not (
        s.y[0] < 0.8 * highest or series.draw_up(s.smooth) > setback * s.learned
    ):  # it rose, and did not just begin high
        return None
    facts = {"peak": highest, "peak_step": float(s.x[at]), "end": s.end}
    summary = f"the loss blew up to {highest:.3g} at step {s.x[at]:g} and ends at {s.end:.3g}"
    return Evidence(summary, facts, (float(s.x[0]), float(s.x[half])), sureness(highest / (peak * s.reference)))


def _setback(s: Shape, setback: float) -> Evidence | None:
    """An epoch's mean has hardly any noise of its own, and weights that jump show in both losses; else noise is tested."""
    if s.by_epoch and s.val is not None:
        rise = min(series.draw_up(s.y), series.draw_up(s.val.value))
        bound = 0.0
    else:
        # sixty normal values range over 4.6 sigma; eight leave room for noise that is larger at the start
        rise, bound = series.draw_up(s.smooth), 8 * series.noise(s.smooth)
        bound = bound if s.gained else math.inf
    if not (rise > setback * s.learned and rise > bound):
        return None
    top = int((s.y - np.minimum.accumulate(s.y)).argmax())
    low = int(s.y[: top + 1].argmin())
    facts = {"rise": rise, "learned": s.learned, "best_step": float(s.x[low]), "end": s.end}
    summary = f"the loss rises again by {rise:.3g} after step {s.x[low]:g}, {rise / s.learned:.0%} of all that was learned"
    return Evidence(summary, facts, (float(s.x[low]), float(s.x[-1])), sureness(rise / (setback * s.learned)))


def _regret(s: Shape, regret: float) -> Evidence | None:
    low = int(s.smooth.argmin())
    best = float(s.smooth[low])
    lost = s.end - best
    if not (lost > regret * s.learned and lost > series.tail_bound(s.residual)):
        return None
    at = float(s.x[min(s.n - 1, low * s.n // len(s.smooth))])
    facts = {"best": best, "best_step": at, "end": s.end}
    summary = f"the loss was down at {best:.3g} by step {at:g} and ends at {s.end:.3g}"
    return Evidence(summary, facts, (at, float(s.x[-1])), sureness(lost / (regret * s.learned)))


def _wandering(s: Shape, wander: float, p: float) -> Evidence | None:
    part = s.y[s.n // 3 :]
    means = series.blocks(part, 20)
    ratio, chance = series.whiteness(part)
    swing = float(means.std())
    if not (s.gained and abs(series.kendall(means).z) < 2.58 and chance < p and swing > wander * s.learned):
        return None
    facts = {"swing": swing, "f": ratio, "p": chance, "left": s.left}
    summary = f"the loss wanders about {series.median(part):.3g} in swings of {swing:.2g}: more than the noise of batches"
    return Evidence(summary, facts, (float(s.x[s.n // 3]), float(s.x[-1])), sureness(swing / (wander * s.learned)))


def _burst(s: Shape, burst: float) -> Evidence | None:
    if not s.by_epoch or s.val is None or s.n < 10 or s.y[1] <= 0 or s.y[0] <= burst * s.y[1]:
        return None
    rest, val = s.y[s.n // 5 :], s.val.value[len(s.val) // 5 :]
    jumps = (
        min(series.draw_up(each) / series.median(each) for each in (rest, val)) if min(rest.min(), val.min()) > 0 else 0.0
    )
    if not (jumps > 0.1 and s.end > 0.4 * series.median(s.y[1:4])):
        return None
    facts = {"first": float(s.y[0]), "second": float(s.y[1]), "end": s.end, "jumps": jumps}
    summary = (
        f"the first epoch's mean loss is {s.y[0]:.3g}, the second's {s.y[1]:.3g}, and it jumps about {s.end:.3g} ever after"
    )
    return Evidence(summary, facts, (float(s.x[0]), float(s.x[-1])), sureness(jumps / 0.1))


def _stuck(s: Shape) -> Evidence | None:
    """Fixed weights give the same validation loss each time; 2 % above log n is more than an untrained network's spread."""
    if (
        s.uniform is None
        or s.val is None
        or s.val.value.min() == s.val.value.max()
        or not min(s.end, s.val_end) > 1.02 * s.uniform
    ):
        return None
    facts = {"end": s.end, "uniform": s.uniform}
    summary = f"the loss is stuck at {s.end:.4g}, above {s.uniform:.4g} for a uniform guess, though the weights do move"
    return Evidence(summary, facts, (float(s.x[0]), float(s.x[-1])), 0.65)
