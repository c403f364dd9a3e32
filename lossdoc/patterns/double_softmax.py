"""The pattern `double-softmax`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from lossdoc.curve import Curve, Runs
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.shape import entropy, shape, sureness
from lossdoc.features.softmax import guessed_classes, twice
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import double_softmax as applied_twice
from lossdoc.synthetic import healthy, healthy_epochs, seeds, underfit

EXAMPLES: tuple[Callable[[], Curve | Runs], ...] = (applied_twice, partial(applied_twice, seed=1, points=100), seeds)


@rule(
    code="LC104",
    severity=Severity.ERROR,
    fires_on=EXAMPLES,
    quiet_on=(healthy, healthy_epochs, underfit),
    mutes=(
        "lr-too-high",
        "overfitting",
        "underfitting",
        "not-learning",
        "slow-learning",
        "slow-start",
        "run-to-run-variance",
        "spikes",
    ),
)
def double_softmax(
    matter: Curve | Runs,
    *,
    below: float = 0.002,
    classes_lost: float = 1.1,
    way: float = 0.15,
    late: float = 0.1,
    blind: float = 0.5,
) -> Evidence | None:
    """The loss stops at log(e + n - 1) - 1, the least that n classes can reach when softmax is applied twice.

    Looks like:
        A healthy descent that levels off far above 0, at 1.46 for ten classes; several runs of the same network stop at
        different heights (figure 11 of the notes), for every class that is never learned costs another 1/n.

    Causes:
        - the model ends in a softmax and the loss applies another one
        - probabilities are handed to a loss that asks for logits

    Confirm with:
        - lossdoc sanity model.yaml --select double-softmax

    Try:
        - feed logits to the loss: remove the last activation of the model
        - or keep it and use the negative log-likelihood of its probabilities

    False alarms:
        A model that happens to level off at that height. An accuracy near 1 beside such a loss proves the pattern.

    Decided by:
        With probabilities for logits every sample's loss lies in [F, F + 1], F = log(e + n - 1) - 1. No loss is more than
        `below` (rounding) under F and not one in a thousand over F + 1; the mean of the end is nearer to F than
        `classes_lost` lost classes and than `way` of the way from log n; and it has leveled off: the last quarter makes
        less than `late` of the descent. Where the number of classes is not known it is read off the first loss, log n, if
        between three and twenty classes only one fits (many healthy losses end at 0.31, the floor of two); the end must
        then be nearer by the factor `blind`.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 11
        - the bound: softmax over a one-hot vector of n entries gives e / (e + n - 1)
    """
    curves = matter.curves if isinstance(matter, Runs) else (matter,)
    shapes = [shape(curve) for curve in curves if len(curve.train.finite)]
    told, loss = curves[0].context.classes, curves[0].context.loss
    if entropy(loss) is False or (loss is not None and ("binary" in loss or "bce" in loss)):
        raise NotApplicable(f"the loss is {loss}, not the cross-entropy of a softmax")
    classes = told or guessed_classes(max((float(s.y[0]) for s in shapes), default=0.0))
    if classes is None or classes < 2 or not shapes:
        raise NotApplicable("the number of classes is not known, and the first loss does not tell it")
    floor = twice(classes)
    reach = min(classes_lost / classes, way * (math.log(classes) - floor)) * (1 if told else blind)
    inside = all(s.y.min() >= floor - below and series.quantile(s.y, 0.999) <= floor + 1 for s in shapes)
    # the mean, not the median: each class that is never learned costs in proportion
    above = min(float(s.y[-max(3, s.n // 10) :].mean()) for s in shapes) - floor
    if not inside or above >= reach or all(series.late_share(s.smooth, 0.25) >= late for s in shapes):
        return None
    guess = "" if told else f" (the first loss is that of {classes} classes)"
    summary = (
        f"the loss stops at {floor + above:.4g}, and softmax applied twice to {classes} classes ends at {floor:.4f}{guess}"
    )
    facts = {"floor": floor, "above_floor": above, "classes": float(classes)}
    sure = sureness(reach / max(above, 1e-9)) - (0.0 if told else 0.1)
    s = shapes[0]
    return Evidence(summary, facts, (float(s.x[s.n // 2]), float(s.x[-1])), sure)
