"""Training steps of one's own, each with one mistake."""

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
