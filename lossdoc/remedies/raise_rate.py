"""A higher learning rate: ten times, then a hundred times as high."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoc.findings import Finding
from lossdoc.remedies import _rates
from lossdoc.remedies._symptoms import SLOW
from lossdoc.remedy import Change, Patient, Remedy


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield the rate times ten and times a hundred: far enough apart to be told from noise (figure 9 left of the notes)."""
    yield from _rates.scaled(patient, (10.0, 100.0), "raise", ("lr-too-low",))


RAISE_RATE = Remedy(("lr-too-low",), changes, SLOW, prior=0.6)
