"""LS104: labels that no class has."""

from __future__ import annotations

from typing import Any

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.losses import Bce
from lossdoc.rule import rule
from lossdoc.subject import Subject

IGNORED = -100  # torch's label for "leave this out of the loss"


@rule(
    code="LS104",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_targets(lambda labels: labels + 1),
        lambda: specimens.with_targets(lambda labels: labels - 1),
        lambda: specimens.with_targets(lambda labels: labels + 0.5),
        lambda: specimens.with_targets(
            lambda labels: 2 * labels - 1,
            specimens.yes_no,
            "binary",
            loss=Bce(),
            build=specimens.squeezed(specimens.mlp(1)),
            classes=2,
        ),
    ),
    quiet_on=(specimens.healthy, specimens.binary),
    mutes=("head-width", "initial-loss", "large-logits"),
)
def bad_labels(subject: Subject) -> Evidence | None:
    """Some labels are not the number of a class.

    Looks like:
        A crash inside the loss, an assertion on the accelerator, or, where nothing is checked, a loss below 0 and training
        toward an answer that does not exist.

    Causes:
        - labels that count from 1
        - −1 for "no" where 0 is meant, or for "unknown"
        - labels that were standardized along with the inputs

    Confirm with:
        - print the different labels and how often each occurs

    Try:
        - number the classes from 0 to n − 1
        - leave out samples without a label, or give them −100, which cross-entropy ignores

    False alarms:
        A loss of one's own with another coding is not judged.

    Decided by:
        With n classes every label must be a whole number from 0 to n − 1, or −100. With yes-or-no outputs every target must
        lie between 0 and 1.

    Sources:
        - torch's documentation of CrossEntropyLoss and BCELoss
    """
    import torch

    from lossdoc import probe

    if subject.task not in ("classification", "language", "binary") or subject.loss.word.partition(":")[1]:
        raise NotApplicable("the targets are not the labels of classes that lossdoc knows")
    targets: Any = torch.cat([batch.targets.reshape(-1).double() for batch in probe.take(subject)])
    if subject.loss.word == "bce":
        wrong, meant = (targets < 0) | (targets > 1), "from 0 to 1"
    else:
        classes = subject.classes
        if classes is None or _soft(subject):
            raise NotApplicable("the number of classes is not known, or a target is a whole distribution")
        wrong = ((targets < 0) | (targets >= classes) | (targets != targets.floor())) & (targets != IGNORED)
        meant = f"whole numbers from 0 to {classes - 1}"
    count = int(wrong.sum())
    if not count:
        return None
    shown = ", ".join(f"{float(value):g}" for value in targets[wrong].unique()[:5])
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


def _soft(subject: Subject) -> bool:
    """Tell whether a target is a distribution over the classes, one number for each."""
    from lossdoc import probe

    targets = probe.take(subject, samples=1)[0].targets
    return bool(targets.is_floating_point() and targets.ndim > 1 and targets.shape[-1] == subject.classes)
