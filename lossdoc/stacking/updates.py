"""The optimizer's step for K points at once, in place, each with hyperparameters of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
        self.optimizer = recipes[0].optimizer
        self.taken = 0
        self.clips = None if recipes[0].clip is None else torch.tensor([float(recipe.clip or 0) for recipe in recipes])
        by_name = [[recipe.hyper_of(name) for recipe in recipes] for name in names]
        self.hypers = [_joined(hypers, tensor) for hypers, tensor in zip(by_name, tensors, strict=True)]
        make = _kernel(self.optimizer, self.hypers)
        self.kernels = [make(tensor) for tensor in tensors]

    @torch.no_grad()
    def step(self, tensors: Sequence[Tensor], gradients: Sequence[Tensor], factors: Tensor) -> None:
        """Change the tensors in place; the gradients may be overwritten. `factors` (K,) multiply the learning rates."""
        if self.clips is not None:
            self._clip(gradients)
        same = bool((factors == factors[0]).all())
        for tensor, gradient, hyper, kernel in zip(tensors, gradients, self.hypers, self.kernels, strict=True):
            factor = float(factors[0]) if same else _column(factors, tensor)
            kernel(tensor, gradient, {**hyper, "lr": hyper["lr"] * factor}, self.taken)
        self.taken += 1

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the points at these places."""
        for hyper in self.hypers:
            hyper.update({name: value[list(places)] for name, value in hyper.items() if isinstance(value, Tensor)})
        for kernel in self.kernels:
            kernel.keep(list(places))
        self.clips = None if self.clips is None else self.clips[list(places)]

    def _clip(self, gradients: Sequence[Tensor]) -> None:
        """Scale the gradients of each point down together so that their joint norm is at most its limit."""
        squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]
        norms = torch.stack(squares).sum(0).sqrt()
        shares = (self.clips.to(norms) / (norms + SMALL)).clamp(max=1.0)  # type: ignore[union-attr]  # asked before
        for gradient in gradients:
            gradient.mul_(_column(shares, gradient))


class Kernel:
    """The update of one stacked tensor, with the slots that it keeps."""

    def __init__(self, optimizer: Optimizer, tensor: Tensor) -> None:
        self.optimizer = optimizer
        self.slots: Slots = optimizer.slots(tensor)

    def __call__(self, tensor: Tensor, gradient: Tensor, hyper: Mapping[str, float | Tensor], taken: int) -> None:
        """Update by the word's own formula, which knows no difference between one point and many."""
        changed, self.slots = self.optimizer.update(tensor, gradient, self.slots, hyper, taken)
        tensor.copy_(changed)

    def keep(self, places: list[int]) -> None:
        """Keep the slots of the points at these places."""
        self.slots = {name: slot[places] for name, slot in self.slots.items()}


class SgdKernel(Kernel):
    """Gradient descent with and without momentum, in place."""

    def __call__(self, tensor: Tensor, gradient: Tensor, hyper: Mapping[str, float | Tensor], taken: int) -> None:  # noqa: ARG002 - see Kernel
        """Update as torch.optim.SGD does."""
        _decay(tensor, gradient, hyper["weight_decay"])
        move = gradient
        if "velocity" in self.slots and _any(hyper["momentum"]):
            velocity = self.slots["velocity"].mul_(hyper["momentum"]).add_(gradient)
            ahead = type(self.optimizer) is Nesterov
            move = gradient.add_(velocity * hyper["momentum"]) if ahead else velocity
        _subtract(tensor, move, hyper["lr"])


class AdamKernel(Kernel):
    """Adam by torch's fused kernel, in one pass: at rate 1 into a tensor of zeros, which each point then scales."""

    def __init__(self, optimizer: Optimizer, tensor: Tensor, alike: Mapping[str, float]) -> None:
        super().__init__(optimizer, tensor)
        self.alike = alike
        self.move = torch.zeros_like(tensor)
        self.steps = torch.zeros((), dtype=torch.float32)

    def __call__(self, tensor: Tensor, gradient: Tensor, hyper: Mapping[str, float | Tensor], taken: int) -> None:  # noqa: ARG002 - see Kernel
        """Update as torch.optim.Adam, or AdamW, does."""
        rate, decay = hyper["lr"], hyper["weight_decay"]
        if type(self.optimizer) is AdamW:
            if _any(decay):
                tensor.mul_(1 - rate * decay)
        else:
            _decay(tensor, gradient, decay)
        self.steps += 1
        torch._fused_adam_(  # what torch.optim.Adam(fused=True) calls, without its lists made anew at each step
            [self.move],
            [gradient],
            [self.slots["mean"]],
            [self.slots["squares"]],
            [],
            [self.steps],
            lr=1.0,
            beta1=self.alike["beta1"],
            beta2=self.alike["beta2"],
            weight_decay=0.0,
            eps=self.alike["eps"],
            amsgrad=False,
            maximize=False,
        )
        _subtract(tensor, self.move, -rate)
        self.move.zero_()

    def keep(self, places: list[int]) -> None:
        """Keep the slots of the points at these places."""
        super().keep(places)
        self.move = torch.zeros_like(self.slots["mean"])


def _kernel(optimizer: Optimizer, hypers: Sequence[Hypers]) -> Callable[[Tensor], Kernel]:
    """Return what makes the kernels: a fast one where there is one for this optimizer and these hyperparameters."""
    kind = type(optimizer)
    if kind in (Sgd, Momentum, Nesterov, Gd):
        return lambda tensor: SgdKernel(optimizer, tensor)
    fused = {name: value for name, value in hypers[0].items() if isinstance(value, float)}
    if kind in (Adam, AdamW) and all(_same(hyper[name], fused.get(name)) for hyper in hypers for name in SHARED):
        return lambda tensor: AdamKernel(optimizer, tensor, fused) if tensor.is_contiguous() else Kernel(optimizer, tensor)
    return lambda tensor: Kernel(optimizer, tensor)


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
    return values.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def _any(value: float | Tensor) -> bool:
    return bool((value != 0).any()) if isinstance(value, Tensor) else value != 0


def _decay(tensor: Tensor, gradient: Tensor, decay: float | Tensor) -> None:
    """Add the coupled weight decay to the gradient."""
    if isinstance(decay, Tensor):
        gradient.addcmul_(tensor, decay)
    elif decay != 0:
        gradient.add_(tensor, alpha=decay)


def _subtract(tensor: Tensor, move: Tensor, rate: float | Tensor) -> None:
    """Subtract rate times the move."""
    if isinstance(rate, Tensor):
        tensor.addcmul_(move, rate, value=-1)
    else:
        tensor.sub_(move, alpha=rate)


def _same(value: float | Tensor, other: float | None) -> bool:
    return isinstance(value, float) and value == other
