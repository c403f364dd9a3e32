"""What the loss, or the step that has it inside, says of answers that are made up: none preferred, or right beyond doubt."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lossdoc.errors import NotApplicable, UserCodeError, UserError
from lossdoc.subject import Batch, OwnStep, Subject, kept

if TYPE_CHECKING:
    from torch import Tensor

Told = Callable[["Tensor", Any], float]
MOST = 2**24  # numbers that samples may make on their way through a model: more, and one batch must do
LOG_OF = 1e-3  # relative: a floor under the probability, such as 1e-7, changes its logarithm by less


@dataclass(frozen=True)
class Answers:
    """The user's own loss, or the step that has it inside, as a function of how sure the right answers are.

    `loss(size)` is the loss of outputs that are `size` for the right class and 0 for the others. `outputs` (B, n) are the
    fresh model's own.
    """

    word: str
    classes: int
    loss: Callable[[float], float]
    outputs: Tensor


@dataclass(frozen=True)
class Probe:
    """A first batch, the fresh model's outputs for it, and the loss (or step) as a function of outputs and targets."""

    word: str
    batch: Batch
    outputs: Tensor
    told: Told


def is_own(subject: Subject) -> bool:
    """Tell whether the loss, or the step that has it inside, is the user's own, so that only probing can judge it."""
    return subject.recipe.step is not None or ":" in subject.loss.word


def knows_loss(subject: Subject) -> bool:
    """Tell whether the loss that is trained on is the configured one: a step of the user's own may ask for it, or not."""
    from lossdoc import calling

    own = subject.recipe.step
    return own is None or "loss_fn" in calling.asked_for(own.call)


def probed(subject: Subject, samples: int = 1) -> Probe:
    """Return the loss or step ready to be asked about made-up outputs; asking leaves no trace on anything.

    Raises:
        NotApplicable: when the loss is the model's own, outputs or targets are not one tensor, or the loss cannot be called.
    """
    from lossdoc import signals

    if samples > 1 and samples * signals.made_by_a_sample(subject) > MOST:
        samples = 1
    return kept(subject, f"answers to {samples}", lambda: _probed(subject, samples))


def _probed(subject: Subject, samples: int) -> Probe:
    import torch

    from lossdoc import fetching, probe
    from lossdoc.samples import joined

    if subject.loss.word == "model" and subject.recipe.step is None:
        raise NotApplicable("the model makes its own loss, which cannot be asked about other outputs")
    batches = fetching.take(subject, samples=samples)
    if not isinstance(batches[0].targets, torch.Tensor):
        raise NotApplicable("the targets are not one tensor")
    if len(batches) > 1 and alike(batches):
        batch = joined(batches)
        outputs = probe.outputs_of(subject, probe.untouched(subject).build(subject.seed), batch)
    else:
        batch, outputs = probe.first_answer(subject)
    own = subject.recipe.step
    return Probe(word_of(subject), batch, outputs, _asked(subject, own, batch))


def alike(batches: list[Batch]) -> bool:
    """Tell whether the samples of all batches have the same shapes, so that they can be joined."""
    import torch

    from lossdoc import samples

    if not all(isinstance(each.targets, torch.Tensor) for each in batches):
        return False
    first = slice(0, 1)
    return len({str(samples.shapes(Batch(samples.take(each.inputs, first), each.targets[first]))) for each in batches}) == 1


def word_of(subject: Subject) -> str:
    """Return what is judged, in words."""
    own = subject.recipe.step
    return f"the step {own.word}" if own else f"the loss {subject.loss.word}"


def _asked(subject: Subject, own: OwnStep | None, batch: Batch) -> Told:
    """Return the loss of outputs and targets.

    Raises:
        NotApplicable: (the function that is returned) when the loss cannot take them.
    """
    from lossdoc import calling, samples

    def told(outputs: Tensor, targets: Any) -> float:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of shapes that broadcast: shape-broadcast tells of it
                if own is None:
                    return float(calling.call_loss(subject.loss, outputs, targets))
                inputs = samples.take(batch.inputs, slice(0, len(outputs)))
                return _stepped(subject, own, Batch(inputs, targets), outputs)
        except (UserCodeError, UserError) as bad:  # a step may look into the model, and find another one here
            raise NotApplicable(f"{word_of(subject)} cannot be asked about made-up outputs") from bad

    return told


def of(subject: Subject) -> Answers | None:
    """Return the function, None where the loss is lossdoc's, or the targets are not a label for each row of outputs."""
    import torch

    from lossdoc import probe

    if not is_own(subject):
        return None
    try:
        asked = probed(subject)
    except NotApplicable:
        return None
    outputs, batch = asked.outputs, asked.batch
    rows = probe.class_rows(subject, outputs, batch.targets)
    if rows is None or rows.shape[1] < 2 or outputs.shape[:-1] != batch.targets.shape:
        return None
    labels = batch.targets.long()
    if int(labels.min()) < 0 or int(labels.max()) >= rows.shape[1]:
        return None
    right = torch.nn.functional.one_hot(labels, rows.shape[1]).to(outputs.dtype)

    def loss(size: float) -> float:
        return asked.told(size * right, batch.targets)

    try:
        loss(1.0)
    except NotApplicable:
        return None
    return Answers(asked.word, rows.shape[1], loss, outputs)


def takes_probabilities(subject: Subject, asked: Probe) -> bool:
    """Tell whether a loss of the user's own is minus the logarithm of what the model puts out for the right answer.

    It then costs −log q, times some factor, to give the right answer the share q: half as much at 1/2 as at 1/4, and half
    again as much at 1/8; the softmax or sigmoid of a loss that takes logits makes something else of these numbers.
    """
    try:
        half, quarter, eighth = (asked.told(_with_share(subject, asked, q), asked.batch.targets) for q in (0.5, 0.25, 0.125))
    except NotApplicable:
        return False
    if not all(map(math.isfinite, (half, quarter, eighth))) or not quarter > 0:
        return False
    return abs(half / quarter - 0.5) < LOG_OF and abs(eighth / quarter - 1.5) < LOG_OF


def normalizes(asked: Probe) -> bool:
    """Tell whether a loss divides the outputs by their sum itself: then half of them are as good as all."""
    try:
        whole, half = (asked.told(factor * asked.outputs, asked.batch.targets) for factor in (1.0, 0.5))
    except NotApplicable:
        return False
    return abs(whole - half) < LOG_OF * abs(whole)


def _with_share(subject: Subject, asked: Probe, share: float) -> Tensor:
    """Return outputs that give every right answer the same share, and the other classes even parts of the rest.

    Raises:
        NotApplicable: when there is no telling what a right answer is.
    """
    import torch

    from lossdoc import probe

    outputs, targets = asked.outputs, asked.batch.targets
    rows = probe.class_rows(subject, outputs, targets)
    if rows is not None and rows.shape[1] > 1 and outputs.shape[:-1] == targets.shape:
        right = torch.nn.functional.one_hot(targets.long().clamp_min(0), rows.shape[1]).to(outputs.dtype)
    elif targets.numel() == outputs.numel() and bool(((targets == 0) | (targets == 1)).all()):
        right = targets.reshape(outputs.shape).to(outputs.dtype)
    else:
        raise NotApplicable("there is no telling what a right answer is")
    whole = right.shape[-1] if right.ndim > 1 and right.shape[-1] > 1 else 2
    several = right.ndim > 1 and right.shape[-1] > 1 and bool((right.sum(-1) == 1).all())
    rest = (1 - share) / (whole - 1) if several else 1 - share
    return share * right + rest * (1 - right)


def _stepped(subject: Subject, own: OwnStep, batch: Any, outputs: Tensor) -> float:
    """Return what a step says when the model puts out these outputs, in whatever order it is given the inputs."""
    from lossdoc import randomness, train
    from lossdoc.checks import _pairing

    stand_in = replace(subject, build=_pairing.oracle(batch, outputs))
    with randomness.seeded(subject.seed, 0):
        return train.OwnTraining(stand_in, own, subject.seed).step(batch).loss
