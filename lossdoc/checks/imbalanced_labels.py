"""LS105: classes that are far from equally frequent."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS105",
    severity=Severity.NOTE,
    fires_on=(
        lambda: specimens.with_targets(lambda labels: labels * (specimens.every(20, labels))),
        lambda: specimens.with_targets(lambda labels: labels * (specimens.every(2, labels))),
    ),
    quiet_on=(specimens.healthy, specimens.binary),
)
def imbalanced_labels(subject: Subject, *, times: float = 2.0, half: float = 0.5, mostly: float = 0.8) -> Evidence | None:
    """One class is far more frequent than the others.

    Looks like:
        An accuracy that is high from the start and says little: always answering the same reaches it.

    Causes:
        - the world is like that: most mails are no fraud
        - the sample was drawn carelessly

    Confirm with:
        - compare the accuracy with the share of the most frequent class, and the loss with the base-rate loss

    Try:
        - judge by a measure that is not fooled, such as the accuracy within each class
        - weight the classes in the loss, or draw the rare ones more often

    False alarms:
        Rare classes are nothing wrong in themselves; only the accuracy must be read with care.

    Decided by:
        The most frequent class makes up half of the first samples or more, and at least twice its even share of 1/n. It is a
        warning where always answering the same is right in 80 % of the cases. The base-rate loss is the entropy of the
        classes' frequencies, −Σ p log p: a model whose cross-entropy is not below it has learned nothing but them.

    Sources:
        - He and Garcia (2009), Learning from Imbalanced Data
    """
    import torch

    from lossdoc import fetching

    if subject.task not in ("classification", "binary"):
        raise NotApplicable("there are no classes whose frequencies matter")
    targets = torch.cat([batch.targets.reshape(batch.size, -1).double() for batch in fetching.take(subject)])
    if targets.shape[1] != 1:
        raise NotApplicable("a sample has more than one label")
    labels, counts = torch.unique(targets, return_counts=True)
    share = float(counts.max()) / len(targets)
    even = 1 / max(len(labels), subject.classes or 0)
    if share < max(times * even, half) and share < mostly:
        return None
    if len(labels) < 2:
        raise NotApplicable("only one class is seen among the first samples")
    common = float(labels[counts.argmax()])
    shares = counts.double() / len(targets)
    base = -float((shares * shares.log()).sum())
    return Evidence(
        f"class {common:g} makes up {100 * share:.0f} % of the samples: always answering {common:g} is right that often, "
        f"and knowing no more than the classes' frequencies gives a cross-entropy of {base:.3f}",
        facts={
            "measured": share,
            "expected": even,
            "tolerance": (times - 1) * even,
            "classes": float(len(labels)),
            "base_rate_loss": base,
        },
        severity=Severity.WARNING if share >= mostly else None,
    )
