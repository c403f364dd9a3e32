"""Where the numbers of a training live and in which type they are: device and precision of the model and of its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lossdoc.build.seeding import seeded
from lossdoc.calling import call_model
from lossdoc.errors import UserError
from lossdoc.samples import take
from lossdoc.spec import Spec
from lossdoc.subject import Batch

NARROW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Placing:
    """A device, a type for the weights (None: as the model has them), and a narrower one for autocast (None: without)."""

    spec: Spec
    device: str
    wide: torch.dtype | None = None
    narrow: torch.dtype | None = None

    def batches(self, given: Iterator[Batch]) -> Iterator[Batch]:
        """Return the batches on the device, floating point numbers as wide as the weights."""
        if self.device == "cpu" and self.wide is None:
            return given
        return (Batch(self._moved(each.inputs), self._moved(each.targets)) for each in given)

    def builder(self, build: Callable[[int], nn.Module], first: Callable[[], Batch]) -> Callable[[int], nn.Module]:
        """Return what builds the same models, ready to be trained here; `first` gives a batch to layers without sizes."""

        def placed(seed: int) -> nn.Module:
            model = build(seed)
            if any(each.is_meta for each in model.parameters() if not is_lazy(each)):
                self._fail("model", "has weights on the device 'meta', which hold no numbers; build it on the CPU")
            if self.device != "cpu" or any(each.device.type != "cpu" for each in model.parameters()):
                model = model.to(self.device)
            model = model if self.wide is None else model.to(self.wide)
            if any(is_lazy(each) for each in model.parameters()):
                _sized(model, first(), seed)
            return model if self.narrow is None else _autocast(model, self.device, self.narrow)

        return placed

    def _moved(self, part: Any) -> Any:
        """Move tensors, also those of mappings and sequences; anything else stays as it is."""
        if isinstance(part, Tensor):
            return part.to(self.device, self.wide if part.is_floating_point() else None)
        if isinstance(part, Mapping):
            return {name: self._moved(each) for name, each in part.items()}
        return [self._moved(each) for each in part] if isinstance(part, list | tuple) else part

    def _fail(self, block: str, message: str) -> NoReturn:
        raise UserError(self.spec.document.problem((block,), f"the {block} {message}", "device", key=True))


def placing(spec: Spec) -> Placing:
    """Return the device and the types that a spec asks for.

    Raises:
        UserError: when there is no such device here, or it has no such type.
    """
    precision = spec.train.precision
    device: str = spec.train.device
    here = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if torch.backends.mps.is_available() else [])]
    if device == "auto":
        device = here[-1]
    if device not in here:
        message = f"there is no {device} here, as torch {torch.__version__} sees it; there is: {', '.join(here)} (or auto)"
        raise UserError(spec.document.problem(("train", "device"), message, "device"))
    if device == "mps" and precision == "float64":
        message = "mps has no float64; float32, bfloat16 or float16 work there, and float64 on device: cpu"
        raise UserError(spec.document.problem(("train", "precision"), message, "device"))
    device = "cuda:0" if device == "cuda" else device  # the first that CUDA_VISIBLE_DEVICES leaves to be seen
    return Placing(spec, device, torch.float64 if precision == "float64" else None, NARROW.get(precision))


def _sized(model: nn.Module, batch: Batch, seed: int) -> None:
    """Let lazy layers find their sizes from two samples, in evaluation mode so that nothing else changes."""
    training = model.training
    with seeded(seed, 1), torch.no_grad():
        call_model(model.eval(), Batch(take(batch.inputs, slice(2)), take(batch.targets, slice(2))))
    model.train(training)


def _autocast(model: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """Let a model's forward run in autocast and give out float32; by hooks, which copies of the model have as well."""
    around = _Autocast(device, dtype)
    model.register_forward_pre_hook(around.enter, prepend=True)
    model.register_forward_hook(around.leave, always_call=True)
    return model


@dataclass
class _Autocast:
    """Opens autocast before a forward and closes it behind, also where the forward raises."""

    device: str
    dtype: torch.dtype
    opened: list[Any] = field(default_factory=list)

    def enter(self, _module: nn.Module, _given: Any) -> None:
        context = torch.autocast(self.device.partition(":")[0], dtype=self.dtype)
        context.__enter__()  # type: ignore[no-untyped-call]  # torch has no type for it
        self.opened.append(context)

    def leave(self, _module: nn.Module, _given: Any, outputs: Any) -> Any:
        self.opened.pop().__exit__(None, None, None)
        return _widened(outputs)


def _widened(outputs: Any) -> Any:
    """Return outputs in float32: a loss of them loses too much in 8 or 11 bits."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype in NARROW.values() else outputs
    if type(outputs) in (tuple, list):
        return type(outputs)(_widened(each) for each in outputs)
    if isinstance(outputs, dict):  # its own type, such as a Hugging Face ModelOutput, keeps its attributes
        for name, each in outputs.items():
            outputs[name] = _widened(each)
    return outputs
