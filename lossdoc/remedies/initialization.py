"""Weights drawn with the variance that keeps the signal's size: He's for ReLU and its kin, Xavier's for the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lossdoc.findings import Finding
from lossdoc.parts.initializers import Constant, Default, He, Initializer, Lecun, Normal, Uniform, Xavier, Zeros
from lossdoc.remedies import _layers
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

if TYPE_CHECKING:
    from torch import nn

SIGNALS = (
    "symmetric-weights",
    "vanishing-activations",
    "exploding-activations",
    "vanishing-gradients",
    "exploding-gradients",
)
RECTIFIERS = ("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus")


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield He's or Xavier's initialization for all layers, whatever was said of single ones."""
    if not patient.layers or patient.spec is None:
        yield from _in_modules(finding)
        return
    hidden = {_layers.name_of(patient, place) for place in _layers.hidden_activations(patient)}
    word = "he" if not hidden or hidden & set(RECTIFIERS) else "xavier"
    odd = [place for place, layer in enumerate(patient.layers) if _odd(getattr(layer, "init", None))]
    given = patient.spec.model.init
    if not odd and isinstance(given, He | Xavier | Lecun) and given.word == word:
        return
    values: dict[str, Any] = {"model.init": word}
    if odd:
        values["model.layers"] = [_without(item) if place in odd else item for place, item in enumerate(patient.written)]
    usual = not odd and (given is None or not _odd(given))  # the default is rarely at fault
    yield Change(f"initialize the weights by {word}", values, _causes(patient, odd), prior=0.25 if usual else None)


def _odd(init: Initializer | None) -> bool:
    return init is not None and not isinstance(init, He | Xavier | Lecun | Default)


def _without(item: Any) -> Any:
    """Return a layer as it is written, without its own initialization."""
    word, content = next(iter(item.items()))
    return {word: {key: value for key, value in content.items() if key != "init"}}


def _causes(patient: Patient, odd: list[int]) -> tuple[str, ...]:
    """Return what the initialization in place leads to: symmetry, a signal too small, or one too large."""
    assert patient.spec is not None  # noqa: S101 - asked for only where there is one
    given = [getattr(patient.layers[place], "init", None) for place in odd] or [patient.spec.model.init]
    if any(isinstance(one, Constant | Zeros) for one in given):
        return ("symmetric-weights",)
    spread = max((_spread(one) for one in given), default=0.0)
    fan = max((each.shape[1] for each in patient.model.parameters() if each.dim() > 1), default=1)
    large = spread**2 * fan > 2  # He's variance is 2 / fan-in
    return ("exploding-activations", "large-logits") if large else ("vanishing-activations", "vanishing-gradients")


def _spread(init: Initializer | None) -> float:
    if isinstance(init, Normal):
        return float(init.std)
    return (init.high - init.low) / 12**0.5 if isinstance(init, Uniform) else 0.0


def _in_modules(finding: Finding) -> Iterator[Change]:
    """Yield He's initialization of a model of the user's own, where a check blames the initialization."""
    if finding.name not in SIGNALS:
        return
    apply = _layers.rebuilt(_initialized)
    line = "nn.init.kaiming_normal_(layer.weight); nn.init.zeros_(layer.bias)"
    yield Change("initialize the weights by he", causes=(finding.name,), apply=apply, line=line)


def _initialized(model: nn.Module) -> nn.Module:
    from torch import nn

    for module in model.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and isinstance(weight, nn.Parameter):
            nn.init.kaiming_normal_(weight)
            if isinstance(bias, nn.Parameter):
                nn.init.zeros_(bias)
    return model


INITIALIZATION = Remedy(SIGNALS, changes, ("large-logits", "dead-relu", *ANY), prior=0.58)
