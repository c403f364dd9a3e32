"""LS403: a signal that grows from layer to layer."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _signal
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS403",
    severity=Severity.WARNING,
    fires_on=(lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=3), 30.0)),),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.mlp(depth=4)),
        lambda: specimens.with_inputs(lambda inputs: 300 * inputs),
    ),
)
def exploding_activations(subject: Subject, *, grown: float = 100.0, each: float = 4.0) -> Evidence | None:
    """The signal grows from layer to layer.

    Looks like:
        A first loss in the tens or hundreds, and gradients that must be clipped; NaN within a few steps.

    Causes:
        - weights initialized too large, such as from N(0, 1) whatever the number of inputs

    Confirm with:
        - print the standard deviation over samples behind each layer

    Try:
        - initialize by the number of inputs: He before ReLU, Xavier before tanh
        - batch normalization

    False alarms:
        Inputs that are too large are no concern of this rule: it measures relative to them.

    Decided by:
        The root mean square, over samples, of each layer's outputs less their mean, relative to that of the inputs: over 100
        in the last layer, or four times as large with every layer (N(0, 1) weights multiply it by √(fan-in/2),
        which is 4 at 32 inputs). He's rule keeps it at 1.4 at any depth.

    Sources:
        - He et al. (2015), Delving Deep into Rectifiers
    """
    signal = _signal.signal(subject)
    if signal.whole <= grown and signal.each <= each:
        return None
    return Evidence(
        f"the signal grows to {signal.whole:.3g} times the inputs' over {len(signal.layers)} layers, "
        f"{signal.each:.2g} times in each",
        facts={"measured": signal.whole, "expected": 1.0, "tolerance": grown - 1, "each": signal.each},
        confidence=0.9,
    )
