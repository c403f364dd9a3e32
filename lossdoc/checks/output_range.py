"""LS209: a last activation that cannot put out the targets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _answers, _heads
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.losses import L1Loss
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

SURE = 50.0  # a logit: in float32 its softmax is 1 and its cross-entropy 0

BEFORE_LOGITS = "an activation before a loss that takes logits"  # as on the page, but first


@rule(
    code="LS209",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.regression(build=specimens.followed_by(specimens.mlp(1), "Sigmoid")),
        lambda: specimens.regression(build=specimens.followed_by(specimens.mlp(1), "ReLU"), loss=L1Loss()),
        lambda: specimens.regression(
            build=specimens.followed_by(specimens.mlp(1), "Softplus"), loss=OwnLoss(specimens.squares, takes="unknown")
        ),
        lambda: specimens.regression(
            build=specimens.followed_by(specimens.mlp(1), "Tanh"), batches=specimens.fed(specimens.in_years)
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "Sigmoid")),
        lambda: specimens.binary(build=specimens.followed_by(specimens.mlp(1), "ReLU")),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        specimens.binary,
        lambda: specimens.regression(
            build=specimens.followed_by(specimens.mlp(1), "Sigmoid"), batches=specimens.fed(specimens.in_shares)
        ),
        lambda: specimens.regression(
            build=specimens.followed_by(specimens.mlp(1), "Softplus"), batches=specimens.fed(specimens.in_years)
        ),
        lambda: specimens.regression(
            build=specimens.in_units(specimens.followed_by(specimens.mlp(1), "Sigmoid"), 100, 0),
            batches=specimens.fed(specimens.in_years),
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=-1)),
    ),
    mutes=("unscaled-targets", "large-logits"),
)
def output_range(subject: Subject, *, lost: float = 0.1, noticed: float = 0.01) -> Answer:
    """The last activation cannot put out what the loss asks for.

    Looks like:
        A loss that stops falling far above 0; outputs that pile up at 0, 1 or −1.

    Causes:
        - a sigmoid or a softmax before a squared error, whose targets lie outside of 0 to 1
        - a ReLU or a softplus where targets are negative, a tanh where they lie beyond −1 and 1
        - an activation before a loss that takes logits

    Confirm with:
        - print the smallest and largest target, and the smallest and largest output after training

    Try:
        - no activation at the end of a regression, and none before a loss that takes logits
        - or bring the targets into the activation's range: divide by their largest value, or standardize for no activation

    False alarms:
        A few targets out of reach, such as outliers cut off on purpose, cost next to nothing and are passed.

    Decided by:
        The function that makes the outputs tells their range. With the outputs in that range that come nearest to the
        targets, the loss keeps a remainder; its share of the loss of the best constant answer (for logits: of outputs that
        are all 0) can never be learned, however long one trains. It is an error above a tenth: where the loss is a squared
        error, nine tenths of the targets' variance are then the most that can be explained. A warning above a hundredth, and
        for logits that cannot fall below 0 in any case: units that are off get no gradient.

    Sources:
        - Bishop (2006), Pattern Recognition and Machine Learning, section 5.2: output activation and loss belong together
        - TheDeepChecker, Ben Braiek and Khomh (2023), Testing Feedforward Neural Networks Training Programs
    """
    head = _heads.head_of(subject, _answers.probed(subject).batch)
    if head is None:
        raise NotApplicable("the outputs are not made by an activation with a bounded range")
    asked = _answers.probed(subject, samples=256)
    found = _of_logits(subject, asked, head) if subject.loss.takes == "logits" else _of_values(subject, asked, head)
    best, ideal, nothing = found
    if not all(map(math.isfinite, found)) or not nothing > ideal:
        raise NotApplicable("the loss does not tell what the best outputs are")
    share = (best - ideal) / (nothing - ideal)
    facts = {"measured": share, "expected": 0.0, "tolerance": lost, "lowest": head.low, "highest": head.high}
    if share <= noticed and subject.loss.takes == "logits" and head.low >= 0:
        return Evidence(
            f"the model ends in {head.told}, and the loss takes logits, which must be able to fall below 0: where all of a "
            "sample's are off, nothing tells the right class from the others, and no gradient passes",
            facts={**facts, "measured": head.low, "expected": -math.inf, "tolerance": 0.0},
            severity=Severity.WARNING,
            confidence=0.9,
            causes=(BEFORE_LOGITS,),
            remedies=(f"take the {head.function.lower()} off the end of the model",),
        )
    if share <= noticed:
        return Passed(f"the model ends in {head.told}: enough for these targets", facts)
    return Evidence(
        f"the model ends in {head.told}; {_missed(subject, asked, head)}: {100 * min(share, 1.0):.0f} % of the loss can "
        "never be learned",
        facts=facts,
        severity=Severity.ERROR if share > lost else Severity.WARNING,
        confidence=0.97,
        causes=(BEFORE_LOGITS,) if subject.loss.takes == "logits" else (),
        remedies=(f"take the {head.function.lower()} off the end of the model",),
    )


def _of_values(subject: Subject, asked: _answers.Probe, head: _heads.Head) -> tuple[float, float, float]:
    """Return the loss of the nearest outputs in range, of the targets themselves, and of the targets' mean.

    Raises:
        NotApplicable: when there is not one target for each output, or a loss takes something else than plain values.
    """
    outputs, targets = asked.outputs, asked.batch.targets
    if subject.loss.takes not in ("values", "unknown") or subject.task in ("classification", "binary", "language"):
        raise NotApplicable(f"the loss takes {subject.loss.takes} of the task {subject.task}, not plain values")
    if outputs.numel() != targets.numel() or not targets.is_floating_point():
        raise NotApplicable("there is not one target for each output")
    goal = targets.reshape(outputs.shape).to(outputs.dtype)
    middle = goal.mean(0, keepdim=True).expand_as(goal).clone()
    best, ideal, nothing = (asked.told(each, targets) for each in (_heads.nearest(head, goal), goal, middle))
    if subject.loss.takes == "unknown" and best < ideal:
        raise NotApplicable("the loss asks for another answer than the targets themselves")
    return best, ideal, nothing


def _of_logits(subject: Subject, asked: _answers.Probe, head: _heads.Head) -> tuple[float, float, float]:
    """Return the loss of the surest right outputs in range, of the surest at all, and of outputs that are all 0.

    Raises:
        NotApplicable: when there is no telling what a right answer is.
    """
    import torch

    from lossdoc import probe

    outputs, targets = asked.outputs, asked.batch.targets
    rows = probe.class_rows(subject, outputs, targets)
    if rows is not None and rows.shape[1] > 1 and outputs.shape[:-1] == targets.shape:
        labels = targets.long().clamp_min(0)
        if int(labels.max()) >= rows.shape[1]:
            raise NotApplicable("some labels have no output")
        right = torch.nn.functional.one_hot(labels, rows.shape[1]).bool()
    elif targets.numel() == outputs.numel() and bool(((targets == 0) | (targets == 1)).all()):
        right = targets.reshape(outputs.shape) > 0
    else:
        raise NotApplicable("there is no telling what a right answer is")

    def loss(low: float, high: float) -> float:
        return asked.told(torch.where(right, high, low).to(outputs.dtype), targets)

    return loss(max(head.low, -SURE), min(head.high, SURE)), loss(-SURE, SURE), loss(0.0, 0.0)


def _missed(subject: Subject, asked: _answers.Probe, head: _heads.Head) -> str:
    """Say what is out of reach."""
    if subject.loss.takes == "logits":
        return f"{asked.word} takes logits of any size"
    targets: Tensor = asked.batch.targets.double()
    outside = float(((targets < head.low) | (targets > head.high)).double().mean())
    sums = " in rows that do not sum to 1" if head.function == "Softmax" and asked.outputs.ndim > 1 else ""
    return (
        f"{100 * outside:.0f} % of the targets lie beyond that, which run from {float(targets.min()):.3g} to "
        f"{float(targets.max()):.3g}{sums}"
    )
