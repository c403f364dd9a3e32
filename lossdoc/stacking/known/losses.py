"""The losses of K points and their gradients. The batch is the last dimension, the classes are the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lossdoc.parts.losses import TINY, Bce, CrossEntropy, Huber, L1Loss, Mse, MulticlassHinge, Nll
from lossdoc.stack import UnstackableError
from lossdoc.stacking.known.layer import Room, must

IGNORED = -100  # the class number that torch's cross-entropies pass over
Both = tuple[Tensor, Tensor]


class Measure:
    """A loss: outputs (K, ..., B) and targets (K or 1, ..., B) give the losses (K,) and the gradient of the outputs."""

    def __init__(self, losses: Sequence[Any]) -> None:
        self.loss = losses[0]
        must(all(loss == losses[0] for loss in losses), "the points differ in their loss")

    def __call__(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return losses and gradient."""
        outputs, targets = self.fit(outputs, targets)
        each, slope = self.each(outputs, targets)
        total = each.flatten(1).sum(1)
        if self.loss.reduction == "sum":
            return total, slope
        many = each[0].numel()
        return total / many, slope.mul_(1 / many)

    def keep(self, places: list[int]) -> None:
        """Go on with the points at these places."""

    def fit(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return outputs and targets as `each` takes them."""
        raise NotImplementedError

    def each(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return the losses before they are reduced, and their derivatives by the outputs in memory of their own."""
        raise NotImplementedError


class _OfClasses(Measure):
    """Losses of scores (K, ..., C, B) against class numbers (K or 1, ..., B)."""

    def fit(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return both as they are."""
        fits = outputs.ndim == targets.ndim + 1 and outputs.shape[1:-2] + outputs.shape[-1:] == targets.shape[1:]
        must(fits and not targets.is_floating_point(), "outputs and targets are not scores and class numbers")
        return outputs, targets.long().unsqueeze(-2)


class Hinge(_OfClasses):
    """MulticlassHinge."""

    def each(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return the sum over the wrong classes."""
        targets = targets.expand(len(outputs), *targets.shape[1:])
        right = outputs.gather(-2, targets)
        over = (outputs - right).add_(self.loss.margin).clamp_min_(0)
        slope = (over > 0).to(outputs.dtype)
        slope.scatter_add_(-2, targets, -slope.sum(-2, keepdim=True))
        return over.sum(-2) - self.loss.margin, slope


class Entropy(_OfClasses):
    """CrossEntropy, Nll: −Σ q·log p, where q holds the targets' share of each class, weights, smoothing and reduction."""

    def __init__(self, losses: Sequence[Any]) -> None:
        given = losses[0]
        self.plain = type(given) is Nll
        self.shares = Room()
        weight = None if self.plain else given.weight
        self.weights = None if weight is None else torch.tensor(weight, dtype=torch.float64)
        self.smoothing = torch.tensor([getattr(loss, "label_smoothing", 0.0) for loss in losses], dtype=torch.float64)
        self.smooth = bool(self.smoothing.any())
        super().__init__(losses if self.plain else [loss.model_copy(update={"label_smoothing": 0.0}) for loss in losses])

    def keep(self, places: list[int]) -> None:
        """Go on with the points at these places."""
        self.smoothing = self.smoothing[places]

    def __call__(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return losses and gradient."""
        outputs, targets = self.fit(outputs, targets)
        shares, sums = self._shares(outputs, targets)
        if self.plain:
            return _weighed(shares, outputs), shares.expand(outputs.shape).clone()
        unsure = self.loss.inputs == "probabilities"  # these are logits once their logarithm is taken
        logs = torch.log_softmax(outputs.clamp_min(TINY).log_() if unsure else outputs, -2)
        losses = _weighed(shares, logs)
        slope = logs.exp_()
        slope = torch.add(shares, slope, alpha=sums) if isinstance(sums, float) else slope.mul_(sums).add_(shares)
        if unsure:
            slope.mul_(outputs >= TINY).div_(outputs.clamp_min(TINY))
        return losses, slope

    def _shares(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return −q, (K or 1, ..., C, B), and its sums over the classes with the sign turned."""
        classes = outputs.shape[-2]
        shares = self.shares(outputs, *targets.shape[:-2], classes, targets.shape[-1]).zero_()
        scale: Tensor | float = 1.0 if self.loss.reduction == "sum" else targets.shape[0] / targets.numel()
        ignored = None
        if int(targets.min()) < 0:
            ignored = targets == IGNORED
            targets = targets.masked_fill(ignored, 0)
        elif not self.smooth and self.weights is None:
            return shares.scatter_(-2, targets, -scale), scale
        shares = shares.scatter_(-2, targets, 1.0)
        even = torch.ones_like(shares)
        if ignored is not None:
            shares, even = (part.masked_fill(ignored, 0.0) for part in (shares, even))
        if self.weights is not None:
            weights = self.weights.to(outputs).unsqueeze(-1)
            shares, even = shares * weights, even * weights
            if self.loss.reduction != "sum":  # the mean is the weighted one
                scale = 1 / shares.flatten(1).sum(1).reshape(-1, *[1] * (shares.ndim - 1))
        if self.smooth:
            smoothing = self.smoothing.to(outputs).reshape(-1, *[1] * (outputs.ndim - 1))
            shares = (1 - smoothing) * shares + smoothing / classes * even
        return shares * -scale, (shares * scale).sum(-2, keepdim=True)


def _weighed(shares: Tensor, logs: Tensor) -> Tensor:
    """Return the sums (K,) of the products of shares (K or 1, ...) and logs (K, ...)."""
    if shares.shape[0] == 1:
        return torch.mv(logs.flatten(1), shares.flatten())
    products: Tensor = torch.linalg.vecdot(shares.flatten(1), logs.flatten(1))
    return products


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape (..., n, B) without n where that is 1."""
    return (*shape[:-2], shape[-1]) if shape[-2:-1] == (1,) else shape


class _OfNumbers(Measure):
    """Losses of numbers (K, ..., B) against numbers (K or 1, ..., B); a last dimension of 1 counts for nothing."""

    def fit(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return targets shaped and typed like the outputs."""
        shape, given = tuple(outputs.shape[1:]), tuple(targets.shape[1:])
        must(given in (shape, _bare(shape)) or _bare(given) == shape, "outputs and targets differ in their shapes")
        return outputs, targets.reshape(-1, *shape).to(outputs.dtype)


class Crossed(_OfNumbers):
    """Bce."""

    def each(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return a loss per output."""
        if self.loss.inputs == "logits":
            losses = outputs.clamp_min(0) - outputs * targets + outputs.abs().neg_().exp_().log1p_()
            return losses, torch.sigmoid(outputs).sub_(targets)
        no = 1 - outputs
        losses = -(targets * outputs.clamp_min(TINY).log() + (1 - targets) * no.clamp_min(TINY).log())
        slope = (1 - targets) / no.clamp_min(TINY) * (no >= TINY) - targets / outputs.clamp_min(TINY) * (outputs >= TINY)
        return losses, slope


class Difference(_OfNumbers):
    """Mse, L1Loss, Huber."""

    def each(self, outputs: Tensor, targets: Tensor) -> Both:
        """Return a loss per output."""
        gap = outputs - targets
        if isinstance(self.loss, Mse):
            return gap.square(), gap.mul_(2)
        if isinstance(self.loss, L1Loss):
            return gap.abs(), gap.sign_()
        delta = self.loss.delta
        near = gap.clamp(-delta, delta)
        return near * (gap - near / 2), near


LOSSES: dict[type, type[Measure]] = {
    CrossEntropy: Entropy,
    Nll: Entropy,
    MulticlassHinge: Hinge,
    Bce: Crossed,
    Mse: Difference,
    L1Loss: Difference,
    Huber: Difference,
}


def measure(losses: Sequence[Any]) -> Measure:
    """Return what measures the losses of the points, one each."""
    kinds = {type(loss) for loss in losses}
    must(len(kinds) == 1, "the points differ in their loss")
    made = LOSSES.get(type(losses[0]))
    if made is None:
        raise UnstackableError(f"the loss {losses[0].word} is not written out for many points")
    return made(losses)


class Accuracy:
    """The share of right answers of each point, as in `lossdoc.measuring.right`."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.right = Room()

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return it (K,) for outputs (K, ..., B) and targets (K or 1, ..., B); None where task or shapes know of none."""
        if self.task == "binary" and outputs[0].numel() == targets[0].numel():
            flat = outputs.reshape(len(outputs), *targets.shape[1:])
            inside = ((flat >= 0) & (flat <= 1)).flatten(1).all(1)
            split_at = (inside * 0.5).reshape(-1, *[1] * (flat.ndim - 1))
            right = ((flat > split_at) == (targets > 0.5)).to(outputs.dtype)
        elif self.task in ("classification", "language", "binary") and outputs.ndim == targets.ndim + 1:
            best = outputs.max(-2).indices  # several times as fast as argmax where the dimension is not the last
            right = torch.eq(best, targets, out=self.right(outputs, *best.shape))
        else:
            return None
        return right.flatten(1).sum(1, dtype=torch.float64).div_(targets.numel() // targets.shape[0])
