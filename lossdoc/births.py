"""Where the first number that is none is born: the operation, the layer, and what it got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.subject import Batch, Subject
from lossdoc.tracing import Call, Trace, followed_to_loss

MASKS = frozenset({"masked_fill", "masked_fill_", "where", "full", "full_like", "triu", "tril"})
DIVISIONS = frozenset({"div", "__truediv__", "true_divide", "__rtruediv__", "reciprocal", "rsqrt", "divide", "normalize"})
LOGARITHMS = frozenset({"log", "log2", "log10", "xlogy", "logit"})
EXPONENTIALS = frozenset({"exp", "expm1", "exp2", "sinh", "cosh"})


def forward(subject: Subject, model: nn.Module, batches: Sequence[Batch]) -> str:
    """Say where the loss of the first batch that has none becomes NaN or infinite; an empty text where none does."""
    for batch in batches:
        trace = followed_to_loss(model, subject.loss, subject.recipe.penalties, batch)
        if not _sound(trace.answer):
            return _told(trace, len(trace.calls) - 1)
    return ""


def _told(trace: Trace, at: int) -> str:
    """Go back from a call with a bad output to the one in which it was born, and say what happened there."""
    while True:
        call = trace.calls[at]
        bad = [each for each in call.inputs if not _sound(each)]
        found = [(each, trace.makers.get(id(each), at)) for each in bad]
        earlier = [made for _, made in found if made < at and trace.calls[made].name not in MASKS]
        if earlier:
            at = min(earlier)
            continue
        if any(isinstance(each, nn.Parameter) for each in bad):
            return f"the weights of {call.place or 'the model'} are not finite themselves"
        masked = any(made < at for _, made in found)
        return _happened(call) + (", in which everything is masked" if masked else "")


def _happened(call: Call) -> str:
    """Say in words what went wrong in a call that got finite numbers."""
    where = f"in {call.place}" if call.place else "in the loss, or outside the layers"
    values = [each.detach().double() for each in call.inputs if each.is_floating_point() and _sound(each)]
    low = min((float(each.min()) for each in values if each.numel()), default=0.0)
    high = max((float(each.max()) for each in values if each.numel()), default=0.0)
    kind = str(call.output.dtype).removeprefix("torch.")
    largest = torch.finfo(call.output.dtype).max
    name = call.name.strip("_")
    if call.name in LOGARITHMS:
        return f"born in `{name}` {where}: the logarithm of {'0' if low == 0 else f'{low:.3g}'}"
    if call.name in EXPONENTIALS:
        return f"born in `{name}` {where}: the exponential of {high:.3g} is over the largest {kind}, {largest:.2g}"
    if call.name in DIVISIONS and any(bool((each == 0).any()) for each in values):
        return f"born in `{name}` {where}: a division by 0"
    if call.name == "sqrt" and low < 0:
        return f"born in `{name}` {where}: the square root of {low:.3g}"
    return (
        f"born in `{name}` {where}, which got numbers from {low:.3g} to {high:.3g} in {kind} (the largest is {largest:.2g})"
    )


def backward(subject: Subject, model: nn.Module, batch: Batch) -> str:
    """Say in which operation the gradient of a finite loss becomes NaN or infinite; an empty text where it does not."""
    trace = followed_to_loss(model, subject.loss, subject.recipe.penalties, batch)
    born: list[Any] = []
    hooks = [node.register_hook(_watch(node, born)) for node in _nodes(trace.answer.grad_fn)]
    try:
        torch.autograd.grad(trace.answer, [each for each in model.parameters() if each.requires_grad], allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
    if not born:
        return ""
    call = next((each for each in trace.calls if any(made.grad_fn is born[0] for made in each.outputs)), None)
    name = born[0].name().split("Backward")[0].lower()
    if call is None:
        return f"born in the backward pass of `{name}`"
    given = call.given.detach().double()
    where = f"in {call.place}" if call.place else "in the loss, or outside the layers"
    at = f" at {float(given.abs().min()):.3g}" if given.numel() else ""
    return f"born in the backward pass of `{name}` {where}: its slope{at} is not finite"


def _watch(node: Any, born: list[Any]) -> Any:
    def hook(given: Sequence[Tensor | None], got: Sequence[Tensor | None]) -> None:
        if not born and all(map(_sound, got)) and not all(map(_sound, given)):
            born.append(node)

    return hook


def _nodes(last: Any) -> list[Any]:
    """Return all operations that a gradient passes."""
    seen, found, waiting = set(), [], [last]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found.append(node)
            waiting += [each for each, _ in node.next_functions]
    return found


def _sound(values: Tensor | None) -> bool:
    """Tell whether all numbers are finite; where there are none they are."""
    return values is None or not values.is_floating_point() or bool(torch.isfinite(values.detach()).all())
