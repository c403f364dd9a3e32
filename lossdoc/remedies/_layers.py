"""Which of a model's layers are its body, its hidden activations and its head; and modules replaced in a model built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lossdoc.parts.activations import Activation, Maxout
from lossdoc.parts.layer import OwnLayer
from lossdoc.parts.layers import Conv, Linear
from lossdoc.parts.sequences import SEQUENCES
from lossdoc.remedy import Patient
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lossdoc.parts.layer import Layer

WEIGHTED: tuple[type[Layer], ...] = (Linear, Conv, Maxout, *SEQUENCES.values())


def name_of(patient: Patient, place: int) -> str:
    """Return what the layer at a place is called: its word, or the last name of the user's own code."""
    layer = patient.layers[place]
    return layer.call.rpartition(":")[2] if isinstance(layer, OwnLayer) else layer.word


def is_activation(patient: Patient, place: int) -> bool:
    """Tell whether a layer only maps each number, or row of numbers, to others: an activation, built in or one's own."""
    layer = patient.layers[place]
    if not isinstance(layer, OwnLayer):
        return isinstance(layer, Activation)
    module = dict(patient.model.named_children()).get(f"own_{place}")
    return module is not None and not any(True for _ in module.parameters()) and _keeps_shape(module)


def _keeps_shape(module: nn.Module) -> bool:
    """Tell whether a module gives back what is shaped as it came: 2 samples of 6 numbers, all different."""
    import torch

    given = torch.arange(12.0).reshape(2, 6) / 12
    try:
        with torch.no_grad():
            made = module.eval()(given)
    except Exception:  # noqa: BLE001 - the user's own module, which takes something else then
        return False
    return isinstance(made, torch.Tensor) and made.shape == given.shape


def head(patient: Patient) -> tuple[int, int] | None:
    """Return the place of the last layer with weights and of the first activation behind it; None where that is unclear.

    All that stands behind the last layer with weights must be activations.
    """
    places = range(len(patient.layers))
    weighted = [place for place in places if isinstance(patient.layers[place], WEIGHTED)]
    if not weighted or not all(is_activation(patient, place) for place in places[weighted[-1] + 1 :]):
        return None
    return weighted[-1], weighted[-1] + 1


def hidden_activations(patient: Patient) -> list[int]:
    """Return the places of the activations between the first and the last layer with weights."""
    ends = head(patient)
    return [] if ends is None else [place for place in range(ends[0]) if is_activation(patient, place)]


def replaced(items: Sequence[Any], at: Sequence[int], new: Any) -> list[Any]:
    """Return the items with a new one at some places."""
    return [new if place in at else item for place, item in enumerate(items)]


def rebuilt(change: Callable[[nn.Module], nn.Module]) -> Callable[[Subject], Subject]:
    """Return what makes the subject whose models are changed right after they are built."""

    def apply(subject: Subject) -> Subject:
        return replace(subject, build=lambda seed: change(subject.build(seed)))

    return apply


def swapped(model: nn.Module, which: Sequence[str], make: Callable[[], nn.Module]) -> nn.Module:
    """Replace the modules of some names, in place, and return the model."""
    for name in which:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, make())
    return model


def followed(model: nn.Module, change: Callable[[Tensor], Tensor]) -> nn.Module:
    """Change what a model puts out, in place, and return the model; its parameters keep their names."""
    model.register_forward_hook(lambda _model, _given, outputs: change(outputs))
    return model
