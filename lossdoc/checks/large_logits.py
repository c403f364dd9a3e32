"""LS302: outputs so large that the first loss is mostly their own doing."""

from __future__ import annotations

import math

from lossdoc import specimens
from lossdoc.checks import _first_loss
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS302",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(), 6.0)),
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(), 60.0)),
        lambda: specimens.regression(build=specimens.scaled(specimens.mlp(1), 6.0)),
        lambda: specimens.binary(build=specimens.scaled(specimens.squeezed(specimens.mlp(1)), 8.0)),
    ),
    quiet_on=(specimens.healthy, specimens.regression, specimens.binary),
)
def large_logits(subject: Subject, *, largest: float = 2.0, errors: float = 2.0, saturated: float = 0.5) -> Answer:
    """The untrained network is sure of answers that it cannot know: its outputs are too large.

    Looks like:
        A first loss above log n that does not care which label belongs to which sample; a curve that falls steeply in its
        first steps, a hockey stick, while training does no more than make the outputs smaller.

    Causes:
        - the last layer's weights are initialized too large; He's initialization is meant for layers before a ReLU
        - the inputs are not standardized
        - the layers before multiply the signal from one to the next

    Confirm with:
        - print the standard deviation of the outputs before the first step

    Try:
        - scale down the last layer's weights, or initialize them with Xavier's or torch's own spread
        - standardize the inputs

    False alarms:
        None that matters: He's initialization in the last layer starts at logits of standard deviation 1.4, and passes.

    Decided by:
        With z the logits and π the labels' frequencies, mean(logsumexp z − Σπz) − log n is what the size of the logits alone
        adds to the first loss; logits of standard deviation s cost about s²/2. It fires where s is over 2 by more than two
        standard errors over seeds: inputs of variance 1 get outputs of variance 1 with a variance of 1/fan-in in the last
        layer, of 2 with He's or with Xavier's and few outputs, and of 4 where maximum pooling or inputs of one sign double
        the mean square on the way. For plain values, where the outputs are twice as large as the targets, by their root mean
        squares. It is an error where more than half of the samples have an answer that is sure to 99 %: there softmax and
        sigmoid are flat, and their gradient all but gone.

    Sources:
        - Karpathy (2019), A Recipe for Training Neural Networks: init well
        - Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks
    """
    first = _first_loss.first_loss(subject)
    plain = _first_loss.word_of(subject) in _first_loss.VALUE_LOSSES
    error = _first_loss.standard_error(first.spreads)
    spread = float(first.spreads.mean())
    limit = largest * math.sqrt(_second_moment(subject)) if plain else largest
    sure = float(first.saturated.mean())
    size = f"{'the outputs have root mean square' if plain else 'logits have sd'} {spread:.2g}"
    facts = {
        **_first_loss.facts(first),
        "measured": spread,
        "expected": limit,
        "tolerance": errors * error,
        "saturated": sure,
    }
    if spread - errors * error <= limit:
        return Passed(f"{size}: they change the first loss by {first.spread:+.2g}", facts)
    return Evidence(
        f"{size}: they raise the first loss by {first.spread:.3g} over {first.means} = {first.zero:.4g}, "
        "whatever the targets are",
        facts={**facts, "first_loss": first.measured},
        severity=Severity.ERROR if sure > saturated else None,
        confidence=0.95,
        remedies=(f"scale down the last layer: {size}",),
    )


def _second_moment(subject: Subject) -> float:
    """Return the targets' mean square."""
    import torch

    from lossdoc import fetching

    targets = torch.cat([batch.targets.double().reshape(-1) for batch in fetching.take(subject)])
    return float(targets.square().mean())
