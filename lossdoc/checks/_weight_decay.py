"""Does a weight decay in the optimizer shrink the weights?"""

from __future__ import annotations

import numpy as np

from lossdoc.curve import Floats
from lossdoc.expected import SHRINKS
from lossdoc.findings import Evidence, Passed
from lossdoc.subject import Subject

SHARE = 1e-3  # of the predicted change; rounding is judged apart
ULP = 2.0**-23


def judge(subject: Subject, decay: float) -> Evidence | Passed:
    """Take one step with zero gradient and compare the weights with the optimizer's documented formula.

    For an optimizer that lossdoc has no formula of, the weights must have become smaller.
    """
    before, after = _step_without_gradient(subject)
    hyper = subject.recipe.hyper
    word = subject.recipe.optimizer.word
    shrink = SHRINKS.get(word)
    norm = float(np.linalg.norm(before))
    change = float(np.linalg.norm(after)) - norm
    if shrink is None:
        due, wrong = -hyper["lr"] * decay * norm, not change < 0
    else:
        wanted = shrink(before, hyper)
        due = float(np.linalg.norm(wanted)) - norm
        tolerance = SHARE * np.abs(wanted - before) + 4 * ULP * np.abs(before)
        wrong = bool((np.abs(after - wanted) > tolerance).any())
    facts = {"measured": change, "expected": due, "tolerance": SHARE * abs(due), "norm": norm}
    if not norm or not wrong:
        return Passed(f"weight_decay shrinks the weights' norm by {-change:.4g} a step, as {word} does", facts)
    verdict = "do not change" if change == 0 else "grow" if change > 0 else "shrink by another amount"
    return Evidence(
        f"with weight_decay {decay:g} a step of {word} without gradient must shrink the weights' norm by {-due:.4g}; "
        f"they {verdict} ({change:+.4g})",
        facts=facts,
        confidence=0.97,
    )


def _step_without_gradient(subject: Subject) -> tuple[Floats, Floats]:
    """Return the weights (n,) before and after one step of the optimizer that the training uses."""
    import torch

    from lossdoc import probe

    optimizer, hyper = subject.recipe.optimizer, subject.recipe.hyper
    weights = torch.cat(
        [each.reshape(-1) for each in probe.parameters_of(probe.untouched(subject).build(subject.seed)).values()]
    )
    if subject.recipe.step is None:
        with torch.no_grad():
            after, _ = optimizer.update(weights, torch.zeros_like(weights), optimizer.slots(weights), hyper, 0)
    else:
        after = weights.clone().requires_grad_()
        after.grad = torch.zeros_like(weights)
        optimizer.torch([after], hyper).step()
    return weights.double().cpu().numpy(), after.detach().double().cpu().numpy()
