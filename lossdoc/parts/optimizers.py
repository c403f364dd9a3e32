"""Optimizers as pure functions of single tensors, each the arithmetic of its counterpart in torch.optim.

`weight_decay: c` adds c·w to the gradient, as torch couples it; `adamw` alone shrinks the weights apart from the gradient.
Hyperparameters come in with every step, as floats or as tensors, so that one code trains one point or a thousand.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from lossdoc.word import Block, Meant, NonNegative, Own, Positive, Share, Word, table

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer as TorchOptimizer

    from lossdoc.subject import Hyper, Slots

    Moved = tuple[Tensor, Slots]  # a parameter and its slots


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as bad:
        raise ValueError(str(bad)) from None
    return text


class ParameterGroup(Block):
    """Other hyperparameters for the parameters whose names `match`, a regular expression found anywhere in the name."""

    match: Annotated[str, AfterValidator(_expression), Meant("a regular expression (looked for in the parameters' names)")]
    lr: Positive | None = None
    weight_decay: NonNegative | None = None

    @property
    def values(self) -> Mapping[str, float]:
        """The hyperparameters that it gives, by name."""
        given = {"lr": self.lr, "weight_decay": self.weight_decay}
        return {name: float(value) for name, value in given.items() if value is not None}


Groups = Annotated[tuple[ParameterGroup, ...], Field(strict=False), Meant("a list of mappings with 'match'")]


class OptimizerWord(Word):
    """An optimizer."""

    kind: ClassVar[str] = "an optimizer"
    whole: ClassVar[bool] = False  # whether every step takes the whole data


class OwnOptimizer(OptimizerWord, Own):
    """Another optimizer: a class of torch.optim's kind, which gets the parameters, or a function f(model) that makes one.

    Its `args` are given by name, and the file changes its hyperparameters there: `optimizer.args.lr`.
    """

    word: ClassVar[str] = "call"


class Optimizer(OptimizerWord):
    """An optimizer of lossdoc's own; satisfies `lossdoc.subject.Optimizer`."""

    shorthand: ClassVar[str | None] = "lr"
    memory: ClassVar[tuple[str, ...]] = ()  # the names of the slots, each beginning as zeros
    lr: Positive
    weight_decay: NonNegative = 0.0
    groups: Groups = ()

    @property
    def hyper(self) -> Mapping[str, float]:
        """The hyperparameters by name."""
        return {name: float(getattr(self, name)) for name in type(self).model_fields if name != "groups"}

    def slots(self, parameter: "Tensor") -> "Slots":
        """Return the state of one parameter before the first step."""
        import torch

        return {name: torch.zeros_like(parameter) for name in self.memory}

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":
        """Return the parameter and its slots after one step; `taken` counts the steps before it."""
        raise NotImplementedError

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make the counterpart in torch.optim."""
        raise NotImplementedError


class Sgd(Optimizer):
    """w ← w − lr·v with v ← momentum·v + g, on batches of `data.batch_size` samples."""

    word: ClassVar[str] = "sgd"
    memory: ClassVar[tuple[str, ...]] = ("velocity",)
    lr: Positive = 1e-2
    momentum: Share = 0.0

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":  # noqa: ARG002 - see Optimizer
        """Return the parameter and its velocity after one step."""
        velocity = hyper["momentum"] * slots["velocity"] + gradient + hyper["weight_decay"] * parameter
        return parameter - hyper["lr"] * velocity, {"velocity": velocity}

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make torch.optim.SGD."""
        from torch import optim

        return optim.SGD(parameters, **_plain(hyper))


class Momentum(Sgd):
    """Gradient descent that adds `momentum` times the last move: less zig-zag, may overshoot (Polyak 1964)."""

    word: ClassVar[str] = "momentum"
    momentum: Share = 0.9


class Nesterov(Sgd):
    """Momentum that takes the gradient where the last move leads (Nesterov 1983).

    As in torch, in terms of the point looked ahead to: v ← momentum·v + g, w ← w − lr·(g + momentum·v). The notes' form,
    v ← momentum·v + lr·g(w − momentum·v), w ← w − v, walks through the same points when its w − momentum·v is called w.
    """

    word: ClassVar[str] = "nesterov"
    momentum: Positive = 0.9

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":  # noqa: ARG002 - see Optimizer
        """Return the parameter and its velocity after one step."""
        gradient = gradient + hyper["weight_decay"] * parameter
        velocity = hyper["momentum"] * slots["velocity"] + gradient
        return parameter - hyper["lr"] * (gradient + hyper["momentum"] * velocity), {"velocity": velocity}

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make torch.optim.SGD with Nesterov momentum."""
        from torch import optim

        return optim.SGD(parameters, nesterov=True, **_plain(hyper))


class Gd(Optimizer):
    """w ← w − lr·g with the gradient over the whole data: one step an epoch, whatever `data.batch_size` says."""

    word: ClassVar[str] = "gd"
    whole: ClassVar[bool] = True
    lr: Positive = 1e-1

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":  # noqa: ARG002 - see Optimizer
        """Return the parameter after one step."""
        return parameter - hyper["lr"] * (gradient + hyper["weight_decay"] * parameter), slots

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make torch.optim.SGD."""
        from torch import optim

        return optim.SGD(parameters, **_plain(hyper))


class Adagrad(Optimizer):
    """w ← w − lr·g / (√G + eps) with G the sum of all g²: it only grows, so learning can stop (Duchi et al. 2011)."""

    word: ClassVar[str] = "adagrad"
    memory: ClassVar[tuple[str, ...]] = ("squares",)
    lr: Positive = 1e-2
    eps: Positive = 1e-10

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":  # noqa: ARG002 - see Optimizer
        """Return the parameter and its sum of squares after one step."""
        gradient = gradient + hyper["weight_decay"] * parameter
        squares = slots["squares"] + gradient**2
        return parameter - hyper["lr"] * gradient / (squares.sqrt() + hyper["eps"]), {"squares": squares}

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make torch.optim.Adagrad."""
        from torch import optim

        return optim.Adagrad(parameters, **_plain(hyper))


class RmsProp(Optimizer):
    """w ← w − lr·g / (√G + eps) with G ← alpha·G + (1 − alpha)·g² (Tieleman and Hinton 2012).

    As in torch, eps stands outside the root; the notes write lr / √(G + eps). For G far above eps both are the same.
    """

    word: ClassVar[str] = "rmsprop"
    memory: ClassVar[tuple[str, ...]] = ("squares",)
    lr: Positive = 1e-3
    alpha: Share = 0.99
    eps: Positive = 1e-8

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":  # noqa: ARG002 - see Optimizer
        """Return the parameter and its mean of squares after one step."""
        gradient = gradient + hyper["weight_decay"] * parameter
        squares = hyper["alpha"] * slots["squares"] + (1 - hyper["alpha"]) * gradient**2
        return parameter - hyper["lr"] * gradient / (squares.sqrt() + hyper["eps"]), {"squares": squares}

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make torch.optim.RMSprop."""
        from torch import optim

        return optim.RMSprop(parameters, **_plain(hyper))


class Adam(Optimizer):
    """Direction by momentum, size by RMSprop, both corrected for their beginning at 0 (Kingma and Ba 2014)."""

    word: ClassVar[str] = "adam"
    memory: ClassVar[tuple[str, ...]] = ("mean", "squares")
    lr: Positive = 1e-3
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Positive = 1e-8

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":
        """Return the parameter and both averages after one step."""
        return self.adapt(parameter, gradient + hyper["weight_decay"] * parameter, slots, hyper, taken)

    def adapt(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":
        """Return the same, for a gradient that already has its share of weight decay."""
        beta1, beta2 = hyper["beta1"], hyper["beta2"]
        mean = beta1 * slots["mean"] + (1 - beta1) * gradient
        squares = beta2 * slots["squares"] + (1 - beta2) * gradient**2
        size = (squares / (1 - beta2 ** (taken + 1))).sqrt() + hyper["eps"]
        return parameter - hyper["lr"] * mean / (1 - beta1 ** (taken + 1)) / size, {"mean": mean, "squares": squares}

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make torch.optim.Adam."""
        from torch import optim

        return optim.Adam(parameters, **_betas(hyper))


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights by lr·weight_decay, gradient apart (Loshchilov and Hutter 2017)."""

    word: ClassVar[str] = "adamw"
    weight_decay: NonNegative = 1e-2

    def update(self, parameter: "Tensor", gradient: "Tensor", slots: "Slots", hyper: "Hyper", taken: int) -> "Moved":
        """Return the parameter and both averages after one step."""
        return self.adapt(parameter * (1 - hyper["lr"] * hyper["weight_decay"]), gradient, slots, hyper, taken)

    def torch(self, parameters: Iterable[Any], hyper: Mapping[str, float]) -> "TorchOptimizer":
        """Make torch.optim.AdamW."""
        from torch import optim

        return optim.AdamW(parameters, **_betas(hyper))


def _plain(hyper: Mapping[str, float]) -> dict[str, Any]:
    return dict(hyper)  # torch's own signatures tell flags from numbers, a mapping of numbers does not


def _betas(hyper: Mapping[str, float]) -> dict[str, Any]:
    others = {name: value for name, value in hyper.items() if not name.startswith("beta")}
    return {**others, "betas": (hyper["beta1"], hyper["beta2"])}


BUILTIN = table(Gd, Sgd, Momentum, Nesterov, Adagrad, RmsProp, Adam, AdamW)
OPTIMIZERS = {**BUILTIN, **table(OwnOptimizer)}
