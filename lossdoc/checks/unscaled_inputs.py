"""LS102: inputs on a scale that no initialization expects."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lossdoc import specimens
from lossdoc.checks import _scales
from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor

Facts = dict[str, float]


@rule(
    code="LS102",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.with_inputs(lambda inputs: 300 * inputs),
        lambda: specimens.with_inputs(lambda inputs: inputs + 20),
        lambda: specimens.with_inputs(lambda inputs: inputs / 300),
        lambda: specimens.with_inputs(specimens.first_faint),
        lambda: specimens.with_inputs(specimens.pixels),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_inputs(lambda inputs: 0.2 * inputs),
        lambda: specimens.with_inputs(specimens.noise_faint),
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
        - standardization by the wrong statistics, or a division made twice

    Confirm with:
        - print mean and standard deviation of each feature

    Try:
        - standardize each feature with the training data's mean and deviation: `preprocess: [standardize]`
        - divide pixels by 255, once

    False alarms:
        A model that normalizes its inputs itself is passed: its outputs stay the same when the inputs are halved. Inputs
        that are mostly 0, such as words counted, are small on average, but their largest values are not.

    Decided by:
        r is the root of the mean square over all features: Xavier's and He's rules assume r = 1. The gradient of the first
        layer grows with r, and so does what a step of it does to the outputs: the highest stable learning rate falls with
        r². At r = 10 the rate must be 100 times lower, which a sweep over learning rates still finds: a warning. At r = 100
        it must be 10,000 times lower: an error, as it is where the first step raises the loss of its own batch, or half of
        the first answers are sure to 99 %, and not when the inputs are divided by r. At the other end, inputs that never
        exceed 0.1 are a warning, with r below 1/100, by the same measure, an error. A warning are, too, columns whose
        deviation is below a hundredth of the largest one, where only they explain a part of the targets' variance in a
        linear fit (F test at 10⁻⁶, a hundredth of the variance or more). All these are an error where ten times the planned
        steps would not make the outputs depend on them as much as the targets do, at the pace of the first five steps: by 1
        for logits, by the targets' deviation for numbers.

    Sources:
        - LeCun et al. (1998), Efficient BackProp, section 4.3: normalizing the inputs
        - Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
    """
    from lossdoc import fetching

    batches = fetching.take(subject)
    inputs = fetching.real_inputs(batches).double().flatten(1)
    size = math.sqrt(float(inputs.square().mean()))
    top = float(inputs.abs().max())
    if not math.isfinite(size) or top == 0:
        raise NotApplicable("the inputs are all 0 or not finite")
    facts = {"measured": size, "expected": 1.0, "tolerance": far - 1, "largest": top}
    if size <= far and top >= faint:
        return _columns(subject, batches, breaking) or Passed(f"the inputs have root mean square {size:.3g}", facts)
    if _normalizes(subject, batches[0]):
        raise NotApplicable("the model normalizes its inputs itself")
    if size <= far:
        return _tiny(subject, batches[0], {**facts, "tolerance": 1 - faint}, breaking)
    return _large(subject, batches[0], inputs, facts, breaking)


def _large(subject: Subject, batch: Batch, inputs: Tensor, facts: Facts, breaking: float) -> Evidence:
    """Judge inputs that are too large."""
    size = facts["measured"]
    feature = int(inputs.square().mean(0).argmax())
    column = inputs[:, feature]
    sure = _sure(subject, batch, 1.0) > 0.5 >= _sure(subject, batch, 1 / size)
    broken = _step_raises_loss(subject, batch, 1.0) and not _step_raises_loss(subject, batch, 1 / size)
    pixels = bool((inputs >= 0).all()) and float(inputs.max()) <= 255 and bool((inputs == inputs.round()).all())
    return Evidence(
        f"the inputs have root mean square {size:.3g}, initialization assumes 1; "
        + (
            f"they are whole numbers from {float(inputs.min()):g} to {float(inputs.max()):g}, as pixels are"
            if pixels
            else f"feature {feature} lies around {float(column.mean()):.3g} ± {float(column.std()):.3g}"
        )
        + (", and the first step already raises the loss" if broken else "")
        + (", and the first answers are sure to 99 %, where softmax and sigmoid are flat" if sure else ""),
        facts={**facts, "step_raises_loss": float(broken), "saturated": float(sure)},
        severity=Severity.ERROR if size > breaking or broken or sure else None,
        confidence=0.95,
        remedies=("divide the pixels by 255: `preprocess: [{scale: {divide_by: 255}}]`",) if pixels else (),
    )


def _tiny(subject: Subject, batch: Batch, facts: Facts, breaking: float) -> Evidence:
    """Judge inputs that are too small."""
    reached = _scales.reach(subject, batch, lambda inputs: inputs.mean(0, keepdim=True).expand_as(inputs))
    wanted = _wanted(subject, [batch])
    short = _scales.SAFE * reached < wanted
    return Evidence(
        f"no input is larger than {facts['largest']:.2g}: the first layer puts out next to nothing"
        + (f"; the planned steps make the outputs depend on the inputs by some {reached:.2g}" if short else ""),
        facts={**facts, "measured": facts["largest"], "size": facts["measured"], "reach": reached, "wanted": wanted},
        severity=Severity.ERROR if short or facts["measured"] * breaking < 1 else None,
        causes=("a division made twice, such as pixels by 255 and again by 255",),
    )


def _columns(subject: Subject, batches: list[Batch], breaking: float) -> Evidence | None:
    """Look for columns that matter and are tiny beside the others."""
    import torch

    targets = _as_numbers(subject, batches)
    if batches[0].inputs.ndim != 2 or targets is None:
        return None
    whole = torch.cat([batch.inputs for batch in batches])
    found = _scales.faint_columns(whole.double().numpy(), targets, breaking)
    if found is None or found.p > 1e-6 or found.share < 0.01:
        return None
    if _normalizes(subject, batches[0]):
        raise NotApplicable("the model normalizes its inputs itself")
    columns = list(found.columns)
    middle = whole.mean(0)[columns]

    def mute(inputs: Tensor) -> Tensor:
        inputs = inputs.clone()
        inputs[:, columns] = middle
        return inputs

    reached = _scales.reach(subject, batches[0], mute)
    wanted = math.sqrt(found.share) * _wanted(subject, batches)
    short = _scales.SAFE * reached < wanted
    named = ", ".join(map(str, columns[:5])) + (", …" if len(columns) > 5 else "")
    return Evidence(
        f"{'feature' if len(columns) == 1 else 'features'} {named}: {found.ratio:.3g} times smaller than the largest "
        f"one, and only they explain {100 * found.share:.0f} % of the targets' variance"
        + (f"; the planned steps make the outputs depend on them by some {reached:.2g}" if short else ""),
        facts={
            "measured": found.ratio,
            "expected": 1.0,
            "tolerance": breaking - 1,
            "share": found.share,
            "reach": reached,
            "wanted": wanted,
        },
        severity=Severity.ERROR if short else None,
    )


def _as_numbers(subject: Subject, batches: list[Batch]) -> Floats | None:
    """Return the targets as (N, k), those of a classification one-hot; None where a sample has more than one label."""
    import torch

    if not all(isinstance(batch.targets, torch.Tensor) for batch in batches):
        return None
    targets = torch.cat([batch.targets.reshape(batch.size, -1) for batch in batches])
    if not bool(targets.isfinite().all()):
        return None
    if subject.task != "classification" or targets.is_floating_point():
        return np.asarray(targets.double().numpy())
    if targets.shape[1] != 1:
        return None
    seen = torch.unique(targets)
    return np.asarray((targets == seen[None]).double().numpy())


def _wanted(subject: Subject, batches: list[Batch]) -> float:
    """Return by how much the outputs must depend on the inputs: 1 for logits, the targets' deviation for numbers."""
    import torch

    if subject.task != "regression":
        return 1.0
    return float(torch.cat([batch.targets.double().reshape(batch.size, -1) for batch in batches]).std(0).max())


def _normalizes(subject: Subject, batch: Batch) -> bool:
    """Tell whether halving the inputs leaves the outputs as they are, within 1 % of what the inputs do to them at all."""
    from lossdoc import probe

    model = probe.untouched(subject).build(subject.seed)
    whole, half, none = (probe.outputs_of(subject, model, _times(batch, factor)) for factor in (1.0, 0.5, 0.0))
    return bool((whole - half).norm() < 0.01 * (whole - none).norm())


def _sure(subject: Subject, batch: Batch, factor: float) -> float:
    """Return the share of the fresh model's answers, on inputs times `factor`, that are sure to 99 %; 0 for numbers."""
    import torch

    from lossdoc import probe

    outputs = probe.outputs_of(subject, probe.untouched(subject).build(subject.seed), _times(batch, factor)).double()
    rows = probe.class_rows(subject, outputs, batch.targets)
    logits = subject.loss.takes == "logits"
    if rows is not None and rows.shape[1] > 1:
        shares = rows.softmax(1) if logits else rows
        known = logits or bool(((shares >= 0).all(1) & ((shares.sum(1) - 1).abs() < 1e-3)).all())
        return float((shares.max(1).values > 0.99).double().mean()) if known else 0.0
    if subject.task != "binary" or not isinstance(batch.targets, torch.Tensor):
        return 0.0
    shares = outputs.sigmoid() if logits else outputs
    return float(((shares - 0.5).abs() > 0.49).double().mean()) if bool(((shares >= 0) & (shares <= 1)).all()) else 0.0


def _step_raises_loss(subject: Subject, batch: Batch, factor: float) -> bool:
    """Tell whether one step as configured, on inputs times `factor`, leaves its own batch's loss higher than it was."""
    from lossdoc import measuring, probe, randomness

    given = _times(batch, factor)
    plain = probe.bare(subject)
    training = probe.training_of(subject, subject.seed)
    probe.must_have_loss(subject, training.model(), given)
    before = measuring.measure(plain, training.model(), given, training=True).loss
    with randomness.seeded(subject.seed, 0):
        training.step(given, 1.0, 0)
    return not measuring.measure(plain, training.model(), given, training=True).loss <= before


def _times(batch: Batch, factor: float) -> Batch:
    inputs: Tensor = batch.inputs
    return replace(batch, inputs=inputs * factor)
