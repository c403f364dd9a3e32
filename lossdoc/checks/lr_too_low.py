"""A sweep in which the configured learning rate is far below the rates that learn."""

from __future__ import annotations

import math

from lossdoc.curve import Curve, Series
from lossdoc.findings import Evidence, Severity
from lossdoc.ranking import RATE, rate_gap
from lossdoc.rule import rule
from lossdoc.subject import Point, Trial, Trials


def _swept(configured: float, best: float = 1e-2) -> Trials:
    """Make a sweep of nine rates in which the loss falls from 2.3 to 0.3 at the best rate, less far at every other one."""
    rates = [10 ** (-5 + index / 2) for index in range(9)]
    falls = [2.0 * math.exp(-(math.log10(rate / best) ** 2)) for rate in rates]
    curves = [Curve(Series.of([2.3, 2.3 - fall])) for fall in falls]
    trials = [
        Trial(Point(index, {RATE: rate}), curve, 2.3 - fall, math.nan)
        for index, (rate, curve, fall) in enumerate(zip(rates, curves, falls, strict=True))
    ]
    return Trials(tuple(trials), {RATE: (rates[0], rates[-1])}, {RATE: configured}, frozenset({RATE}))


@rule(
    code="LS602",
    severity=Severity.WARNING,
    fires_on=[lambda: _swept(1e-4), lambda: _swept(1e-5, best=1e-3)],
    quiet_on=[lambda: _swept(1e-2), lambda: _swept(5e-3), lambda: _swept(1e-1)],
)
def lr_too_low(trials: Trials) -> Evidence | None:
    """The learning rate is too low: higher ones learn much more in the same number of steps.

    Looks like:
        The loss falls slowly, almost in a straight line, and is still falling when the training ends; trials with a higher
        rate are far below it.
    Causes:
        - the learning rate was chosen for another optimizer, batch size or network
        - a schedule or warm-up keeps the rate low for most of a short training
    Confirm with:
        - `lossdoc sweep --search random`, which trains with rates two decades to either side
        - one training with ten times the rate
    Try:
        - the rate of the best trial
        - training longer, if the rate must stay
    False alarms:
        A rate that is chosen for a long training looks slow in a short one: what matters is where it ends. Large pretrained
        networks are fine-tuned at low rates on purpose.
    Decided by:
        Every trial within half a decade of the configured rate lowers the loss by less than half of what the best trial
        does, and the best one is more than half a decade above. Where the trials are shorter than the configured training,
        the half decade begins above the rate that moves the weights as far in so few steps. In the overfit test: the
        samples are learned by heart at ten times the configured rate and not at it. By experiments of the length of the
        configured training (or, where that would take too long, if no layer's weights change by a ten-thousandth at a step):
        at ten or a hundred times the rate the model surely learns a tenth more in the same steps, an error if twice as much.
    Sources:
        - the study notes' gallery, figure 9 left: learning rate too small
        - Y. Bengio, Practical recommendations for gradient-based training of deep architectures, 2012, section 3.1
    """
    gap = rate_gap(trials)
    if gap is None or not gap.too_low:
        return None
    summary = (
        f"at the configured learning rate {gap.configured:g} the loss falls by {gap.near_fall:.3g}, "
        f"at {gap.best:.2g} by {gap.best_fall:.3g}"
    )
    facts = {"measured": gap.near_fall, "expected": gap.best_fall, "configured_lr": gap.configured, "best_lr": gap.best}
    return Evidence(summary, facts, confidence=0.9, remedies=(f"set optimizer.lr to about {gap.best:.1g}",))
