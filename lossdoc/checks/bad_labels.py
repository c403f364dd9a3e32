"""LS104: labels that no class has, or that are not those of their inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _pairing
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.losses import Bce
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100  # torch's label for "leave this out of the loss"


@rule(
    code="LS104",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_targets(lambda labels: labels + 1),
        lambda: specimens.with_targets(lambda labels: labels - 1),
        lambda: specimens.with_targets(lambda labels: labels + 0.5),
        lambda: specimens.with_targets(lambda labels: labels - 1, classes=None),
        lambda: specimens.with_targets(
            lambda labels: labels - 1, task="unknown", classes=None, loss=OwnLoss(specimens.entropy)
        ),
        lambda: specimens.with_targets(
            lambda labels: 2 * labels - 1,
            specimens.yes_no,
            "binary",
            loss=Bce(),
            build=specimens.squeezed(specimens.mlp(1)),
            classes=2,
        ),
        lambda: specimens.with_targets(lambda labels: 0 * labels + 2),
        lambda: specimens.with_targets(lambda labels: 0 * labels + 1, specimens.yes_no, "binary", loss=Bce()),
        lambda: specimens.with_step(specimens.mispaired_step),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.binary,
        lambda: specimens.healthy(classes=None),
        lambda: specimens.with_targets(lambda labels: labels - 101 * specimens.every(4, labels) * (labels == 1)),
        lambda: specimens.healthy(batches=specimens.fed(specimens.sorted_by_class, shuffle=False), shuffled=False),
        lambda: specimens.with_step(specimens.jointly_shuffled_step),
    ),
    mutes=(
        "head-width",
        "initial-loss",
        "large-logits",
        "imbalanced-labels",
        "no-gradient",
        "regularization-raises-loss",
        "metric-mismatch",
    ),
)
def bad_labels(subject: Subject, *, enough: int = 50_000) -> Evidence | None:
    """Some labels are not the number of a class, or there is only one class, or a step parts labels from their inputs.

    Looks like:
        A crash inside the loss, an assertion on the accelerator, or, where nothing is checked, a loss below 0 and training
        toward an answer that does not exist. With one class only, a loss that falls to 0 at once.

    Causes:
        - labels that count from 1
        - −1 for "no" where 0 is meant, or for "unknown"
        - labels that were standardized along with the inputs
        - the wrong column, or a filter that left one class over
        - a training step that shuffles, rolls or selects the labels apart from the inputs

    Confirm with:
        - print the different labels and how often each occurs

    Try:
        - number the classes from 0 to n − 1
        - leave out samples without a label, or give them −100, which cross-entropy ignores

    False alarms:
        A loss of one's own with another coding is not judged.

    Decided by:
        A label must be a whole number from 0 to n − 1, or −100; where the number n of classes is not known, it must not be
        negative. With yes-or-no outputs every target must lie between 0 and 1. Two classes must be seen among all samples,
        or the first 50,000 of shuffled ones. A training step of the user's own is given a stand-in for the model that knows
        the right answer to each input, whatever their order: it is named where right answers cost the step as much as wrong
        ones, within a fifth, and more than no answer. Steps that change their inputs are not judged so.

    Sources:
        - torch's documentation of CrossEntropyLoss and BCELoss
    """
    import torch

    from lossdoc import fetching

    mispaired = _pairing.judge(subject)
    if mispaired is not None:
        return mispaired
    _must_be_labels(subject)
    targets: Tensor = torch.cat([batch.targets.reshape(-1).double() for batch in fetching.take(subject)])
    wrong, meant = _wrong(subject, targets)
    count = int(wrong.sum())
    if not count:
        return _one_class(subject, enough)
    shown = ", ".join(f"{value:g}" for value in sorted(set(targets[wrong].tolist()))[:5])
    from_one = float(targets.min()) == 1 and subject.classes is not None and float(targets.max()) == subject.classes
    return Evidence(
        f"{count:,} of {len(targets):,} labels are no class, such as {shown}; they must be {meant}",
        facts={
            "measured": float(count),
            "expected": 0.0,
            "tolerance": 0.0,
            "smallest": float(targets.min()),
            "largest": float(targets.max()),
        },
        confidence=0.97,
        remedies=("the labels count from 1: subtract 1",) if from_one else (),
    )


def _must_be_labels(subject: Subject) -> None:
    """Refuse targets that need not be labels.

    Raises:
        NotApplicable: for a loss of the user's own with a coding of its own, and for distributions over the classes.
    """
    import torch

    from lossdoc import fetching, probe

    targets = fetching.take(subject, samples=1)[0].targets
    if not isinstance(targets, torch.Tensor):
        raise NotApplicable("the targets are not one tensor")
    own = ":" in subject.loss.word and subject.loss.takes not in ("logits", "log-probabilities", "probabilities", "scores")
    if own or subject.loss.takes == "values":
        raise NotApplicable("the targets are not the labels of classes that lossdoc knows")
    if targets.is_floating_point() and targets.ndim > 1 and targets.shape[-1] == subject.classes:
        raise NotApplicable("a target is a whole distribution over the classes")
    if targets.is_floating_point() and ":" in subject.loss.word and not probe.answers_yes_or_no(subject):
        raise NotApplicable("the user's own loss may know what targets that are not whole numbers mean")


def _wrong(subject: Subject, targets: Tensor) -> tuple[Tensor, str]:
    """Return which targets (N,) are no class, and what is meant."""
    from lossdoc import probe

    if probe.answers_yes_or_no(subject):
        return (targets < 0) | (targets > 1), "from 0 to 1"
    most = subject.classes
    beyond = (targets < 0) | (targets != targets.floor())
    if most is None:
        return beyond & (targets != IGNORED), "whole numbers from 0 on"
    return (beyond | (targets >= most)) & (targets != IGNORED), f"whole numbers from 0 to {most - 1}"


def _one_class(subject: Subject, enough: int) -> Evidence | None:
    """Look at all samples, or at very many, for a second class."""
    from lossdoc import fetching

    if subject.task not in ("classification", "binary"):
        return None
    seen: set[float] = set()
    count = 0
    for batch in fetching.take(subject, samples=enough):
        if batch.targets.numel() != batch.size:
            return None
        seen.update(batch.targets.reshape(-1).tolist())
        count += batch.size
        if len(seen) > 1:
            return None
    all_seen = count >= (subject.sizes.get("train") or math.inf)
    if not all_seen and (subject.shuffled is not True or count < enough):
        return None
    only = next(iter(seen))
    return Evidence(
        f"there is only one class: all {count:,} labels are {only:g}; there is nothing to tell apart",
        facts={"measured": 1.0, "expected": 2.0, "tolerance": 0.0, "label": only},
        confidence=0.97,
        causes=("the wrong column, or a filter that left one class over",),
        remedies=("look at where the labels come from",),
    )
