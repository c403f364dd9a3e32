"""Calling a model, a loss and a penalty, which may be the user's own: what they give back is checked where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lossdoc.errors import UserError, user_code
from lossdoc.parts.losses import BuiltinLoss
from lossdoc.subject import Batch, Loss, Penalty


def call_model(model: nn.Module, batch: Batch) -> Any:
    """Return the model's outputs for a batch; inputs that are a mapping are given by name.

    Raises:
        UserError: when the model returns None.
    """
    with user_code("the model's forward"):
        outputs = model(**batch.inputs) if isinstance(batch.inputs, Mapping) else model(batch.inputs)
    if outputs is None:
        raise UserError.of("the model's forward returned None (a forgotten return?); a tensor is meant", kind="outputs")
    return outputs


def call_loss(loss: Loss, outputs: Any, targets: Any) -> Tensor:
    """Return the loss of a batch as a scalar tensor.

    Raises:
        UserError: when a loss of lossdoc's own gets something else than a tensor, or the user's returns no scalar tensor.
    """
    needs_a_tensor(loss, outputs)
    with user_code(f"loss {loss.word}"):
        value = loss(outputs, targets)
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.reshape(())
    got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else _kind(value)
    hint = "a forgotten return?" if value is None else "a .mean() is missing" if isinstance(value, Tensor) else "no .item()"
    raise UserError.of(f"loss {loss.word} returned {got}; a scalar tensor is meant ({hint})", kind="own-loss")


def needs_a_tensor(loss: Loss, outputs: Any) -> None:
    """Refuse outputs that one of lossdoc's own losses cannot take; a loss of the user's own may take anything.

    Raises:
        UserError: when the outputs are not one tensor.
    """
    if isinstance(loss, BuiltinLoss) and not isinstance(outputs, Tensor):
        message = f"the model's forward returned {_kind(outputs)}; `{loss.word}` takes one tensor"
        raise UserError.of(message, kind="outputs")


def call_penalty(penalty: Penalty, model: nn.Module) -> Tensor | float:
    """Return a penalty's value, a scalar tensor or a number, without its coefficient.

    Raises:
        UserError: when the user's own function returns anything else, or changes the weights.
    """
    before = _changes(model)
    with user_code(f"regularization {penalty.word}"):
        value: Any = penalty.value(model)
    if _changes(model) != before:
        message = f"regularization {penalty.word} changes the weights in place; it is to return a number, no more"
        raise UserError.of(message, kind="own-penalty")
    if isinstance(value, (int, float)) or (isinstance(value, Tensor) and value.numel() == 1):
        return value.reshape(()) if isinstance(value, Tensor) else value
    got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else _kind(value)
    hint = " (a .sum() is missing)" if isinstance(value, Tensor) else " (a forgotten return?)" if value is None else ""
    raise UserError.of(f"regularization {penalty.word} returned {got}; a single number is meant{hint}", kind="own-penalty")


def _changes(model: nn.Module) -> int:
    """Return how often the parameters were changed in place, as torch counts it."""
    return sum(each._version for each in model.parameters())  # noqa: SLF001 - the only name that torch has for it


def _kind(value: Any) -> str:
    """Return what a value is: "None", "a tuple"."""
    return "None" if value is None else f"a {type(value).__name__}"
