"""What happens inside a training step of the user's own, in order: who calls backward, who steps, what cuts the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

Kind = Literal["backward", "optimizer", "scheduler", "clip", "scale"]
MENDED = ("detach", "data", "no_grad")
CUTS = (*MENDED, "argmax", "argmin", "argsort", "numpy", "tolist", "tensor", "long", "int", "item", "__float__")


@dataclass(frozen=True)
class Event:
    """One call inside a step: the optimizer or scheduler that stepped, the limit that was clipped to, the loss's value."""

    kind: Kind
    what: Any = None


@dataclass
class Record:
    """All that was heard during some steps.

    `cuts` are the functions that took something with a gradient and gave back something without, in the order in which they
    were first called. `half` tells whether anything with a gradient was in float16. `reached` are the names of the
    parameters that have had a gradient other than 0 after a backward pass, `gradients` the gradients at the optimizer's
    first step. `forwards` are the modes (training or not) in which each module was called where gradients were on, by its
    name; the model itself is called "".
    """

    events: list[Event] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    half: bool = False
    reached: set[str] = field(default_factory=set)
    gradients: dict[str, Tensor] | None = None
    forwards: dict[str, set[bool]] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[Any]:
        """Return what the events of one kind are about."""
        return [each.what for each in self.events if each.kind == kind]

    def forget(self, kind: Kind) -> None:
        """Let go of what the events of one kind are about: an optimizer holds a whole model."""
        self.events = [Event(kind) if each.kind == kind else each for each in self.events]

    def told(self, *, partly: bool = False) -> str:
        """Say what cut the graph, empty where nothing did: whole of it, or where only a `partly` lost gradient counts."""
        known = [name for name in CUTS if name in self.cuts and (name in MENDED or not partly)]
        logged = [name for name in known if name not in ("item", "__float__")] or known  # most steps end with `loss.item()`
        return ", ".join(f"`{name}`" for name in logged)


@contextmanager
def recorded(record: Record, model: Callable[[], nn.Module]) -> Iterator[None]:
    """Add what happens in the block to the record; `model` returns the model that is trained, as it is then."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    def stepped(optimizer: Any, _args: Any, _named: Any) -> None:
        record.events.append(Event("optimizer", optimizer))
        if record.gradients is None:
            named = model().named_parameters()
            record.gradients = {name: each.grad.detach().clone() for name, each in named if each.grad is not None}

    with ExitStack() as stack:
        stack.callback(register_optimizer_step_pre_hook(stepped).remove)
        for name, module in model().named_modules():
            stack.callback(module.register_forward_pre_hook(_called(record, name)).remove)
        stack.enter_context(watching(record))
        stack.callback(sys.setprofile, sys.getprofile())
        sys.setprofile(_listener(record, model))
        yield


def _called(record: Record, name: str) -> Callable[[nn.Module, Any], None]:
    import torch

    def hook(module: nn.Module, _inputs: Any) -> None:
        if torch.is_grad_enabled():
            record.forwards.setdefault(name, set()).add(module.training)

    return hook


def _listener(record: Record, model: Callable[[], nn.Module]) -> Callable[[FrameType, str, Any], None]:
    """Return what Python tells of every call; names under which a function was imported do not matter so."""

    def heard(frame: FrameType, event: str, _given: Any) -> None:
        name = frame.f_code.co_name
        if name == "backward" and "tensors" in frame.f_locals and frame.f_globals.get("__name__") == "torch.autograd":
            if event == "call":
                record.events.append(Event("backward", _value(frame.f_locals["tensors"])))
            elif event == "return":
                named = model().named_parameters()
                record.reached |= {name for name, each in named if each.grad is not None and bool((each.grad != 0).any())}
        elif event == "call" and name.startswith("clip_grad"):
            limits = [each for each in frame.f_locals.values() if isinstance(each, (int, float))]
            record.events.append(Event("clip", float(limits[0]) if limits else None))
        elif event == "call" and name in ("step", "scale"):
            _stepped(record, frame, name)

    return heard


def _stepped(record: Record, frame: FrameType, name: str) -> None:
    from torch.amp import GradScaler
    from torch.optim.lr_scheduler import LRScheduler

    one = frame.f_locals.get("self")
    if name == "scale" and isinstance(one, GradScaler) and one.is_enabled():
        record.events.append(Event("scale"))
    if name == "step" and isinstance(one, LRScheduler) and not _inside_another(frame):
        record.events.append(Event("scheduler", one))


def _inside_another(frame: FrameType) -> bool:
    """Tell whether a scheduler's step is a part of another one's, or of its making."""
    above = frame.f_back
    for _ in range(4):
        if above is None:
            return False
        if above.f_code.co_name in ("_initial_step", "__init__"):
            return True
        if above.f_code.co_name == "step" and hasattr(above.f_locals.get("self"), "base_lrs"):
            return True
        above = above.f_back
    return False


def _value(roots: Any) -> float | None:
    """Return the value of the loss that a backward pass begins at, None where it is not one number."""
    from torch import Tensor

    root = roots if isinstance(roots, Tensor) else roots[0] if len(roots) == 1 else None
    return float(root.detach()) if isinstance(root, Tensor) and root.numel() == 1 else None


@contextmanager
def watching(record: Record, *, mended: bool = False) -> Iterator[None]:
    """Hear every function of torch's that is called in the block; where `mended`, nothing in it cuts the graph.

    Mended are `detach`, `data` and `no_grad`: what is tried so is whether the graph is whole without them.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    from lossdoc.tracing import eagerly

    class Hearing(TorchFunctionMode):
        def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = _name_of(func)
            if mended and name == "_set_grad_enabled":
                return None
            given = args[0] if args else None
            graph = isinstance(given, torch.Tensor) and given.requires_grad and not _is_weight(given)
            if mended and graph and name in ("detach", "data"):
                return given
            made = func(*args, **(kwargs or {}))
            if graph:
                self.look(name, made)
            elif not torch.is_grad_enabled() and name in WITH_WEIGHTS and any(_is_weight(each) for each in args):
                _add(record, "no_grad")
            return made

        def look(self, name: str, made: Any) -> None:
            if isinstance(made, torch.Tensor) and made.requires_grad:
                record.half = record.half or made.dtype == torch.float16
            elif name in CUTS and not isinstance(made, (torch.Size, torch.dtype)):
                _add(record, name)

    with eagerly(), Hearing():
        yield


WITH_WEIGHTS = ("linear", "conv1d", "conv2d", "conv3d", "embedding", "matmul", "__matmul__", "lstm", "gru", "bilinear")


def _is_weight(given: Any) -> bool:
    from torch import nn

    return isinstance(given, nn.Parameter) and given.requires_grad


def _add(record: Record, name: str) -> None:
    if name not in record.cuts:
        record.cuts.append(name)


def _name_of(func: Any) -> str:
    name = str(getattr(func, "__name__", ""))
    if name == "__get__":  # a property, such as `data`
        return str(getattr(getattr(func, "__self__", None), "__name__", ""))
    return name
