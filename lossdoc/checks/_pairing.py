"""Does a training step of the user's own keep each label with its input?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.findings import Evidence
from lossdoc.subject import Batch, OwnStep, Subject

if TYPE_CHECKING:
    from torch import Tensor

CALLS = 8  # batches: with two classes a difference of 256 answers by chance has a standard deviation of 6 % of its size
LIKE = 0.2  # of their sum, by which the losses of right and of wrong answers must differ at least
WORSE = 1.2  # times the loss of no answer at all: sure answers that know nothing cost more than none


def judge(subject: Subject) -> Evidence | None:
    """Let a stand-in for the model answer right, whichever inputs it is given; the step must find that out.

    The stand-in knows the inputs of a batch by their numbers. What it does not know, such as inputs that were changed or
    mixed, is not judged: None then, as for everything that is in order.
    """
    own = subject.recipe.step
    if own is None:
        return None
    try:
        if _mean_loss(subject, own, "right", 1) < _mean_loss(subject, own, "none", 1):
            return None
        right, wrong, none = (_mean_loss(subject, own, kind) for kind in ("right", "wrong", "none"))
    except (NotApplicable, UserCodeError, UserError):  # a step may look into the model, and find another one here
        return None
    whole = abs(right) + abs(wrong)
    if not math.isfinite(whole) or not abs(wrong - right) < LIKE * whole or not right > WORSE * none > 0:
        return None
    return Evidence(
        f"{own.word} takes labels that are not those of its inputs: its loss is {right:.4g} for answers that are right "
        f"beyond doubt, {wrong:.4g} for wrong ones, and {none:.4g} for none",
        facts={"measured": right, "expected": 0.0, "tolerance": none},
        confidence=0.95,
        causes=("labels are shuffled, rolled or selected apart from their inputs",),
        remedies=("shuffle both by the same order: `order = torch.randperm(n)`, `x[order]`, `y[order]`",),
    )


def _mean_loss(subject: Subject, own: OwnStep, kind: str, calls: int = CALLS) -> float:
    from lossdoc import fetching, probe, randomness, train

    batches = fetching.take(subject, samples=calls * (subject.batch_size or 1))
    model = probe.untouched(subject).build(subject.seed)
    losses = []
    for call in range(calls):
        batch = batches[call % len(batches)]
        answers = _answers(subject, probe.outputs_of(subject, model, batch), batch.targets, kind)
        stand_in = replace(subject, build=oracle(batch, answers, strict=True))
        with randomness.seeded(subject.seed, call), probe.unwarned():
            losses.append(train.OwnTraining(stand_in, own, subject.seed).step(batch).loss)
    return sum(losses) / len(losses)


def _answers(subject: Subject, outputs: Tensor, targets: Any, kind: str) -> Tensor:
    """Return answers in the shape of the outputs, of a kind: "right", "wrong" beyond doubt, or "none" at all.

    Raises:
        NotApplicable: where there is no telling what a right answer is.
    """
    import torch

    from lossdoc import probe

    rows = probe.class_rows(subject, outputs, targets)
    if rows is not None and rows.shape[1] > 1 and outputs.shape[:-1] == targets.shape:
        width = rows.shape[1]
        labels = (targets.long().clamp(0, width - 1) + (kind == "wrong")) % width
        sure = math.log(width - 1) + 3 if kind != "none" else 0.0  # a softmax then gives 95 %
        return sure * torch.nn.functional.one_hot(labels, width).to(outputs.dtype)
    if not isinstance(targets, torch.Tensor) or targets.numel() != outputs.numel() or not outputs.is_floating_point():
        raise NotApplicable("there is no telling what a right answer is")
    goal = targets.reshape(outputs.shape).to(outputs.dtype)
    if probe.answers_yes_or_no(subject):
        sign = {"right": 3.0, "wrong": -3.0, "none": 0.0}[kind]
        return sign * (2 * goal - 1)
    return {"right": goal, "wrong": goal.roll(1, 0), "none": goal.mean(0, keepdim=True).expand_as(goal).clone()}[kind]


def oracle(batch: Batch, answers: Tensor, *, strict: bool = False) -> Callable[[int], Any]:
    """Return the maker of a stand-in that has the answer to each sample of a batch, in whatever order they come.

    Inputs that it does not know it answers in the order of the batch, or, where `strict`, not at all (`NotApplicable`).
    """
    import torch
    from torch import nn

    known = {key: at for at, key in enumerate(_keys(batch.inputs))}

    class Oracle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(()))

        def forward(self, *given: Any, **named: Any) -> Tensor:
            keys = _keys(named or (given[0] if given else None))
            if keys and all(key in known for key in keys):
                return answers[[known[key] for key in keys]] * self.factor
            if strict:
                raise NotApplicable("the step changes its inputs")
            return answers * self.factor

    return lambda _seed: Oracle()


def _keys(inputs: Any) -> list[bytes]:
    """Return what tells each sample from the others; nothing where the inputs are no tensors."""
    import torch

    parts = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
    if not all(isinstance(each, torch.Tensor) and each.ndim > 0 for each in parts):
        return []
    rows = [each.detach().cpu().reshape(len(each), -1).contiguous().view(torch.uint8).numpy() for each in parts]
    return [b"".join(row[at].tobytes() for row in rows if at < len(row)) for at in range(len(rows[0]))]
