"""LS522: a gradient that grows beyond all bounds on its way back through the layers."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.checks._signal import names, strikes
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS522",
    severity=Severity.ERROR,
    dear=True,  # it measures dozens of fresh networks
    fires_on=(
        lambda: specimens.healthy(build=specimens.refilled(specimens.exponential(hidden=5, depth=9), 2.0)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=8), 30.0)),
        lambda: specimens.sequences(build=specimens.recurrent(8.0)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.exponential()),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(depth=17, activation="Tanh"), 2.0)),
        lambda: specimens.healthy(build=specimens.residual(specimens.mlp(depth=20))),
        specimens.sequences,
        lambda: specimens.sequences(build=specimens.recurrent(1.0)),
    ),
    mutes=(
        "non-finite",
        "initial-loss",
        "large-logits",
        "vanishing-activations",
        "vanishing-gradients",
        "saturated-units",
        "no-gradient",
    ),
)
def exploding_gradients(subject: Subject, *, grown: float = 1e3) -> Answer:
    """The gradient grows from layer to layer on its way back, or along a sequence, until it leaves the range of numbers.

    Looks like:
        A loss that is NaN or huge within the first steps, or jumps; gradient norms that differ by many powers of ten from
        step to step.

    Causes:
        - activations that grow without bound faster than their inputs, such as the exponential, between the layers
        - weights initialized too large
        - a recurrent network whose recurrent weights are too large: every position multiplies by them once more

    Confirm with:
        - print the norm of each layer's gradient after `backward()`

    Try:
        - ReLU, leaky ReLU or tanh between the layers, in place of the exponential
        - initialize by the number of inputs: He before ReLU, Xavier before tanh, orthogonal for recurrent weights
        - clip the gradient's norm: `clip: 1.0`
        - LSTM or GRU in place of a plain recurrent network

    False alarms:
        What shortcuts do to a gradient is no concern of this rule: it measures relative to the same network without its
        activations, with weights of variance 1/fan-in.

    Decided by:
        A random gradient is put in at what the last layer of fresh networks gets, or at the last position of a sequence;
        its norm where it is largest before, relative to that without activations (and to 1, where that is more), must not be
        over 1e3, nor any number on the way leave its range. It is an error where more than one network in twenty
        does so, shown at 95 %, and a warning where the gradient is clipped. A thousand times is what
        `vanishing-gradients` allows in the other direction; He and Xavier keep within ten at any depth.

    Sources:
        - Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks
    """
    from lossdoc.signals import signals

    seen = signals(subject)
    if not seen.linear.finite:
        raise NotApplicable("the numbers leave their range even without the activations")
    usual = max(1.0, seen.linear.most_back) if seen.linear.most_back < math.inf else 1.0
    broken = [network for network in seen.networks if not network.finite]
    sizes = [network.most_back / usual for network in seen.networks if network.finite]
    large = [size for size in sizes if size > grown]
    if all(math.isnan(size) for size in sizes) and not broken:
        raise NotApplicable("no gradient passes from the last layer to one before it, nor along a sequence")
    worst = math.inf if broken else max(size for size in sizes if not math.isnan(size))
    hit, count = len(broken) + len(large), len(seen.networks)
    facts = {"measured": worst, "expected": 1.0, "tolerance": grown - 1, "struck": float(hit), "networks": float(count)}
    if not strikes(hit, count):
        return Passed(f"a gradient grows to {worst:.2g} of its size at most", facts)
    blamed = names({each.name for each in seen.networks[0].activations if each.feeds and each.name == "exp"})
    what = "its numbers leave their range" if broken else f"a gradient grows to {worst:.1g} times its size"
    clipped = subject.recipe.clip is not None and not broken
    return Evidence(
        f"in {hit} of {count} fresh networks {what} between the layers"
        + (f", which {blamed} multiplies without bound" if blamed else ""),
        facts=facts,
        severity=Severity.WARNING if clipped else None,
        confidence=0.95,
        causes=("activations that grow without bound faster than their inputs, such as the exponential, between the layers",)
        if blamed
        else ("weights initialized too large",),
    )
