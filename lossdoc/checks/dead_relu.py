"""LS404: units that are off for every sample."""

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
    from lossdoc.signals import Activation, Network

BY_CHANCE = 1e-3  # how probable so many dead units of a layer may be where half of them are


@rule(
    code="LS404",
    severity=Severity.WARNING,
    dear=True,  # it measures dozens of fresh networks
    fires_on=(
        lambda: specimens.healthy(build=specimens.shifted(specimens.mlp(depth=2), -100.0)),
        lambda: specimens.healthy(build=specimens.shifted(specimens.mlp(depth=2), -100.0, units=13)),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(hidden=3, depth=12), 2.0)),
    ),
    quiet_on=(
        lambda: specimens.healthy(build=specimens.mlp(depth=3)),
        lambda: specimens.with_inputs(lambda inputs: inputs.abs(), build=specimens.mlp(depth=3)),
        lambda: specimens.healthy(build=specimens.refilled(specimens.mlp(hidden=5, depth=2), 2.0)),
    ),
    mutes=("no-gradient", "vanishing-activations", "vanishing-gradients"),
)
def dead_relu(subject: Subject, *, most: float = 0.7, least: int = 200) -> Answer:
    """Units put out 0 for every sample: no gradient passes through them.

    Looks like:
        A loss that stops early at a high value, or does not move at all, while the gradients of the first layers are 0. With
        narrow layers it depends on the seed: some runs learn, others never do.

    Causes:
        - biases far below 0
        - many layers of a few units: that all units of one of them are off for all samples becomes likely
        - inputs of one sign that are not centered, and large
        - a learning rate that once was too high, in a network that has been trained

    Confirm with:
        - count the units of each layer that are above 0 for at least one sample, for several seeds

    Try:
        - leaky ReLU, PReLU or ELU: they let a little gradient through
        - wider layers, or fewer of them; batch normalization before each ReLU
        - He's initialization and biases of 0; standardized inputs
        - a lower learning rate

    False alarms:
        With inputs of one sign, and no bias, up to half of the units of a layer may be off for all samples; of a few units
        more than that may be by chance, so that their share is judged over the seeds together.

    Decided by:
        The units of each rectifier that are 0 for all of the first samples (a channel counts as one unit), in fresh networks
        of several seeds, more of them where a layer is narrow. It is an error where a whole layer is dead, so that nothing
        before it can learn, in more than one network in twenty (shown at 95 %; units that are off for half of all directions
        make that 1 − (1 − 2⁻ⁿ)ᴸ for L layers of n units: 38 % for 15 layers of 5), or in the network of the configured
        seed. It is a warning where 70 % of a layer's units are dead over the seeds together, and so many would be less
        probable than 1 in 1,000 if half of them were.

    Sources:
        - Lu et al. (2019), Dying ReLU and Initialization
        - the study notes, part A: a dead ReLU
    """
    from lossdoc.signals import signals

    seen = signals(subject)
    if seen.samples < least:
        raise NotApplicable("too few samples to call a unit dead")
    networks = [_rectifiers(network) for network in seen.networks]
    if not all(networks):
        raise NotApplicable("no rectifier is seen at work")
    struck = [next((each.place for each in network if each.dead == 1), None) for network in networks]
    hit, own = len(struck) - struck.count(None), struck[0] is not None
    place, dead, units = max(_together(networks), key=lambda each: each[1] / each[2])
    facts = {"measured": dead / units, "expected": 0.0, "tolerance": most, "dead_networks": hit / len(networks)}
    if own or strikes(hit, len(networks)):
        this = ", the one of this seed among them," if own else ""
        return Evidence(
            f"in {hit} of {len(networks)} fresh networks{this} all units of a layer put out 0 for all of {seen.samples:,} "
            f"samples (first: {next(each for each in struck if each is not None)}): nothing before it can learn",
            facts=facts,
            severity=Severity.ERROR,
            confidence=0.97,
        )
    chance = sum(math.comb(units, k) for k in range(dead, units + 1)) / 2**units
    if dead / units < most or chance > BY_CHANCE:
        return Passed(f"{100 * dead / units:.0f} % of the units in {place} are 0 for all samples, in no layer more", facts)
    return Evidence(
        f"{100 * dead / units:.0f} % of the units in {place} put out 0 for all of {seen.samples:,} samples",
        facts=facts,
        confidence=0.95,
    )


def _rectifiers(network: Network) -> list[Activation]:
    return [each for each in network.activations if not math.isnan(each.dead)]


def _together(networks: list[list[Activation]]) -> list[tuple[str, int, int]]:
    """Return for each rectifier its place, how many of its units are dead in all networks together, and how many it has."""
    return [
        (same[0].place, round(sum(each.dead * each.units for each in same)), sum(each.units for each in same))
        for same in zip(*networks, strict=False)
    ]
