"""A penalty of one's own."""


def rewarded(model):
    """Return the sum of squared weights with the wrong sign: the loss falls as the weights grow."""
    return -1e-3 * sum((parameter**2).sum() for parameter in model.parameters())
