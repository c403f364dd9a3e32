"""LS202: a loss of probabilities that gets something else."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.losses import Bce, CrossEntropy, Nll
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS202",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=CrossEntropy(inputs="probabilities")),
        lambda: specimens.healthy(loss=Nll()),
        lambda: specimens.binary(loss=Bce(inputs="probabilities")),
    ),
    quiet_on=(
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1), loss=CrossEntropy(inputs="probabilities")
        ),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=-1), loss=Nll()),
        lambda: specimens.binary(
            build=specimens.followed_by(specimens.squeezed(specimens.mlp(1)), "Sigmoid"), loss=Bce(inputs="probabilities")
        ),
    ),
    mutes=("initial-loss", "large-logits", "non-finite"),
)
def missing_activation(subject: Subject, *, rounding: float = 1e-3) -> Evidence | None:
    """The loss takes probabilities, or their logarithms, and the model does not put them out.

    Looks like:
        A first loss near 0, below 0 or not a number; a loss that falls without end.

    Causes:
        - the softmax, log-softmax or sigmoid at the end of the model is missing
        - the loss was meant to be the one that takes logits

    Confirm with:
        - print a row of outputs: probabilities lie between 0 and 1 and sum to 1 over the classes

    Try:
        - use the loss that takes logits, `cross_entropy` or `bce`, which is also the safer arithmetic
        - or end the model in `softmax`, `log_softmax` or `sigmoid`, as the loss wants

    False alarms:
        None known: whoever hands over scores that are no probabilities on purpose has a loss that means something else.

    Decided by:
        Probabilities must lie in [0, 1] within 1e-3, and with a label for each row sum to 1 within 1e-3; so must the
        exponentials of log-probabilities. Rounding in float32 is a thousand times smaller.

    Sources:
        - torch's documentation of NLLLoss and BCELoss
    """
    from lossdoc import probe

    takes = subject.loss.takes
    if takes not in ("probabilities", "log-probabilities"):
        raise NotApplicable(f"the loss takes {takes}, not probabilities")
    batch = probe.take(subject, samples=1)[0]
    outputs = probe.outputs_of(subject, probe.untouched(subject).build(subject.seed), batch)
    shares = outputs.double().exp() if takes == "log-probabilities" else outputs.double()
    outside = float((-shares).clamp_min(0).max() + (shares - 1).clamp_min(0).max())
    rows = probe.class_rows(subject, shares, batch.targets)
    off = 0.0 if rows is None or rows.shape[1] < 2 else float((rows.sum(dim=1) - 1).abs().max())
    if max(outside, off) <= rounding:
        return None
    wrong = f"rows of them sum to 1 only within {off:.2g}" if off > outside else f"they leave [0, 1] by {outside:.2g}"
    return Evidence(
        f"the loss takes {takes}, the outputs are none: {wrong}",
        facts={"measured": max(outside, off), "expected": 0.0, "tolerance": rounding},
        confidence=0.98,
    )
