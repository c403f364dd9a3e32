"""Measuring a subject before training: shared by the checks; no model that is measured keeps a trace of it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from lossdoc.calling import call_loss, call_model, call_penalty, needs_a_tensor
from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable, UserCodeError
from lossdoc.fetching import take
from lossdoc.measuring import Losses, Objective, logits_in
from lossdoc.randomness import seeded
from lossdoc.regularization import unregularized
from lossdoc.samples import one_hot, shapes
from lossdoc.subject import Batch, Subject, kept
from lossdoc.train import State, Training, begin, gradients, start

SEEDS = 5  # enough for a standard error over seeds
SHARES = 1e-4  # off 1, of the sum of a row of probabilities: more than rounding
OUTPUTS = 2**22  # numbers kept per seed: 32 MiB as float64, reached by language models only
IGNORED = -100  # torch's label for "leave this out of the loss"
Labels = NDArray[np.int64]
YES_NO = ("bce", "BCEWithLogitsLoss", "BCELoss", "binary_cross_entropy_with_logits", "binary_cross_entropy")
VIEWS = (
    "View",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Permute",
    "ToCopy",
    "Select",
    "TBackward",
    "Alias",
    "Unsafe",
)


def untouched(subject: Subject) -> Subject:
    """Return the subject with models that are copies: what is done to them never reaches a model the user keeps.

    The network of the subject's own seed is built once.
    """

    def copied(build: Callable[[int], nn.Module], key: str) -> Callable[[int], nn.Module]:
        def one(seed: int) -> nn.Module:
            with seeded(seed):
                return copy.deepcopy(kept(subject, key, lambda: build(seed)) if seed == subject.seed else build(seed))

        return one

    plain = subject.plain and replace(subject.plain, build=copied(subject.plain.build, "plain model"))
    return replace(subject, build=copied(subject.build, "model"), plain=plain)


def bare(subject: Subject) -> Subject:
    """Return the subject with untouched models and with regularization and dropout at 0, their code left in place."""
    return unregularized(untouched(subject))


def outputs_of(subject: Subject, model: nn.Module, batch: Batch, *, training: bool = True) -> Tensor:
    """Return the model's outputs without leaving a trace in its buffers or its mode; of several parts the logits.

    Raises:
        NotApplicable: when there is no one tensor among them, and the user's own loss or step may know what they are.
        UserError: when they are not a tensor, and a loss of lossdoc's own is to take them.
    """
    outputs = put_out(subject, model, batch, training=training)
    scores = scores_in(subject, outputs)
    if scores is None:
        raise NotApplicable(f"the model's outputs are of the type {type(outputs).__name__}, with no tensor of logits")
    return scores


def put_out(subject: Subject, model: nn.Module, batch: Batch, *, training: bool = True) -> Any:
    """Return whatever the model puts out, without leaving a trace in its buffers or its mode.

    Raises:
        UserError: when it is not a tensor, and a loss of lossdoc's own is to take it.
    """
    with watched(model, training=training), torch.no_grad():
        buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
        outputs = _call(model, buffers, batch)
    if not isinstance(outputs, Tensor) and subject.recipe.step is None:
        needs_a_tensor(subject.loss, outputs)
    return outputs


def scores_in(subject: Subject, outputs: Any) -> Tensor | None:
    """Return the tensor that holds a model's answers; None where there is none.

    Of a model that makes its own loss these are what it calls `logits`. Another loss may take what it likes from outputs
    with several parts: there is no telling which of them are the answers.
    """
    found = logits_in(outputs) if subject.loss.word == "model" else outputs
    return found if isinstance(found, Tensor) and found.ndim > 0 else None


def first_answer(subject: Subject) -> tuple[Batch, Tensor]:
    """Return the first batch, and what the fresh network of the subject's own seed puts out for it; shared by the checks.

    Raises:
        NotApplicable: see `outputs_of`.
    """
    batch = take(subject, samples=1)[0]
    whole = untouched(subject)
    return batch, kept(subject, "first answer", lambda: outputs_of(subject, whole.build(subject.seed), batch)).clone()


def must_have_loss(subject: Subject, model: nn.Module, batch: Batch) -> None:
    """Refuse to call a loss that would only crash; see `must_fit`. What the user's own loss takes is for it to know.

    Batches of one shape get outputs of one shape, so that the model is asked only once for each; where the loss takes
    probabilities, that is so of rows that sum to 1.
    """
    asked = kept(subject, "scores by shape", dict[str, Tensor | None])
    form = str(shapes(batch))
    if form in asked:
        scores = asked[form]
    elif form == str(shapes(take(subject, samples=1)[0])):
        scores = _first_scores(subject)
    else:
        scores = scores_in(subject, put_out(subject, model, batch))
    if scores is None or subject.loss.takes != "probabilities" or are_shares(scores):
        asked[form] = scores
    if scores is not None:
        must_fit(subject, scores, batch.targets)


def _first_scores(subject: Subject) -> Tensor | None:
    try:
        return first_answer(subject)[1]
    except NotApplicable:  # no tensor
        return None


def are_shares(scores: Tensor) -> bool:
    """Tell whether rows of numbers are probabilities that sum to 1, as only a softmax makes them."""
    rows = scores.double()
    return rows.ndim > 1 and rows.shape[-1] > 1 and bool((rows >= 0).all() and ((rows.sum(-1) - 1).abs() < SHARES).all())


def loss_of(subject: Subject, outputs: Tensor, targets: Any) -> float:
    """Return the loss of outputs that no model has put out.

    Raises:
        NotApplicable: when the loss is the model's own, which takes no outputs.
    """
    if subject.loss.word == "model":
        raise NotApplicable("the model makes its own loss, which cannot be asked about other outputs")
    return float(call_loss(subject.loss, outputs, targets))


def _call(model: nn.Module, buffers: Mapping[str, Tensor], batch: Batch) -> Any:
    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, given: Batch) -> Any:
            return call_model(self.model, given)

    return functional_call(Called(), {f"model.{name}": tensor for name, tensor in buffers.items()}, (batch,))


@contextmanager
def watched(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put every module in training or evaluation mode for the block, and each back in its own afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        with seeded(0):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@dataclass(frozen=True)
class Start:
    """What one untrained network says: its loss (the mean over batches), its outputs and the targets, batch by batch."""

    loss: float
    outputs: tuple[Tensor, ...]
    targets: tuple[Any, ...]


def begin_with(subject: Subject, seed: int, batches: list[Batch], *, answers: bool = True) -> Start:
    """Measure one fresh network with regularization and dropout at 0, in training mode.

    Without `answers` the outputs may be anything; those that are no tensor are left out.

    Raises:
        NotApplicable: when the labels do not fit the outputs, so that the loss cannot be called, or these are no tensor.
    """
    plain = bare(subject)
    model = plain.build(seed)
    with torch.no_grad():
        penalties = sum(float(each.coefficient * call_penalty(each, model)) for each in plain.recipe.penalties)
    losses, outputs, kept = [], [], 0
    for batch in batches:
        output = put_out(subject, model, batch)
        scores = scores_in(subject, output)
        if scores is None and answers:
            raise NotApplicable(f"the model's outputs are of the type {type(output).__name__}, with no tensor of logits")
        if scores is not None:
            must_fit(subject, scores, batch.targets)
            outputs.append(scores)
            kept += scores.numel()
        losses.append(float(call_loss(subject.loss, output, batch.targets)) + penalties)
        if kept >= OUTPUTS:
            break
    used = batches[: len(losses)]
    weights = [batch.size for batch in used]
    return Start(float(np.average(losses, weights=weights)), tuple(outputs), tuple(batch.targets for batch in used))


def starts(subject: Subject, seeds: int = SEEDS) -> list[Start]:
    """Measure fresh networks of several seeds on the same first samples."""
    batches = take(subject)
    return [begin_with(subject, subject.seed + seed, batches) for seed in range(seeds)]


def one_start(subject: Subject) -> Start:
    """Measure the fresh network of the subject's own seed on its first batch."""
    return begin_with(subject, subject.seed, take(subject, samples=1))


def loss_beside_logits(subject: Subject) -> tuple[float, Tensor, Tensor] | None:
    """Return the first loss that a model makes itself, its logits (N, n) and the labels (N,); None where it shows none."""
    start = begin_with(subject, subject.seed, take(subject, samples=1), answers=False)
    rows = class_rows(subject, start.outputs[0], start.targets[0]) if start.outputs else None
    if rows is None or rows.shape[1] < 2:
        return None
    labels = start.targets[0].reshape(-1).long()
    fits = bool(((labels >= 0) & (labels < rows.shape[1])).all())
    return (start.loss, rows.double(), labels) if fits else None


def must_fit(subject: Subject, outputs: Tensor, targets: Any) -> None:
    """Refuse to call a loss that would only crash.

    Raises:
        NotApplicable: when labels name outputs that do not exist, or a loss of probabilities gets none.
    """
    rows = class_rows(subject, outputs, targets)
    if subject.loss.takes in ("logits", "log-probabilities", "scores") and rows is not None:
        labels = targets[targets != IGNORED]
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < rows.shape[1]:
            raise NotApplicable(
                f"labels run from {int(labels.min())} to {int(labels.max())}, the model has {rows.shape[1]} outputs"
            )
    if subject.loss.takes == "probabilities" and not bool(((outputs >= 0) & (outputs <= 1)).all()):
        raise NotApplicable("the loss takes probabilities, and the outputs are none")


def answers_yes_or_no(subject: Subject) -> bool:
    """Tell whether each output is an answer of its own, 0 or 1, and not the score of a class."""
    return subject.loss.word.rpartition(":")[2] in YES_NO or subject.task == "binary"


def class_rows(subject: Subject, outputs: Tensor, targets: Any) -> Tensor | None:
    """Return outputs for labels as (positions, n); None where the targets are not one label for each row of outputs.

    Outputs are (B, n) or (B, T, n), or (B, n, T) where only that fits targets of shape (B, T).
    """
    if answers_yes_or_no(subject):
        return None
    if not isinstance(targets, Tensor) or targets.is_floating_point() or outputs.ndim != targets.ndim + 1:
        return None
    if outputs.shape[:-1] == targets.shape:
        return outputs.reshape(-1, outputs.shape[-1])
    if outputs.shape[:1] + outputs.shape[2:] == targets.shape:
        return outputs.movedim(1, -1).reshape(-1, outputs.shape[1])
    return None


def one_of_several(subject: Subject, outputs: Tensor, targets: Any) -> bool:
    """Tell whether a row of outputs names one class of several: the targets are a label for each, or one-hot rows."""
    rows = class_rows(subject, outputs, targets)
    if rows is not None:
        return rows.shape[1] > 1
    return isinstance(targets, Tensor) and targets.shape == outputs.shape and one_hot(targets)


def scores_and_labels(subject: Subject, seen: Start) -> tuple[Floats, Labels] | None:
    """Return all class scores (N, n) and labels (N,), ignored labels left out; None where there are no such labels."""
    rows = [class_rows(subject, output, target) for output, target in zip(seen.outputs, seen.targets, strict=True)]
    found = [row for row in rows if row is not None]
    if not found or len(found) < len(rows):
        return None
    labels = torch.cat([target.reshape(-1) for target in seen.targets])
    keep = labels != IGNORED
    return torch.cat(found)[keep].double().cpu().numpy(), labels[keep].long().cpu().numpy()


def values_and_targets(seen: Start) -> tuple[Floats, Floats] | None:
    """Return outputs and targets as (N, K) each; None where their sizes differ."""
    pairs = list(zip(seen.outputs, seen.targets, strict=True))
    if any(not isinstance(target, Tensor) or target.numel() != output.numel() for output, target in pairs):
        return None
    outputs = torch.cat([output.reshape(len(output), -1) for output, _ in pairs])
    targets = torch.cat([target.reshape(len(target), -1) for _, target in pairs])
    return outputs.double().cpu().numpy(), targets.double().cpu().numpy()


def gradient(subject: Subject, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the loss's gradient at the model's own parameters, by name; nothing for a parameter without influence."""
    objective = Objective(model, subject.loss, subject.recipe.penalties)
    with watched(objective, training=True):
        state: State = start(objective, subject.recipe.optimizer)
        found, _, _ = gradients(objective, state, batch)
    return {name.removeprefix("model."): grad for name, grad in found.items()}


def training_of(subject: Subject, seed: int) -> Training:
    """Begin to train a copy of a fresh model as the subject is trained, with regularization and dropout at 0."""
    return guarded(begin(bare(subject), seed))


def guarded(training: Training) -> Training:
    """Return the training with a step that does not apply where torch refuses the backward pass."""
    return _Guarded(training)


class _Guarded:
    """A training whose step does not apply where torch refuses the backward pass: `detached-loss` tells of that."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.model = training.model

    def step(self, batch: Batch, factor: float = 1.0, epoch: int = 0) -> Losses:
        try:
            with unwarned():
                return self.training.step(batch, factor, epoch)
        except UserCodeError as bad:
            if has_no_gradient(bad):
                raise NotApplicable("the loss of the step has no gradient") from bad
            raise


@contextmanager
def unwarned() -> Iterator[None]:
    """Silence what torch says of a schedule that is stepped too early: `misplaced-scheduler` tells of it once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
        yield


def has_no_gradient(bad: BaseException) -> bool:
    """Tell whether torch refused a backward pass because nothing in the loss has a gradient."""
    return "does not require grad and does not have a grad_fn" in str(bad)


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the parameters that are to be learned, by name."""
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters() if tensor.requires_grad}


def layer_outputs(
    subject: Subject, model: nn.Module, batch: Batch, wanted: Callable[[nn.Module], bool], *, training: bool = True
) -> dict[str, Tensor]:
    """Return the outputs of the wanted modules for a batch, by name, in the order in which they ran."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                seen.setdefault(name, output.detach().clone())

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in model.named_modules() if wanted(module)]
    try:
        outputs_of(subject, model, batch, training=training)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def last_function(model: nn.Module, batch: Batch) -> str:
    """Return the name of the function that made the outputs, such as `Sigmoid`, seen through views; empty where unknown."""
    with watched(model, training=True), torch.enable_grad():
        buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
        made_by = getattr(_call(model, buffers, batch), "grad_fn", None)
    while made_by is not None and made_by.name().startswith(VIEWS) and made_by.next_functions:
        made_by = made_by.next_functions[0][0]
    return "" if made_by is None else str(made_by.name()).split("Backward")[0]
