"""LS503: a training step that goes uphill, or a loss that rewards mistakes."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.checks import _better, _steps
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS503",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_step(specimens.uphill_step),
        lambda: specimens.healthy(loss=OwnLoss(specimens.flipped_entropy, takes="unknown")),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=specimens.Uphill(lr=0.1)),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        specimens.binary,
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.with_step(specimens.idle_step),
    ),
    mutes=("initial-loss",),
)
def wrong_sign(subject: Subject, *, trials: int = 5, least: float = 0.1, sure: float = 5.0) -> Answer:
    """A sign is wrong: the training step raises the loss, or the loss falls when the outputs get worse.

    Looks like:
        The loss rises from the first step, or falls far below 0 while the accuracy gets worse.

    Causes:
        - the gradient is applied with the wrong sign
        - the loss is negated: a likelihood or a score where its negative was meant

    Confirm with:
        - take one step and measure the same batch again

    Try:
        - flip the sign

    False alarms:
        A step that trains on another loss than the one in the file, such as one that plays against a second network.

    Decided by:
        The loss: it must be smaller for outputs moved toward the right answer than for outputs moved as far away from it.
        The step: the first step of five fresh networks, regularization and dropout at 0, is compared with the loss's
        gradient, computed apart. It is wrong where the cosine of the change with the downhill direction is below −0.1 in
        all five, and their mean below −5/√(5·d), since a random direction among d weights has a cosine of standard
        deviation 1/√d.

    Sources:
        - the study notes, figure 9 right: the gradient is applied with the wrong sign
    """
    found = _better.judge(subject)
    if found is not None:
        return found
    cosines, weights = _cosines(subject, trials, least)
    limit = -max(least, sure / math.sqrt(len(cosines) * weights))
    mean = sum(cosines) / len(cosines)
    facts = {"measured": mean, "expected": 1.0, "tolerance": 1.0 - limit, "weights": float(weights)}
    if not (max(cosines) < -least and mean < limit):
        return Passed(f"the first step's cosine with the downhill direction is {mean:.2f}", facts)
    own = subject.recipe.step
    return Evidence(
        f"a step of {own.word if own else subject.recipe.optimizer.word} moves the weights uphill: its cosine with the "
        f"downhill direction is {mean:.2f} over {len(cosines)} fresh networks",
        facts=facts,
        confidence=0.97,
        causes=("the gradient is applied with the wrong sign",),
    )


def _cosines(subject: Subject, trials: int, least: float) -> tuple[list[float], int]:
    """Return the cosine of a first step with the downhill direction for several networks, and the number of weights.

    One network whose step does not go uphill decides.
    """
    import torch

    from lossdoc import fetching, probe, randomness

    plain = probe.bare(subject)
    found, weights = [], 0
    batches = fetching.take(subject, samples=trials * (subject.batch_size or 1))
    for trial in range(trials):
        batch = batches[trial % len(batches)]
        if trial == 0:
            course = _steps.course(subject)
            if course.cut:
                raise NotApplicable("the loss of the step has no gradient")
            before, after, slopes = course.before, course.first, _steps.slopes(subject)
        else:
            training = probe.training_of(subject, subject.seed + trial)
            model = training.model()
            probe.must_have_loss(subject, model, batch)
            before = probe.parameters_of(model)
            slopes = probe.gradient(plain, model, batch)
            with randomness.seeded(subject.seed, trial):
                training.step(batch, 1.0, 0)
            after = probe.parameters_of(training.model())
        if not slopes:
            raise NotApplicable("the loss has no gradient")
        names = [name for name in slopes if name in after and after[name].shape == before[name].shape]
        moved = torch.cat([(after[name] - before[name]).double().reshape(-1) for name in names])
        downhill = -torch.cat([slopes[name].double().reshape(-1) for name in names])
        size = float(moved.norm() * downhill.norm())
        weights = len(moved)
        if not math.isfinite(size) or size == 0:
            raise NotApplicable(
                "the first step does not change the weights" if size == 0 else "the first step is not finite"
            )
        found.append(float(moved @ downhill) / size)
        if found[-1] >= -least:
            break
    return found, weights
