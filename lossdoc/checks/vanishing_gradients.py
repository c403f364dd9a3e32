"""LS521: a gradient that is lost on its way back through the layers."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.checks._signal import least_gradient, names
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS521",
    severity=Severity.ERROR,
    dear=True,  # it measures dozens of fresh networks
    fires_on=(
        lambda: specimens.healthy(build=specimens.mlp(depth=8, activation="Sigmoid")),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(hidden=5, depth=8, activation="Sigmoid"), 2.0)),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(depth=50, activation="Sigmoid"), 1.0)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.mlp(depth=2, activation="Sigmoid")),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(depth=17, activation="Tanh"), 2.0)),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(depth=10), 2.0)),
        lambda: specimens.healthy(build=specimens.residual(specimens.mlp(depth=20, activation="Sigmoid"))),
    ),
)
def vanishing_gradients(subject: Subject, *, lost: float = 3e-4) -> Answer:
    """The gradient is lost on its way back from the last layers: the first ones hardly learn.

    Looks like:
        A loss that lies flat at log n, the longer the deeper the network; the gradients of the first layers are thousands of
        times smaller than those of the last.

    Causes:
        - many layers of sigmoid: each passes on a quarter of the gradient at best
        - units of sigmoid or tanh that are saturated
        - weights initialized too small

    Confirm with:
        - print the norm of each layer's gradient after `backward()`

    Try:
        - ReLU, leaky ReLU or ELU between the layers, in place of sigmoid or tanh
        - He's initialization before ReLU, Xavier's before tanh
        - batch normalization, or shortcuts around every two layers
        - fewer layers

    False alarms:
        What pooling, shortcuts and normalization do to a gradient is no concern of this rule: it measures relative to the
        same network without its activations. A recurrent network's weights count all the positions at which they are used.

    Decided by:
        A random gradient is put in at what the last layer gets, and its norm is taken where it arrives behind the weights of
        the first, as the median over fresh networks. Relative to the same network without activations, with weights of
        variance 1/fan-in (and to 1, where that is less), it must keep more than 3e-4 (1e-5 with Adam and its like, where
        larger weights alone would mend it); up to ten times that is a warning. Networks of sigmoid, 1 to 8 hidden layers of
        5 or 32 units on three sets of data, with Adam and with momentum, all learned where they kept 3e-2, stayed behind
        where they kept 3e-4 to 3e-3, and hardly left the base rate where they kept less. Networks of tanh, He and residual
        ones keep 0.1 and more at any depth.

    Sources:
        - Hochreiter (1991), Untersuchungen zu dynamischen neuronalen Netzen
        - Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
    """
    from lossdoc.signals import signals

    seen = signals(subject)
    back = seen.typical(lambda network: network.back)
    if math.isnan(back):
        raise NotApplicable("no gradient passes from the last layer to one before it")
    healthy = min(1.0, seen.linear.back) if seen.linear.back > 0 else 1.0
    kept = back / healthy
    layers, squashing = seen.networks[0].layers, [each for each in seen.networks[0].activations if not math.isnan(each.flat)]
    facts = {
        "measured": kept,
        "expected": 1.0,
        "tolerance": 1.0 - lost,
        "refilled": seen.refilled.back / healthy,
        "layers": float(len(layers)),
        "networks": float(len(seen.networks)),
    }
    way = f"from {layers[-1].place} back to {layers[0].place}"
    mended = seen.refilled.back / healthy >= 10 * lost
    limit = least_gradient(subject) if mended else lost
    if kept >= 10 * limit:
        return Passed(f"a gradient keeps {kept:.2g} of its size {way}", facts)
    blamed = f", which {names({each.name for each in squashing})} between the layers shrink" if squashing else ""
    return Evidence(
        f"a gradient keeps {kept:.1g} of its size {way}{'' if mended else blamed}"
        + (f"; with weights of the right size it keeps {seen.refilled.back / healthy:.2g}" if mended else ""),
        facts=facts,
        severity=None if kept < limit else Severity.WARNING,
        confidence=0.95,
        remedies=("He's initialization before ReLU, Xavier's before tanh",) if mended else (),
    )
