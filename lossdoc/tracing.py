"""Every function that a network calls on its way through a batch, in order, whoever calls it: modules or the user's code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lossdoc.calling import call_loss, call_model, call_penalty
from lossdoc.randomness import seeded
from lossdoc.subject import Batch, Loss, Penalty

LAYERS = frozenset({"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
PRODUCTS = frozenset({"matmul", "__matmul__", "__rmatmul__", "mm", "addmm", "bmm", "baddbmm", "einsum"})
RECTIFIERS = frozenset({"relu", "relu_", "relu6", "clamp_min"})
ACTIVATIONS = RECTIFIERS | {
    "sigmoid", "sigmoid_", "tanh", "tanh_", "softmax", "exp", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu",
    "softplus", "softsign", "mish", "hardtanh", "hardsigmoid", "hardswish", "logsigmoid", "softmin", "log_softmax", "rrelu",
}  # fmt: skip
RECURRENT = frozenset({"rnn_tanh", "rnn_relu", "lstm", "gru"})
NORMS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"})
SAME = frozenset({  # these put out the numbers that came in, or means and maxima of them, in another shape
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t", "swapaxes", "movedim",
    "contiguous", "clone", "to", "float", "double", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "feature_alpha_dropout", "mean", "expand", "__getitem__", "select", "pad", "interpolate",
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg") for n in (1, 2, 3)),
})  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call: the function's name, the module that made it ("" outside all of them), what went in and what came out."""

    name: str
    place: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    numbers: tuple[float, ...] = ()  # Python's own numbers among the arguments

    @property
    def output(self) -> Tensor:
        """The first tensor that came out."""
        return self.outputs[0]

    @property
    def weight(self) -> Tensor | None:
        """What a layer multiplies its input by, None where the call is none of a layer."""
        if self.name in LAYERS:
            return self.inputs[1] if len(self.inputs) > 1 else None
        own = (each for each in self.inputs if isinstance(each, nn.Parameter) and each.ndim > 1)
        return next(own, None) if self.name in PRODUCTS else None

    @property
    def given(self) -> Tensor:
        """What a layer or an activation was applied to."""
        return next((each for each in self.inputs if not isinstance(each, nn.Parameter)), self.inputs[0])


def tensors(parts: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and mappings."""
    if isinstance(parts, Tensor):
        yield parts
    elif isinstance(parts, tuple | list):
        for each in parts:
            yield from tensors(each)
    elif isinstance(parts, Mapping):
        yield from tensors(tuple(parts.values()))


Change = Callable[[int, Tensor], "Tensor | None"]


@dataclass
class Trace:
    """The calls that gave floating-point tensors; these are kept, so that no two have the same id."""

    calls: list[Call] = field(default_factory=list)
    places: list[str] = field(default_factory=lambda: [""])
    makers: dict[int, int] = field(default_factory=dict)  # by a tensor's id, the first call that put it out
    answer: Any = None  # what the model put out in the end

    def note(self, call: Call) -> None:
        """Add a call."""
        for each in call.outputs:
            self.makers.setdefault(id(each), len(self.calls))
        self.calls.append(call)

    def behind(self, at: int) -> int | None:
        """Return the call whose numbers reach call `at` with nothing but their shape changed; None where none made them."""
        found = self.makers.get(id(self.calls[at].given))
        while found is not None and self.calls[found].name in SAME:
            found = self.makers.get(id(self.calls[found].given))
        return found

    def hidden_activations(self) -> list[int]:
        """Return the activations that feed a layer with weights: no gates, no attention, no last one."""
        before = {self.behind(at) for at, call in enumerate(self.calls) if call.weight is not None}
        return sorted(at for at in before if at is not None and self.calls[at].name in ACTIVATIONS)


class Mode(TorchFunctionMode):
    """Notes every call down while it is entered; `change` may replace what an activation gives."""

    def __init__(self, trace: Trace, change: Change | None = None) -> None:
        super().__init__()
        self.trace = trace
        self.change = change

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch and note it down; what went in is to be there afterwards, so nothing works in place."""
        given = dict(kwargs or {})
        if given.get("inplace"):
            given["inplace"] = False
        inputs = tuple(tensors((args, given)))
        name = getattr(func, "__name__", "")
        other = self.change(len(self.trace.calls), inputs[0]) if self.change and name in ACTIVATIONS else None
        result = func(*args, **given) if other is None else other
        outputs = tuple(each for each in tensors(result) if each.is_floating_point() and not isinstance(each, nn.Parameter))
        if outputs and inputs and func is not torch.Tensor.requires_grad_:
            numbers = tuple(each for each in (*args, *given.values()) if type(each) is float)
            self.trace.note(Call(name, self.trace.places[-1], inputs, outputs, numbers))
        return result


@contextmanager
def eagerly() -> Iterator[None]:
    """Run compiled models in the block as they are written: what listens to torch's functions would be compiled, too."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def placed(model: nn.Module, trace: Trace) -> Iterator[None]:
    """Tell a trace which module is at work."""

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: trace.places.append(name)

    def leave(*_: Any) -> None:
        trace.places.pop()

    named = [(name, module) for name, module in model.named_modules() if name]
    hooks = [module.register_forward_pre_hook(enter(name)) for name, module in named]
    hooks += [module.register_forward_hook(leave) for _, module in named]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def followed(model: nn.Module, batch: Batch, change: Change | None = None) -> Trace:
    """Return the calls of a model in training mode, with gradients; the model is one that nobody keeps."""
    trace = Trace()
    with seeded(0), eagerly(), torch.enable_grad(), placed(model.train(), trace), Mode(trace, change):
        trace.answer = call_model(model, Batch(_with_slopes(batch.inputs), batch.targets))
    return trace


def followed_to_loss(model: nn.Module, loss: Loss, penalties: Sequence[Penalty], batch: Batch) -> Trace:
    """Return the calls of a model and of its loss with penalties; the answer is that loss, a scalar."""
    trace = Trace()
    with seeded(0), eagerly(), torch.enable_grad(), placed(model.train(), trace), Mode(trace):
        outputs = call_model(model, batch)
        total: Any = call_loss(loss, outputs, batch.targets)
        for penalty in penalties:
            total = total + penalty.coefficient * call_penalty(penalty, model)
    trace.answer = total
    return trace


def _with_slopes(inputs: Any) -> Any:
    """Return inputs that gradients can be taken with respect to; whole numbers stay as they are."""
    if isinstance(inputs, Mapping):
        return {name: _with_slopes(each) for name, each in inputs.items()}
    measured = isinstance(inputs, Tensor) and inputs.is_floating_point()
    return inputs.detach().clone().requires_grad_() if measured else inputs
