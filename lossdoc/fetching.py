"""The first batches of a split, for those who examine them, and the inputs in them."""

from __future__ import annotations

import copy
import time

import torch
from torch import Tensor

from lossdoc.errors import NotApplicable
from lossdoc.randomness import seeded
from lossdoc.samples import joined as together
from lossdoc.samples import shapes
from lossdoc.subject import Batch, Split, Subject, kept

SAMPLES = 1_000  # the sampling error of a mean of losses is then some 3 % of their spread
PATIENCE = 2.0  # seconds of reading, for those who want more than a thousand samples


def take(subject: Subject, split: Split = "train", epoch: int = 0, samples: int = SAMPLES) -> list[Batch]:
    """Return the first batches of a split, as many as hold `samples` samples.

    A single sample that is left over at the end is passed over, and batches of one are joined by twos: batch normalization
    cannot take a single sample, and `small-batch-for-batchnorm` tells of it. The first training batch is fetched once, and
    handed out as copies.

    Raises:
        NotApplicable: when the split has no batches.
    """
    if (split, epoch, samples) == ("train", 0, 1):
        return copy.deepcopy(kept(subject, "first batch", lambda: _taken(subject, split, epoch, samples)))
    return _taken(subject, split, epoch, samples)


def _taken(subject: Subject, split: Split, epoch: int, samples: int) -> list[Batch]:
    taken: list[Batch] = []
    began = time.monotonic()
    with seeded(subject.seed, epoch):
        for batch in subject.batches(split, epoch):
            if taken and batch.size == 1 < taken[0].size:
                continue
            taken.append(batch)
            have = sum(each.size for each in taken)
            if have >= max(samples, 2) or (have >= SAMPLES and time.monotonic() - began > PATIENCE):
                break
    if not taken:
        raise NotApplicable(f"the {split} split has no batches")
    return _by_twos(taken) if len(taken) > 1 and taken[0].size == 1 else taken


def _by_twos(singles: list[Batch]) -> list[Batch]:
    """Join batches of one where their shapes allow it."""
    if len({str(shapes(each)) for each in singles}) > 1 or not all(isinstance(each.targets, Tensor) for each in singles):
        return singles
    return [together(singles[at : at + 2]) for at in range(0, len(singles) - 1, 2)]


def first_inputs(batches: list[Batch]) -> Tensor:
    """Return the inputs of all samples as (N, ...).

    Raises:
        NotApplicable: when the inputs are not tensors of one shape.
    """
    inputs = [batch.inputs for batch in batches]
    if not all(isinstance(each, Tensor) for each in inputs):
        raise NotApplicable("the inputs are not one tensor")
    if len({each.shape[1:] for each in inputs}) > 1:
        raise NotApplicable("the inputs differ in shape from batch to batch")
    return torch.cat(inputs)


def real_inputs(batches: list[Batch]) -> Tensor:
    """Return the inputs of all samples as (N, ...) of floating point; tokens and the like do not apply."""
    inputs = first_inputs(batches)
    if not inputs.is_floating_point():
        raise NotApplicable("the inputs are whole numbers, such as tokens, not measurements")
    return inputs


def joined(batches: list[Batch]) -> Batch:
    """Return all batches as one."""
    targets = [batch.targets for batch in batches]
    return Batch(first_inputs(batches), torch.cat(targets) if isinstance(targets[0], Tensor) else targets)
