"""LS501: a training step that leaves the weights as they are."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.parts.optimizers import Sgd
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS501",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_step(specimens.idle_step),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=Sgd(lr=1e-12)),
    ),
    quiet_on=(specimens.healthy, lambda: specimens.with_step(specimens.plain_step)),
    mutes=("not-in-optimizer",),
)
def no_update(subject: Subject) -> Evidence | None:
    """The training step does not change a single weight.

    Looks like:
        A loss that stays where it was, up to the noise of the batches, for as long as one trains.

    Causes:
        - the gradient is never applied: `optimizer.step()` is missing
        - the gradients are cleared between `backward()` and `step()`
        - the optimizer holds the parameters of another model
        - a learning rate of 0, or one so small that float32 rounds the step away

    Confirm with:
        - compare the weights before and after a step

    Try:
        - apply the gradient: zero_grad, backward, step, in this order
        - make the optimizer from the parameters of the model that is trained

    False alarms:
        A step that gathers the gradients of more than 16 batches before it applies them.

    Decided by:
        The configured step is taken on a copy of a fresh model, up to 16 times; not one number in any parameter changes.

    Sources:
        - the study notes, figure 8 left: the gradient is not applied
    """
    course = _steps.course(subject)
    if not course.before:
        raise NotApplicable("the model has no parameters to learn")
    if course.cut:
        raise NotApplicable("the step's loss has no gradient to apply")
    if course.changed:
        return None
    if not _steps.with_slope(subject):
        raise NotApplicable("the loss has no gradient to apply")
    lr = subject.recipe.hyper["lr"]
    count = sum(each.numel() for each in course.before.values())
    own = subject.recipe.step
    return Evidence(
        f"{course.steps} steps of {own.word if own else subject.recipe.optimizer.word} changed none of {count:,} weights",
        facts={"measured": 0.0, "expected": float(count), "tolerance": 0.0, "steps": float(course.steps), "lr": lr},
        confidence=0.99,
    )
