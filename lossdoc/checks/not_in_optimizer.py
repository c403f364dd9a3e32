"""LS502: parameters with a gradient that no step changes."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS502",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_step(specimens.headless_step),
        lambda: specimens.with_step(specimens.renewing_step),
        lambda: specimens.healthy(build=specimens.hidden_in_a_list(specimens.mlp(), head=True)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp(depth=2))),
    ),
)
def not_in_optimizer(subject: Subject) -> Evidence | None:
    """Some parameters have a gradient, and yet no training step changes them.

    Looks like:
        A model that learns a little and then no more; layers that look as they did on the first day.

    Causes:
        - the optimizer was given the parameters of a part of the model only
        - layers kept in a plain Python list or dict, where `model.parameters()` does not find them
        - a layer was added, replaced or made anew after the optimizer was made

    Confirm with:
        - compare the names in `model.named_parameters()` with what the optimizer's groups hold

    Try:
        - make the optimizer after the model is complete, from `model.parameters()`
        - keep layers in an nn.ModuleList or nn.ModuleDict, or as attributes of their own
        - set `requires_grad = False` on what is to stay as it is

    False alarms:
        A step that trains its parts by turns, with more than eight steps between them.

    Decided by:
        A copy of a fresh model is trained by the configured step until every parameter has changed, eight steps at most. A
        parameter is named that requires a gradient and has one at the first weights, computed apart, and in which no number
        changed. A gradient below 1e-5 of the largest one is rounding, as that of a bias before batch normalization, which
        is 0 in exact arithmetic. Of a step of the user's own it is named, too, when its object is another one than at the
        start, and no optimizer that took a step holds it. Weights that work in the model, pass a gradient on, and are not
        among `model.parameters()` are named whatever the step is, unless the step is the user's own.

    Sources:
        - torch's documentation of torch.optim: constructing it
    """
    from lossdoc import signals

    hidden = () if subject.recipe.step is not None else signals.strangers(subject)
    if hidden:
        return _of_hidden(hidden)
    course = _steps.course(subject)
    if not course.changed:
        raise NotApplicable("no weight changes at all")
    heard = course.record.of("backward")
    still = set(course.before) - course.changed - course.frozen
    left = still & _steps.with_slope(subject) if still else set()
    if heard:
        left &= course.record.reached  # where the step's own loss has no gradient, that is the fault
    renewed = course.replaced - course.held if heard and course.held is not None else set()
    renewed &= course.record.reached
    if not left | renewed:
        return None
    names = left | renewed
    told = "were made anew after the optimizer was, which does not hold them" if renewed else "are never changed"
    return Evidence(
        f"{len(names)} of {len(course.before)} parameters have a gradient and {told}: {_steps.listed(names)}",
        facts={"measured": float(len(names)), "expected": 0.0, "tolerance": 0.0, "parameters": float(len(course.before))},
        confidence=0.95,
        causes=("parameters were made anew after the optimizer was made",) if renewed else (),
    )


def _of_hidden(hidden: tuple[str, ...]) -> Evidence:
    return Evidence(
        f"the model works with {len(hidden)} learnable tensors that `model.parameters()` does not hold, so that no step "
        f"changes them: {_steps.listed(hidden)}",
        facts={"measured": float(len(hidden)), "expected": 0.0, "tolerance": 0.0},
        confidence=0.95,
        causes=("layers kept in a plain Python list or dict, where `model.parameters()` does not find them",),
        remedies=("keep layers in an nn.ModuleList or nn.ModuleDict, or as attributes of their own",),
    )
