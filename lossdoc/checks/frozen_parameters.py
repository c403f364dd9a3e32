"""LS505: parameters that are not to be learned."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS505",
    severity=Severity.NOTE,
    fires_on=(
        lambda: specimens.healthy(build=specimens.frozen(specimens.mlp(depth=2), 2)),
        lambda: specimens.healthy(build=specimens.frozen(specimens.mlp(depth=2), 4)),
    ),
    quiet_on=(specimens.healthy,),
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
        Freezing is common in fine-tuning: this is a note, and an error only where nothing is left to learn.

    Decided by:
        The flag of every parameter of a fresh model.

    Sources:
        - torch's documentation: autograd mechanics, setting requires_grad
    """
    from lossdoc import probe

    model = probe.untouched(subject).build(subject.seed)
    sizes = {name: each.numel() for name, each in model.named_parameters()}
    if not sizes:
        raise NotApplicable("the model has no parameters")
    frozen = [name for name, each in model.named_parameters() if not each.requires_grad]
    if not frozen:
        return None
    numbers, whole = sum(sizes[name] for name in frozen), sum(sizes.values())
    return Evidence(
        f"{numbers:,} of {whole:,} weights are frozen, in {', '.join(frozen[:5])}" + (", ..." if len(frozen) > 5 else ""),
        facts={"measured": float(numbers), "expected": 0.0, "tolerance": 0.0, "weights": float(whole)},
        severity=Severity.ERROR if numbers == whole else None,
        confidence=0.99,
    )
