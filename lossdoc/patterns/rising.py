"""The pattern `rising`."""

from __future__ import annotations

from functools import partial

from lossdoc.curve import Curve
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import flat, healthy
from lossdoc.synthetic import rising as going_up


@rule(
    code="LC102",
    severity=Severity.ERROR,
    fires_on=(going_up, partial(going_up, seed=1, points=40)),
    quiet_on=(healthy, flat),
    mutes=(
        "lr-too-high",
        "not-learning",
        "overfitting",
        "underfitting",
        "spikes",
        "slow-start",
        "noisy-validation",
        "initial-loss-off",
    ),
)
def rising(curve: Curve, *, tau: float = 0.5, z: float = 2.58, sigmas: float = 5.0) -> Evidence | None:
    """The training loss goes up: it ends above where it began.

    Looks like:
        A curve that climbs, often faster and faster (figure 9 of the notes, right).

    Causes:
        - the gradient is applied with the wrong sign: the weights climb the loss
        - a penalty or another term of the loss is subtracted instead of added
        - the learning rate is so high that every step overshoots further than the last
        - gradients are never cleared, so that each step adds all those before it

    Confirm with:
        - lossdoc sanity model.yaml --select wrong-sign
        - lossdoc sanity model.yaml --select regularization-raises-loss
        - lossdoc sanity model.yaml --select accumulating-gradients

    Try:
        - flip the sign: weights -= lr * gradient
        - minimize the loss, not its negative; check every term's sign
        - lower the learning rate tenfold
        - clear the gradients in every step: optimizer.zero_grad()

    False alarms:
        Curricula that grow harder, losses with a weight that is annealed upwards, adversarial and reinforcement losses.

    Decided by:
        Kendall's tau of twenty block medians above `tau` with z above `z` (1 % two-sided), the end above the start and
        above the loss of a uniform guess, by more than `sigmas` standard deviations of the noise.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 9, right
        - Kendall, Rank Correlation Methods, 1970
    """
    s = shape(curve)
    rise = s.end - s.start
    # tau 0.5: three of four pairs of blocks rise; 5 sigma: one false point in two million under normal noise
    if not (s.trend.tau > tau and s.trend.z > z and s.end > s.reference and rise > sigmas * s.noise):
        return None
    facts = {"start": s.start, "end": s.end, "tau": s.trend.tau, "z": s.trend.z}
    sure = certainty("rising", s.trend.tau / tau, s.trend.z / z)
    return Evidence(
        f"the training loss goes up from {s.start:.3g} to {s.end:.3g}", facts, (float(s.x[0]), float(s.x[-1])), sure
    )
