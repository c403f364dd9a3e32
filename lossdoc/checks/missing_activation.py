"""LS202: a loss of probabilities that gets something else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _answers, _heads
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.losses import Bce, CrossEntropy, Nll
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

Told = tuple[str, str]  # what takes the outputs, and what it takes


@rule(
    code="LS202",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=CrossEntropy(inputs="probabilities")),
        lambda: specimens.healthy(loss=Nll()),
        lambda: specimens.binary(loss=Bce(inputs="probabilities")),
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "ReLU"), loss=CrossEntropy(inputs="probabilities")
        ),
        lambda: specimens.binary(build=specimens.followed_by(specimens.mlp(1), "ReLU"), loss=Bce(inputs="probabilities")),
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy_of_probabilities, takes="unknown")),
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Sigmoid"), loss=CrossEntropy(inputs="probabilities")
        ),
    ),
    quiet_on=(
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1), loss=CrossEntropy(inputs="probabilities")
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=-1), loss=Nll()),
        lambda: specimens.binary(
            build=specimens.followed_by(specimens.squeezed(specimens.mlp(1)), "Sigmoid"), loss=Bce(inputs="probabilities")
        ),
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1),
            loss=OwnLoss(specimens.entropy_of_probabilities, takes="unknown"),
        ),
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")),
    ),
    mutes=("initial-loss", "large-logits", "non-finite", "unbounded-loss"),
)
def missing_activation(subject: Subject, *, rounding: float = 1e-3) -> Answer:
    """The loss takes probabilities, or their logarithms, and the model does not put them out.

    Looks like:
        A first loss near 0, below 0 or not a number; a loss that falls without end, or stands still where outputs below 0
        are cut off.

    Causes:
        - the softmax, log-softmax or sigmoid at the end of the model is missing
        - another activation is in its place, such as a ReLU, or a sigmoid where one of several classes is to be named
        - the loss was meant to be the one that takes logits

    Confirm with:
        - print a row of outputs: probabilities lie between 0 and 1 and sum to 1 over the classes

    Try:
        - end the model in `softmax`, `log_softmax` or `sigmoid`, as the loss wants
        - or use the loss that takes logits, `cross_entropy` or `bce`, which is also the safer arithmetic

    False alarms:
        None known: whoever hands over scores that are no probabilities on purpose has a loss that means something else.

    Decided by:
        Probabilities must lie in [0, 1] within 1e-3, and with a label for each row sum to 1 within 1e-3; so must the
        exponentials of log-probabilities. Rounding in float32 is a thousand times smaller. Neither may the function that
        makes the outputs be one that leaves [0, 1], such as a ReLU, even where the first outputs happen to lie there. A
        loss or step of the user's own takes probabilities where it costs −log q to give the right answer q. Sigmoids before
        the cross-entropy are a warning: it divides them by their sum, which trains, but couples the classes in another way
        than a softmax, and leaves them when all are near 1.

    Sources:
        - torch's documentation of NLLLoss and BCELoss
        - Bridle (1990), Probabilistic Interpretation of Feedforward Classification Network Outputs: softmax
    """
    from lossdoc import probe

    taker, takes = _taker(subject)
    batch, outputs = probe.first_answer(subject)
    shares = outputs.double().exp() if takes == "log-probabilities" else outputs.double()
    rows = probe.class_rows(subject, shares, batch.targets)
    function = _heads.function_of(subject, batch)
    wrong, off = _wrong(shares, rows, function, takes, rounding)
    if not wrong:
        return Passed(f"the outputs are {takes}, as {taker} takes them")
    inside = function in ("Sigmoid", "Hardsigmoid") and takes == "probabilities"
    normalized = inside and _answers.normalizes(_answers.probed(subject))
    activation = "softmax" if probe.one_of_several(subject, outputs, batch.targets) else "sigmoid"
    return Evidence(
        f"{taker} takes {takes}, the outputs are none: {wrong}",
        facts={"measured": off, "expected": 0.0, "tolerance": rounding},
        severity=Severity.WARNING if normalized else None,
        confidence=0.9 if normalized else 0.98,
        causes=("a sigmoid says yes or no to each class by itself",) if normalized else (),
        remedies=(f"end the model in a {'log-softmax' if takes == 'log-probabilities' else activation}",),
    )


def _taker(subject: Subject) -> Told:
    """Return what takes the outputs in words, and what it takes.

    Raises:
        NotApplicable: when it takes no probabilities.
    """
    takes = subject.loss.takes
    if subject.recipe.step is None and takes in ("probabilities", "log-probabilities"):
        return "the loss", takes
    if _answers.is_own(subject) and (subject.recipe.step is not None or takes == "unknown"):
        asked = _answers.probed(subject)
        if _answers.takes_probabilities(subject, asked):
            return asked.word, "probabilities"
        raise NotApplicable(f"{asked.word} does not take probabilities")
    raise NotApplicable(f"the loss takes {takes}, not probabilities")


def _wrong(shares: Tensor, rows: Tensor | None, function: str, takes: str, rounding: float) -> tuple[str, float]:
    """Return what keeps the outputs from being probabilities, nothing where they are some, and how far off they can be."""
    outside = float((-shares).clamp_min(0).max() + (shares - 1).clamp_min(0).max())
    off = 0.0 if rows is None or rows.shape[1] < 2 else float((rows.sum(dim=1) - 1).abs().max())
    low, high = _heads.RANGES.get(function, (0.0, 1.0)) if takes == "probabilities" else (0.0, 1.0)
    linear = takes == "probabilities" and function in _heads.LINEAR
    if outside > rounding:
        return f"they leave [0, 1] by {outside:.2g}", outside
    if linear or low < 0 or high > 1:
        made = "the last layer has no activation" if linear else f"they are made by {function.lower()}"
        return f"{made}, and nothing keeps them in [0, 1]", math.inf if linear else max(-low, high - 1)
    return (f"rows of them sum to 1 only within {off:.2g}", off) if off > rounding else ("", off)
