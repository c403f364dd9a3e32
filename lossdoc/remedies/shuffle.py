"""The training data in a new order in each epoch."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.remedy import Change, Patient, Remedy


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield shuffling, where it is off."""
    if patient.spec is not None and not patient.spec.data.shuffle:
        yield Change("shuffle the training data in each epoch", {"data.shuffle": True}, ("unshuffled-data",))
    elif patient.spec is None and patient.subject.shuffled is False:
        line = "DataLoader(..., shuffle=True)"
        yield Change("shuffle the training data in each epoch", causes=("unshuffled-data",), line=line)


SHUFFLE = Remedy(("unshuffled-data", "periodic"), changes, ("not-learning", "underfitting", "constant-output"), prior=0.3)
