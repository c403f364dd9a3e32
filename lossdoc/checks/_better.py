"""Does the loss prefer right answers?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossdoc.findings import Evidence
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor


ROUNDING = 1e-3  # relative: float32 and a mean over other groups of samples explain less


def judge(subject: Subject) -> Evidence | None:
    """Move the first outputs toward the right answers and away from them; the loss must prefer the first.

    Where there is no telling what a right answer is, nothing is found.
    """
    from lossdoc import probe

    if subject.loss.word == "model":
        return _negated(subject)
    start = probe.one_start(subject)
    pair = _better_and_worse(subject, start.outputs[0], start.targets[0])
    if pair is None:
        return None
    better, worse = (probe.loss_of(subject, outputs, start.targets[0]) for outputs in pair)
    if not better > worse:
        return None
    return Evidence(
        f"the loss {subject.loss.word} is {better:.4g} when the outputs move toward the right answers and {worse:.4g} when "
        f"they move away: it rewards mistakes",
        facts={"measured": better, "expected": worse, "tolerance": 0.0},
        confidence=0.97,
        causes=("the loss is negated: a likelihood or a score where its negative was meant",),
    )


def _negated(subject: Subject) -> Evidence | None:
    """Hold the loss that a model makes itself against the cross-entropy of its logits, where it has any."""
    import torch

    from lossdoc import probe

    found = probe.loss_beside_logits(subject)
    if found is None:
        return None
    own, logits, labels = found
    usual = float(torch.nn.functional.cross_entropy(logits, labels))
    if not abs(own + usual) < ROUNDING * usual:
        return None
    return Evidence(
        f"the model's own loss is {own:.4g}, where the cross-entropy of its logits is {usual:.4g}: it rewards mistakes",
        facts={"measured": own, "expected": usual, "tolerance": ROUNDING * usual},
        confidence=0.97,
        causes=("the loss is negated: a likelihood or a score where its negative was meant",),
    )


def _better_and_worse(subject: Subject, outputs: Tensor, targets: Any) -> tuple[Tensor, Tensor] | None:
    """Return two changed copies of the outputs: the right answers made likelier, and another answer as much."""
    import torch

    from lossdoc import probe

    rows = probe.class_rows(subject, outputs, targets)
    if rows is not None and rows.shape[1] > 1 and outputs.shape[:-1] == targets.shape:
        labels = targets.reshape(-1).long().clamp_min(0)
        width = rows.shape[1]
        right, wrong = (torch.nn.functional.one_hot(each, width) for each in (labels, (labels + 1) % width))
        share = 0.5  # probabilities stay such: a mean of two of them
        return tuple((share * rows + share * each).reshape(outputs.shape) for each in (right, wrong))  # type: ignore[return-value]
    if not isinstance(targets, torch.Tensor) or targets.numel() != outputs.numel() or not outputs.is_floating_point():
        return None
    goal = targets.reshape(outputs.shape).to(outputs.dtype)
    if subject.task == "binary":
        return (outputs + goal) / 2, (outputs + 1 - goal) / 2
    if subject.task == "regression":
        return goal.clone(), goal + (goal.std() if goal.numel() > 1 else goal.abs().mean()) + 1.0
    return None
