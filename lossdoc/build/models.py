"""Models: a list of layers whose sizes are found out, or what the user's own code returns."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakSet

import torch
from torch import Tensor, nn

from lossdoc.build.data import Prepared
from lossdoc.build.own import OwnCode
from lossdoc.build.seeding import seeded
from lossdoc.calling import PLACES
from lossdoc.errors import UserError, kind_of, user_code
from lossdoc.parts.initializers import Default, Initializer, OwnInitializer
from lossdoc.parts.layer import Layer, OwnLayer, Shape, ShapeError, spoken
from lossdoc.parts.losses import BuiltinLoss
from lossdoc.parts.sequences import Residual
from lossdoc.spec import Spec
from lossdoc.spec.document import Path
from lossdoc.spec.faults import layer_fault, output_fault, output_meant

MADE: WeakSet[nn.Module] = WeakSet()  # the users' models that are still in use


def builder(spec: Spec, data: Prepared) -> Callable[[int], nn.Module]:
    """Return the function that makes a fresh model from a seed; torch's own random numbers stay as they are."""
    own = OwnCode(spec)
    sample = None if spec.model.call else data.sample()

    def build(seed: int) -> nn.Module:
        with seeded(seed):
            if sample is None:
                return _own_model(spec, own)
            return _Maker(spec, own, data.classes, sample.dtype).whole(tuple(sample.shape))

    return build


def _own_model(spec: Spec, own: OwnCode) -> nn.Module:
    reference = str(spec.model.call)
    model = _module(spec, own.call(reference, spec.model.args, ("model",)), reference, ("model",))
    if model in MADE:
        message = (
            f"{reference} returned the very same model again; make a new one at each call, or one run goes on with another's"
        )
        raise UserError(spec.document.problem(("model", "call"), f"{message} weights", "same-model"))
    MADE.add(model)
    PLACES[model] = own.place(("model",))
    return model


@dataclass(frozen=True)
class _Maker:
    """Makes the layers of a list one after another; each takes the shape that the one before leaves."""

    spec: Spec
    own: OwnCode
    classes: int | None
    dtype: torch.dtype  # of the data's inputs

    def whole(self, shape: Shape) -> nn.Sequential:
        """Return the model for samples of `shape`, whose outputs must fit the loss."""
        modules, after = self.stack(self.spec.model.layers or (), ("model", "layers"), shape)
        loss = self.spec.loss
        meant = output_meant(loss, after, self.classes) if isinstance(loss, BuiltinLoss) else None
        if meant is not None:
            raise UserError(output_fault(self.spec.document, len(self.spec.model.layers or ()), loss.word, after, meant))
        return nn.Sequential(modules)

    def stack(self, layers: Sequence[Layer], at: Path, shape: Shape) -> tuple[OrderedDict[str, nn.Module], Shape]:
        """Return the modules of a list, each named by its word and its layer's place, and the shape behind them."""
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        for place, layer in enumerate(layers):
            try:
                made, shape = self.layer(layer, (*at, place), shape)
            except ShapeError as bad:
                raise UserError(layer_fault(self.spec.document, (*at, place), layer.word, shape, bad)) from None
            modules.update({f"{name}_{place}": module for name, module in made.items()})
        return modules, shape

    def layer(self, layer: Layer, at: Path, shape: Shape) -> tuple[dict[str, nn.Module], Shape]:
        """Return the modules of one layer, initialized as it says, else as the model does, and the shape behind it."""
        if isinstance(layer, OwnLayer):
            module = _module(self.spec, self.own.call(layer.call, layer.args, at), layer.call, at)
            first = at == ("model", "layers", 0)
            inputs = torch.zeros(2, *shape, dtype=self.dtype if first else torch.float32)
            return {"own": module}, _shape_behind(self.spec, module, layer, at, inputs)
        if isinstance(layer, Residual):
            body, after = self.stack(layer.layers, (*at, layer.word, "layers"), shape)
            layer.fits(shape, after)
            block = layer.around(nn.Sequential(body), shape, after)
            self.begin([block.match], None, at)
            return {layer.word: block}, after
        after = layer.shape(shape, self.classes)
        with _memory(self.spec, layer.word, at):
            made = layer.modules(shape, self.classes)
        self.begin(made.values(), getattr(layer, "init", None), (*at, layer.word))
        return made, after

    def begin(self, made: Iterable[nn.Module], own: Initializer | None, at: Path) -> None:
        """Initialize modules as is said of their layer, which stands at `at`, else as is said of the model."""
        init, path = (self.spec.model.init, ("model", "init")) if own is None else (own, (*at, "init"))
        if init is not None and not isinstance(init, Default):
            _initialize(made, init, self.filler(init, path))

    def filler(self, init: Initializer, path: Path) -> Callable[[Tensor], None]:
        """Return what overwrites a weight in place."""
        if not isinstance(init, OwnInitializer):
            return init.fill
        call = self.own.function(init.call, init.args, path, takes=1)

        def fill(weight: Tensor) -> None:
            with torch.no_grad(), user_code(init.call):
                filled = call(weight)
            if filled is not None and filled is not weight:
                weight.data.copy_(_filled(self.spec, filled, weight, init.call, path))

        return fill


@contextmanager
def _memory(spec: Spec, word: str, at: Path) -> Iterator[None]:
    """Say which layer is too large where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as bad:  # torch raises either, with the number of bytes
        if "alloc" not in str(bad):
            raise
        bytes_wanted = re.search(r"\d{4,}(?= bytes)", str(bad))
        size = f"{int(bytes_wanted[0]) / 1e9:,.0f} GB" if bytes_wanted else "more memory"
        message = f"{word} wants {size}, which this machine does not have; fewer units are meant"
        raise UserError(spec.document.problem(at, message, "memory")) from None


def _filled(spec: Spec, filled: object, weight: Tensor, word: str, path: Path) -> Tensor:
    """Return what the user's own initializer made, if it can take a weight's place."""
    if not isinstance(filled, Tensor) or filled.shape != weight.shape:
        got = f"a tensor shaped {tuple(filled.shape)}" if isinstance(filled, Tensor) else kind_of(filled)
        message = (
            f"'{word}' returns {got} for a weight shaped {tuple(weight.shape)}; it is to fill the weight, or return one"
        )
        raise UserError(spec.document.problem((*path, "call"), message, "initializer"))
    return filled


def _initialize(made: Iterable[nn.Module], init: Initializer, fill: Callable[[Tensor], None]) -> None:
    """Fill the weights of two and more dimensions, and the biases beside them."""
    for module in nn.ModuleList(made).modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(weight, nn.Parameter) and weight.dim() > 1:
            fill(weight)
            if isinstance(bias, nn.Parameter):
                nn.init.constant_(bias, init.bias)


def _shape_behind(spec: Spec, module: nn.Module, layer: OwnLayer, at: Path, inputs: Tensor) -> Shape:
    """Run two samples of zeros through the user's own layer to see what comes out."""
    place = spec.document.problem(at, "", "").place
    training = module.training
    module.eval()
    with torch.no_grad(), user_code(f"{place}: {layer.call}, given {spoken(tuple(inputs.shape[1:]))},"):
        outputs = module(inputs)
    module.train(training)
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != inputs.shape[:1]:
        got = f"a tensor shaped {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else kind_of(outputs)
        message = f"'{layer.call}' makes {got} of two samples; one tensor, two long, is meant"
        raise UserError(spec.document.problem((*at, "call"), message, "shape"))
    return tuple(outputs.shape[1:])


def _module(spec: Spec, made: object, word: str, path: tuple[str | int, ...]) -> nn.Module:
    if not isinstance(made, nn.Module):
        message = f"'{word}' returns {kind_of(made)}; a torch.nn.Module is meant"
        raise UserError(spec.document.problem((*path, "call"), message, "model"))
    return made
