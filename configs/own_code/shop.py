"""A user's own code: sorts goods into three kinds by their size and color."""

import torch
from torch import nn
from torch.utils.data import IterableDataset


class Goods(IterableDataset):
    """A stream without a length; each item is a mapping."""

    def __init__(self, samples, seed):
        self.samples = samples
        self.seed = seed

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.samples):
            kind = int(torch.randint(3, (), generator=generator))
            size = torch.randn(4, generator=generator) * 0.5 + kind - 1
            color = torch.randn(3, generator=generator) * 0.5 + (torch.arange(3) == kind)
            yield {"size": size, "color": color, "kind": kind}


def splits(samples):
    """Make both splits."""
    return {"train": Goods(samples, seed=1), "validation": Goods(samples // 2, seed=2)}


class Sorter(nn.Module):
    """Takes its inputs by name; adds noise to them in training."""

    def __init__(self, width, noise=0.1):
        super().__init__()
        self.size = nn.Linear(4, width)
        self.color = nn.Linear(3, width)
        self.out = nn.Linear(width, 3)
        self.noise = noise

    def forward(self, size, color):
        """Return a score for each kind."""
        hidden = torch.relu(self.size(size) + self.color(color))
        if self.training and self.noise > 0:
            hidden = hidden + self.noise * torch.randn_like(hidden)
        return self.out(hidden)


def two_rates(model, lr, weight_decay):
    """Decay the weights, not the biases; the head learns at half the rate."""
    head = list(model.out.parameters())
    body = [p for name, p in model.named_parameters() if not name.startswith("out.")]
    return torch.optim.AdamW(
        [{"params": body, "weight_decay": weight_decay}, {"params": head, "lr": lr / 2, "weight_decay": 0.0}], lr=lr
    )


def step(model, batch, optimizer, loss_fn, limit):
    """Take one training step, with the gradient clipped."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = loss_fn(model(**inputs), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), limit)
    optimizer.step()
    return loss
