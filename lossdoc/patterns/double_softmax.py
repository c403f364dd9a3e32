"""The pattern `double-softmax`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from lossdoc.curve import Curve, Runs
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import Shape, entropy, shape
from lossdoc.features.softmax import guessed_classes, stopped_at, twice
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
    many: int = 20,
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
        less than `late` of the descent. Where the number of classes is not known it is read off the first loss, log n, or
        off the end, if between three and twenty classes only one fits (many healthy losses end at 0.31, the floor of
        two); the end must then be nearer by the factor `blind`, and there must be at least `many` points, more than there
        are floors to choose from.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 11
        - the bound: softmax over a one-hot vector of n entries gives e / (e + n - 1)
    """
    shapes = [
        shape(curve) for curve in (matter.curves if isinstance(matter, Runs) else (matter,)) if len(curve.train.finite)
    ]
    classes, reach = _classes(shapes, blind, many)
    floor = twice(classes)
    reach *= min(classes_lost / classes, way * (math.log(classes) - floor))
    inside = all(s.y.min() >= floor - below and series.quantile(s.y, 0.999) <= floor + 1 for s in shapes)
    above = min(_end(s) for s in shapes) - floor
    if not inside or above >= reach or all(series.late_share(s.smooth, 0.25) >= late for s in shapes):
        return None
    told = shapes[0].curve.context.classes is not None
    guess = "" if told else f" (the losses are those of {classes} classes)"
    summary = (
        f"the loss stops at {floor + above:.4g}, and softmax applied twice to {classes} classes ends at {floor:.4f}{guess}"
    )
    facts = {"floor": floor, "above_floor": above, "classes": float(classes)}
    sure = certainty("double-softmax" if told else "double-softmax, guessed", reach / max(above, 1e-9))
    s = shapes[0]
    return Evidence(summary, facts, (float(s.x[s.n // 2]), float(s.x[-1])), sure)


def _end(s: Shape) -> float:
    """Return the mean of the end, not the median: each class that is never learned costs in proportion."""
    return float(s.y[-max(3, s.n // 10) :].mean())


def _classes(shapes: Sequence[Shape], blind: float, many: int) -> tuple[int, float]:
    """Return the number of classes and by what factor the end must be nearer to their floor: `blind` where it is a guess."""
    if not shapes:
        raise NotApplicable("no finite loss")
    told, loss = shapes[0].curve.context.classes, shapes[0].curve.context.loss
    if entropy(loss) is False or (loss is not None and ("binary" in loss or "bce" in loss)):
        raise NotApplicable(f"the loss is {loss}, not the cross-entropy of a softmax")
    if told is not None and told >= 2:
        return told, 1.0
    if told is None and max(s.n for s in shapes) < many:
        raise NotApplicable("the number of classes is not known, and the log is too short to read it off the losses")
    first = max(s.start for s in shapes)
    guess = (guessed_classes(first) or stopped_at(first, min(_end(s) for s in shapes))) if told is None else None
    if guess is None:
        raise NotApplicable("the number of classes is not known, and the losses do not tell it")
    return guess, blind
