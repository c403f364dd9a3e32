"""LS211: outputs (n, 1) against targets (n,), which broadcast to (n, n)."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _answers
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor


@rule(
    code="LS211",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.regression(loss=OwnLoss(specimens.squares, takes="unknown"), batches=specimens.flat_numbers()),
        lambda: specimens.regression(loss=OwnLoss(lambda out, y: specimens.squares(out, y[:, 0]), takes="unknown")),
        lambda: specimens.with_step(
            specimens.step_of(specimens.squares), specimens.regression(batches=specimens.flat_numbers(), task="unknown")
        ),
        lambda: specimens.regression(
            loss=OwnLoss(specimens.squares, takes="unknown"), build=specimens.squeezed(specimens.mlp(1))
        ),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        specimens.binary,
        lambda: specimens.regression(loss=OwnLoss(specimens.squares, takes="unknown")),
        lambda: specimens.with_step(specimens.step_of(specimens.squares), specimens.regression()),
        lambda: specimens.regression(
            loss=OwnLoss(specimens.squares, takes="unknown"),
            build=specimens.squeezed(specimens.mlp(1)),
            batches=specimens.flat_numbers(),
        ),
        lambda: specimens.regression(loss=OwnLoss(specimens.minus_correlation, takes="unknown")),
        lambda: specimens.regression(
            loss=OwnLoss(lambda out, y: (out.mean() - y.mean()).square() + (out.std() - y.std()).square(), takes="unknown")
        ),
    ),
    mutes=("metric-mismatch", "initial-loss"),
)
def shape_broadcast(subject: Subject, *, rounding: float = 1e-3) -> Answer:
    """Outputs and targets have different shapes, and the loss compares every output with every target.

    Looks like:
        A regression that learns nothing but the targets' mean; the loss stops near the targets' variance. torch warns of
        "a target size that is different to the input size".

    Causes:
        - outputs (n, 1) beside targets (n,), or the other way round: their difference is (n, n)
        - a `squeeze` or `unsqueeze` that is missing, or one too many

    Confirm with:
        - print the shapes of outputs, targets and their difference

    Try:
        - bring both into one shape before the loss: `outputs.squeeze(-1)`, or `targets.unsqueeze(-1)`

    False alarms:
        A loss that compares two distributions, whatever belongs to which, does not say of a batch what it says of its
        single pairs, and is passed.

    Decided by:
        The loss or step is asked about three samples at once, with outputs half way between the first ones and the targets,
        and about each of the nine pairs of an output and a target by itself. A sound loss of three samples is the mean (or
        the sum) over the three pairs that belong together; it fires where it is that over all nine, within one part in
        1,000, and not that over the three.

    Sources:
        - TheDeepChecker, Ben Braiek and Khomh (2023), Testing Feedforward Neural Networks Training Programs
    """
    asked = _answers.probed(subject, samples=64)
    outputs, targets = asked.outputs, asked.batch.targets
    if outputs.numel() != targets.numel() or len(targets) < 3 or not outputs.is_floating_point():
        raise NotApplicable("there is not one target for each output")
    places = targets.reshape(len(targets), -1)[:, 0].argsort()[[0, len(targets) // 2, -1]]
    made = ((outputs + targets.reshape(outputs.shape).to(outputs.dtype)) / 2)[places]
    given = targets[places]
    together = asked.told(made, given)
    pairs = [[asked.told(made[i : i + 1], given[j : j + 1]) for j in range(3)] for i in range(3)]
    own, every = fmean(pairs[i][i] for i in range(3)), fmean(one for row in pairs for one in row)
    size = max(abs(each) for row in pairs for each in row)
    facts = {"measured": together, "expected": own, "tolerance": rounding * size, "over_all_pairs": every}
    if not abs(own - every) > 10 * rounding * size:
        raise NotApplicable("the loss of these samples is the same for all pairs")
    if any(abs(together - times * own) <= times * rounding * size for times in (1, 3)):
        return Passed(f"{asked.word} holds each output against its own target", facts)
    if not any(abs(together - times * every) <= times * rounding * size for times in (1, 9)):
        raise NotApplicable("the loss looks at a batch as a whole")
    longer = "targets" if targets.ndim > outputs.ndim else "outputs"
    return Evidence(
        f"the outputs are {_shape(outputs)}, the targets {_shape(targets)}, and {asked.word} compares each output with "
        f"every target: {together:.4g} for three samples is the mean over all nine pairs, not over the three that belong "
        f"together ({own:.4g})",
        facts=facts,
        confidence=0.99,
        remedies=(f"bring outputs and targets into one shape: `{longer}.squeeze(-1)` before the loss",),
    )


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape))
