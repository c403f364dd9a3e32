"""A model, data, a loss and an optimizer handed over as Python objects, as the description that a model.yaml would give."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from lossdoc import probe
from lossdoc.build.data import is_column
from lossdoc.errors import UserError, kind_of, user_code
from lossdoc.spec import Spec, made
from lossdoc.subject import Subject

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
DATA_MEANT = "a DataLoader, a Dataset, arrays (inputs, targets), a list of samples, or these by split are meant"
Builtin = tuple[str, dict[str, Any]]


class Handed:
    """Collects the objects under names by which a description can refer to them."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def refer(self, thing: Any, named: Any, role: str) -> dict[str, str]:
        """Keep a thing under the name that `named` has in its module, else under its role, and return the reference."""
        named = named.func if isinstance(named, functools.partial) else named
        owner = named if inspect.isclass(named) or inspect.isfunction(named) else type(named)
        module, name = getattr(owner, "__module__", ""), getattr(owner, "__qualname__", "")
        sound = REFERENCE.fullmatch(str(module)) and REFERENCE.fullmatch(str(name)) and owner.__module__ != "builtins"
        reference = f"{module}:{name}" if sound else f"given:{role}"
        if reference in self.objects:
            reference = f"given:{role}"
        self.objects[reference] = thing
        return {"call": reference}


def describe(
    model: Any,
    data: Any,
    loss: Any,
    *,
    val: Any = None,
    optimizer: Any = None,
    regularization: Any = None,
    step: Callable[..., Any] | None = None,
    batch: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    classes: int | None = None,
    reinitialize: bool = False,
    own_loss: bool = False,
    **blocks: Any,
) -> Spec:
    """Return the description of a training that is there as Python objects; `blocks` are further blocks of a model.yaml.

    With `own_loss` the loss is called as it is, even where lossdoc has a word for it (see `says_the_same`).

    Raises:
        UserError: when something is not of a kind that can be trained.
    """
    if data is None:
        raise UserError.of(f"data is None; {DATA_MEANT}", kind="data")
    handed = Handed()
    held = {"batch_size": batch_size or _size(data), "batch": batch, "classes": classes}
    described: dict[str, Any] = {
        "name": _name(model),
        "data": {"source": _data(handed, data, val), **{key: each for key, each in held.items() if each is not None}},
        "model": handed.refer(_builder(model, reinitialize=reinitialize), model, "model"),
        "loss": _loss(handed, loss, own=own_loss),
        "optimizer": _optimizer(handed, optimizer, model),
        "train": {"device": _device(model)},
    }
    if regularization is not None:
        given = handed.refer(regularization, regularization, "regularization")
        described["regularization"] = dict(regularization) if isinstance(regularization, Mapping) else given
    if step is not None:
        described["step"] = handed.refer(step, step, "step")
    for name, block in blocks.items():
        described[name] = {**described.get(name, {}), **block} if isinstance(block, Mapping) else block
    return made(described, handed.objects)


def _name(model: Any) -> str:
    return type(model).__name__ if isinstance(model, nn.Module) else getattr(model, "__name__", "model").strip("<>")


def _size(data: Any) -> int | None:
    """Return the batch size of a DataLoader, also of the training's among several; None where it is not known."""
    if isinstance(data, Mapping):
        data = data.get("train", data)
    if isinstance(data, tuple) and data and isinstance(data[0], DataLoader):
        data = data[0]
    return data.batch_size if isinstance(data, DataLoader) else None


def _data(handed: Handed, data: Any, val: Any) -> dict[str, str]:
    given = data if val is None else {"train": data, "validation": val}

    def source() -> Any:
        return given

    handed.objects["given:data"] = source
    return {"call": "given:data"}


def _builder(model: Any, *, reinitialize: bool) -> Callable[[], Any]:
    """Return what makes a fresh model: a factory as it is, of an instance a copy, which is what is trained.

    Raises:
        UserError: when it is neither, or cannot be copied.
    """
    if not isinstance(model, nn.Module):
        if not callable(model):
            message = f"model is {kind_of(model)}; a torch.nn.Module, or a function that makes one, is meant"
            raise UserError.of(message, kind="model")
        if reinitialize:
            raise UserError.of("a function makes fresh models: there is nothing to reinitialize", kind="model")
        return _plain(model)

    def build() -> nn.Module:
        try:
            fresh = copy.deepcopy(model)
        except (RuntimeError, TypeError, copy.Error) as bad:
            message = f"the model cannot be copied ({bad}); hand over a function that makes it"
            raise UserError.of(message, kind="model") from bad
        for each in fresh.parameters():
            each.grad = None
        if not fresh.training:
            fresh.train()
        if reinitialize:
            _reset(fresh)
        return fresh

    return build


def _plain(make: Callable[[], Any]) -> Callable[[], Any]:
    def build() -> Any:
        return make()

    return make if inspect.isclass(make) or inspect.isfunction(make) else build


def _reset(model: nn.Module) -> None:
    """Draw all weights anew, as each layer's own `reset_parameters` does.

    Raises:
        UserError: when some parameters belong to no layer that has one.
    """
    reached: set[int] = set()
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset):
            with user_code(f"{type(module).__name__}.reset_parameters"):
                reset()
            reached |= {id(each) for each in module.parameters()}
    left = [name for name, each in model.named_parameters() if id(each) not in reached]
    if left:
        message = f"'{left[0]}' cannot be reinitialized: its module has no reset_parameters; hand over a function that "
        raise UserError.of(f"{message}makes the model", kind="model")


def _device(model: Any) -> str:
    """Return where the model is: "auto" where a function makes it."""
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return "auto" if first is None else first.device.type


def says_the_same(subject: Subject, loss: Any, data: Any) -> bool:
    """Tell whether the word that stands for a loss of torch's says of the first answers what that loss itself does.

    lossdoc's own losses bring outputs (n, 1) and targets (n,) into one shape; torch's broadcast them, or refuse. Of class
    numbers that come as a column, torch's sees the column.
    """
    loss = _instance(loss)
    if _builtin(loss) is None:
        return True  # no word stands for it
    try:
        batch, outputs = probe.first_answer(subject)
        word = float(subject.loss(outputs, batch.targets))
    except Exception:  # noqa: BLE001 - whoever judges it will say why
        return True
    try:
        own = float(loss(outputs, batch.targets[:, None] if _in_a_column(data) else batch.targets))
    except Exception:  # noqa: BLE001 - whatever torch says, it is not what the word says
        return False
    return math.isclose(own, word, rel_tol=1e-4, abs_tol=1e-6) or math.isnan(own + word)


def _in_a_column(data: Any) -> bool:
    """Tell whether data are arrays whose targets are a column of class numbers."""
    data = data.get("train") if isinstance(data, Mapping) else data
    return isinstance(data, tuple | list) and len(data) == 2 and is_column(data[1])


def _instance(loss: Any) -> Any:
    return loss() if inspect.isclass(loss) and issubclass(loss, nn.Module) else loss


def _loss(handed: Handed, loss: Any, *, own: bool) -> Any:
    """Return the loss as a word where it is one that lossdoc has too, which checks know more of; else a reference."""
    if isinstance(loss, str):
        return loss
    if isinstance(loss, Mapping):
        return dict(loss)
    loss = _instance(loss)
    if not callable(loss):
        raise UserError.of(
            f"loss is {kind_of(loss)}; a function f(outputs, targets), or 'cross_entropy', is meant", kind="loss"
        )
    word = None if own else _builtin(loss)
    return {word[0]: word[1]} if word is not None else handed.refer(_called(loss), loss, "loss")


def _called(loss: Any) -> Any:
    """Return a loss as a function; a partial one and an object would be taken for something else."""
    if inspect.isfunction(loss) or isinstance(loss, nn.Module):
        return loss

    def call(outputs: Any, targets: Any) -> Any:
        return loss(outputs, targets)

    return call


def _builtin(loss: Any) -> Builtin | None:
    """Return the word of a loss of torch's own, None where its settings, or the loss itself, have none here."""
    functions: dict[Any, Builtin] = {
        nn.functional.cross_entropy: ("cross_entropy", {}),
        nn.functional.nll_loss: ("nll", {}),
        nn.functional.mse_loss: ("mse", {}),
        nn.functional.l1_loss: ("l1", {}),
        nn.functional.binary_cross_entropy_with_logits: ("bce", {}),
        nn.functional.binary_cross_entropy: ("bce", {"inputs": "probabilities"}),
    }
    if not isinstance(loss, nn.Module):
        return functions.get(loss) if inspect.isfunction(loss) else None
    if getattr(loss, "weight", None) is not None or getattr(loss, "pos_weight", None) is not None:
        return None
    modules: dict[type, Builtin] = {
        nn.CrossEntropyLoss: ("cross_entropy", {"label_smoothing": getattr(loss, "label_smoothing", 0.0)}),
        nn.NLLLoss: ("nll", {}),
        nn.MSELoss: ("mse", {}),
        nn.L1Loss: ("l1", {}),
        nn.HuberLoss: ("huber", {"delta": getattr(loss, "delta", 1.0)}),
        nn.BCEWithLogitsLoss: ("bce", {}),
        nn.BCELoss: ("bce", {"inputs": "probabilities"}),
    }
    found = modules.get(type(loss))
    if found is None or loss.reduction not in ("mean", "sum"):
        return None
    return found[0], {**found[1], "reduction": str(loss.reduction)}


def _optimizer(handed: Handed, optimizer: Any, model: Any) -> Any:
    """Return the optimizer: a word of model.yaml as it is, of anything else a reference to what makes it for a model.

    Raises:
        UserError: when it is no optimizer, or one for another model.
    """
    if optimizer is None:
        return {"adam": {"lr": 1e-3}}
    if isinstance(optimizer, str | Mapping):
        return optimizer if isinstance(optimizer, str) else dict(optimizer)
    named = optimizer.func if isinstance(optimizer, functools.partial) else optimizer
    return {**handed.refer(_maker(optimizer, named, model), named, "optimizer"), "args": {}}


def _maker(optimizer: Any, named: Any, model: Any) -> Callable[..., Any]:
    if isinstance(optimizer, Optimizer):
        make: Callable[[nn.Module], Any] = _moved(optimizer, model)
    elif inspect.isclass(named):

        def make(fresh: nn.Module) -> Any:
            return optimizer(fresh.parameters())
    elif callable(optimizer):
        make = optimizer
    else:
        message = f"optimizer is {kind_of(optimizer)}; an optimizer of torch's kind, its class, or f(model) is meant"
        raise UserError.of(message, kind="optimizer")

    def attached(fresh: nn.Module, lr: float | None = None) -> Any:
        whole = make(fresh)
        if lr is not None and getattr(whole, "param_groups", None):
            first = whole.param_groups[0]["lr"]
            for group in whole.param_groups:
                group["lr"] *= lr / first
        return whole

    return attached


def _moved(optimizer: Optimizer, model: Any) -> Callable[[nn.Module], Optimizer]:
    """Return what copies an optimizer to the parameters of a copied model; its memory begins anew.

    Parameters that are not the model's stay the optimizer's own, as copies: a check tells of them.
    """
    if not isinstance(model, nn.Module):
        message = "an optimizer that is there already belongs to one model; with a function that makes models, hand over "
        raise UserError.of(f"{message}a function f(model) that makes the optimizer, or its class", kind="optimizer")

    def make(fresh: nn.Module) -> Optimizer:
        known = dict(fresh.named_parameters())
        pairs: Iterator[tuple[Any, Any]] = ((each, known[name]) for name, each in model.named_parameters())
        bare = copy.copy(optimizer)
        bare.state = type(optimizer.state)(dict)
        return copy.deepcopy(bare, {id(old): new for old, new in pairs})

    return make
