"""LS506: gradients that are never cleared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn


@rule(
    code="LS506",
    severity=Severity.ERROR,
    fires_on=(lambda: specimens.with_step(specimens.hoarding_step),),
    quiet_on=(lambda: specimens.with_step(specimens.plain_step), lambda: specimens.with_step(specimens.tidy_step)),
)
def accumulating_gradients(subject: Subject, *, near: float = 0.1) -> Evidence | None:
    """The gradients are not cleared: every step applies the sum of all before it.

    Looks like:
        A loss that falls at first and then swings wider and wider, as if the momentum were 1.

    Causes:
        - `optimizer.zero_grad()` is missing
        - it stands between `backward()` and the next `backward()` of another model

    Confirm with:
        - print the norm of the gradients at the second step, with and without clearing them

    Try:
        - call `optimizer.zero_grad()` before each `backward()`

    False alarms:
        Gathering the gradients of several batches before a step is passed: then the first batch changes no weight.

    Decided by:
        Two steps of the user's own are taken on two batches. The gradients left on the parameters are compared with the
        sum of both batches' gradients, computed apart at the weights where they were taken, and with the second alone. It
        fires where they are within 10 % of the sum and nearer to it than to the second.

    Sources:
        - torch's documentation of torch.optim: taking an optimization step
    """
    from lossdoc import probe, train

    if subject.recipe.step is None:
        raise NotApplicable("training is by lossdoc's own step, whose gradients are values and never pile up")
    batches = probe.take(subject, samples=2 * (subject.batch_size or 1))
    plain = probe.bare(subject)
    training = probe.training_of(subject, subject.seed)
    alone: list[dict[str, Tensor]] = []
    before = probe.parameters_of(training.model())
    for step in range(2):
        batch = batches[step % len(batches)]
        probe.must_have_loss(subject, training.model(), batch)
        alone.append(probe.gradient(plain, training.model(), batch))
        with train.seeded(subject.seed, step):
            training.step(batch, 1.0, 0)
        if step == 0 and all(bool((before[name] == each).all()) for name, each in _parameters(training.model()).items()):
            raise NotApplicable("the first step changes no weight")
    left = {name: each.grad for name, each in _parameters(training.model()).items() if each.grad is not None}
    names = [name for name in left if all(name in grads for grads in alone)]
    if not names:
        return None  # cleared, or never left on the parameters
    to_sum = _distance([left[name] - alone[0][name] - alone[1][name] for name in names])
    to_last = _distance([left[name] - alone[1][name] for name in names])
    whole = _distance([alone[0][name] + alone[1][name] for name in names])
    if not (to_sum < near * whole and to_sum < to_last / 2):
        return None
    last = _distance([alone[1][name] for name in names])
    held = _distance([left[name] for name in names])
    return Evidence(
        f"after two steps the gradients are the sum of both (norm {held:.3g}); the second alone has norm {last:.3g}",
        facts={"measured": held, "expected": last, "tolerance": near * whole},
        confidence=0.97,
    )


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def _distance(parts: list[Tensor]) -> float:
    return math.sqrt(sum(float(part.detach().double().square().sum()) for part in parts))
