"""LS207: a softmax over the samples of a batch."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _answers
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.losses import CrossEntropy, Nll
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
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
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy_over_samples, takes="unknown")),
        lambda: specimens.with_step(specimens.step_of(specimens.entropy_over_samples)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=1), loss=CrossEntropy(inputs="probabilities")
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=1), loss=Nll()),
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")),
        lambda: specimens.with_step(specimens.plain_step),
    ),
    mutes=("missing-activation", "double-softmax", "output-range", "label-coding", "initial-loss", "large-logits"),
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
        within 1e-4, and the rows do not. A softmax over the classes does not mind a number added to all outputs of one
        sample, a softmax over the samples not one added to all outputs of one class: a loss or step of the user's own takes
        its softmax over the samples where, within 1e-4, only the latter leaves it as it is.

    Sources:
        - torch's documentation of softmax
    """
    from lossdoc import probe

    inside = _inside(subject, rounding)
    if inside is not None:
        return inside
    outputs = probe.first_answer(subject)[1].double()
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


def _inside(subject: Subject, rounding: float) -> Evidence | None:
    """Look for a softmax over the samples inside the user's own loss or step; None where there is none to be seen."""
    import torch

    answers = _answers.of(subject)
    if answers is None or answers.outputs.ndim != 2:
        return None
    asked = _answers.probed(subject)
    count, classes = asked.outputs.shape
    luck = torch.Generator().manual_seed(0)
    made = torch.randn(count, classes, generator=luck).to(asked.outputs)
    added = torch.randn(count, 1, generator=luck).to(made), torch.randn(1, classes, generator=luck).to(made)
    plain, by_sample, by_class = (asked.told(each, asked.batch.targets) for each in (made, made + added[0], made + added[1]))
    size = max(abs(plain), 1e-12)
    if not (abs(by_class - plain) < rounding * size < 0.01 * size < abs(by_sample - plain)):
        return None
    return Evidence(
        f"{asked.word} does not mind a number added to all outputs of a class ({plain:.4g}, {by_class:.4g}), but one added "
        f"to all outputs of a sample ({by_sample:.4g}): its softmax is taken over the samples",
        facts={"measured": by_class, "expected": by_sample, "tolerance": rounding * size, "samples": float(count)},
        confidence=0.97,
    )
