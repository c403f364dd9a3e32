"""LS204: a loss that grows with the batch."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.losses import CrossEntropy, Mse
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Batch, Subject


@rule(
    code="LS204",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=CrossEntropy(reduction="sum")),
        lambda: specimens.regression(loss=Mse(reduction="sum")),
        lambda: specimens.healthy(loss=OwnLoss(specimens.summed_entropy)),
        lambda: specimens.with_step(specimens.summed_step),
    ),
    quiet_on=(specimens.healthy, specimens.regression, specimens.binary, lambda: specimens.with_step(specimens.plain_step)),
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
        For a training step of the user's own, what it returns for a batch, and for every sample of it twice.
        The rule fires above 1.5, midway. Where the loss is 0 nothing can be said.

    Sources:
        - Goyal et al. (2017), Accurate, Large Minibatch SGD: the learning rate follows the batch size
    """
    import torch

    from lossdoc import fetching

    batch = fetching.take(subject, samples=1)[0]
    if not isinstance(batch.targets, torch.Tensor):
        raise NotApplicable("the targets are not one tensor")
    once, twice = _by_step(subject, batch) if subject.recipe.step is not None else _by_loss(subject, batch)
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


def _by_loss(subject: Subject, batch: Batch) -> tuple[float, float]:
    """Return the loss of the first outputs, and of the same taken twice."""
    import torch

    from lossdoc import probe

    outputs = probe.outputs_of(subject, probe.bare(subject).build(subject.seed), batch)
    probe.must_fit(subject, outputs, batch.targets)
    once = probe.loss_of(subject, outputs, batch.targets)
    return once, probe.loss_of(subject, torch.cat([outputs] * 2), torch.cat([batch.targets] * 2))


def _by_step(subject: Subject, batch: Batch) -> tuple[float, float]:
    """Return what the user's own step says of a batch, and of a batch that has every sample twice."""
    from lossdoc import fetching, probe, randomness

    def told(given: Batch) -> float:
        with randomness.seeded(subject.seed, 0):
            return probe.training_of(subject, subject.seed).step(given, 1.0, 0).loss

    return told(batch), told(fetching.joined([batch, batch]))
