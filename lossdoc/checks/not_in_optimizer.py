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
    fires_on=(lambda: specimens.with_step(specimens.headless_step),),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.with_step(specimens.plain_step),
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp(depth=2))),
    ),
)
def not_in_optimizer(subject: Subject, *, steps: int = 8, rounding: float = 1e-5) -> Evidence | None:
    """Some parameters have a gradient, and yet no training step changes them.

    Looks like:
        A model that learns a little and then no more; layers that look as they did on the first day.

    Causes:
        - the optimizer was given the parameters of a part of the model only
        - a layer was added or replaced after the optimizer was made

    Confirm with:
        - compare the names in `model.named_parameters()` with what the optimizer's groups hold

    Try:
        - make the optimizer after the model is complete, from `model.parameters()`
        - set `requires_grad = False` on what is to stay as it is

    False alarms:
        A step that trains its parts by turns, with more than eight steps between them.

    Decided by:
        A copy of a fresh model is trained for eight steps by the configured step. A parameter is named that requires a
        gradient and has one at the first weights, computed apart, and in which no number changed. A gradient below 1e-5 of
        the largest one is rounding, as that of a bias before batch normalization, which is 0 in exact arithmetic.

    Sources:
        - torch's documentation of torch.optim: constructing it
    """
    from lossdoc import probe

    track = _steps.track(subject, steps, at_least=steps)
    still = set(track.before) - track.changed
    if not track.changed:
        raise NotApplicable("no weight changes at all")
    if not still:
        return None
    plain = probe.bare(subject)
    slopes = probe.gradient(plain, plain.build(subject.seed), probe.take(subject, samples=1)[0])
    sizes = {name: float(slope.abs().max()) for name, slope in slopes.items()}
    left = sorted(name for name in still if sizes.get(name, 0.0) > rounding * max(sizes.values()))
    if not left:
        return None
    return Evidence(
        f"{len(left)} of {len(track.before)} parameters have a gradient and are never changed: {', '.join(left[:5])}"
        + (", ..." if len(left) > 5 else ""),
        facts={"measured": float(len(left)), "expected": 0.0, "tolerance": 0.0, "parameters": float(len(track.before))},
        confidence=0.95,
    )
