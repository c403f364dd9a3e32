"""LS110: targets on a scale that the outputs take very long to reach."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _answers
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.optimizers import Adam
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor


@rule(
    code="LS110",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.regression(batches=specimens.fed(specimens.in_dollars)),
        lambda: specimens.with_recipe(
            specimens.regression(batches=specimens.fed(specimens.in_dollars)), optimizer=Adam(lr=1e-3)
        ),
        lambda: specimens.regression(batches=specimens.fed(specimens.in_years)),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        lambda: specimens.regression(
            batches=specimens.fed(specimens.in_dollars), build=specimens.in_units(specimens.mlp(1), 125_000, 200_000)
        ),
    ),
    mutes=("initial-loss", "large-logits"),
)
def unscaled_targets(subject: Subject, *, far: float = 10.0, breaking: float = 100.0, steps: int = 5) -> Answer:
    """The targets are far from the size of what an untrained network puts out.

    Looks like:
        A first loss in the billions; training that diverges, or that creeps for as long as one looks, since Adam moves a
        weight by no more than the learning rate in a step.

    Causes:
        - targets in their own unit, such as dollars, that were not standardized
        - a mean far from 0 that the last bias must climb to

    Confirm with:
        - print the targets' mean and standard deviation, and the outputs' before training

    Try:
        - standardize the targets with the training data's mean and deviation, and undo it when predicting
        - start the last layer's bias at the targets' mean
        - predict the logarithm, where the targets are positive and spread over decades

    False alarms:
        A model that puts its outputs into the targets' unit itself is passed: they have that size before training.

    Decided by:
        r is the targets' root mean square; outputs begin at about 1, by any usual initialization. The error, and with it
        the gradient, is r times too large, so that a stable step is up to r² times shorter (as with unscaled inputs): a
        warning above 10. An error above 100 where the first step, as configured, raises the loss of its own batch, and does
        not with targets divided by r; or where five such steps move the outputs so little that ten times as many steps as
        are configured would not reach r.

    Sources:
        - LeCun et al. (1998), Efficient BackProp, section 4.5: target values
        - Kingma and Ba (2015), Adam, section 2.1: a step is bounded by the learning rate
    """
    import torch

    from lossdoc import fetching, probe

    if subject.task != "regression" or not _answers.knows_loss(subject):
        raise NotApplicable("the targets are not plain numbers, or the user's own step may scale them")
    batches = fetching.take(subject)
    targets = torch.cat([batch.targets.double().flatten() for batch in batches])
    size = math.sqrt(float(targets.square().mean()))
    first = probe.one_start(subject)
    begun = math.sqrt(float(first.outputs[0].double().square().mean()))
    facts = {"measured": size, "expected": 1.0, "tolerance": far - 1, "outputs": begun}
    if not math.isfinite(size) or not math.isfinite(begun):
        raise NotApplicable("targets or outputs are not finite")
    if size <= far * max(1.0, begun):
        return Passed(f"the targets have root mean square {size:.3g}, the first outputs {begun:.3g}", facts)
    moved, broken = _moved(subject, batches[0], 1.0, steps)
    broken = broken and not _moved(subject, batches[0], 1 / size, steps)[1]
    planned = _planned(subject)
    reach = moved / steps * planned
    short = 0 < 10 * reach < size
    told = (
        f"the targets lie around {float(targets.mean()):.4g} ± {float(targets.std()):.3g}, "
        f"the first outputs around 0 ± {begun:.2g}"
    )
    if broken:
        told += "; the first step already raises the loss"
    elif short:
        told += f"; {planned:,} steps at this learning rate move the outputs by some {reach:.2g}"
    return Evidence(
        told,
        facts={**facts, "reach": reach, "steps": float(planned), "step_raises_loss": float(broken)},
        severity=Severity.ERROR if size > breaking and (broken or short) else None,
        confidence=0.95,
    )


def _planned(subject: Subject) -> int:
    """Return how many steps the configured training has; 0 where the length of an epoch is not known."""
    from lossdoc import loop

    return loop.planned_steps(subject, subject.recipe.max_steps, subject.recipe.epochs)


def _moved(subject: Subject, batch: Batch, factor: float, steps: int) -> tuple[float, bool]:
    """Train a few steps on one batch, its targets times `factor`.

    Returns the root mean square of how far the outputs moved, and whether the first step raised the batch's loss.
    """
    from lossdoc import measuring, probe, randomness

    given = replace(batch, targets=batch.targets * factor)
    plain = probe.bare(subject)
    training = probe.training_of(subject, subject.seed)

    def now() -> tuple[Tensor, float]:
        model = training.model()
        return probe.outputs_of(subject, model, given).double(), measuring.measure(plain, model, given, training=True).loss

    before, loss = now()
    raised = False
    with randomness.seeded(subject.seed, 0):
        for step in range(steps):
            training.step(given, 1.0, 0)
            raised = raised or (step == 0 and not now()[1] <= loss)
    return float((now()[0] - before).square().mean().sqrt()), raised
