"""LS508: a gradient that is not the loss's."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _differences, _steps
from lossdoc.checks._steps import Course
from lossdoc.findings import Answer, Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS508",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.with_wrong_backward(specimens.mlp())),
        lambda: specimens.healthy(build=specimens.with_damage(specimens.mlp())),
        lambda: specimens.with_step(specimens.early_clip_step),
        lambda: specimens.with_step(specimens.unscaled_half_step),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp())),
        lambda: specimens.with_step(specimens.clipped_step),
        lambda: specimens.with_step(specimens.bfloat_step),
        lambda: specimens.with_step(specimens.averaging_step),
    ),
)
def wrong_gradient(subject: Subject, *, apart: float = 0.01, lost: float = 0.5) -> Answer:
    """The gradient that is applied is not that of the loss, or not what was meant to be applied.

    Looks like:
        Training that works badly for no reason to be seen; single spikes that clipping was to prevent; layers near the
        inputs that do not learn in float16.

    Causes:
        - a `backward` of one's own with a wrong formula
        - values that the backward pass needs are changed in place behind torch's back, by `.data`
        - the gradients are clipped before `backward()` fills them, or to next to nothing
        - float16 without a scaled loss: gradients below 6·10⁻⁸ are rounded to 0

    Confirm with:
        - `torch.autograd.gradcheck` on the function, in float64
        - print the norm of the gradients just before `optimizer.step()`

    Try:
        - mend the formula of `backward`, and let torch differentiate what it can
        - the order zero_grad, backward, clip, step
        - `torch.amp.GradScaler`: scale, backward, unscale, step, update; or bfloat16, which needs none

    False alarms:
        A gradient that is another one on purpose: straight through a rounding, or reversed. Where the loss itself does not
        change at all, and where `detach` explains the difference, it is a note.

    Decided by:
        Autograd and central differences in float64, along one direction in each of twelve parameters: half its own gradient,
        half random, at weights moved a little off the places where a ReLU bends. It is wrong where they are 1 % apart and
        differences of two lengths, one 64 times the other, agree within 0.1 % and a hundredth of how far both are from it,
        so that no bend lies between. Of the user's own step: a function named `clip_grad...` is called
        before the last `backward()` and not behind it, an error where the gradient at the optimizer's first step is longer
        than the limit; and float16 with a loss that is not scaled up, an error where more than half of the gradients that
        float32 knows are 0. A checkup names it, too, where something does not learn that does with the usual step in place
        of the user's own.

    Sources:
        - torch's documentation: gradcheck mechanics; automatic mixed precision, gradient scaling
        - Micikevicius et al. (2018), Mixed Precision Training, section 3.2
    """
    if subject.recipe.step is not None:
        course = _steps.course(subject)
        found = _clipped_too_early(subject, course) or _half_unscaled(subject, course, lost)
        if found is not None:
            return found
    return _differences.judge(subject, apart)


def _clipped_too_early(subject: Subject, course: Course) -> Evidence | None:
    """Look for a clipping that is followed by a backward pass, and that by the optimizer."""
    since: list[str] = []
    wrong = False
    for event in course.record.events:
        since.append(event.kind)
        if event.kind == "optimizer":
            order = "".join(kind[0] for kind in since)  # b, c, o
            wrong = wrong or ("b" in order and -1 < order.rfind("c") < order.rfind("b"))
            since = []
    if not wrong:
        return None
    limit = next((each for each in course.record.of("clip") if each is not None), float("nan"))
    norm = _steps.distance((course.record.gradients or {}).values())
    word = subject.recipe.step.word if subject.recipe.step else ""
    return Evidence(
        f"{word} clips the gradients before `backward()` fills them: they are applied with a norm of {norm:.3g}, the limit "
        f"being {limit:.3g}",
        facts={"measured": norm, "expected": limit, "tolerance": 0.0},
        severity=None if norm > limit else Severity.WARNING,
        confidence=0.97,
        causes=("the gradients are clipped before `backward()` fills them",),
        remedies=("clip between `backward()` and `optimizer.step()`",),
    )


def _half_unscaled(subject: Subject, course: Course, lost: float) -> Evidence | None:
    record = course.record
    begun = [each for each in record.of("backward") if each is not None]
    scaled = record.of("scale") or (begun and course.losses and abs(begun[0]) > 8 * abs(course.losses[0]))
    if not record.half or not begun or scaled:
        return None
    due = _steps.slopes(subject)
    pairs = [(due[name], given) for name, given in (record.gradients or {}).items() if name in due]
    known = sum(int((slope != 0).sum()) for slope, _ in pairs)
    gone = sum(int(((slope != 0) & (given == 0)).sum()) for slope, given in pairs) / max(known, 1)
    many = gone > lost
    return Evidence(
        f"{subject.recipe.step.word if subject.recipe.step else ''} computes in float16 and does not scale its loss: "
        f"{100 * gone:.1f} % of the gradients that float32 knows are rounded to 0 at the first step, and more as they "
        "get smaller",
        facts={  # of the share that is lost, or of the times that the loss was scaled
            "measured": gone if many else 0.0,
            "expected": 0.0 if many else 1.0,
            "tolerance": lost if many else 0.0,
            "lost": gone,
        },
        severity=None if many else Severity.WARNING,
        confidence=0.9,
        causes=("float16 without a scaled loss",),
        remedies=("scale the loss: `scaler.scale(loss).backward()`, `scaler.step(optimizer)`, `scaler.update()`",),
    )
