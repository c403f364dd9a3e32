"""LS109: batches too small for their own mean and deviation."""

from __future__ import annotations

import math
from typing import Any

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

ONE_LEFT: dict[str, Any] = {
    "batches": specimens.fed(specimens.one_left_over),
    "sizes": {"train": specimens.SAMPLES - 31, "validation": specimens.SAMPLES},
}


@rule(
    code="LS109",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp()), **ONE_LEFT),
        lambda: specimens.healthy(
            build=specimens.with_batchnorm(specimens.mlp()), batches=specimens.fed(specimens.blobs, batch=1), batch_size=1
        ),
        lambda: specimens.healthy(
            build=specimens.with_batchnorm(specimens.mlp()), batches=specimens.fed(specimens.blobs, batch=4), batch_size=4
        ),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(**ONE_LEFT),
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp())),
    ),
)
def small_batch_for_batchnorm(subject: Subject, *, least: int = 8) -> Answer:
    """Batch normalization gets batches too small to tell a mean and a deviation from.

    Looks like:
        A crash at the last batch of an epoch, "Expected more than 1 value per channel"; or a loss that is noisier than the
        data, and a validation loss far from the training loss.

    Causes:
        - the number of samples leaves a last batch of one
        - a batch size chosen for the memory of the machine

    Confirm with:
        - print the number of samples in each batch of an epoch

    Try:
        - leave the last batch out: `data: {drop_last: true}`
        - choose another batch size, of 8 at least
        - normalize without the batch: `layernorm` or `groupnorm`

    False alarms:
        Layers that are kept in evaluation mode on purpose use the running averages and mind no batch size.

    Decided by:
        The number n of values that make up one mean: samples in the batch times positions, for images and sequences. It is
        counted at each layer of batch normalization. A batch with n = 1 has no deviation, and torch refuses it: an error.
        The variance of n values is known within √(2/(n − 1)) of itself: 53 % for 8, 82 % for 4. Usual batches with n below
        8 are a warning.

    Sources:
        - Ioffe and Szegedy (2015), Batch Normalization
        - Wu and He (2018), Group Normalization, figure 1: the error rises below 16, and steeply below 8
        - the study notes: bad with small batches, because a batch is taken to represent the data
    """
    batch, smallest = _batches(subject)
    per_sample = _positions(subject, batch)
    if not per_sample:
        raise NotApplicable("the model has no batch normalization")
    usual, worst = (size * min(per_sample.values()) for size in (batch.size, smallest))
    error = math.sqrt(2 / (usual - 1)) if usual > 1 else math.inf
    facts = {"measured": float(min(usual, worst)), "expected": float(least), "tolerance": 0.0, "relative_error": error}
    if worst == 1:
        return Evidence(
            f"{'the last batch of an epoch' if batch.size > 1 else 'every batch'} has one sample: batch normalization "
            "cannot take it, for one value has no deviation",
            facts=facts,
            severity=Severity.ERROR,
            confidence=0.98,
        )
    if usual < least:
        return Evidence(
            f"batch normalization takes its mean and deviation from {usual} values: such a variance is off by "
            f"{100 * error:.0f} % on average",
            facts=facts,
        )
    return Passed(f"batch normalization takes its mean and deviation from {usual:,} values, {worst:,} at the least", facts)


def _batches(subject: Subject) -> tuple[Batch, int]:
    """Return the first batch, and the size of the smallest; it is looked for only where one sample may be left over."""
    first = next(iter(subject.batches("train", 0)))
    count = subject.sizes.get("train")
    if count is None or first.size == 1 or count % first.size != 1:
        return first, first.size
    return first, min(batch.size for batch in subject.batches("train", 0))


def _positions(subject: Subject, batch: Batch) -> dict[str, int]:
    """Return how many values of each channel one sample has at every batch normalization, by name."""
    from torch import nn

    from lossdoc import fetching, probe

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    model = probe.untouched(subject).build(subject.seed)
    if not any(isinstance(module, kinds) for module in model.modules()):
        return {}
    if batch.size == 1:
        batch = fetching.joined([batch, batch])
    seen = probe.layer_outputs(subject, model, batch, lambda module: isinstance(module, kinds))
    return {name: output.numel() // (batch.size * output.shape[1]) for name, output in seen.items()}
