"""Another activation between the layers: ReLU for none, or what saturates or explodes; a leaky one for units that died."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from lossdoc.findings import Finding
from lossdoc.remedies import _layers
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

if TYPE_CHECKING:
    from torch import nn

SQUASHING = ("sigmoid", "tanh", "softmax", "log_softmax")
HALF = ("relu",)
SOUND = ("leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "softplus")
SIGNALS = ("saturated-units", "vanishing-gradients", "exploding-gradients", "exploding-activations", "vanishing-activations")
WIDE, NARROW = ("relu", "elu"), ("elu", "relu", "tanh")
FEW = 10  # units in a layer: in a deep net of narrower ReLU layers one layer dies sooner or later (Lu and others, 2019)
NONE = "no-hidden-activation"
WEIGHTED = {"Linear", "Conv1d", "Conv2d", "Conv3d"}
MODULES = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Softmax": "softmax", "ReLU": "relu"}


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield ReLU and ELU (in narrow layers ELU first, and tanh) for what is not one, a leaky ReLU and an ELU for ReLU."""
    if finding.name == NONE:
        yield from _inserted(patient)
        return
    if not patient.layers:
        yield from _in_modules(patient)
        return
    hidden = _layers.hidden_activations(patient)
    names = {place: _layers.name_of(patient, place) for place in hidden}
    odd = [place for place, name in names.items() if name not in (*HALF, *SOUND)]
    if odd:
        told = ", ".join(dict.fromkeys(names[place] for place in odd))
        old = {names[place] for place in odd}
        for new in [one for one in (NARROW if _narrow(patient) else WIDE) if one not in old]:
            layers = _layers.replaced(patient.written, odd, new)
            prior = 0.3 if old == {"tanh"} else None  # tanh is sound but in deep networks
            summary = f"{new} in place of {told} in the hidden layers"
            yield Change(summary, {"model.layers": layers}, causes_of(names[odd[0]]), prior=prior)
        return
    halves = [place for place, name in names.items() if name in HALF]
    for new in ("leaky_relu", "elu") if halves else ():
        layers = _layers.replaced(patient.written, halves, new)
        summary = f"{new} in place of relu in the hidden layers"
        yield Change(summary, {"model.layers": layers}, ("dead-relu",), prior=0.2)


def _inserted(patient: Patient) -> Iterator[Change]:
    """Yield activations behind all the layers with weights but the last one."""
    ends = _layers.head(patient)
    if patient.layers and ends is not None:
        hidden = [place for place in range(ends[0]) if isinstance(patient.layers[place], _layers.WEIGHTED)]
        for new in NARROW[1:]:
            layers = [
                part for place, item in enumerate(patient.written) for part in ([item, new] if place in hidden else [item])
            ]
            yield Change(f"{new} behind each hidden layer", {"model.layers": layers}, (NONE,))
    elif not patient.layers:
        which = [name for name, each in patient.model.named_modules() if type(each).__name__ in WEIGHTED][:-1]
        line = f"torch.relu(...) around what {', '.join(which)} put out"
        apply = _layers.rebuilt(partial(_bent, which=which))
        yield Change("relu behind each hidden layer", causes=(NONE,), apply=apply, line=line)


def _bent(model: nn.Module, which: list[str]) -> nn.Module:
    from torch import nn

    for name in which:
        layer = model.get_submodule(name)
        _layers.swapped(model, [name], partial(nn.Sequential, layer, nn.ReLU()))
    return model


def _narrow(patient: Patient) -> bool:
    """Tell whether a hidden layer has so few units that all of them may die, which those of ELU and tanh cannot."""
    ends = _layers.head(patient)
    widths = [getattr(layer, "out", None) for layer in patient.layers[: ends[0]]] if ends is not None else []
    return any(isinstance(width, int) and width < FEW for width in widths)


def causes_of(name: str) -> tuple[str, ...]:
    """Return what an activation does to a deep network: what squashes makes gradients vanish, what grows, explode."""
    if name in SQUASHING:
        return "saturated-units", "vanishing-gradients"
    return "exploding-activations", "exploding-gradients"


def _in_modules(patient: Patient) -> Iterator[Change]:
    """Yield the same for a model of the user's own, module by module."""
    from torch import nn

    found = {name: MODULES.get(type(module).__name__) for name, module in patient.model.named_modules()}
    hidden = [name for name, kind in found.items() if kind is not None][:-1] if found else []
    squashing = [name for name in hidden if found[name] in SQUASHING]
    new, which = (nn.ReLU, squashing) if squashing else (nn.LeakyReLU, [name for name in hidden if found[name] == "relu"])
    if which:
        old = ", ".join(dict.fromkeys(type(patient.model.get_submodule(name)).__name__ for name in which))
        apply = _layers.rebuilt(partial(_swapped, which=which, new=new))
        causes = causes_of("sigmoid") if squashing else ("dead-relu",)
        line = f"nn.{new.__name__}() in place of nn.{old}() at {', '.join(which)}"
        yield Change(f"{new.__name__} in place of {old} in the hidden layers", causes=causes, apply=apply, line=line)


def _swapped(model: nn.Module, which: list[str], new: type[nn.Module]) -> nn.Module:
    return _layers.swapped(model, which, new)


HIDDEN_ACTIVATION = Remedy((*SIGNALS, "dead-relu", NONE), changes, ANY, prior=0.7)
