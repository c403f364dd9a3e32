"""Do alike inputs have alike targets? A test that needs no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor

    from lossdoc.subject import Subject

MANY = 1000  # samples at most: all their distances fit into a few megabytes
LEAST = 200  # samples: in fewer an existing relation is easily missed
NEAREST = 5
DEALT = 199  # times the targets are dealt anew: the smallest p is 1/200


def p_unrelated(subject: Subject) -> tuple[float, int]:
    """Return how often targets dealt anew agree as well among near inputs as the real ones do, and of how many samples.

    The distance of the targets of each sample and of its five nearest ones is compared with that under random permutations
    (a test in the manner of Mantel 1967 and Schilling 1986).

    Raises:
        NotApplicable: when inputs are no numbers, or there are too few.
    """
    import torch

    inputs, targets = _numbers(subject)
    near = torch.cdist(inputs, inputs).fill_diagonal_(torch.inf).topk(NEAREST, largest=False).indices
    luck = torch.Generator().manual_seed(subject.seed)

    def apart(values: Tensor) -> float:
        return float((values[near] - values[:, None]).square().mean())

    real = apart(targets)
    dealt = [apart(targets[torch.randperm(len(targets), generator=luck)]) for _ in range(DEALT)]
    return (1 + sum(each <= real for each in dealt)) / (1 + DEALT), len(targets)


def _numbers(subject: Subject) -> tuple[Tensor, Tensor]:
    """Return inputs (N, F) of equal scale, and targets (N, K): labels as a one among zeros."""
    import torch
    from torch.nn.functional import one_hot

    from lossdoc import fetching

    batches = fetching.take(subject, samples=MANY)
    parts = [each for batch in batches for each in (batch.inputs, batch.targets)]
    if not all(isinstance(part, torch.Tensor) for part in parts) or len({batch.inputs.shape[1:] for batch in batches}) > 1:
        raise NotApplicable("inputs and targets are not one tensor each")
    inputs, targets = (torch.cat(each)[:MANY] for each in zip(*((one.inputs, one.targets) for one in batches), strict=True))
    if not inputs.is_floating_point() or len(inputs) < LEAST or len(targets) != len(inputs):
        raise NotApplicable("whether near inputs have near targets is asked of some hundred rows of numbers")
    rows = inputs.reshape(len(inputs), -1)
    rows = (rows - rows.mean(0)) / rows.std(0).clamp_min(1e-12)
    if subject.task == "classification" and targets.ndim == 1:
        return rows, one_hot(targets.long() - int(targets.min())).to(rows.dtype)
    return rows, targets.reshape(len(targets), -1).to(rows.dtype)
