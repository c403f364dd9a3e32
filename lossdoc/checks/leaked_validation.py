"""LS108: samples that are in the training and in the validation data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

MOST = 50_000  # samples of each split
NARROW = 10  # different values: a column with no more is a flag, a grade or a small count
UNLIKELY = 1e-6  # expected coincidences, over all pairs of a training and a validation sample


@rule(
    code="LS108",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(batches=specimens.fed(lambda _split: specimens.blobs("train"))),
        lambda: specimens.healthy(batches=specimens.fed(specimens.partly_leaked)),
        lambda: specimens.healthy(batches=specimens.fed(specimens.doubled_then_split)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_inputs(lambda inputs: (inputs[:, :2] > 0).float()),
        lambda: specimens.with_inputs(lambda inputs: (4 * inputs[:, :2]).round()),
    ),
)
def leaked_validation(subject: Subject, *, sure: float = 5.0, serious: float = 0.1) -> Evidence | None:
    """Samples of the validation data are in the training data as well.

    Looks like:
        A validation loss that follows the training loss down however long one trains; results that nobody can repeat on
        new data.

    Causes:
        - duplicates that were not removed before the split
        - the same sample cut up, resized or turned, on both sides
        - the validation split taken from the training data without taking it out

    Confirm with:
        - look for validation samples among the training samples

    Try:
        - remove duplicates first, then split
        - split by patient, by user or by day, where one of them gives several samples

    False alarms:
        Data with few possible values have the same sample twice by nature: that is what the duplicates within the training
        data tell. Where so many values are possible that a coincidence is out of the question, they are no excuse. Only
        exact copies are seen.

    Decided by:
        The share of validation samples whose inputs are, number by number, those of a training sample, against the share
        of training samples that have a twin there. That share counts as 0 where columns as varied as these would, if they
        were independent, give less than 10⁻⁶ coincidences in all. It fires five binomial standard deviations above that, and
        from two copies on; it is an error where a tenth of the validation data is leaked.

    Sources:
        - Kapoor and Narayanan (2023), Leakage and the reproducibility crisis in machine-learning-based science
    """
    from lossdoc import fetching

    if "validation" not in subject.sizes:
        raise NotApplicable("there is no validation split")
    train = fetching.take(subject, "train", samples=MOST)
    keys = list(_keys(train))
    known = Counter(keys)
    asked = list(_keys(fetching.take(subject, "validation", samples=MOST)))
    copies = sum(key in known for key in asked)
    if copies < 2:
        return None
    count = sum(known.values())
    twins = 0.0 if _rich(train, keys, len(asked)) else sum(times for times in known.values() if times > 1) / count
    due = twins * len(asked)
    tolerance = sure * math.sqrt(max(due * (1 - twins), 1.0))
    if copies - due <= tolerance:
        return None
    share = (copies - due) / len(asked)
    return Evidence(
        f"{copies} of {len(asked):,} validation samples are in the training data as well"
        + (f"; by chance {due:.0f} would be" if due >= 1 else ""),
        facts={"measured": float(copies), "expected": due, "tolerance": tolerance, "share": share},
        severity=Severity.ERROR if share >= serious else None,
        confidence=0.95,
    )


def _rich(batches: list[Batch], keys: list[bytes], asked: int) -> bool:
    """Tell whether the data have so many possible values that two equal samples are never a coincidence.

    Under independent columns two samples coincide with a probability that is the product, over the columns, of the
    probability that two values are equal; only columns with more than ten values count, since narrow ones (flags, counts
    that are mostly 0) depend on one another. Copies are left out first: they are what is in question.
    """
    import torch

    from lossdoc import fetching

    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    inputs = fetching.first_inputs(batches).flatten(1)[list(first.values())]
    count = len(inputs)
    if count < 2 or not inputs.is_floating_point():
        return False
    chance = math.log(count) + math.log(max(asked, 1))
    for column in inputs.T:
        _, times = torch.unique(column, return_counts=True)
        if len(times) > NARROW:
            equal = float((times.double() * (times - 1)).sum()) / (count * (count - 1))
            chance += math.log(max(equal, 1 / (count * (count - 1))))
        if chance < math.log(UNLIKELY):
            return True
    return False


def _keys(batches: Iterable[Batch]) -> Iterable[bytes]:
    """Yield the bytes of each sample's inputs.

    Raises:
        NotApplicable: when the inputs are not one tensor.
    """
    import torch

    for batch in batches:
        if not isinstance(batch.inputs, torch.Tensor):
            raise NotApplicable("the inputs are not one tensor")
        for row in batch.inputs.detach().cpu().contiguous().numpy():
            yield row.tobytes()
