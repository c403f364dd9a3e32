"""LS207: a softmax over the samples of a batch."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.losses import CrossEntropy, Nll
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS207",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=0), loss=CrossEntropy(inputs="probabilities")
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=0), loss=Nll()),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "Softmax", dim=0)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=1), loss=CrossEntropy(inputs="probabilities")
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=1), loss=Nll()),
    ),
    mutes=("missing-activation", "double-softmax", "initial-loss", "large-logits"),
)
def softmax_axis(subject: Subject, *, rounding: float = 1e-4) -> Answer:
    """The softmax is taken over the samples of a batch, not over the classes.

    Looks like:
        Outputs that change with the other samples of the batch; a model that is good in training and useless for one
        sample, whose outputs are all 1.

    Causes:
        - `dim=0` in softmax or log_softmax, where −1 is meant
        - no `dim` at all, which old versions of torch take for 0 in some shapes

    Confirm with:
        - print the sums of the outputs over the classes, and over the batch

    Try:
        - softmax over the last dimension: `softmax(dim=-1)`

    False alarms:
        None known: outputs whose sum over a batch is 1 in every class do not come about by accident.

    Decided by:
        The first outputs (B, n) of at least two samples, or their exponentials: none is below 0, every column sums to 1
        within 1e-4, and the rows do not.

    Sources:
        - torch's documentation of softmax
    """
    from lossdoc import probe

    batch = probe.take(subject, samples=1)[0]
    outputs = probe.outputs_of(subject, probe.untouched(subject).build(subject.seed), batch).double()
    if outputs.ndim != 2 or outputs.shape[0] < 2 or outputs.shape[1] < 2:
        raise NotApplicable("the outputs are not rows of two or more numbers")
    for shares in (outputs, outputs.exp()):
        off = float((shares.sum(0) - 1).abs().max())
        if bool((shares >= 0).all()) and off < rounding < float((shares.sum(1) - 1).abs().max()):
            return Evidence(
                "the outputs sum to 1 over the batch, not over the classes: the softmax is taken along the wrong dimension",
                facts={"measured": off, "expected": 1.0, "tolerance": rounding, "samples": float(len(shares))},
                confidence=0.98,
            )
    return Passed("the outputs do not sum to 1 over the batch")
