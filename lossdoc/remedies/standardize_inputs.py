"""Inputs with mean 0 and deviation 1, by the numbers of the training split; or pixels divided by 255, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lossdoc.findings import Finding
from lossdoc.parts.preprocessing import Standardize
from lossdoc.remedies import _data
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

CAUSE = ("unscaled-inputs",)
LINE = "inputs = (inputs - train_inputs.mean(0)) / train_inputs.std(0)"


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield what was made twice made once, pixels over 255 where they look like pixels, and standardization."""
    if not _data.numeric(patient.subject, "inputs"):
        return
    if patient.spec is None:
        yield Change("standardize the inputs", causes=CAUSE, apply=_data.repair("inputs"), line=LINE)
        return
    steps = patient.spec.data.preprocess
    if steps and isinstance(steps[-1], Standardize):
        return
    first = next(iter(patient.subject.batches("train", 0))).inputs
    image = first.dim() > 2
    given: list[Any] = list(patient.configured("data.preprocess") or [])
    if len(given) > 1 and given[-1] == given[-2]:
        yield Change(f"make '{steps[-1].word}' once, not twice", {"data.preprocess": given[:-1]}, CAUSE)
    if not given and 64 < float(first.max()) <= 255 and float(first.min()) >= 0:
        yield Change("divide the pixels by 255", {"data.preprocess": [{"scale": {"divide_by": 255}}]}, CAUSE)
    step: Any = {"standardize": {"per": "channel"}} if image else "standardize"
    yield Change("standardize the inputs", {"data.preprocess": [*given, step]}, CAUSE)


STANDARDIZE_INPUTS = Remedy(
    ("unscaled-inputs", "mismatched-preprocessing"), changes, (*ANY, "dead-relu", "exploding-activations"), prior=0.57
)
