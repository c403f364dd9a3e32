"""Training steps of one's own, each with one mistake."""

import torch
from torch.nn.functional import cross_entropy


def never_applied(model, batch, optimizer):
    """Compute the gradient and forget `optimizer.step()`."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = cross_entropy(model(inputs), targets)
    loss.backward()
    return loss.item()


def uphill(model, batch, optimizer):
    """Apply the gradient with the wrong sign."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = cross_entropy(model(inputs), targets)
    (-loss).backward()
    optimizer.step()
    return loss.item()


def never_cleared(model, batch, optimizer):
    """Forget `optimizer.zero_grad()`: every step applies the sum of all gradients so far."""
    inputs, targets = batch
    loss = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def in_evaluation(model, batch, optimizer):
    """Leave the model in evaluation mode: its dropout is off while it trains."""
    inputs, targets = batch
    model.eval()
    optimizer.zero_grad()
    loss = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def cut_off(model, batch, optimizer):
    """Train on the share of mistakes: an argmax has no gradient."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = (model(inputs).argmax(-1) != targets).float().mean().requires_grad_()
    loss.backward()
    optimizer.step()
    return loss.item()


def shuffled_apart(model, batch, optimizer):
    """Shuffle the labels apart from their inputs."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = cross_entropy(model(inputs), targets[torch.randperm(len(targets))])
    loss.backward()
    optimizer.step()
    return loss.item()


def scheduled_too_early(model, batch, optimizer, scheduler):
    """Step the schedule for each sample of a batch."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    for _ in targets:
        scheduler.step()
    return loss.item()
