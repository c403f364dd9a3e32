"""LS701: a first loss or gradient that is not a number."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS701",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(), 1e30)),
        lambda: specimens.healthy(loss=OwnLoss(specimens.log_of_zero)),
        lambda: specimens.healthy(loss=OwnLoss(specimens.root_at_zero)),
    ),
    quiet_on=(specimens.healthy, specimens.regression, specimens.binary),
    mutes=("initial-loss", "large-logits", "no-gradient", "wrong-sign", "no-update", "not-in-optimizer"),
)
def non_finite(subject: Subject, *, networks: int = 3) -> Evidence | None:
    """The first loss or its gradient has left the range of numbers: it is NaN or infinite.

    Looks like:
        A curve that breaks off, or is NaN from the first step.

    Causes:
        - the logarithm of a probability that is exactly 0, a division by 0
        - the square root's gradient at 0, or 0·∞ behind a mask
        - exponentials of large outputs, or weights initialized far too large

    Confirm with:
        - look at the outputs of each layer in turn: the first that is not finite is the place
        - `torch.autograd.set_detect_anomaly(True)` names the operation whose gradient is not finite

    Try:
        - feed logits to a loss that applies the softmax itself, in place of taking logarithms
        - add a small number under logarithm, root and fraction bar
        - initialize smaller

    False alarms:
        None known: one such number makes all weights NaN at the next step.

    Decided by:
        The loss of three fresh networks on their first batches, regularization and dropout at 0 with their code in place,
        and the gradient of one of them. The data have been seen to be finite by `non-finite-data`.

    Sources:
        - the study notes, figure 10 bottom left: numbers left the range
    """
    import torch

    from lossdoc import probe

    batches = probe.take(subject, samples=4 * (subject.batch_size or 1))
    for seed in range(subject.seed, subject.seed + networks):
        start = probe.begin_with(subject, seed, batches, answers=False)
        bad = sum(int((~torch.isfinite(outputs)).sum()) for outputs in start.outputs)
        if bad or not math.isfinite(start.loss):
            where = f"{bad:,} outputs of the model are too" if bad else "the model's outputs are finite, so it is the loss"
            return Evidence(
                f"the first loss is {start.loss}: {where}",
                facts={"measured": start.loss, "expected": 0.0, "tolerance": 0.0, "outputs": float(bad)},
                confidence=0.99,
            )
    plain = probe.bare(subject)
    slopes = probe.gradient(plain, plain.build(subject.seed), batches[0])
    wrong = [name for name, slope in slopes.items() if not bool(torch.isfinite(slope).all())]
    if not wrong:
        return None
    return Evidence(
        f"the first loss is finite and its gradient is not, in {', '.join(wrong[:5])}",
        facts={"measured": float(len(wrong)), "expected": 0.0, "tolerance": 0.0},
        confidence=0.98,
    )
