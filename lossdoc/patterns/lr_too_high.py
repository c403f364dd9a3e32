"""The pattern `lr-too-high`."""

from __future__ import annotations

from functools import partial

from lossdoc.curve import Curve
from lossdoc.features import signs
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import shape
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
    outburst: float = 1000.0,
    jagged: float = 0.075,
    unsteady: float = 0.15,
    aloft: float = 2.0,
    broken: float = 1.1,
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
        - gradients are never cleared, so that the steps grow

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
        Twelve signs, any of which will do. Peak: in the first half a loss above `peak` times that of having learned nothing,
        beyond twelve means of an exponential tail of the later noise, after a real rise. Setback: the smooth loss rises
        again by `setback` of what was learned, far beyond its noise; in a log by epoch, training and validation both do.
        After these two more than `left` must be left at the end: a run that recovers is no failure. Above: it ends above
        `peak` times that loss, beyond five standard errors. Outburst: with known classes, one of the first two epochs is
        `outburst` times what the next come down to (its root where they rise in between), or twice log n with the second
        at the end's level, and more than `left` of log n is left. Jagged: by epoch, the mean absolute second difference
        after the first third is `jagged` of what was learned, in both losses: twice the largest of a hundred healthy runs
        (`benchmarks/runs.py`), for an epoch's mean has hardly any noise of its own. Unsteady: both losses lie flat but jump
        by `unsteady` of their level from epoch to epoch, as some 45 samples' means would. Aloft: three of twenty blocks lie
        above `aloft` times the loss it began with, whatever comes after. Broken: with known classes it begins above `broken`
        times its end, beyond five deviations of the noise, and ends no lower than log n, falling no more.

    Sources:
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 8.3 and 11.4.1
        - Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability, 2021
    """
    s = shape(curve)
    found = (
        [signs.stuck(s, stuck), signs.unsteady(s, unsteady, left)]
        if s.flat
        else [signs.regret(s, regret), signs.burst(s, burst, jumps)]
    )
    if not s.flat:
        found += [
            signs.wandering(s, wander, p),
            signs.above(s, peak),
            signs.outburst(s, outburst, left),
            signs.jagged(s, jagged),
            signs.aloft(s, aloft),
            signs.broken(s, broken),
        ]
    if s.left > left and not s.flat:
        found += [signs.peak(s, peak), signs.setback(s, setback)]
    sign = max(found, key=lambda each: each.margin)
    if not sign.margin > 1:
        return None
    facts = {"reference": s.reference, "lowest": float(s.smooth.min()), "highest": float(s.y.max()), "end": s.end}
    span = (float(s.x[sign.first]), float(s.x[sign.last]))
    return Evidence(f"the loss {sign.summary}", facts, span, certainty("lr-too-high", sign.margin))
