"""LS402: a signal that is lost on its way through the layers, for want of larger weights."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.checks._signal import least_gradient
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS402",
    severity=Severity.WARNING,
    dear=True,  # it measures dozens of fresh networks
    fires_on=(
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=3), 0.05)),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(depth=8, hidden=5), 0.004)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.mlp(depth=4)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=2), 0.0, last_only=True)),
        lambda: specimens.healthy(build=specimens.mlp(depth=8, activation="Sigmoid")),
    ),
    mutes=("vanishing-gradients",),
)
def vanishing_activations(subject: Subject, *, lost: float = 1e-3, gone: float = 1e-5) -> Answer:
    """What distinguishes one sample from another is almost gone when it reaches the last layer: the weights are too small.

    Looks like:
        A loss that lies flat at log n for a while and then falls: a slow start, the longer the deeper the network. With many
        layers it stays there.

    Causes:
        - weights initialized too small, such as from U(−0.05, 0.05) whatever the number of inputs
        - many layers that each shrink the signal a little, as torch's default initialization does before ReLU

    Confirm with:
        - print the standard deviation over samples behind each layer

    Try:
        - initialize by the number of inputs: He before ReLU, Xavier before tanh
        - batch normalization or residual connections, where there are many layers
        - patience: it may start by itself

    False alarms:
        A last layer that begins at 0 on purpose is passed: only what reaches it counts. A signal that no weights would save,
        because sigmoid after sigmoid shrinks it, is the matter of `vanishing-gradients`.

    Decided by:
        The root mean square, over samples, of what reaches the last layer, less its mean over the samples, relative to that
        of what the first layer gets, as the median over fresh networks. It fires below 1e-3 of what
        the same network without activations keeps with weights of variance 1/fan-in (or of 1, where that is less), if
        He's weights before ReLU and LeCun's before others keep ten times as much. It is an error below 1e-5, or where
        a gradient keeps less than 3e-4 on its way back (1e-5 with Adam and its like): ReLU networks of 2, 4 and 8 hidden
        layers then stayed at the base rate; above, they began late. He's rule keeps it near 1 at any depth; torch's default
        costs a factor of 0.41 for each layer with ReLU.

    Sources:
        - Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
        - He et al. (2015), Delving Deep into Rectifiers
        - the study notes, figure 9 middle: initialized too small
    """
    from lossdoc.signals import signals

    seen = signals(subject)
    left, back = seen.typical(lambda network: network.forward), seen.typical(lambda network: network.back)
    if not math.isfinite(left):
        raise NotApplicable("the signal is not finite")
    usual, usual_back = (min(1.0, each) if each > 0 else 1.0 for each in (seen.linear.forward, seen.linear.back))
    kept, mended, names = left / usual, seen.refilled.forward / usual, [each.place for each in seen.networks[0].layers]
    last = names[-1]
    facts = {
        "measured": kept,
        "expected": 1.0,
        "tolerance": 1.0 - lost,
        "refilled": mended,
        "layers": float(len(names)),
        "networks": float(len(seen.networks)),
    }
    if kept >= lost or mended < 10 * max(kept, lost):
        return Passed(f"the signal keeps {kept:.2g} of its size on its way to {last}", facts)
    hurt = kept < gone or back / usual_back < least_gradient(subject)
    return Evidence(
        f"the signal shrinks to {kept:.2g} of its size on its way to {last}, a factor of "
        f"{kept ** (1 / max(len(names) - 1, 1)):.2g} a layer; with weights of the right size it would keep {mended:.2g}",
        facts=facts,
        severity=Severity.ERROR if hurt else None,
        confidence=0.97 if hurt else 0.9,
    )
