"""Does a term of the loss that keeps weights small do so?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Passed
from lossdoc.subject import Penalty, Subject

SHARE = 1e-3  # of the predicted rise: rounding of sums over a million weights in float32 stays below
ULP = 2.0**-23  # float32's relative distance of neighbors


def judge(subject: Subject, penalty: Penalty) -> Evidence | Passed:
    """Switch one penalty on alone and compare the rise of the loss with its formula."""
    return _own(subject, penalty) if penalty.own or penalty.word not in ("l1", "l2") else _norm(subject, penalty)


def rise(subject: Subject, penalty: Penalty) -> tuple[float, float]:
    """Return by how much the first batch's loss rises when the penalty is switched on alone, and the loss without it."""
    from lossdoc import fetching, measuring, probe

    batch = fetching.take(subject, samples=1)[0]
    plain = probe.bare(subject)
    model = plain.build(subject.seed)
    probe.must_have_loss(subject, model, batch)
    off = measuring.measure(plain, model, batch, training=True).total
    alone = replace(plain, recipe=replace(plain.recipe, penalties=(penalty,)))
    return measuring.measure(alone, model, batch, training=True).total - off, off


def _norm(subject: Subject, penalty: Penalty) -> Evidence | Passed:
    from lossdoc import probe

    model = probe.untouched(subject).build(subject.seed)
    named = penalty.parameters(model)
    weights = np.concatenate([np.zeros(0), *(each.detach().double().cpu().numpy().ravel() for each in named.values())])
    predicted = penalty.coefficient * _closed_form(penalty.word, weights)
    risen, loss = rise(subject, penalty)
    tolerance = SHARE * abs(predicted) + 4 * ULP * (abs(loss) + abs(predicted))
    facts = {"measured": risen, "expected": predicted, "tolerance": tolerance, "weights": float(weights.size)}
    formula = "c·sum |w|" if penalty.word == "l1" else "c/2·sum w²"
    if not math.isfinite(loss):
        raise NotApplicable("the first loss is not a finite number")
    if abs(risen - predicted) <= tolerance and predicted > tolerance:
        return Passed(f"`{penalty.word}` raises the loss by {risen:.4g}, as {formula} says", facts)
    if predicted <= tolerance:
        why = "it looks at no weights" if not weights.size else "all its weights are 0" if not weights.any() else None
        if why is None:
            return Passed(
                f"`{penalty.word}` is due to raise the loss by {predicted:.2g}: too little to show in float32", facts
            )
        return Evidence(f"`{penalty.word}` has no effect: {why}", facts=facts)
    verdict = (
        f"falls by {-risen:.4g}"
        if risen < -tolerance
        else f"rises by {risen:.4g}"
        if risen > tolerance
        else "stays as it is"
    )
    return Evidence(
        f"with `{penalty.word}` switched on the loss {verdict}; it must rise by {formula} = {predicted:.4g}",
        facts=facts,
        confidence=0.98,
    )


def _closed_form(word: str, weights: Floats) -> float:
    return float(np.abs(weights).sum() if word == "l1" else np.square(weights).sum() / 2)


def _own(subject: Subject, penalty: Penalty) -> Evidence | Passed:
    """Judge a term without a formula: it must rise, and its gradient must reach the weights."""
    risen, loss = rise(subject, penalty)
    rounding = 4 * ULP * abs(loss)
    grown, slope = _when_weights_grow(subject, penalty)
    facts = {"measured": risen, "expected": rounding, "tolerance": rounding, "when_weights_grow": grown, "gradient": slope}
    if risen < -rounding and grown < 0:
        return Evidence(
            f"with {penalty.word} switched on the loss falls by {-risen:.4g}, and the more the larger the weights are: "
            f"the penalty has the wrong sign",
            facts=facts,
            confidence=0.97,
            remedies=("add the penalty, do not subtract it: f(model) is to return a positive number",),
        )
    if not slope > 0 and not grown > 0:
        return Evidence(
            f"{penalty.word} has no effect: it does not depend on the weights ({risen:+.4g} whatever they are)", facts=facts
        )
    if not slope > 0 and grown > rounding and risen > rounding:
        return Evidence(
            f"{penalty.word} raises the loss by {risen:.4g}, but its gradient is 0 for every weight: it has no effect",
            facts=facts,
            confidence=0.97,
            remedies=("compute the penalty from the parameters themselves, without `.data`, `.detach()` or `.item()`",),
        )
    if risen < -rounding:
        return Evidence(
            f"with {penalty.word} switched on the loss falls by {-risen:.4g}; regularization must raise it", facts=facts
        )
    return Passed(f"{penalty.word} raises the loss by {risen:.4g}, and its gradient reaches the weights", facts)


def _when_weights_grow(subject: Subject, penalty: Penalty) -> tuple[float, float]:
    """Return by how much the term grows when all weights grow by 10 %, and the norm of its gradient there.

    The larger weights also leave the place where a distance from the first weights is 0.
    """
    import torch

    from lossdoc import calling, probe

    model = probe.untouched(subject).build(subject.seed)
    weights = [each for each in model.parameters() if each.requires_grad]
    before = _number(calling.call_penalty(penalty, model))
    with torch.no_grad():
        for each in weights:
            each.mul_(1.1)
    value = calling.call_penalty(penalty, model)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return _number(value) - before, 0.0
    grads = torch.autograd.grad(value, weights, allow_unused=True)
    norm = sum(float(grad.double().square().sum()) for grad in grads if grad is not None)
    return _number(value) - before, math.sqrt(norm)


def _number(value: Any) -> float:
    return float(value.detach() if hasattr(value, "detach") else value)
