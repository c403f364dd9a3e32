"""LS509: answers that depend on the other samples of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor


@rule(
    code="LS509",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.leaking(specimens.mlp())),
        lambda: specimens.healthy(build=specimens.reading_across),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp())),
        lambda: specimens.healthy(build=specimens.with_dropout(specimens.mlp())),
    ),
)
def batch_leakage(subject: Subject, *, rounding: float = 1e-3) -> Answer:
    """What the model says of one sample depends on the others in its batch.

    Looks like:
        Fine losses on batches, and other answers when samples come one by one or in another company.

    Causes:
        - axes mistaken: a recurrent or attention layer without `batch_first=True` that is fed (batch, time, features)
        - a `view`, `reshape` or `transpose` that mixes samples
        - a mean, softmax or normalization over the batch axis

    Confirm with:
        - ask for one sample alone, and as the first of a batch

    Try:
        - `batch_first=True`, or swap the axes before the layer and back behind it
        - use `permute` to swap axes, `reshape` only to join or part neighbors

    False alarms:
        Networks on graphs and others whose samples are meant to see each other.

    Decided by:
        Evaluation mode, so that batch normalization uses what it has stored. The first sample is answered twice: with its
        batch, and with all the others replaced by copies of one of them; and so is the last, since what takes samples for
        moments of time looks back only. The answer must be the same within 0.1 % of how far answers lie apart, a hundred
        times what float32 leaves of a long sum. A model that answers one and the same batch differently cannot be judged,
        nor one that is told how its samples are related.

    Sources:
        - Karpathy (2019), A Recipe for Training Neural Networks: use backprop to chart dependencies
    """
    from lossdoc import fetching, probe, signals

    batch = signals.some(subject, fetching.take(subject, samples=1)[0])
    plain = probe.bare(subject)
    if _normalizes_in_evaluation(plain.build(subject.seed)):
        raise NotApplicable("its batch normalization keeps no statistics, and uses the batch in evaluation, too")

    def answer(inputs: Any) -> Tensor:
        model = plain.build(subject.seed)
        outputs = probe.outputs_of(plain, model, Batch(inputs, batch.targets), training=False)
        if len(outputs) != batch.size:
            raise NotApplicable(f"the outputs are {len(outputs)} for a batch of {batch.size}")
        return outputs.double().reshape(batch.size, -1)

    whole, again = answer(batch.inputs), answer(batch.inputs)
    if not bool((whole == again).all()):
        raise NotApplicable("the model answers the same batch differently, or its answers are not finite")
    moved = max(float((whole[at] - answer(_alone(batch, at))[at]).abs().max()) for at in (0, batch.size - 1))
    spread = float((whole - whole.mean(0)).abs().max())
    if not spread > 0:
        raise NotApplicable("all samples get the same answer")
    facts = {"measured": moved / spread, "expected": 0.0, "tolerance": rounding, "change": moved}
    if not moved > rounding * spread:
        return Passed(f"the others in a batch move an answer by {moved / spread:.1g} of its spread", facts)
    return Evidence(
        f"the answer to one sample moves by {moved:.3g}, {100 * moved / spread:.0f} % of how far answers lie apart, when "
        "the other samples of its batch are exchanged",
        facts=facts,
        confidence=0.95,
    )


def _normalizes_in_evaluation(model: Any) -> bool:
    from torch.nn.modules.batchnorm import _BatchNorm

    return any(isinstance(each, _BatchNorm) and each.running_mean is None for each in model.modules())


def _alone(batch: Batch, at: int) -> Any:
    """Return the inputs with every sample but one replaced by the second.

    Raises:
        NotApplicable: where there are no two samples, or inputs that are not one part for each sample.
    """
    import torch

    size = batch.size
    if size < 3:
        raise NotApplicable(f"a batch of {size} has no company to exchange")

    def one(inputs: Any) -> Tensor:
        if not isinstance(inputs, torch.Tensor) or inputs.ndim < 1 or len(inputs) != size or inputs.shape[1:2] == (size,):
            raise NotApplicable("the inputs are not one part for each sample, or tell how samples are related")
        kept = inputs[1:2].expand_as(inputs).clone()
        kept[at] = inputs[at]
        return kept

    if isinstance(batch.inputs, Mapping):
        return {name: one(each) for name, each in batch.inputs.items()}
    return one(batch.inputs)
