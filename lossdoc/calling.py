"""Calling a model, a loss and a penalty, which may be the user's own: what they give back is checked where it comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from lossdoc.errors import Problem, UserCodeError, UserError, kind_of, user_code
from lossdoc.parts.losses import BuiltinLoss
from lossdoc.subject import Batch, Loss, Penalty

OFFERED = ("loss_fn", "step", "epoch", "scheduler", "scaler")
"""What the user's own training step gets by name if it asks for it, beside model, batch and optimizer."""


PLACES: WeakKeyDictionary[nn.Module, Callable[[str], Problem]] = WeakKeyDictionary()
"""For models of the user's own, what makes the problem of a message at the place in the file where the model is named."""


def asked_for(step: Callable[..., Any]) -> frozenset[str]:
    """Return what the user's own training step asks for of what is on offer; all of it where it takes any name.

    What it was already given as an argument of its own is not asked for.
    """
    try:
        parameters = inspect.signature(step).parameters
    except (TypeError, ValueError):  # built in: Python does not know how it is called
        return frozenset()
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    given = step.keywords if isinstance(step, partial) else {}
    return frozenset(name for name in OFFERED if (open_ended or name in parameters) and name not in given)


@contextmanager
def optimizer_code(word: str) -> Iterator[None]:
    """Turn what the user's own optimizer raises inside the block into a `UserCodeError`.

    Raises:
        UserError: when it is one of torch's own, which refuses what it was chosen for.
    """
    try:
        with user_code(f"optimizer {word}"):
            yield
    except UserCodeError as bad:
        if word.startswith("torch.optim") and bad.what == f"optimizer {word}":
            raise UserError.of(f"'{word}' cannot train this model: {bad.cause}", kind="optimizer") from bad
        raise


@contextmanager
def model_code(what: str, model: nn.Module, batch: Batch, *, forward: bool = False) -> Iterator[None]:
    """Turn what the user's own code raises inside the block into a `UserCodeError` that names `what`.

    Where weights and inputs are of different types or on different devices it says so, too; else, of a model's `forward`,
    which shapes the inputs have. It is told at the model's place in the file where that is known.

    Raises:
        UserError: when batch normalization was given a single sample.
    """
    try:
        with user_code(what):
            yield
    except UserCodeError as bad:
        if bad.what != what:
            raise  # of code that was called further in, and has its own place
        if isinstance(bad.cause, ValueError) and str(bad.cause).startswith("Expected more than 1 value per channel"):
            message = f"{what} got a batch of {batch.size}, and batch normalization cannot take a single sample; "
            hint = "'data: {drop_last: true}' leaves out a last batch that is not full"
            raise UserError.of(message + hint, kind="batch") from bad
        unlike = _unlike(model, batch) if isinstance(bad.cause, RuntimeError) else ""
        if unlike or forward:
            told = f"{what} ({unlike})" if unlike else f"{what}, given {shapes(batch.inputs)},"
            raise UserCodeError(told, bad.cause, place=PLACES.get(model) if forward else None) from bad
        raise


def shapes(inputs: Any) -> str:
    """Return the shapes of inputs as "32x1x8x8", those of a mapping each by its name."""
    if isinstance(inputs, Mapping):
        return ", ".join(f"{name} {shapes(each)}" for name, each in inputs.items())
    shape = getattr(inputs, "shape", None)
    return kind_of(inputs) if shape is None else "x".join(map(str, shape)) or "a single number"


def _unlike(model: nn.Module, batch: Batch) -> str:
    """Say in which type and on which device weights and inputs are, where these differ; an empty text where they do not."""
    parts = batch.inputs.values() if isinstance(batch.inputs, Mapping) else [batch.inputs]
    inputs = {(each.dtype, each.device.type) for each in parts if isinstance(each, Tensor) and each.is_floating_point()}
    weights = {(each.dtype, each.device.type) for each in model.parameters() if each.is_floating_point()}
    if not inputs or not weights or inputs == weights:
        return ""
    names = (" and ".join(f"{kind} on {place}" for kind, place in sorted(each, key=str)) for each in (weights, inputs))
    return "its weights are {}, its inputs {}".format(*names)


def call_model(model: nn.Module, batch: Batch) -> Any:
    """Return the model's outputs for a batch; inputs that are a mapping are given by name.

    Raises:
        UserError: when the model returns None.
    """
    with model_code("the model's forward", model, batch, forward=True):
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
    got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else kind_of(value)
    hint = "a forgotten return?" if value is None else "a .mean() is missing" if isinstance(value, Tensor) else "no .item()"
    raise UserError.of(f"loss {loss.word} returned {got}; a scalar tensor is meant ({hint})", kind="own-loss")


def needs_a_tensor(loss: Loss, outputs: Any) -> None:
    """Refuse outputs that one of lossdoc's own losses cannot take; a loss of the user's own may take anything.

    Raises:
        UserError: when the outputs are not one tensor.
    """
    if isinstance(loss, BuiltinLoss) and not isinstance(outputs, Tensor):
        message = f"the model's forward returned {kind_of(outputs)}; `{loss.word}` takes one tensor"
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
    got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else kind_of(value)
    hint = " (a .sum() is missing)" if isinstance(value, Tensor) else " (a forgotten return?)" if value is None else ""
    raise UserError.of(f"regularization {penalty.word} returned {got}; a single number is meant{hint}", kind="own-penalty")


def _changes(model: nn.Module) -> int:
    """Return how often the parameters were changed in place, as torch counts it."""
    return sum(each._version for each in model.parameters())  # noqa: SLF001 - the only name that torch has for it
