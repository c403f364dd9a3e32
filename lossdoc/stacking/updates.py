"""The optimizer's step for K points at once, in place, each with hyperparameters of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lossdoc.parts.optimizers import Adam, AdamW, Gd, Momentum, Nesterov, Sgd
from lossdoc.subject import Optimizer, Recipe, Slots

Hypers = dict[str, "float | Tensor"]
SHARED = ("beta1", "beta2", "eps")  # what torch's fused kernel takes as single numbers
SMALL = 1e-6  # as in torch.nn.utils.clip_grad_norm_


class Updates:
    """Updates of stacked tensors (K, ...) by the recipes of K points; all the points have the same kind of optimizer.

    `names` holds for each tensor the name of a parameter whose hyperparameters are those of the whole tensor.
    """

    def __init__(self, recipes: Sequence[Recipe], names: Sequence[str], tensors: Sequence[Tensor]) -> None:
        limits = [math.inf if recipe.clip is None else recipe.clip for recipe in recipes]
        self.clips = torch.tensor(limits, dtype=torch.float64) if min(limits) < math.inf else None
        by_name = [[recipe.hyper_of(name) for recipe in recipes] for name in names]
        self.hypers = [_joined(hypers, tensor) for hypers, tensor in zip(by_name, tensors, strict=True)]
        self.kernel = _kernel(recipes[0].optimizer, self.hypers, tensors)
        self.taken = 0
        self.factors: Tensor | None = None  # those of the last step
        self.slowed: list[Hypers] = []  # the hyperparameters with these factors

    @torch.no_grad()
    def step(self, tensors: Sequence[Tensor], gradients: Sequence[Tensor], factors: Tensor) -> None:
        """Change the tensors in place; the gradients may be overwritten. `factors` (K,) multiply the learning rates."""
        if self.clips is not None:
            self._clip(gradients)
        if self.factors is None or (self.factors is not factors and not torch.equal(self.factors, factors)):
            self.factors = factors
            same = bool((factors == factors[0]).all())
            each = [float(factors[0]) if same else _column(factors, tensor) for tensor in tensors]
            self.slowed = [{**hyper, "lr": hyper["lr"] * factor} for hyper, factor in zip(self.hypers, each, strict=True)]
        self.kernel(list(tensors), list(gradients), self.slowed, self.taken)
        self.taken += 1

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the points at these places."""
        for hyper in self.hypers:
            hyper.update({name: value[list(places)] for name, value in hyper.items() if isinstance(value, Tensor)})
        self.kernel.keep(list(places))
        self.factors = None
        self.clips = None if self.clips is None else self.clips[list(places)]

    def _clip(self, gradients: Sequence[Tensor]) -> None:
        """Scale the gradients of each point down together so that their joint norm is at most its limit."""
        squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]
        norms = torch.stack(squares).sum(0).sqrt()
        shares = (self.clips.to(norms) / (norms + SMALL)).clamp(max=1.0)  # type: ignore[union-attr]  # asked before
        for gradient in gradients:
            gradient.mul_(_column(shares, gradient))


class Kernel:
    """The update of stacked tensors by the word's own formula, which knows no difference between one point and many."""

    def __init__(self, optimizer: Optimizer, tensors: Sequence[Tensor]) -> None:
        self.optimizer = optimizer
        self.slots: list[Slots] = [optimizer.slots(tensor) for tensor in tensors]

    def __call__(self, tensors: list[Tensor], gradients: list[Tensor], hypers: Sequence[Hypers], taken: int) -> None:
        """Change the tensors in place."""
        for place, (tensor, gradient, hyper) in enumerate(zip(tensors, gradients, hypers, strict=True)):
            changed, self.slots[place] = self.optimizer.update(tensor, gradient, self.slots[place], hyper, taken)
            tensor.copy_(changed)

    def keep(self, places: list[int]) -> None:
        """Keep the slots of the points at these places."""
        self.slots = [{name: slot[places] for name, slot in slots.items()} for slots in self.slots]


class SgdKernel(Kernel):
    """Gradient descent with and without momentum, in place."""

    def __call__(self, tensors: list[Tensor], gradients: list[Tensor], hypers: Sequence[Hypers], taken: int) -> None:  # noqa: ARG002 - see Kernel
        """Update as torch.optim.SGD does."""
        for tensor, gradient, hyper, slots in zip(tensors, gradients, hypers, self.slots, strict=True):
            _decay(tensor, gradient, hyper["weight_decay"])
            move = gradient
            if "velocity" in slots and _any(hyper["momentum"]):
                velocity = slots["velocity"].mul_(hyper["momentum"]).add_(gradient)
                ahead = type(self.optimizer) is Nesterov
                move = gradient.add_(velocity * hyper["momentum"]) if ahead else velocity
            _add(tensor, move, hyper["lr"], -1)


class AdamKernel(Kernel):
    """Adam by torch's fused kernel, in one pass: at rate 1 into tensors of their own, which each point then scales."""

    def __init__(self, optimizer: Optimizer, tensors: Sequence[Tensor], alike: Mapping[str, float]) -> None:
        super().__init__(optimizer, tensors)
        self.alike = alike
        self.steps = torch.zeros((), dtype=torch.float32, device=tensors[0].device)
        self.moves: list[Tensor] = []
        self._begin()

    def __call__(self, tensors: list[Tensor], gradients: list[Tensor], hypers: Sequence[Hypers], taken: int) -> None:  # noqa: ARG002 - see Kernel
        """Update as torch.optim.Adam, or AdamW, does."""
        self._decayed(tensors, gradients, hypers)
        self.steps += 1
        torch._fused_adamw_(  # what torch.optim.AdamW(fused=True) calls, without its lists made anew at each step
            self.moves,
            [gradient.contiguous() for gradient in gradients],  # it walks through memory, whatever the strides say
            self.means,
            self.squares,
            [],
            [self.steps] * len(tensors),
            lr=1.0,
            beta1=self.alike["beta1"],
            beta2=self.alike["beta2"],
            eps=self.alike["eps"],
            weight_decay=1.0,  # of the moves, all of it: they begin at 0 again
            amsgrad=False,
            maximize=False,
        )
        for tensor, move, hyper in zip(tensors, self.moves, hypers, strict=True):
            _add(tensor, move, hyper["lr"])

    def keep(self, places: list[int]) -> None:
        """Keep the slots of the points at these places."""
        super().keep(places)
        self._begin()

    def _begin(self) -> None:
        self.means, self.squares = ([slots[name] for slots in self.slots] for name in ("mean", "squares"))
        self.moves = [torch.zeros_like(mean) for mean in self.means]

    def _decayed(self, tensors: list[Tensor], gradients: list[Tensor], hypers: Sequence[Hypers]) -> None:
        """Decay the weights: AdamW shrinks them, Adam adds to their gradients."""
        for tensor, gradient, hyper in zip(tensors, gradients, hypers, strict=True):
            rate, decay = hyper["lr"], hyper["weight_decay"]
            if type(self.optimizer) is not AdamW:
                _decay(tensor, gradient, decay)
            elif _any(decay):
                tensor.mul_(1 - rate * decay)


def _kernel(optimizer: Optimizer, hypers: Sequence[Hypers], tensors: Sequence[Tensor]) -> Kernel:
    """Return the kernel of an optimizer: a fast one where there is one for it and these hyperparameters."""
    kind = type(optimizer)
    if kind in (Sgd, Momentum, Nesterov, Gd):
        return SgdKernel(optimizer, tensors)
    fused = {name: value for name, value in hypers[0].items() if isinstance(value, float)}
    alike = all(_same(hyper[name], fused.get(name)) for hyper in hypers for name in SHARED if name in hyper)
    if kind in (Adam, AdamW) and alike and all(tensor.is_contiguous() for tensor in tensors):
        return AdamKernel(optimizer, tensors, fused)
    return Kernel(optimizer, tensors)


def _joined(hypers: Sequence[Mapping[str, float]], like: Tensor) -> Hypers:
    """Return each hyperparameter as a float where all points share it, else as a tensor (K, 1, ...)."""
    joined: Hypers = {}
    for name in hypers[0]:
        values = [hyper[name] for hyper in hypers]
        same = len(set(values)) == 1
        joined[name] = values[0] if same else _column(torch.tensor(values, dtype=torch.float64), like).to(like)
    return joined


def _column(values: Tensor, like: Tensor) -> Tensor:
    """Return K values in a shape that multiplies (K, ...)."""
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))


def _any(value: float | Tensor) -> bool:
    return bool((value != 0).any()) if isinstance(value, Tensor) else value != 0


def _decay(tensor: Tensor, gradient: Tensor, decay: float | Tensor) -> None:
    """Add the coupled weight decay to the gradient."""
    if isinstance(decay, Tensor):
        gradient.addcmul_(tensor, decay)
    elif decay != 0:
        gradient.add_(tensor, alpha=decay)


def _add(tensor: Tensor, move: Tensor, rate: float | Tensor, sign: int = 1) -> None:
    """Add rate times the move, or subtract it."""
    if isinstance(rate, Tensor):
        tensor.addcmul_(move, rate, value=sign)
    else:
        tensor.add_(move, alpha=sign * rate)


def _same(value: float | Tensor, other: float | None) -> bool:
    return isinstance(value, float) and value == other
