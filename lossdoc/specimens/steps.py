"""Training steps as users might write them, each with one mistake in the order of its lines or in what it touches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def renewing_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Make the last layer anew where the optimizer holds the old one, then train one step."""
    import torch

    if not getattr(model, "renewed", False):
        with torch.random.fork_rng(devices=[]):
            model[-1] = torch.nn.Linear(model[-1].in_features, model[-1].out_features)
        model.renewed = True
    return _usual(model, batch, optimizer)


def freezing_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Freeze all but the last layer, then train one step."""
    for each in model[:-1].parameters():
        each.requires_grad_(False)  # noqa: FBT003 - torch's own
    return _usual(model, batch, optimizer)


def gathering_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Gather the gradients of four parts of a batch, and add what should be averaged."""
    return _gathered(model, batch, optimizer, 1.0)


def averaging_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Gather the gradients of four parts of a batch, as it should be."""
    return _gathered(model, batch, optimizer, 0.25)


def _gathered(model: Any, batch: Any, optimizer: Any, factor: float) -> Any:
    from torch.nn.functional import cross_entropy

    optimizer.zero_grad()
    total = 0.0
    for inputs, targets in zip(*(each.chunk(4) for each in batch), strict=True):
        loss: Any = cross_entropy(model(inputs), targets)
        (factor * loss).backward()
        total += loss.item() / 4
    optimizer.step()
    return total


def detached_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step on a loss that has been cut off from the weights and given a gradient of its own."""
    return _usual(model, batch, optimizer, change=lambda loss: loss.detach().requires_grad_())


def headless_graph_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step in which the gradient ends at the last layer."""
    import torch
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    with torch.no_grad():
        hidden = model[:-1](inputs)
    loss: Any = cross_entropy(model[-1](hidden), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def argmax_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step on the share of mistakes, which has no gradient: torch refuses."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = (model(inputs).argmax(-1) != targets).float().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def evaluating_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step in evaluation mode."""
    model.eval()
    return _usual(model, batch, optimizer)


def early_schedule_step(model: Any, batch: Any, optimizer: Any, scheduler: Any) -> Any:
    """Step the scheduler before the optimizer."""
    scheduler.step()
    return _usual(model, batch, optimizer)


def hasty_schedule_step(model: Any, batch: Any, optimizer: Any, scheduler: Any) -> Any:
    """Step the scheduler once for every sample of a batch."""
    loss = _usual(model, batch, optimizer)
    for _ in batch[1]:
        scheduler.step()
    return loss


def late_schedule_step(model: Any, batch: Any, optimizer: Any, scheduler: Any, epoch: int) -> Any:
    """Step the scheduler once an epoch, where the schedule counts steps."""
    loss = _usual(model, batch, optimizer)
    if getattr(model, "epoch", 0) != epoch:
        model.epoch = epoch
        scheduler.step()
    return loss


def scheduled_step(model: Any, batch: Any, optimizer: Any, scheduler: Any) -> Any:
    """Train one step and step the scheduler, as it should be."""
    loss = _usual(model, batch, optimizer)
    scheduler.step()
    return loss


def early_clip_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Clip the gradients before there are any."""
    from torch.nn.functional import cross_entropy
    from torch.nn.utils import clip_grad_norm_

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    clip_grad_norm_(model.parameters(), 0.1)
    loss.backward()
    optimizer.step()
    return loss.item()


def clipped_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Clip the gradients and apply them, as it should be."""
    from torch.nn.functional import cross_entropy
    from torch.nn.utils import clip_grad_norm_

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    return loss.item()


def unscaled_half_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step in float16 without scaling the loss."""
    return _in_half(model, batch, optimizer, "float16")


def bfloat_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step in bfloat16, which needs no scaling."""
    return _in_half(model, batch, optimizer, "bfloat16")


def _in_half(model: Any, batch: Any, optimizer: Any, kind: str) -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    with torch.autocast(inputs.device.type, dtype=getattr(torch, kind)):
        loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def mispaired_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Shuffle the labels apart from the inputs, and train one step."""
    import torch

    inputs, targets = batch
    return _usual(model, (inputs, targets[torch.randperm(len(targets))]), optimizer)


def jointly_shuffled_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Shuffle inputs and labels together, and train one step, as it may be."""
    import torch

    inputs, targets = batch
    order = torch.randperm(len(targets))
    return _usual(model, (inputs[order], targets[order]), optimizer)


def unseeded_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step on inputs with noise from a generator that no seed reaches."""
    import numpy as np
    import torch

    inputs, targets = batch
    noise = torch.as_tensor(np.random.default_rng().normal(0, 0.1, inputs.shape), dtype=inputs.dtype)
    return _usual(model, (inputs + noise, targets), optimizer)


def _usual(model: Any, batch: Any, optimizer: Any, change: Callable[[Any], Any] = lambda loss: loss) -> Any:
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = change(cross_entropy(model(inputs), targets))
    loss.backward()
    optimizer.step()
    return loss.item()
