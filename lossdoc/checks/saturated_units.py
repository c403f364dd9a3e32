"""LS405: hidden activations that press what they get into almost nothing."""

from __future__ import annotations

import math
from statistics import fmean, median
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossdoc.signals import Activation


@rule(
    code="LS405",
    severity=Severity.WARNING,
    dear=True,  # it measures dozens of fresh networks
    fires_on=(
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(depth=2, activation="Tanh"), 30.0)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(activation="Sigmoid"), 60.0)),
        lambda: specimens.healthy(build=specimens.softmaxed(specimens.mlp(hidden=256))),
        lambda: specimens.healthy(build=specimens.softmaxed(specimens.mlp(depth=2))),
    ),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.mlp(depth=3, activation="Tanh")),
        lambda: specimens.healthy(build=specimens.mlp(depth=2, activation="Sigmoid")),
        lambda: specimens.healthy(build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1)),
    ),
)
def saturated_units(subject: Subject, *, most: float = 0.5, left: float = 1e-2) -> Answer:
    """Hidden activations are flat where their inputs lie, or press them into almost nothing, as a softmax does.

    Looks like:
        A loss that falls slowly from the start; gradients of the layers before are tiny.

    Causes:
        - weights initialized too large, or inputs that are not standardized, before sigmoid or tanh
        - a softmax between the layers: of n units each gets 1/n on average, and differs from it by even less

    Confirm with:
        - draw a histogram of what each activation gets: beyond ±5 the sigmoid is flat, beyond ±2.5 tanh

    Try:
        - ReLU, leaky ReLU or ELU between the layers
        - standardize the inputs; Xavier's initialization before sigmoid and tanh
        - batch normalization before the activation

    False alarms:
        Gates and attention, whose sigmoid or softmax is multiplied with something else, are passed: only an activation
        whose outputs go to the next layer's weights counts. A softmax that picks from a codebook does so on purpose.

    Decided by:
        The share of values at which a sigmoid, tanh or their like has less than 2.7 % of its steepest slope, which it has
        at ±5 (tanh: ±2.5), over the first samples and fresh networks: a warning over 50 %; networks still learn then, for
        the layers behind make do with what are almost signs. For a softmax, what distinguishes one sample from
        another behind it, relative to before it: an error below 1 %, where the next layer's weights would have to grow a
        hundredfold, else a warning.

    Sources:
        - Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
        - the study notes, part A: too large a spread saturates units
    """
    from lossdoc.signals import signals

    seen = signals(subject)
    hidden = [[each for each in network.activations if each.feeds] for network in seen.networks]
    groups = list(zip(*hidden, strict=False))
    if not groups:
        raise NotApplicable("no hidden activation is seen at work")
    soft = [same for same in groups if same[0].name in ("softmax", "softmin")]
    if soft:
        return _pressed(min(soft, key=_kept), left)
    curved = [same for same in groups if not any(math.isnan(each.flat) for each in same)]
    if not curved:
        raise NotApplicable("its hidden activations have no flat ends on both sides")
    worst = max(curved, key=_flat)
    facts = {"measured": _flat(worst), "expected": 0.0, "tolerance": most}
    told = f"{100 * _flat(worst):.0f} % of what {worst[0].place} puts out lies where {worst[0].name} is flat"
    return Evidence(told, facts=facts, confidence=0.9) if _flat(worst) > most else Passed(told, facts)


def _pressed(same: Sequence[Activation], left: float) -> Evidence:
    kept = _kept(same)
    return Evidence(
        f"a softmax over {same[0].units} units stands between the layers ({same[0].place}): behind it samples differ by "
        f"{kept:.1g} of what they did before",
        facts={
            "measured": kept,
            "expected": 1.0,
            "tolerance": 1 - left if kept < left else 0.0,
            "units": float(same[0].units),
        },
        severity=Severity.ERROR if kept < left else None,
        confidence=0.96,
        causes=("a softmax between the layers: of n units each gets 1/n on average, and differs from it by even less",),
        remedies=("ReLU between the layers, in place of the softmax",),
    )


def _flat(same: Sequence[Activation]) -> float:
    return fmean(each.flat for each in same)


def _kept(same: Sequence[Activation]) -> float:
    return median(each.kept for each in same)
