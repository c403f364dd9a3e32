"""LS701: a first loss or gradient that is not a number."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.checks import _first_loss, _steps
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS701",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=OwnLoss(specimens.log_of_zero)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(), 1e30)),
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
        - the logarithm of a probability that is exactly 0, a division by 0, or by a deviation of 0
        - the square root's gradient at 0, or 0·∞ behind a mask
        - exponentials of large outputs, or weights initialized far too large
        - half precision, in which 65,504 is the largest number

    Confirm with:
        - look at the outputs of each layer in turn: the first that is not finite is the place
        - `torch.autograd.set_detect_anomaly(True)` names the operation whose gradient is not finite

    Try:
        - feed logits to a loss that applies the softmax itself, in place of taking logarithms
        - add a small number under logarithm, root and fraction bar
        - initialize smaller
        - bfloat16 in place of float16, or a loss that is scaled

    False alarms:
        None known: one such number makes all weights NaN at the next step.

    Decided by:
        The loss of three or more fresh networks on their first batches, regularization and dropout at 0 with their code in
        place, and the gradient of one of them. The data have been seen to be finite by `non-finite-data`. Where it is not,
        every function that was called is gone through backwards from the loss, and from there the numbers that are not
        finite are followed to the call that got finite ones; of a gradient, to the first operation that made one of finite
        ones.

    Sources:
        - the study notes, figure 10 bottom left: numbers left the range
    """
    import torch

    from lossdoc import births, fetching, probe

    batches = fetching.take(subject, samples=4 * (subject.batch_size or 1))
    plain = probe.bare(subject)
    for seed in range(subject.seed, subject.seed + (0 if _known_to_be_finite(subject) else networks)):
        start = probe.begin_with(subject, seed, batches, answers=False)
        bad = sum(int((~torch.isfinite(outputs)).sum()) for outputs in start.outputs)
        if bad or not math.isfinite(start.loss):
            where = births.forward(plain, plain.build(seed), batches)
            outputs = f"{bad:,} outputs of the model are too" if bad else "the model's outputs are finite"
            return Evidence(
                f"the first loss is {start.loss}: {where or outputs}",
                facts={"measured": start.loss, "expected": 0.0, "tolerance": 0.0, "outputs": float(bad)},
                confidence=0.99,
            )
    slopes = _steps.slopes(subject)
    wrong = [name for name, slope in slopes.items() if not bool(torch.isfinite(slope).all())]
    if not wrong:
        return None
    where = births.backward(plain, plain.build(subject.seed), batches[0])
    return Evidence(
        f"the first loss is finite and its gradient is not, in {', '.join(wrong[:5])}{where and f': {where}'}",
        facts={"measured": float(len(wrong)), "expected": 0.0, "tolerance": 0.0},
        confidence=0.98,
    )


def _known_to_be_finite(subject: Subject) -> bool:
    """Tell whether outputs and loss of several networks were found to be finite when the first loss was measured."""
    try:
        _first_loss.first_loss(subject)
    except NotApplicable:
        return False
    return True
