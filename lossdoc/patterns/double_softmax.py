"""The pattern `double-softmax`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from lossdoc.curve import Curve, Runs
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.shape import Shape, shape, sureness
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
    known = curves[0].context.classes is not None
    classes = _classes(shapes)
    if classes is None:
        raise NotApplicable("the number of classes is not known, and the first loss does not tell it")
    floor = math.log(math.e + classes - 1) - 1
    reach = min(classes_lost / classes, way * (math.log(classes) - floor)) * (1 if known else blind)
    inside = all(s.y.min() >= floor - below and series.quantile(s.y, 0.999) <= floor + 1 for s in shapes)
    above = min(_last(s) - floor for s in shapes)
    if not inside or above >= reach or all(series.late_share(s.smooth, 0.25) >= late for s in shapes):
        return None
    facts = {"floor": floor, "above_floor": above, "classes": float(classes)}
    guess = "" if known else f" (the first loss is that of {classes} classes)"
    summary = (
        f"the loss stops at {floor + above:.4g}, and softmax applied twice to {classes} classes ends at {floor:.4f}{guess}"
    )
    sure = sureness(reach / max(above, 1e-9)) - (0.0 if known else 0.1)
    s = shapes[0]
    return Evidence(summary, facts, (float(s.x[s.n // 2]), float(s.x[-1])), sure)


def _last(s: Shape) -> float:
    """Return the mean of the last tenth: the mean, as classes that are never learned cost in proportion."""
    return float(s.y[-max(3, s.n // 10) :].mean())


def _classes(shapes: list[Shape]) -> int | None:
    """Return the number of classes: as told, or the only one that the first loss allows."""
    if not shapes:
        return None
    told = shapes[0].curve.context.classes
    if told is not None:
        return told if told > 1 else None
    first = max(float(s.y[0]) for s in shapes)
    if not 1 < first < 3:  # between three classes and twenty: the floors of more lie closer together than the reach
        return None
    fits = [n for n in range(3, 21) if 0.98 * first < math.log(n) < 1.04 * first]
    return fits[0] if len(fits) == 1 else None
