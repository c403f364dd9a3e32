"""LS204: a loss that grows with the batch."""

from __future__ import annotations

from typing import Any

from lossdoc import specimens
from lossdoc.errors import NotApplicable, user_code
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.losses import CrossEntropy, Mse
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS204",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=CrossEntropy(reduction="sum")),
        lambda: specimens.regression(loss=Mse(reduction="sum")),
        lambda: specimens.healthy(loss=OwnLoss(specimens.summed_entropy)),
    ),
    quiet_on=(specimens.healthy, specimens.regression, specimens.binary),
    mutes=("initial-loss",),
)
def summed_loss(subject: Subject, *, midway: float = 1.5) -> Answer:
    """The loss is summed over the batch where it should be averaged.

    Looks like:
        A first loss as many times too large as a batch has samples; a learning rate that works at one batch size and
        diverges at another, and a last, smaller batch with a smaller loss.

    Causes:
        - `reduction: sum`, or a sum where a mean was meant in a loss of one's own

    Confirm with:
        - give the loss every sample twice: a mean stays as it is, a sum doubles

    Try:
        - average over the samples: `reduction: mean`
        - or divide the learning rate by the batch size

    False alarms:
        A sum that is meant, with a learning rate chosen for it: it trains as well, as long as nobody changes the batch size.

    Decided by:
        The loss of a batch's outputs and targets, and the loss of the same taken twice: a mean gives the ratio 1, a sum 2.
        The rule fires above 1.5, midway. Where the loss is 0 nothing can be said.

    Sources:
        - Goyal et al. (2017), Accurate, Large Minibatch SGD: the learning rate follows the batch size
    """
    import torch

    from lossdoc import probe

    batch = probe.take(subject, samples=1)[0]
    outputs = probe.outputs_of(probe.bare(subject).build(subject.seed), batch)
    if not isinstance(batch.targets, torch.Tensor):
        raise NotApplicable("the targets are not one tensor")
    probe.must_fit(subject, outputs, batch.targets)
    once = _loss(subject, outputs, batch.targets)
    twice = _loss(subject, torch.cat([outputs, outputs]), torch.cat([batch.targets, batch.targets]))
    if not abs(once) > 0:
        raise NotApplicable("the loss is 0")
    facts = {"measured": twice / once, "expected": 1.0, "tolerance": midway - 1.0, "loss": once, "batch": float(batch.size)}
    if not twice / once > midway:
        return Passed(f"every sample taken twice multiplies the loss by {twice / once:.3g}", facts)
    return Evidence(
        f"the loss grows with the batch: {once:.4g} for {batch.size} samples, {twice:.4g} for the same taken twice; "
        f"it is summed, not averaged ({once / batch.size:.4g} a sample)",
        facts=facts,
        confidence=0.99,
        remedies=("average over the samples: `reduction: mean`",),
    )


def _loss(subject: Subject, outputs: Any, targets: Any) -> float:
    with user_code(f"loss {subject.loss.word}"):
        return float(subject.loss(outputs, targets))
