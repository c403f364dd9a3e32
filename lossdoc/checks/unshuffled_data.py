"""LS106: the same order in every epoch, and not a random one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossdoc import specimens
from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable
from lossdoc.expected import Labels, runs_of_labels
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

MOST = 20_000  # samples: enough for the test, and soon read
FEWEST = 1e6  # different orders: with fewer none is as unlikely as the rule asks for


@rule(
    code="LS106",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(batches=specimens.fed(specimens.sorted_by_class, shuffle=False)),
        lambda: specimens.healthy(batches=specimens.fed(specimens.blobs, shuffle=False)),
    ),
    quiet_on=(specimens.healthy, lambda: specimens.healthy(batches=specimens.fed(specimens.sorted_by_class))),
)
def unshuffled_data(subject: Subject, *, sure: float = 4.75) -> Evidence | None:
    """Every epoch takes the training data in the same order.

    Looks like:
        Waves in the training loss that repeat with the epoch; a model that knows best the class it saw last.

    Causes:
        - the data are sorted, by class or by time, and not shuffled between the epochs
        - the data loader was made without shuffling

    Confirm with:
        - print the labels of the first batches of two epochs

    Try:
        - shuffle between the epochs: `data: {shuffle: true}`

    False alarms:
        Data in a fixed order that is a random one train nearly as well: this is a note. Text and time series may need their
        order; text is not judged.

    Decided by:
        Inputs and targets of two epochs are the same, batch by batch. A warning where the order is not random either: the
        number of runs of equal labels (Wald and Wolfowitz 1940, for several classes Barton and David 1957), or the rank
        correlation of neighbors for numbers, is further from that of a shuffled order than 1 in 10^6.

    Sources:
        - the study notes, figure 10 top: waves, because the data are not shuffled
        - Barton and David (1957), Multiple Runs
    """
    from lossdoc import fetching

    if subject.task == "language":
        raise NotApplicable("the order of text is not judged")
    epochs = [fetching.take(subject, "train", epoch, MOST) for epoch in (0, 1)]
    if not _same(*epochs):
        return None
    measured, expected, deviation = _neighbors(np.concatenate([_numbers(batch) for batch in epochs[0]]), subject)
    apart = (expected - measured) / deviation
    facts = {"measured": measured, "expected": expected, "tolerance": sure * deviation}
    if apart > sure:
        return Evidence(
            "two epochs take the training data in the same order, and it is a sorted one: "
            f"neighbors are far more alike than in random order ({apart:.0f} standard deviations)",
            facts=facts,
            confidence=0.97,
        )
    return Evidence(
        "two epochs take the training data in the same order; it looks random, so little is lost",
        facts={"measured": 1.0, "expected": 2.0, "tolerance": 0.0, "deviations": apart},
        severity=Severity.NOTE,
    )


def _same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        _equal(one.inputs, other.inputs) and _equal(one.targets, other.targets)
        for one, other in zip(first, second, strict=True)
    )


def _equal(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    return isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and torch.equal(one, other)


def _numbers(batch: Batch) -> Floats:
    """Return one number for each sample's target (B,).

    Raises:
        NotApplicable: when a target is more than one number.
    """
    import torch

    if not isinstance(batch.targets, torch.Tensor) or batch.targets.numel() != batch.size:
        raise NotApplicable("a target is more than one number")
    return np.asarray(batch.targets.double().reshape(-1).cpu().numpy())


def _neighbors(targets: Floats, subject: Subject) -> tuple[float, float, float]:
    """Return what tells how little neighbors are alike, its mean in random order, and its standard deviation there.

    For labels it is the number of runs; for numbers 1 − the rank correlation of neighbors.

    Raises:
        NotApplicable: when there are so few different orders that none of them proves anything.
    """
    values, codes, counts = np.unique(targets, return_inverse=True, return_counts=True)
    orders = math.lgamma(len(targets) + 1) - sum(math.lgamma(count + 1) for count in counts)
    if orders < math.log(FEWEST):
        raise NotApplicable("too few samples, or too few kinds of them, to tell a sorted order from a random one")
    if subject.task != "regression" or len(values) <= math.sqrt(len(targets)):
        labels: Labels = codes.astype(np.int64)
        return runs_of_labels(labels)
    ranks = targets.argsort().argsort().astype(np.float64)
    ranks -= ranks.mean()
    return 1.0 - float((ranks[:-1] * ranks[1:]).sum() / np.square(ranks).sum()), 1.0, 1.0 / math.sqrt(len(ranks))
