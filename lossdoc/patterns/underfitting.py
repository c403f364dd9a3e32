"""The pattern `underfitting`."""

from __future__ import annotations

import math
from functools import partial

from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable, Undecided
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import entropy, shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import healthy, healthy_epochs, slow, underfit


@rule(
    code="LC112",
    severity=Severity.ERROR,
    fires_on=(underfit, partial(underfit, seed=1, points=30)),
    quiet_on=(healthy, healthy_epochs, slow),
)
def underfitting(
    curve: Curve,
    *,
    left: float = 0.4,
    left_blind: float = 0.5,
    late: float = 0.125,
    straight: float = 0.25,
    guess: float = 0.5,
    spent: float = 1e-3,
) -> Evidence | None:
    """The loss levels off high, in training as in validation.

    Looks like:
        Both curves come to rest far above 0, close together.

    Causes:
        - the model is too small
        - too much regularization: weight decay, dropout
        - inputs lack what is to be predicted
        - the learning rate was lowered too early

    Confirm with:
        - lossdoc overfit model.yaml: what cannot learn 64 samples by heart is too small, or broken
        - lossdoc sweep model.yaml: does less regularization, or another learning rate, get lower?

    Try:
        - a larger model: more units, more layers
        - less regularization
        - better inputs
        - another schedule of the learning rate

    False alarms:
        Noise that no model can predict: the error that a regression or a noisy task is left with. Label smoothing.

    Decided by:
        It has leveled off: the last quarter makes less than `late` of the descent, half of a straight line's (in a log by
        steps, by the line through the second half); and that it makes `straight` of it, a straight line's, is out of the
        question (Student's t at 1 %; in a short noisy log it never is, and nothing can be told). More than `left` of log n
        (of the first loss, where an accuracy shows that it is a classification) is left in training and validation. For
        anything else it is more than `left_blind` of the first loss (and of what a first epoch's mean hides), as nobody
        knows what a regression can reach; and a first loss below `guess`, 0.7 of that of a coin, is no beginning. A logged
        learning rate that has sunk to `spent` of its highest by the middle is named as the cause.

    Sources:
        - Deep Learning Optimization Methods (study notes), section on the training process
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 5.2
    """
    s = shape(curve)
    if math.isnan(s.left):
        raise NotApplicable("the loss can be negative: nobody knows how low it could be")
    classifies = s.uniform is not None or any(name.endswith("accuracy") for name in curve.others)
    wanted = left if classifies else left_blind
    if not classifies and s.start < guess and entropy(curve.context.loss) is not False:
        raise NotApplicable(f"the first loss, {s.start:.3g}, is below that of any guess, if it is in nats: a fine-tuning?")
    rest = (s.end if s.val is None else min(s.end, s.val_end)) / (s.reference + s.hidden)
    share = s.late_share(0.25)
    if not rest > wanted or share >= late:
        return None
    drop = float(s.smooth[0]) - series.median(s.smooth[-3:])
    if not s.second_half.below(2 * straight * drop):
        raise Undecided("the noise hides whether the loss still falls: the log is too short, or the batches too small")
    facts = {"left": rest, "end": s.end, "reference": s.reference, "late_share": share}
    than = "a uniform guess's" if s.uniform is not None else "the first loss"
    summary = f"the loss has leveled off at {s.end:.3g}, {100 * rest:.0f} % of {than} {s.reference:.3g}"
    span, sure = (float(s.x[s.n // 2]), float(s.x[-1])), certainty("underfitting", rest / wanted)
    by_then = s.rates(span[0])
    if not len(by_then) or by_then[-1] >= spent:
        return Evidence(summary, facts, span, sure)
    lowered = f"the learning rate was lowered too early: it is {s.curve.others['lr'].finite.value[-1]:.2g} at the end"
    return Evidence(summary, facts, span, sure, causes=(lowered,), remedies=("lower the learning rate later, and less far",))
