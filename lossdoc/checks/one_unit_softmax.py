"""LS208: a softmax over a single unit."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _heads
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.losses import Bce
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS208",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.binary(
            build=specimens.followed_by(specimens.mlp(1), "Softmax", dim=-1), loss=Bce(inputs="probabilities")
        ),
        lambda: specimens.binary(build=specimens.followed_by(specimens.mlp(1), "Softmax", dim=-1)),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(1), "Softmax", dim=-1)),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.binary,
        lambda: specimens.binary(build=specimens.followed_by(specimens.mlp(1), "Sigmoid"), loss=Bce(inputs="probabilities")),
    ),
    mutes=(
        "head-width",
        "double-softmax",
        "missing-activation",
        "output-range",
        "label-coding",
        "metric-mismatch",
        "initial-loss",
        "large-logits",
        "no-gradient",
        "symmetric-weights",
        "no-update",
    ),
)
def one_unit_softmax(subject: Subject, *, rounding: float = 1e-6) -> Evidence | None:
    """The model ends in a softmax over one unit, which is 1 whatever the unit says.

    Looks like:
        A loss that never moves, an accuracy that is the share of one class.

    Causes:
        - softmax where a sigmoid is meant: one output for a yes-or-no answer
        - one output where two are meant

    Confirm with:
        - print the outputs: all are 1

    Try:
        - a sigmoid, or no activation at all with `bce`, which takes logits
        - two outputs and cross-entropy

    False alarms:
        None known: a constant can learn nothing.

    Decided by:
        Every output of the first batch is 1 within rounding, there is one for each sample, and the function that made them
        is a softmax.

    Sources:
        - torch's documentation of softmax
    """
    from lossdoc import probe

    batch, outputs = probe.first_answer(subject)
    if outputs.numel() != batch.size or bool(((outputs - 1).abs() > rounding).any()):
        return None
    if _heads.function_of(subject, batch) != "Softmax":
        return None
    return Evidence(
        "the model ends in a softmax over one unit: every output is 1, whatever the inputs are",
        facts={"measured": 1.0, "expected": 0.5, "tolerance": rounding},
        confidence=0.99,
        remedies=("put a sigmoid in its place, or nothing at all with `bce`, which takes logits",),
    )
