"""The end of the model that its loss asks for: nothing before a loss on logits, softmax or sigmoid before probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from lossdoc import probe
from lossdoc.errors import NotApplicable
from lossdoc.findings import Finding
from lossdoc.parts.losses import TINY, Bce, BuiltinLoss, CrossEntropy
from lossdoc.remedies import _layers
from lossdoc.remedies._symptoms import ANY
from lossdoc.remedy import Change, Patient, Remedy

if TYPE_CHECKING:
    from torch import Tensor, nn

ENDS = ("double-softmax", "missing-activation", "one-unit-softmax", "softmax-axis", "output-range", "head-width")
EDGE = 1e-6  # of a probability from 0 and 1: nearer to 1 float32 has next to none
LAST = ("Softmax", "LogSoftmax", "Sigmoid", "Tanh", "ReLU", "Softplus")


def changes(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield the right width, the right last activation, and the loss on logits."""
    if not patient.layers:
        yield from _in_modules(patient, finding)
        return
    ends = _layers.head(patient)
    if ends is None:
        return
    layers, now = patient.written, _names(patient, ends[1])
    wanted = _wanted(patient, finding)
    yield from _width(patient, ends[0])
    if wanted is not None and now != wanted:
        values = {"model.layers": [*layers[: ends[1]], *wanted]}
        yield Change(_told(now, wanted), values, _causes(patient, finding, now))
    loss = patient.spec.loss if patient.spec is not None else None
    if isinstance(loss, CrossEntropy | Bce) and loss.inputs == "probabilities":
        on_logits: dict[str, Any] = {"loss.inputs": "logits"}
        if now:
            on_logits = {"model.layers": layers[: ends[1]], "loss.inputs": "logits"}
        yield Change("use the loss on logits", on_logits, (*_causes(patient, finding, now), "output-range"))


def _names(patient: Patient, first: int) -> list[str]:
    """Return the activations at the end, `softmax` only where it works over the classes."""
    names = []
    for place in range(first, len(patient.layers)):
        layer, name = patient.layers[place], _layers.name_of(patient, place)
        wrong = name in ("softmax", "log_softmax") and getattr(layer, "axis", -1) not in (-1, 1)
        names.append(f"{name} over axis {getattr(layer, 'axis', 0)}" if wrong else name)
    return names


def _wanted(patient: Patient, finding: Finding) -> list[str] | None:
    """Return the activations that belong at the end, None where neither the loss nor what was found of it says."""
    loss = patient.subject.loss
    if loss.takes == "unknown" and finding.name == "missing-activation":  # the user's own: probabilities, as was measured
        batch, outputs = probe.first_answer(patient.subject)
        return ["softmax"] if probe.one_of_several(patient.subject, outputs, batch.targets) else ["sigmoid"]
    if loss.takes == "probabilities":
        return ["sigmoid"] if isinstance(loss, Bce) or loss.word.endswith("BCELoss") else ["softmax"]
    known: dict[str, list[str]] = {"logits": [], "values": [], "scores": [], "log-probabilities": ["log_softmax"]}
    return known.get(loss.takes)


def _causes(patient: Patient, finding: Finding, now: list[str]) -> tuple[str, ...]:
    """Return the fault that was found at the end of the model, and what it looks like to who knows of none."""
    guess = _cause(patient, now)
    return (finding.name, guess) if finding.name in ENDS and finding.name != "head-width" else (guess,)


def _cause(patient: Patient, now: list[str]) -> str:
    """Return the name of the fault that stands at the end of the model."""
    if any("over axis" in name for name in now):
        return "softmax-axis"
    if not now:
        return "missing-activation"
    if patient.subject.loss.takes == "logits" and now[-1] in ("softmax", "sigmoid"):
        return "double-softmax"
    if "softmax" in now and patient.subject.task != "classification":
        return "one-unit-softmax"
    return "output-range"


def _told(now: list[str], wanted: list[str]) -> str:
    if not now:
        return f"add {wanted[0]} at the end of the model"
    if not wanted:
        return f"drop {', '.join(now)} at the end of the model"
    return f"end the model in {wanted[0]}, not in {', '.join(now)}"


def _width(patient: Patient, place: int) -> Iterator[Change]:
    """Yield as many outputs as there are classes."""
    layer, loss, classes = patient.layers[place], patient.subject.loss, patient.subject.classes
    out = getattr(layer, "out", None)
    if classes is None or not isinstance(loss, BuiltinLoss) or loss.goal != "classes" or out in ("classes", classes, None):
        return
    item: Any = patient.written[place]
    content = item[next(iter(item))] if isinstance(item, dict) else None
    if content is None:
        return
    word = next(iter(item))
    new = {word: {**content, "out": "classes"} if isinstance(content, dict) else "classes"}
    values = {"model.layers": _layers.replaced(patient.written, [place], new)}
    yield Change(f"as many outputs as classes: {classes}, not {out}", values, ("head-width",))


def _in_modules(patient: Patient, finding: Finding) -> Iterator[Change]:
    """Yield the model without its last activation, where its modules tell of one and the finding blames it."""
    if finding.name not in ("double-softmax", "output-range", "one-unit-softmax"):
        return
    names = [name for name, module in patient.model.named_modules() if not any(module.children())]
    last = names[-1] if names else ""
    kind = type(patient.model.get_submodule(last)).__name__
    if last and kind in LAST:
        drop = _layers.rebuilt(partial(_dropped, name=last))
        yield Change(
            f"drop the {kind} at the end of the model", causes=(finding.name,), apply=drop, line=f"without self.{last}"
        )
    elif finding.name == "double-softmax":
        yield from _undone(patient)


def _undone(patient: Patient) -> Iterator[Change]:
    """Yield the model whose probabilities are logits again: a softmax's logarithms, a sigmoid's log-odds."""
    try:
        _, outputs = probe.first_answer(patient.subject)
    except NotApplicable:
        return
    name, undone = ("softmax", _logarithms) if probe.are_shares(outputs) else ("sigmoid", _log_odds)
    yield Change(
        f"give the loss logits: no {name} at the end of the model",
        causes=("double-softmax",),
        apply=_layers.rebuilt(partial(_layers.followed, change=undone)),
        line=f"without the {name} at the end of forward",
    )


def _logarithms(outputs: Tensor) -> Tensor:
    return outputs.clamp_min(TINY).log()


def _log_odds(outputs: Tensor) -> Tensor:
    return outputs.logit(EDGE)


def _dropped(model: nn.Module, name: str) -> nn.Module:
    from torch.nn import Identity

    return _layers.swapped(model, [name], Identity)


HEAD = Remedy(ENDS, changes, ("initial-loss", "large-logits", "metric-mismatch", *ANY), prior=0.9)
