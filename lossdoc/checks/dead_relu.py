"""LS404: units that are off for every sample."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS404",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(build=specimens.shifted(specimens.mlp(depth=2), -100.0)),
        lambda: specimens.healthy(build=specimens.shifted(specimens.mlp(depth=2), -100.0, units=13)),
    ),
    quiet_on=(
        lambda: specimens.healthy(build=specimens.mlp(depth=3)),
        lambda: specimens.with_inputs(lambda inputs: inputs.abs(), build=specimens.mlp(depth=3)),
    ),
    mutes=("no-gradient", "vanishing-activations"),
)
def dead_relu(subject: Subject, *, most: float = 0.7, least: int = 200) -> Evidence | None:
    """Most units of a layer put out 0 for every sample: no gradient passes through them.

    Looks like:
        A loss that stops early at a high value, or does not move at all, while the gradients of the first layers are 0.

    Causes:
        - biases far below 0
        - inputs of one sign that are not centered, and large
        - a learning rate that once was too high, in a network that has been trained

    Confirm with:
        - count the units of each layer that are above 0 for at least one sample

    Try:
        - He's initialization and biases of 0; standardized inputs
        - leaky ReLU, PReLU or ELU: they let a little gradient through
        - a lower learning rate

    False alarms:
        With inputs of one sign, and no bias, up to half of the units of a first layer may be off for all samples: fewer than
        what is asked for here.

    Decided by:
        In a layer of torch.nn.ReLU, 70 % of the units or more are 0 for all of the first samples, 200 at the least (a
        channel counts as one unit). It is an error where all units of a layer are dead: nothing before it can learn.

    Sources:
        - the study notes, part A: a dead ReLU
        - Lu et al. (2019), Dying ReLU and Initialization
    """
    from torch import nn

    from lossdoc import probe

    batches = probe.take(subject)
    if sum(batch.size for batch in batches) < least:
        raise NotApplicable("too few samples to call a unit dead")
    batch = probe.joined(batches)
    model = probe.bare(subject).build(subject.seed)
    seen = probe.layer_outputs(subject, model, batch, lambda module: isinstance(module, nn.ReLU))
    shares = {name: float((values.transpose(0, 1).flatten(1).amax(1) <= 0).double().mean()) for name, values in seen.items()}
    if not shares:
        raise NotApplicable("the model has no ReLU module")
    name, worst = max(shares.items(), key=lambda item: item[1])
    if worst < most:
        return None
    return Evidence(
        f"{worst:.0%} of the units in {name} put out 0 for all of {batch.size:,} samples",
        facts={"measured": worst, "expected": 0.0, "tolerance": most},
        severity=Severity.ERROR if worst == 1 else None,
        confidence=0.95,
    )
