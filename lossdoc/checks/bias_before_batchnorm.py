"""LS406: biases that batch normalization takes away again."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks._signal import names
from lossdoc.findings import Answer, Evidence, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS406",
    severity=Severity.NOTE,
    dear=True,  # it measures dozens of fresh networks
    fires_on=(lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp())),),
    quiet_on=(
        specimens.healthy,
        lambda: specimens.healthy(build=specimens.with_batchnorm(specimens.mlp(), bias=False)),
    ),
)
def bias_before_batchnorm(subject: Subject) -> Answer:
    """A layer has a bias, and batch normalization right behind it subtracts it with the mean.

    Looks like:
        Nothing: it trains as well without. The bias gets a gradient of 0 and stays where it began.

    Causes:
        - a layer's default bias left in before batch normalization, which has a shift of its own

    Confirm with:
        - print the gradient of the layer's bias

    Try:
        - leave the bias out: `linear: {out: 100, bias: false}`

    False alarms:
        None known; it costs a few parameters and no more, so that it is only a note.

    Decided by:
        The calls that a network makes on a batch: a linear or convolutional layer with a bias whose outputs go to batch
        normalization (or instance normalization) with nothing but their shape changed.

    Sources:
        - Ioffe and Szegedy (2015), Batch Normalization, section 3.2: the bias b can be ignored
        - the study notes, part A: batch normalization comes after wx+b, with a beta of its own
    """
    from lossdoc.signals import signals

    found = signals(subject).networks[0].idle_biases
    if not found:
        return None
    return Evidence(
        f"the bias of {names(found)} is subtracted again by the batch normalization behind it",
        facts={"measured": float(len(found)), "expected": 0.0, "tolerance": 0.0},
        confidence=0.98,
    )
