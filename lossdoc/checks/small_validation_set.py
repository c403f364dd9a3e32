"""LS107: a validation set too small to tell one model from another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

WINDOWS = 256  # of a text's training split, from which is estimated how alike the tokens of a window are


@rule(
    code="LS107",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(sizes={"train": 2_000, "validation": 12}),
        lambda: specimens.healthy(sizes={"train": 2_000, "validation": 60}),
        lambda: _text(16, alike=True, validation=40),  # 40 windows of 16 tokens that say the same 16 times
        lambda: _text(2, alike=False, validation=40),
    ),
    quiet_on=(
        lambda: specimens.healthy(sizes={"train": 2_000, "validation": 400}),
        lambda: specimens.healthy(sizes={"train": 120, "validation": 30}),
        lambda: _text(16, alike=False, validation=40),
    ),
)
def small_validation_set(
    subject: Subject, *, wide: float = 0.1, useless: float = 0.25, fair: float = 0.15
) -> Evidence | None:
    """The validation set is too small: its loss and accuracy say little about the model.

    Looks like:
        A validation curve that is much rougher than the training curve; a best model that is the luckiest.

    Causes:
        - too small a share of the data was kept for validation

    Confirm with:
        - compare the jumps of the validation loss from epoch to epoch with what it gained in all

    Try:
        - keep more of the data for validation, 15 to 20 %
        - where data are few, cross-validate: every sample validates once

    False alarms:
        With few data in all, a small validation set is no mistake: where it has its fair share, of 15 % or more, it is
        passed unless it is useless.

    Decided by:
        An accuracy measured on n samples has a 95 % interval of up to ± 0.98/√n. The rule fires where that is over ± 10
        points (under 97 samples) with less than 15 % of the data kept, and always where it is over ± 25 points (under 16
        samples). In a text every token is predicted, but those of one window are alike: m windows of T tokens count as
        m·T / (1 + (T − 1)·ρ) samples, where ρ is the intraclass correlation of the tokens' rarity (−log of their share)
        within windows, estimated on up to 256 windows of the training split.

    Sources:
        - the study notes, figure 10 bottom right: the validation set is too small
        - Kish, Survey Sampling, 1965: the design effect of clusters; Donner and Koval 1980: the estimate of ρ
    """
    train, validation = (subject.sizes.get(split) for split in ("train", "validation"))
    if validation is None or train is None:
        raise NotApplicable("there is no validation split" if "validation" not in subject.sizes else "its size is not known")
    independent, told = float(validation), f"{validation} {'sample' if validation == 1 else 'samples'}"
    if subject.task == "language":
        length, alike = _windows(subject)
        independent = validation * length / (1 + (length - 1) * alike)
        told = f"{validation} windows of {length} tokens, worth {independent:.0f} that are drawn one by one"
    interval = 0.98 / math.sqrt(max(independent, 1))
    share = validation / (validation + train)
    if interval <= wide or (share >= fair and interval <= useless):
        return None
    return Evidence(
        f"the validation set has {told} ({100 * share:.1f} % of the data): an accuracy on it is uncertain by "
        f"± {100 * interval:.0f} points",
        facts={"measured": interval, "expected": 0.0, "tolerance": wide, "samples": independent, "share": share},
        confidence=0.9,
    )


def _windows(subject: Subject) -> tuple[int, float]:
    """Return the tokens of a window, and the intraclass correlation of their rarity within windows (0 to 1)."""
    import numpy as np
    import torch

    kept: list[Tensor] = []
    for batch in subject.batches("train", 0):
        if not isinstance(batch.targets, torch.Tensor) or batch.targets.dim() != 2:
            raise NotApplicable("the targets are no windows of tokens")
        kept.append(batch.targets.detach().cpu())
        if sum(map(len, kept)) >= WINDOWS:
            break
    tokens = torch.cat(kept).numpy()  # (m, T)
    windows, length = tokens.shape
    if length < 2 or windows < 2:
        return length, 1.0
    _, places, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    rarity = -np.log(counts / tokens.size)[places].reshape(tokens.shape)
    between = float(length * rarity.mean(axis=1).var(ddof=1))
    within = float(rarity.var(axis=1, ddof=1).mean())
    both = between + (length - 1) * within
    return length, min(max((between - within) / both, 0.0), 1.0) if both > 0 else 0.0


def _text(length: int, *, alike: bool, validation: int) -> Subject:
    """Return a made-up language model's subject; the sizes are of windows of `length` tokens."""
    batches = specimens.fed(specimens.words(length, alike=alike))
    return specimens.healthy(task="language", batches=batches, classes=8, sizes={"train": 2_000, "validation": validation})
