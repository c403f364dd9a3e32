"""LS402: a signal that is lost on its way through the layers."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _signal
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS402",
    severity=Severity.WARNING,
    fires_on=(lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=3), 0.05)),),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.mlp(depth=4)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=2), 0.0, last_only=True)),
    ),
)
def vanishing_activations(subject: Subject, *, lost: float = 1e-3) -> Evidence | None:
    """What distinguishes one sample from another is almost gone when it reaches the last layer.

    Looks like:
        A loss that lies flat at log n for a while and then falls: a slow start, the longer the deeper the network.

    Causes:
        - weights initialized too small
        - many layers that each shrink the signal a little: sigmoid, or torch's default initialization before ReLU

    Confirm with:
        - print the standard deviation over samples behind each layer

    Try:
        - initialize by the number of inputs: He before ReLU, Xavier before tanh
        - batch normalization or residual connections, where there are many layers
        - patience: it may start by itself

    False alarms:
        A last layer that begins at 0 on purpose is passed: only what reaches it counts.

    Decided by:
        The root mean square, over samples, of each layer's outputs less their mean over the samples, relative to that of the
        inputs, in the last layer but one (in the only one, where there is one). It fires below 1e-3. He's rule keeps
        it at 1 at any depth; torch's default costs a factor of 0.41 for each layer with ReLU, and 8 such layers are needed.

    Sources:
        - Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
        - the study notes, figure 9 middle: initialized too small
    """
    signal = _signal.signal(subject)
    names = list(signal.layers)
    last = names[-2] if len(names) > 1 else names[-1]
    left = signal.layers[last] / signal.inputs
    if left >= lost:
        return None
    return Evidence(
        f"the signal shrinks to {left:.2g} of the inputs' on its way to {last}: a factor of "
        f"{left ** (1 / max(len(names) - 1, 1)):.2g} a layer",
        facts={"measured": left, "expected": 1.0, "tolerance": 1.0 - lost, "layers": float(len(names))},
        confidence=0.9,
    )
