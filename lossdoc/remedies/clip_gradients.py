"""A limit on the norm of the gradients: one bad batch then does not throw the weights away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lossdoc.findings import Finding
from lossdoc.remedy import Change, Patient, Remedy
from lossdoc.subject import Subject

LIMIT = 1.0  # Pascanu et al. (2013), On the difficulty of training recurrent neural networks; the usual choice


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield a limit of 1, where there is none."""
    if patient.subject.recipe.clip is not None or patient.subject.recipe.step is not None:
        return
    line = "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
    values = {"train.gradient_clip": LIMIT} if patient.spec is not None else {}
    yield Change("clip the gradients at norm 1", values, ("exploding-gradients",), _clipped, line)


def _clipped(subject: Subject) -> Subject:
    return replace(subject, recipe=replace(subject.recipe, clip=LIMIT))


CLIP_GRADIENTS = Remedy(("exploding-gradients",), changes, ("non-finite", "spikes", "lr-too-high"), prior=0.2)
