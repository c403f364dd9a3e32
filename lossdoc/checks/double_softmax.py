"""LS201: probabilities fed to a loss that takes logits."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.checks import _answers, _heads
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.losses import CrossEntropy
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS201",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1)),
        lambda: specimens.binary(build=specimens.followed_by(specimens.squeezed(specimens.mlp(1)), "Sigmoid")),
        lambda: specimens.healthy(loss=OwnLoss(specimens.twice_softened, takes="unknown")),
        lambda: specimens.with_step(specimens.twice_softened_step),
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1),
            loss=OwnLoss(specimens.entropy, takes="unknown"),
        ),
        lambda: specimens.with_step(
            specimens.plain_step, specimens.healthy(build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1))
        ),
        lambda: specimens.binary(
            build=specimens.followed_by(specimens.mlp(1), "Sigmoid"),
            loss=OwnLoss(specimens.entropy_of_logits, takes="unknown"),
        ),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.binary,
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")),
        lambda: specimens.healthy(loss=OwnLoss(lambda out, y: specimens.entropy(out / 100, y), takes="unknown")),
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.binary(loss=OwnLoss(specimens.entropy_of_logits, takes="unknown")),
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1),
            loss=OwnLoss(specimens.entropy_of_probabilities, takes="unknown"),
        ),
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1), loss=CrossEntropy(inputs="probabilities")
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=-1)),
    ),
    mutes=("initial-loss", "large-logits", "output-range"),
)
def double_softmax(subject: Subject, *, rounding: float = 1e-4, near: float = 1e-3) -> Evidence | None:
    """The last activation is applied twice: once in the model, and again inside the loss.

    Looks like:
        The first loss is a little too near to log n. Training works badly and differently from run to run, and with n
        classes the loss never gets below log(e + n − 1) − 1: 1.461 for ten.

    Causes:
        - the model ends in softmax or sigmoid, and the loss applies it itself

    Confirm with:
        - print a row of outputs: probabilities are nonnegative and sum to 1, logits do neither

    Try:
        - drop the last activation and feed logits to the loss
        - or keep it, and use a loss that takes probabilities: `cross_entropy: {inputs: probabilities}`

    False alarms:
        None known: logits that sum to 1 in every row, with none below 0, do not come about by accident. A log-softmax before
        the loss does no harm, since the softmax of it is the same, and is passed.

    Decided by:
        The loss takes logits. With labels, every output of a batch is at least 0 and every row sums to 1 within 1e-4, far
        more than rounding. With yes-or-no outputs, the function that made the outputs is a sigmoid. A loss or a step of the
        user's own is given outputs that are right beyond doubt, 100 and 1,000 for the right class, 0 for the others: it
        must come near 0, and with a softmax of its own it stays at log(e + n − 1) − 1 times what it is for equal outputs
        over log n, within 0.1 %. Where the model puts out probabilities, it takes logits if a number added to all outputs
        of a sample changes nothing, as a softmax does not mind it, or, with a sigmoid and yes-or-no answers, if the loss of
        "no" exceeds that of "yes" by the output itself.

    Sources:
        - the study notes, figure 11: five runs of one network, five results
    """
    from lossdoc import probe

    found = _inside(subject, near) or _behind(subject, rounding, near)
    if found is not None:
        return found
    if subject.loss.takes != "logits":
        raise NotApplicable(f"the loss takes {subject.loss.takes}, not logits")
    batch, outputs = probe.first_answer(subject)
    rows = probe.class_rows(subject, outputs, batch.targets)
    if rows is not None and rows.shape[1] > 1:
        farthest = float((rows.sum(dim=1) - 1).abs().max())
        if bool((rows < 0).any()) or not farthest < rounding:
            return None
        return _evidence("softmax", farthest, rounding, rows.shape[1])
    if _heads.function_of(subject, batch) != "Sigmoid":
        return None
    return _evidence("sigmoid", 0.0, rounding, 2)


def _inside(subject: Subject, near: float) -> Evidence | None:
    """Look for a softmax inside the user's own loss or step; None where there is none or nothing can be told."""
    if subject.loss.word == "model":
        return _in_model(subject)
    answers = _answers.of(subject)
    if answers is None:
        return None
    equal, right, surer = (answers.loss(size) for size in (0.0, 100.0, 1_000.0))
    floor = math.log(math.e + answers.classes - 1) - 1
    scale = equal / math.log(answers.classes)
    if not scale > 0 or not max(abs(one / scale - floor) for one in (right, surer)) < near * floor:
        return None
    return Evidence(
        f"{answers.word} is {right:.4f} for answers that are right beyond doubt, log(e + {answers.classes} − 1) − 1 = "
        f"{floor:.4f} at best: it applies a softmax before the loss applies its own",
        facts={"measured": right, "expected": 0.0, "tolerance": near, "floor": floor, "classes": float(answers.classes)},
        confidence=0.98,
        causes=("a softmax before a cross-entropy that applies it itself",),
        remedies=(f"take the softmax out of {answers.word}: cross-entropy takes logits",),
    )


def _behind(subject: Subject, rounding: float, near: float) -> Evidence | None:
    """Look for a softmax or sigmoid inside the user's own loss or step behind a model that puts out probabilities."""
    import torch

    from lossdoc import probe

    if not _answers.is_own(subject) or subject.loss.word == "model" or subject.loss.takes not in ("unknown", "logits"):
        return None
    try:
        asked = _answers.probed(subject)
        rows = probe.class_rows(subject, asked.outputs, asked.batch.targets)
        if rows is not None and rows.shape[1] > 1:
            farthest = float((rows.sum(1) - 1).abs().max())
            if bool((rows < 0).any()) or not farthest < rounding:
                return None
            added = torch.linspace(-2, 2, len(asked.outputs)).reshape(-1, *[1] * (asked.outputs.ndim - 1))
            plain, moved = (asked.told(each, asked.batch.targets) for each in (asked.outputs, asked.outputs + added))
            return _evidence("softmax", farthest, rounding, rows.shape[1]) if abs(moved - plain) < rounding * plain else None
        if _heads.function_of(subject, asked.batch) != "Sigmoid":
            return None
        return _evidence("sigmoid", 0.0, rounding, 2) if _takes_logits_of_yes(asked, near) else None
    except NotApplicable:
        return None


def _takes_logits_of_yes(asked: _answers.Probe, near: float) -> bool:
    """Tell whether a loss of yes-or-no outputs is the binary cross-entropy of logits, times some factor."""
    import torch

    outputs, targets = asked.outputs, asked.batch.targets
    if outputs.numel() != targets.numel():
        return False

    def loss(output: float, target: int) -> float:
        return asked.told(torch.full_like(outputs, output), torch.full_like(targets, target))

    scale = loss(0.0, 1) / math.log(2)
    return scale > 0 and all(abs((loss(z, 0) - loss(z, 1)) / scale - z) < near for z in (0.5, 1.0))


def _in_model(subject: Subject, *, rounding: float = 1e-5) -> Evidence | None:
    """Hold the loss that a model makes itself against the cross-entropy of its logits, and of their softmax.

    `rounding` is what float32 explains; where both cross-entropies lie as close together as that, nothing is told.
    """
    import torch

    from lossdoc import probe

    found = probe.loss_beside_logits(subject)
    if found is None:
        return None
    own, logits, labels = found
    once, twice = (float(torch.nn.functional.cross_entropy(each, labels)) for each in (logits, logits.softmax(-1)))
    if not (abs(own - twice) < rounding * twice and abs(own - once) > 10 * rounding * once):
        return None
    return Evidence(
        f"the model's own loss is {own:.5f}: that is the cross-entropy of the softmax of its logits, {twice:.5f}, not of "
        f"the logits, {once:.5f}",
        facts={"measured": own, "expected": once, "tolerance": rounding * once},
        confidence=0.98,
        causes=("a softmax before a cross-entropy that applies it itself",),
        remedies=("take the softmax out of the model's loss: cross-entropy takes logits",),
    )


def _evidence(activation: str, farthest: float, rounding: float, classes: int) -> Evidence:
    floor = math.log(math.e + classes - 1) - 1 if activation == "softmax" else math.log1p(math.exp(-1))
    return Evidence(
        f"the model's outputs are probabilities already, and the loss applies {activation} to them again: "
        f"its value can never fall below {floor:.4f}",
        facts={  # of the lowest loss that can be reached
            "measured": floor,
            "expected": 0.0,
            "tolerance": rounding,
            "row_sum": 1.0 + farthest,
            "floor": floor,
            "classes": float(classes),
        },
        confidence=0.99,
        remedies=(f"drop the {activation} at the end of the model and feed logits to the loss",),
    )
