"""A lower learning rate: a tenth, then a hundredth."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.remedies import _rates
from lossdoc.remedies._symptoms import STUCK, WILD
from lossdoc.remedy import Change, Patient, Remedy


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield the rate over ten and over a hundred."""
    yield from _rates.scaled(patient, (0.1, 0.01), "lower", ("lr-too-high",))


LOWER_RATE = Remedy(("lr-too-high",), changes, (*WILD, "dead-relu", *STUCK), prior=0.55)
