"""The pattern `non-finite`."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossdoc.curve import Curve, Floats, Series
from lossdoc.features import series as measures
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import blown_up, broken_off, exploded, healthy

EPSILON = "log of 0, a division by 0 or the root of 0: an epsilon is missing"
RATE = "the learning rate is too high, so that weights or losses overflow"
DATA = "a NaN or an infinity in the data"
HALF = "half precision without loss scaling"
GUARD = "put an epsilon inside every log, division and square root, or use the fused loss (log-softmax, BCE with logits)"
LOWER = "lower the learning rate tenfold, or warm it up"
CLIP = "clip the gradient's norm"
LOOK = "look at the first batch whose loss is not finite"


@rule(
    code="LC101",
    severity=Severity.ERROR,
    fires_on=(broken_off, partial(broken_off, points=6), exploded),
    quiet_on=(healthy, blown_up),
    mutes=("rising", "lr-too-high", "spikes"),
)
def non_finite(curve: Curve) -> Evidence | None:
    """A loss left the range of the numbers a computer can hold: NaN or infinity was logged.

    Looks like:
        The curve breaks off (figure 10 of the notes, bottom left).

    Causes:
        - log of 0, a division by 0 or the root of 0: an epsilon is missing
        - the learning rate is too high, so that weights or losses overflow
        - a NaN or an infinity in the data
        - half precision without loss scaling

    Confirm with:
        - lossdoc sanity model.yaml --select non-finite-data
        - lossdoc sanity model.yaml --select non-finite
        - lossdoc overfit model.yaml: does it come back at a tenth of the learning rate?

    Try:
        - put an epsilon inside every log, division and square root, or use the fused loss (log-softmax, BCE with logits)
        - lower the learning rate tenfold, or warm it up
        - clip the gradient's norm
        - look at the first batch whose loss is not finite

    False alarms:
        A cell that is blank means "not logged" and is no fault; a column that is NaN wherever it was not evaluated counts
        as blank. Some loggers write NaN for a skipped step.

    Decided by:
        A literal nan or inf in the training or the validation loss. There is nothing to estimate. What came before decides
        the order of the causes: the learning rate comes first where the training loss was on its way up (one of its last
        tenth beyond twelve means of an exponential tail above the median before, or a rising trend in the last third at
        1 %; of fewer than seven losses, the last one above twice the first), last where it broke off out of a quiet curve.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 10
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 4.1 (overflow and underflow)
    """
    series = [curve.train] if curve.val is None else [curve.train, curve.val]
    broken = [each for each in series if not np.isfinite(each.value).all()]
    if not broken:
        return None
    first = min(broken, key=_breaks)
    at = _breaks(first)
    bad = ~np.isfinite(first.value)
    what = "NaN" if np.isnan(first.value[bad][0]) else "infinite"
    span = (at, float(first.step[bad][-1]))
    facts = {"first_step": at, "non_finite": float(bad.sum())}
    for_good = bool(bad[int(np.argmax(bad)) :].all())
    rest = "" if bad.sum() == 1 else " and from then on" if for_good else f", and not finite {bad.sum()} times in all"
    before = curve.train.finite.value[curve.train.finite.step < at]
    climbed = _climbs(before)
    rest += f", after a rise to {float(before[-3:].max()):.4g}" if climbed else ""
    summary = f"'{first.name}' is {what} at {curve.context.axis or 'step'} {at:g}{rest}"
    causes, remedies = ((RATE, EPSILON), (LOWER, CLIP)) if climbed else ((EPSILON, DATA, HALF), (GUARD, LOOK))
    return Evidence(summary, facts, span, 1.0, causes=causes, remedies=remedies)


def _climbs(values: Floats) -> bool:
    """Tell whether a loss was on its way up when it ended; two losses are the least that can show it."""
    if len(values) < 7:
        return len(values) > 1 and bool(values[-1] > 2 * values[0] > 0)
    last = max(3, len(values) // 10)
    above = values - measures.median(values[:-last])
    trend = measures.kendall(measures.blocks(values[-max(7, len(values) // 3) :], 20))
    return bool(above[-last:].max() > measures.tail_bound(np.abs(above[:-last]))) or trend.z > 2.58


def _breaks(series: Series) -> float:
    """Return the first step whose value is not finite."""
    return float(series.step[int(np.argmax(~np.isfinite(series.value)))])
