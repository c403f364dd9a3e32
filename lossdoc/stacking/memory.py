"""How much memory a point in a stack takes, and thus how many points a stack may have."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from lossdoc import loop, randomness
from lossdoc.measuring import Objective
from lossdoc.subject import Batch, Subject

SHARE = 4  # a stack may take a quarter of the memory that is free: data, logs and other programs need some, too
ENOUGH = 1 << 30  # bytes: the steps of a stack as large take no longer for what is called than for what is computed
COPIES = 6  # of the parameters: weights, gradients, two slots, the move of the optimizer, and one more in passing


def fitting(subject: Subject, seed: int) -> int:
    """Return how many points like a subject fit into a stack; 0 where a single one is too large."""
    _, batch, _ = next(loop.epochs_of(subject, seed))
    with randomness.seeded(seed):
        return min(ENOUGH, free_memory() // SHARE) // max(1, bytes_of_point(subject, seed, batch))


def free_memory() -> int:
    """Return the free memory in bytes, as far as the system tells; else 4 GiB."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def bytes_of_point(subject: Subject, seed: int, batch: Batch) -> int:
    """Return about how many bytes a point takes in training: its parameters, and what a forward keeps for the gradients."""
    objective = Objective(subject.build(seed), subject.loss, subject.recipe.penalties).train()
    parameters = sum(each.nelement() * each.element_size() for each in objective.parameters())
    return COPIES * parameters + 2 * activations(objective, batch)  # each has a gradient on the way back


def activations(objective: Objective, batch: Batch) -> int:
    """Return how many bytes a forward keeps for the gradients."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = max(kept.get(tensor.data_ptr(), 0), tensor.nelement() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        objective(batch)
    return sum(kept.values())
