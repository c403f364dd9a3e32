"""Everything learns that was frozen before anything had trained it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from lossdoc.findings import Finding
from lossdoc.remedies import _layers
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy


def changes(patient: Patient, _finding: Finding) -> Iterator[Change]:
    """Yield the model with all its weights free, where some are not."""
    names = [name for name, each in patient.model.named_parameters() if not each.requires_grad]
    if names:
        yield Change(
            "let the frozen weights learn",
            causes=("frozen-parameters",),
            apply=_layers.rebuilt(_freed),
            line=f"requires_grad = True for {', '.join(names[:3])}{', …' if len(names) > 3 else ''}",
        )


def _freed(model: nn.Module) -> nn.Module:
    for each in model.parameters():
        each.requires_grad = each.is_floating_point()
    return model


UNFREEZE = Remedy(("frozen-parameters",), changes, ANY, prior=0.8)
