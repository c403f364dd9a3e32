"""LS506: gradients that are added up, never cleared or never divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.checks._steps import Course
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn


@rule(
    code="LS506",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_step(specimens.hoarding_step),
        lambda: specimens.with_step(specimens.gathering_step),
    ),
    quiet_on=(
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.with_step(specimens.tidy_step),
        lambda: specimens.with_step(specimens.averaging_step),
    ),
)
def accumulating_gradients(subject: Subject, *, near: float = 0.1) -> Evidence | None:
    """The gradients are added up: every step applies the sum of all before it, or of several batches undivided.

    Looks like:
        A loss that falls at first and then swings wider and wider, as if the momentum were 1.

    Causes:
        - `optimizer.zero_grad()` is missing
        - it stands between `backward()` and the next `backward()` of another model
        - the gradients of several batches are gathered on purpose, and the loss is not divided by their number

    Confirm with:
        - print the norm of the gradients at the second step, with and without clearing them

    Try:
        - call `optimizer.zero_grad()` before each `backward()`
        - where gradients are gathered, divide each loss by the number of batches: `(loss / 4).backward()`

    False alarms:
        A sum of several batches that is meant, with a learning rate chosen for it: it is a warning only. Gathering with
        division is passed.

    Decided by:
        Two steps of the user's own are taken on two batches. The gradients left on the parameters are compared with the
        sum of both batches' gradients, computed apart at the weights where they were taken, and with the second alone. It
        fires where they are within 10 % of the sum and nearer to it than to the second. Where several backward passes come
        before the optimizer's first step, the gradient it takes is compared with the mean of the batches' gradients,
        computed apart: it fires where it points the same way and is as many times as long as there were passes, within 10 %.

    Sources:
        - torch's documentation of torch.optim: taking an optimization step
    """
    if subject.recipe.step is None:
        raise NotApplicable("training is by lossdoc's own step, whose gradients are values and never pile up")
    return _never_divided(subject, near) or _never_cleared(subject, near)


def _never_divided(subject: Subject, near: float) -> Evidence | None:
    """Compare what the optimizer's first step applies with the mean of the batches that were gathered for it."""
    import torch

    from lossdoc import probe

    course = _steps.course(subject)
    passes = _passes(course)
    if passes < 2 or not course.record.gradients:
        return None
    plain = probe.bare(subject)
    model = plain.build(subject.seed)
    used = [course.batches[step % len(course.batches)] for step in range(course.gathered)]
    each = [probe.gradient(plain, model, batch) for batch in used]
    names = [name for name in course.record.gradients if all(name in grads for grads in each)]
    mean = [torch.stack([grads[name] for grads in each]).mean(0) for name in names]
    given = [course.record.gradients[name] for name in names]
    along = sum(float((one.double() * other.double()).sum()) for one, other in zip(given, mean, strict=True))
    length = _steps.distance(mean)
    if not length > 0 or not along > (1 - near) * length * _steps.distance(given):
        return None
    ratio = along / length**2
    if not abs(ratio / passes - 1) < near:
        return None
    return Evidence(
        f"the gradients of {passes} backward passes are added and never divided: the optimizer's first step applies "
        f"{ratio:.3g} times the mean gradient",
        facts={"measured": ratio, "expected": 1.0, "tolerance": near, "passes": float(passes)},
        severity=Severity.WARNING,
        confidence=0.95,
        causes=(f"gradients of {passes} passes are gathered, and the loss is not divided by {passes}",),
        remedies=(f"divide each loss by the number of passes: `(loss / {passes}).backward()`",),
    )


def _passes(course: Course) -> int:
    """Return how many backward passes came before the optimizer's first step, 0 where it took none."""
    kinds = [event.kind for event in course.record.events]
    return kinds[: kinds.index("optimizer")].count("backward") if "optimizer" in kinds else 0


def _never_cleared(subject: Subject, near: float) -> Evidence | None:
    from lossdoc import fetching, probe, randomness

    batches = fetching.take(subject, samples=2 * (subject.batch_size or 1))
    plain = probe.bare(subject)
    training = probe.training_of(subject, subject.seed)
    alone: list[dict[str, Tensor]] = []
    before = probe.parameters_of(training.model())
    for step in range(2):
        batch = batches[step % len(batches)]
        probe.must_have_loss(subject, training.model(), batch)
        alone.append(probe.gradient(plain, training.model(), batch))
        with randomness.seeded(subject.seed, step):
            training.step(batch, 1.0, 0)
        now = _parameters(training.model())
        if step == 0 and all(name in now and bool((each == now[name]).all()) for name, each in before.items()):
            raise NotApplicable("the first step changes no weight")
    left = {name: each.grad for name, each in _parameters(training.model()).items() if each.grad is not None}
    names = [name for name in left if all(name in grads for grads in alone)]
    if not names:
        return None  # cleared, or never left on the parameters
    to_sum = _steps.distance(left[name] - alone[0][name] - alone[1][name] for name in names)
    to_last = _steps.distance(left[name] - alone[1][name] for name in names)
    whole = _steps.distance(alone[0][name] + alone[1][name] for name in names)
    if not (to_sum < near * whole and to_sum < to_last / 2):
        return None
    last = _steps.distance(alone[1][name] for name in names)
    held = _steps.distance(left[name] for name in names)
    return Evidence(
        f"after two steps the gradients are the sum of both (norm {held:.3g}); the second alone has norm {last:.3g}",
        facts={"measured": held, "expected": last, "tolerance": near * whole},
        confidence=0.97,
    )


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: each for name, each in model.named_parameters() if each.requires_grad}
