"""Losses, penalties, optimizers and training steps as users might bring them along, sound ones and mistaken ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lossdoc.parts.optimizers import Sgd
from lossdoc.subject import Hyper, Slots

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class OwnLoss:
    """A loss as a user might bring it along: a function, and what the user says of it."""

    call: Callable[[Any, Any], Any]
    word: str = "mine:loss"
    takes: Any = "logits"
    reduction: Any = "mean"

    def __call__(self, outputs: Any, targets: Any) -> Any:
        """Return the function's value."""
        return self.call(outputs, targets)


@dataclass(frozen=True)
class OwnPenalty:
    """A penalty as a user might bring it along."""

    call: Callable[[Any], Any]
    word: str = "mine:penalty"
    own: bool = True
    coefficient: float = 1.0

    def value(self, model: nn.Module) -> Any:
        """Return the function's value."""
        return self.call(model)

    def parameters(self, model: nn.Module) -> dict[str, Any]:
        """Return all parameters."""
        return dict(model.named_parameters())


class Growing(Sgd):
    """Gradient descent whose weight decay has the wrong sign."""

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, hyper: Hyper, taken: int) -> tuple[Tensor, Slots]:
        """Return the parameter after one step, larger than it should be."""
        return super().update(parameter, gradient - 2 * hyper["weight_decay"] * parameter, slots, hyper, taken)


class Uphill(Sgd):
    """Gradient descent that climbs."""

    def update(self, parameter: Tensor, gradient: Tensor, slots: Slots, hyper: Hyper, taken: int) -> tuple[Tensor, Slots]:
        """Return the parameter after one step in the wrong direction."""
        return super().update(parameter, -gradient, slots, hyper, taken)


def plain_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step, as it should be."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def tidy_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and clear the gradients at its end."""
    loss = plain_step(model, batch, optimizer)
    optimizer.zero_grad(set_to_none=False)
    return loss


def idle_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and forget to apply the gradient."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    return loss.item()


def uphill_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and apply the gradient with the wrong sign."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    (-loss).backward()
    optimizer.step()
    return loss.item()


def hoarding_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step and never clear the gradients."""
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def headless_step(model: Any, batch: Any, _optimizer: Any) -> Any:
    """Train one step with an optimizer that knows of the last layer alone."""
    from torch import optim
    from torch.nn.functional import cross_entropy

    inputs, targets = batch
    own = optim.SGD(model[-1].parameters(), lr=0.1)
    own.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    own.step()
    return loss.item()


def summed_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step on a loss that is summed over the samples."""
    return _stepped(summed_entropy, model, batch, optimizer)


def twice_softened_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step on a cross-entropy of probabilities."""
    return _stepped(twice_softened, model, batch, optimizer)


def raw_likelihood_step(model: Any, batch: Any, optimizer: Any) -> Any:
    """Train one step on a likelihood of logits, not of log-probabilities."""
    return _stepped(raw_likelihood, model, batch, optimizer)


def _stepped(loss_of: Callable[[Any, Any], Any], model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = loss_of(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def entropy(outputs: Any, targets: Any) -> Any:
    """Return the cross-entropy, as it should be."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets)


def summed_entropy(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy that is summed over the samples."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets, reduction="sum")


def twice_softened(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy of probabilities, which it takes for logits."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs.softmax(-1), targets)


def raw_likelihood(outputs: Any, targets: Any) -> Any:
    """Return the negative likelihood of logits, which it takes for log-probabilities."""
    from torch.nn.functional import nll_loss

    return nll_loss(outputs, targets)


def halved_entropy(outputs: Any, targets: Any) -> Any:
    """Return half of the cross-entropy."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets) / 2


def flipped_entropy(outputs: Any, targets: Any) -> Any:
    """Return the cross-entropy with the wrong sign."""
    from torch.nn.functional import cross_entropy

    return -cross_entropy(outputs, targets)


def cut_off_entropy(outputs: Any, targets: Any) -> Any:
    """Return a cross-entropy that the gradient cannot pass."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs.detach(), targets)


def log_of_zero(outputs: Any, targets: Any) -> Any:
    """Return a loss that takes the logarithm of 0."""
    return -(0 * outputs[:, 0] * targets).log().mean()


def entropy_beside_one(outputs: Any, targets: Any) -> Any:
    """Return a binary cross-entropy of logits whose epsilon is lost beside 1."""
    shares = outputs.sigmoid().reshape(-1).clamp(1e-8, 1 - 1e-8)
    return -(targets.reshape(-1) * shares.log() + (1 - targets.reshape(-1)) * (1 - shares).log()).mean()


def root_at_zero(outputs: Any, targets: Any) -> Any:
    """Return a finite loss whose gradient is not."""
    return (0 * outputs[:, 0] * targets).sqrt().mean()


def ridge(model: Any) -> Any:
    """Return a penalty on large weights."""
    return 1e-3 * sum(each.square().sum() for each in model.parameters())


def rewarding(model: Any) -> Any:
    """Return a penalty with the wrong sign."""
    return -ridge(model)


def detached(model: Any) -> Any:
    """Return a penalty that is cut off from the weights."""
    return ridge(model).detach()


def nothing(_model: Any) -> float:
    """Return a penalty that looks at no weights."""
    return 0.1
