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


@rule(
    code="LS108",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(batches=specimens.fed(lambda _split: specimens.blobs("train"))),
        lambda: specimens.healthy(batches=specimens.fed(specimens.partly_leaked)),
    ),
    quiet_on=(specimens.healthy, lambda: specimens.with_inputs(lambda inputs: (inputs[:, :2] > 0).float())),
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
        data tell. Only exact copies are seen.

    Decided by:
        The share of validation samples whose inputs are, number by number, those of a training sample, against the share
        of training samples that have a twin there. It fires five binomial standard deviations above that, and from two
        copies on; it is an error where a tenth of the validation data is leaked.

    Sources:
        - Kapoor and Narayanan (2023), Leakage and the reproducibility crisis in machine-learning-based science
    """
    from lossdoc import probe

    if "validation" not in subject.sizes:
        raise NotApplicable("there is no validation split")
    known = Counter(_keys(probe.take(subject, "train", samples=MOST)))
    asked = list(_keys(probe.take(subject, "validation", samples=MOST)))
    copies = sum(key in known for key in asked)
    count = sum(known.values())
    twins = sum(times for times in known.values() if times > 1) / count
    due = twins * len(asked)
    tolerance = sure * math.sqrt(max(due * (1 - twins), 1.0))
    if copies < 2 or copies - due <= tolerance:
        return None
    share = (copies - due) / len(asked)
    return Evidence(
        f"{copies} of {len(asked):,} validation samples are in the training data as well"
        + (f"; by chance {due:.0f} would be" if due >= 1 else ""),
        facts={"measured": float(copies), "expected": due, "tolerance": tolerance, "share": share},
        severity=Severity.ERROR if share >= serious else None,
        confidence=0.95,
    )


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
