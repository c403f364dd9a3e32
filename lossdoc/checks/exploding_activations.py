"""LS403: a signal that grows from layer to layer, for weights that are too large."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks._signal import strikes
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from lossdoc.signals import Signals


@rule(
    code="LS403",
    severity=Severity.WARNING,
    dear=True,  # it measures dozens of fresh networks
    fires_on=(
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=3), 30.0)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=8), 30.0)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=2), 9.0)),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.mlp(depth=4)),
        lambda: specimens.with_inputs(lambda inputs: 300 * inputs),
        lambda: specimens.healthy(build=specimens.residual(specimens.mlp(depth=20))),
    ),
    mutes=("exploding-gradients",),
)
def exploding_activations(subject: Subject, *, grown: float = 100.0, spread: float = 3.0, bounds: float = 1e3) -> Answer:
    """The signal grows from layer to layer: the weights are too large for the number of inputs.

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
        Inputs that are too large are no concern of this rule: it measures relative to them. What shortcuts add is in the
        same network without activations, which it measures, too. Activations that grow without bound, whatever
        the weights, are the matter of `exploding-gradients`.

    Decided by:
        The root mean square, over samples, of each layer's outputs less their mean, relative to that of what the first layer
        gets, as the median over fresh networks. It fires over 100 in the last layer (or 100 times what the same network
        keeps without activations), and where a hidden layer's weights are three times as large as He's and LeCun's rules
        make them (N(0, 1) weights √(fan-in/2) times, which is 4 at 32 inputs) with no normalization behind. It is an
        error where signal or
        gradient grow a thousandfold: networks of ReLU with three hidden layers then stayed at the base rate with momentum.

    Sources:
        - He et al. (2015), Delving Deep into Rectifiers
    """
    from lossdoc.signals import signals

    seen = signals(subject)
    whole = seen.typical(lambda network: network.through)
    if not (math.isfinite(whole) and seen.refilled.finite):
        raise NotApplicable("the signal is not finite, even with weights of the right size")
    usual = max(1.0, seen.linear.through, seen.refilled.through)
    usual_back = max([1.0, *filter(math.isfinite, (seen.linear.most_back, seen.refilled.most_back))])
    steep = sum(network.most_back > bounds * usual_back for network in seen.networks)
    place, worst = _widest(seen)
    facts = {"measured": whole / usual, "expected": 1.0, "tolerance": grown - 1, "each": worst}
    hurt = whole > bounds * usual or strikes(steep, len(seen.networks))
    if whole <= grown * usual and worst <= spread and not hurt:
        return Passed(f"the signal grows to {whole:.2g} of its size", facts)
    if hurt and whole <= grown * usual:
        facts |= {"measured": seen.typical(lambda network: network.most_back) / usual_back, "tolerance": bounds - 1}
    if whole > grown * usual or hurt:
        told = f"the signal grows to {whole:.3g} times its size over {len(seen.networks[0].layers)} layers"
    else:
        facts |= {"measured": worst, "tolerance": spread - 1, "through": whole / usual}
        told = f"the weights of {place} are {worst:.2g} times as large as its number of inputs calls for"
    return Evidence(told, facts=facts, severity=Severity.ERROR if hurt else None, confidence=0.97 if hurt else 0.9)


def _widest(seen: Signals) -> tuple[str, float]:
    """Return the hidden layer whose weights are largest relative to a healthy start, and how large they are."""
    ratios = [(layer.place, layer.spread) for layer in seen.networks[0].layers[:-1] if not math.isnan(layer.spread)]
    return max(ratios, key=lambda each: each[1], default=("", 0.0))
