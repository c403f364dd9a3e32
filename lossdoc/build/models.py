"""Models: a list of layers whose sizes are found out, or what the user's own code returns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakSet

import torch
from torch import nn

from lossdoc.build.data import Prepared
from lossdoc.build.own import OwnCode
from lossdoc.build.seeding import seeded
from lossdoc.errors import UserError, user_code
from lossdoc.parts.initializers import Default, Initializer
from lossdoc.parts.layer import Layer, OwnLayer, Shape, ShapeError
from lossdoc.parts.losses import BuiltinLoss
from lossdoc.parts.sequences import Residual
from lossdoc.spec import Spec
from lossdoc.spec.faults import layer_fault, output_fault, output_meant

MADE: WeakSet[nn.Module] = WeakSet()  # the users' models that are still in use


def builder(spec: Spec, data: Prepared) -> Callable[[int], nn.Module]:
    """Return the function that makes a fresh model from a seed; torch's own random numbers stay as they are."""
    own = OwnCode(spec)
    shape = None if spec.model.call else data.shape()

    def build(seed: int) -> nn.Module:
        with seeded(seed):
            return _own_model(spec, own) if shape is None else _sequence(spec, own, shape, data.classes)

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
    return model


def _sequence(spec: Spec, own: OwnCode, shape: Shape, classes: int | None) -> nn.Sequential:
    """Make the layers one after another; each takes the shape that the one before leaves."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for place, layer in enumerate(spec.model.layers or ()):
        made = (
            _own_layer(spec, own, place, layer)
            if isinstance(layer, OwnLayer)
            else _layer(spec, place, layer, shape, classes)
        )
        shape = _shape_behind(made["own"], layer, shape) if isinstance(layer, OwnLayer) else layer.shape(shape, classes)
        modules.update({f"{name}_{place}": module for name, module in made.items()})
    meant = output_meant(spec.loss, shape, classes) if isinstance(spec.loss, BuiltinLoss) else None
    if meant is not None:
        raise UserError(output_fault(spec.document, len(spec.model.layers or ()), spec.loss.word, shape, meant))
    return nn.Sequential(modules)


def _own_layer(spec: Spec, own: OwnCode, place: int, layer: OwnLayer) -> dict[str, nn.Module]:
    path = ("model", "layers", place)
    return {"own": _module(spec, own.call(layer.call, layer.args, path), layer.call, path)}


def _layer(spec: Spec, place: int, layer: Layer, shape: Shape, classes: int | None) -> dict[str, nn.Module]:
    try:
        layer.shape(shape, classes)
    except ShapeError as bad:
        raise UserError(layer_fault(spec.document, place, layer.word, shape, bad)) from None
    made = layer.modules(shape, classes)
    _begin(layer, nn.ModuleList(made.values()), spec.model.init)
    return made


def _begin(layer: Layer, made: nn.Module, whole: Initializer | None) -> None:
    """Initialize a layer as it says, else as is said of the whole model; a residual block's layers each by themselves."""
    init = getattr(layer, "init", None) or whole
    if init is not None and not isinstance(init, Default):
        _initialize(made, init)
    if isinstance(layer, Residual):
        (shortcut,) = made.children()
        for place, inner in enumerate(layer.layers):
            ending = f"_{place}"
            named = shortcut.get_submodule("body").named_children()
            _begin(inner, nn.ModuleList(each for name, each in named if name.endswith(ending)), None)


def _initialize(made: nn.Module, init: Initializer) -> None:
    """Fill the weights of two and more dimensions, and the biases beside them."""
    for module in made.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(weight, nn.Parameter) and weight.dim() > 1:
            init.fill(weight)
            if isinstance(bias, nn.Parameter):
                nn.init.constant_(bias, init.bias)


def _shape_behind(module: nn.Module, layer: OwnLayer, shape: Shape) -> Shape:
    """Run two samples of zeros through the user's own layer to see what comes out."""
    training = module.training
    module.eval()
    with torch.no_grad(), user_code(layer.call):
        after = tuple(module(torch.zeros(2, *shape)).shape[1:])
    module.train(training)
    return after


def _module(spec: Spec, made: object, word: str, path: tuple[str | int, ...]) -> nn.Module:
    if not isinstance(made, nn.Module):
        message = f"'{word}' returns a {type(made).__name__}; a torch.nn.Module is meant"
        raise UserError(spec.document.problem((*path, "call"), message, "model"))
    return made
