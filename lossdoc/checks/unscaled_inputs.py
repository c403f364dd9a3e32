"""LS102: inputs on a scale that no initialization expects."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor


@rule(
    code="LS102",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.with_inputs(lambda inputs: 300 * inputs),
        lambda: specimens.with_inputs(lambda inputs: inputs + 20),
        lambda: specimens.with_inputs(lambda inputs: inputs / 300),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_inputs(lambda inputs: 0.2 * inputs),
        lambda: specimens.with_inputs(
            lambda inputs: 300 * inputs, build=specimens.preceded_by(specimens.mlp(), "BatchNorm1d", specimens.FEATURES)
        ),
    ),
    mutes=("large-logits", "dead-relu"),
)
def unscaled_inputs(subject: Subject, *, far: float = 10.0, breaking: float = 100.0, faint: float = 0.1) -> Answer:
    """The inputs are far from the size that weight initialization is made for.

    Looks like:
        A first loss in the hundreds that drops like a stone, training that diverges at every usual learning rate, one
        feature that drowns the others. With tiny inputs a slow start.

    Causes:
        - no standardization: pixels from 0 to 255, dollars beside percentages
        - standardization by the wrong statistics, or twice

    Confirm with:
        - print mean and standard deviation of each feature

    Try:
        - standardize each feature with the training data's mean and deviation: `preprocess: [standardize]`
        - divide pixels by 255

    False alarms:
        A model that normalizes its inputs itself is passed: its outputs stay the same when the inputs are halved. Inputs
        that are mostly 0, such as words counted, are small on average, but their largest values are not.

    Decided by:
        r is the root of the mean square over all features: Xavier's and He's rules assume r = 1. The gradient of the first
        layer grows with r, and so does what a step of it does to the outputs: the highest stable learning rate falls with
        r². At r = 10 the rate must be 100 times lower, which a sweep over learning rates still finds: a warning. At r =
        100 it must be 10,000 times lower: an error, as it is where the first step raises the loss of its own batch, and
        does not when the inputs are divided by r. At the other end, inputs that never exceed 0.1 are a warning.

    Sources:
        - LeCun et al. (1998), Efficient BackProp, section 4.3: normalizing the inputs
        - Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
    """
    from lossdoc import probe

    batches = probe.take(subject)
    inputs = probe.real_inputs(batches).double().flatten(1)
    size = math.sqrt(float(inputs.square().mean()))
    top = float(inputs.abs().max())
    if not math.isfinite(size) or top == 0:
        raise NotApplicable("the inputs are all 0 or not finite")
    facts = {"measured": size, "expected": 1.0, "tolerance": far - 1, "largest": top}
    if size <= far and top >= faint:
        return Passed(f"the inputs have root mean square {size:.3g}", facts)
    if _normalizes(subject, batches[0]):
        raise NotApplicable("the model normalizes its inputs itself")
    if size <= far:
        return Evidence(f"no input is larger than {top:.2g}: the first layer puts out next to nothing", facts=facts)
    feature = int(inputs.square().mean(0).argmax())
    broken = _step_raises_loss(subject, batches[0], 1.0) and not _step_raises_loss(subject, batches[0], 1 / size)
    serious = size > breaking or broken
    return Evidence(
        f"the inputs have root mean square {size:.3g}, initialization assumes 1; feature {feature} lies around "
        f"{float(inputs[:, feature].mean()):.3g} ± {float(inputs[:, feature].std()):.3g}"
        + (", and the first step already raises the loss" if broken else ""),
        facts={**facts, "step_raises_loss": float(broken)},
        severity=Severity.ERROR if serious else None,
        confidence=0.95,
    )


def _normalizes(subject: Subject, batch: Batch) -> bool:
    """Tell whether halving the inputs leaves the outputs as they are, within 1 % of what the inputs do to them at all."""
    from lossdoc import probe

    model = probe.untouched(subject).build(subject.seed)
    whole, half, none = (probe.outputs_of(subject, model, _times(batch, factor)) for factor in (1.0, 0.5, 0.0))
    return bool((whole - half).norm() < 0.01 * (whole - none).norm())


def _step_raises_loss(subject: Subject, batch: Batch, factor: float) -> bool:
    """Tell whether one step as configured, on inputs times `factor`, leaves its own batch's loss higher than it was."""
    from lossdoc import probe, train

    given = _times(batch, factor)
    plain = probe.bare(subject)
    training = probe.training_of(subject, subject.seed)
    probe.must_have_loss(subject, training.model(), given)
    before = train.measure(plain, training.model(), given, training=True).loss
    with train.seeded(subject.seed, 0):
        training.step(given, 1.0, 0)
    return not train.measure(plain, training.model(), given, training=True).loss <= before


def _times(batch: Batch, factor: float) -> Batch:
    inputs: Tensor = batch.inputs
    return replace(batch, inputs=inputs * factor)
