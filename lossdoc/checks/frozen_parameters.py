"""LS505: parameters that are not to be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _steps
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from torch import nn


@rule(
    code="LS505",
    severity=Severity.NOTE,
    fires_on=(
        lambda: specimens.healthy(build=specimens.frozen(specimens.mlp(depth=2), 2)),
        lambda: specimens.healthy(build=specimens.frozen(specimens.mlp(depth=2), 4)),
        lambda: specimens.with_step(specimens.freezing_step, specimens.healthy(build=specimens.mlp(depth=2))),
    ),
    quiet_on=(specimens.healthy, lambda: specimens.with_step(specimens.plain_step)),
)
def frozen_parameters(subject: Subject) -> Evidence | None:
    """Some parameters are frozen: `requires_grad` is False.

    Looks like:
        Training as usual, with fewer parameters; where all are frozen, a loss that does not move.

    Causes:
        - a pretrained part that is to stay as it is
        - freezing meant for one part and applied to all, or never undone

    Confirm with:
        - list the parameters with `requires_grad` False

    Try:
        - set `requires_grad = True` on what is to learn

    False alarms:
        Freezing what was trained before is common, and no more than a note. Features that are random on purpose are named in
        vain; give them as buffers.

    Decided by:
        The flag of every parameter of a fresh model, and after some steps where these are the user's own. It is an error
        where nothing is left to learn, and a warning where what is frozen has never been trained: two models of different
        seeds differ in it.

    Sources:
        - torch's documentation: autograd mechanics, setting requires_grad
    """
    from lossdoc import probe

    model = probe.untouched(subject).build(subject.seed)
    sizes = {name: each.numel() for name, each in model.named_parameters()}
    if not sizes:
        raise NotApplicable("the model has no parameters")
    frozen = {name for name, each in model.named_parameters() if not each.requires_grad}
    by_step = _steps.course(subject).frozen if subject.recipe.step is not None else set()
    if not frozen | by_step:
        return None
    numbers, whole = sum(sizes.get(name, 0) for name in frozen | by_step), sum(sizes.values())
    random = _random(subject, model, frozen | by_step)
    severity = Severity.ERROR if numbers == whole else Severity.WARNING if random else None
    return Evidence(
        f"{numbers:,} of {whole:,} weights are frozen{' by the step' if by_step else ''}, in "
        f"{_steps.listed(frozen | by_step)}" + ("; they are random, and stay so" if random else ""),
        facts={"measured": float(numbers), "expected": 0.0, "tolerance": 0.0, "weights": float(whole)},
        severity=severity,
        confidence=0.99,
        causes=("the step freezes them",) if by_step else (),
    )


def _random(subject: Subject, model: nn.Module, names: set[str]) -> bool:
    """Tell whether weights were drawn at random, so that they depend on the seed, and not loaded."""
    from lossdoc import probe

    other = dict(probe.untouched(subject).build(subject.seed + 1).named_parameters())
    mine = dict(model.named_parameters())
    return any(name in mine and name in other and not bool((mine[name] == other[name]).all()) for name in names)
