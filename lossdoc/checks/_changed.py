"""Subjects with one thing changed: the rate, the batches, the pairing of inputs and targets, the width."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from lossdoc.errors import NotApplicable
from lossdoc.subject import Batch, Split, Subject

if TYPE_CHECKING:
    from torch import nn

MOST_NUMBERS = 2**27  # of a training split that is kept as one batch: half a gigabyte as float32


def at_rate(subject: Subject, rate: float) -> Subject:
    """Return the subject trained at another learning rate."""
    return replace(subject, recipe=replace(subject.recipe, changed={**subject.recipe.changed, "lr": rate}))


def in_batches(subject: Subject, size: int) -> Subject:
    """Return the subject trained in shuffled batches of another size.

    Raises:
        NotApplicable: when the training split cannot be held as one batch.
    """
    return _fed(subject, lambda: _whole(subject), size)


def shuffled_apart(subject: Subject) -> Subject:
    """Return the subject whose training inputs are dealt anew to the targets, once and for all.

    Raises:
        NotApplicable: when the training split cannot be held as one batch.
    """

    def dealt() -> Batch:
        import torch

        from lossdoc.samples import take

        whole = _whole(subject)
        order = torch.randperm(whole.size, generator=torch.Generator().manual_seed(subject.seed))
        return Batch(take(whole.inputs, order), whole.targets)

    if subject.batch_size is None:
        raise NotApplicable("the size of the batches is not known")
    return _fed(subject, dealt, subject.batch_size)


def _fed(subject: Subject, source: Callable[[], Batch], size: int) -> Subject:
    """Return the subject with the batches of its training split made of one big one."""
    from lossdoc.samples import split as parted

    whole = source()

    def batches(split: Split, epoch: int) -> Iterable[Batch]:
        import torch

        if split != "train":
            return subject.batches(split, epoch)
        return parted(whole, size, torch.randperm(whole.size, generator=torch.Generator().manual_seed(epoch)))

    return replace(subject, batches=batches, batch_size=size, shuffled=True)


def _whole(subject: Subject) -> Batch:
    from lossdoc import measuring
    from lossdoc.samples import form, joined

    if subject.sizes.get("train") is None:
        raise NotApplicable("the size of the training split is not known")
    batches = list(measuring.whole(subject, "train"))
    if len({form(batch) for batch in batches}) > 1 or not form(batches[0]):
        raise NotApplicable("the batches of the training split do not fit together")
    if sum(batch.size * math.prod(shape) for batch in batches for shape in form(batch)) > MOST_NUMBERS:
        raise NotApplicable("the training split is too large to be held as a whole")
    return joined(batches)


def widened(subject: Subject, factor: float) -> Subject:
    """Return the subject with hidden layers `factor` times as wide, with initial weights of the same distribution.

    Weights are drawn from the layer's own, times the root of the old number of inputs over the new: the variance of what a
    unit sums up stays as it was (He and others, 2015).

    Raises:
        NotApplicable: when the model is no plain stack of layers that can be widened.
    """
    _widths(subject.build(subject.seed), factor)

    @cache
    def kept(seed: int) -> nn.Module:
        return _wide(subject.build(seed), factor, seed)

    def build(seed: int) -> nn.Module:
        import copy

        return copy.deepcopy(kept(seed))

    return replace(subject, build=build)


def _flat(model: nn.Module) -> list[nn.Module]:
    from torch import nn

    if not isinstance(model, nn.Sequential):
        return [model]
    return [layer for child in model for layer in _flat(child)]


def _widths(model: nn.Module, factor: float) -> list[nn.Module]:
    """Return the layers of a stack whose width can be changed.

    Raises:
        NotApplicable: when it is no such stack, or has no hidden layer.
    """
    layers = _flat(model)
    weighty = [layer for layer in layers if any(True for _ in layer.parameters())]
    if not all(_can_change(layer) for layer in weighty):
        raise NotApplicable("the model is no plain stack of linear and convolutional layers: nobody else can widen it")
    hidden = [layer for layer in weighty if _out(layer) is not None][:-1]
    if not hidden or all(round((_out(layer) or 0) * factor) < 1 for layer in hidden):
        raise NotApplicable("the model has no hidden layer whose width could be changed")
    return layers


def _can_change(layer: nn.Module) -> bool:
    from torch import nn

    if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return layer.groups == 1
    return isinstance(layer, (nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.PReLU))


def _out(layer: Any) -> int | None:
    """Return how many units a layer with weights has, None for one that has as many as the one before."""
    from torch import nn

    if isinstance(layer, nn.Linear):
        return layer.out_features
    return layer.out_channels if hasattr(layer, "out_channels") else None


def _wide(model: nn.Module, factor: float, seed: int) -> nn.Module:
    import torch
    from torch import nn

    layers = _widths(model, factor)
    last = [layer for layer in layers if _out(layer) is not None][-1]
    luck = torch.Generator().manual_seed(seed)
    before, now = 1, 1  # the units of the layer before, as they were and as they are
    made: list[nn.Module] = []
    for layer in layers:
        units = _out(layer)
        if units is None:
            made.append(_follower(layer, before, now))
            continue
        wide = units if layer is last else max(1, round(units * factor))
        made.append(_redrawn(layer, before, now, wide, luck))
        before, now = units, wide
    return nn.Sequential(*made)


def _follower(layer: Any, before: int, now: int) -> nn.Module:
    """Return a layer without a width of its own for as many units as there are now."""
    from torch import nn

    if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        return type(layer)(now, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    if isinstance(layer, nn.PReLU) and layer.num_parameters == before:
        return nn.PReLU(now, float(layer.weight.detach().mean()))
    kept: nn.Module = layer
    return kept


def _redrawn(layer: Any, before: int, now: int, wide: int, luck: Any) -> nn.Module:
    from torch import nn

    linear = isinstance(layer, nn.Linear)
    inputs = layer.in_features if linear else layer.in_channels
    inputs = inputs * now // before  # behind a flattening each unit fills several inputs
    if linear:
        new: Any = nn.Linear(inputs, wide, layer.bias is not None)
    else:
        new = type(layer)(
            inputs,
            wide,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
        )
    shrunk = math.sqrt(layer.weight[0].numel() / new.weight[0].numel())
    for name, scale in (("weight", shrunk), ("bias", 1.0)):
        if getattr(layer, name) is not None:
            _draw(getattr(new, name), getattr(layer, name), scale, luck)
    redrawn: nn.Module = new
    return redrawn


def _draw(into: Any, old: Any, scale: float, luck: Any) -> None:
    """Fill a tensor with numbers drawn from another one."""
    import torch

    with torch.no_grad():
        drawn = torch.randint(old.numel(), tuple(into.shape), generator=luck)
        into.copy_(old.detach().reshape(-1)[drawn] * scale)
