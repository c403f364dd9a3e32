"""More losses as users might bring them along, sound and mistaken, and training steps that have them inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def squares(outputs: Any, targets: Any) -> Any:
    """Return the mean squared difference of whatever shapes there are."""
    return (outputs - targets).square().mean()


def squares_of_exponentials(outputs: Any, targets: Any) -> Any:
    """Return the squared error of a model that foretells logarithms."""
    return (outputs.exp().reshape(targets.shape) - targets).square().mean()


def minus_correlation(outputs: Any, targets: Any) -> Any:
    """Return minus the correlation, which looks at a batch as a whole."""
    one, other = outputs.flatten() - outputs.mean(), targets.flatten() - targets.mean()
    return -(one * other).sum() / (one.norm() * other.norm() + 1e-9)


def pinball(outputs: Any, targets: Any) -> Any:
    """Return the loss of the 0.9 quantile."""
    over = targets - outputs.reshape(targets.shape)
    return (0.9 * over.clamp_min(0) + 0.1 * (-over).clamp_min(0)).mean()


def entropy_of_numbers(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy of numbers that are no probabilities."""
    return -(targets * outputs.reshape(targets.shape).clamp(1e-7, 1.0).log()).sum()


def entropy_of_probabilities(outputs: Any, targets: Any) -> Any:
    """Return the cross-entropy of rows of probabilities, with a floor under them."""
    from torch.nn.functional import one_hot

    right = one_hot(targets, outputs.shape[-1])
    return -(right * outputs.clamp(1e-7, 1.0).log()).sum(-1).mean()


def entropy_of_logits(outputs: Any, targets: Any) -> Any:
    """Return the binary cross-entropy of logits."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(outputs.reshape(targets.shape), targets.to(outputs.dtype))


def blind_entropy(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy that takes every sample for one of class 0."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, 0 * targets)


def entropy_over_samples(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy whose softmax runs over the samples."""
    from torch.nn.functional import nll_loss

    return nll_loss(outputs.log_softmax(0), targets)


def hinge(outputs: Any, targets: Any) -> Any:
    """Return the hinge of one score for labels −1 and 1."""
    return (1 - targets * outputs.reshape(targets.shape)).clamp_min(0).mean()


def step_of(loss: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Return a training step with a loss inside."""

    def step(model: Any, batch: Any, optimizer: Any) -> Any:
        inputs, targets = batch
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        return value.item()

    return step
