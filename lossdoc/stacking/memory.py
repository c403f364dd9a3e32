"""How much memory a point in a stack takes, and thus how many points a stack may have."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from lossdoc.measuring import Objective
from lossdoc.subject import Batch, Subject

SHARE = 4  # a stack may take a quarter of the memory that is free: data, logs and other programs need some, too
COPIES = 6  # of the parameters: weights, gradients, two slots, the move of the optimizer, and one more in passing


def free_memory() -> int:
    """Return the free memory in bytes, as far as the system tells; else 4 GiB."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def bytes_of_point(subject: Subject, seed: int, batch: Batch) -> int:
    """Return about how many bytes a point takes in training: its parameters, and what a forward keeps for the gradients."""
    objective = Objective(subject.build(seed), subject.loss, subject.recipe.penalties).train()
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = max(kept.get(tensor.data_ptr(), 0), tensor.nelement() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        objective(batch)
    parameters = sum(each.nelement() * each.element_size() for each in objective.parameters())
    return COPIES * parameters + 2 * sum(kept.values())  # each kept activation has a gradient on the way back
