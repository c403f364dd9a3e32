"""LS407: layers stacked without anything between them that bends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

ROUNDING = 1e-3  # of the spread of the outputs: float32 and some hundred sums explain less
SCALES = (1.0, 100.0)  # of the inputs: where tanh is nearly straight, and where it is flat


@rule(
    code="LS407",
    severity=Severity.WARNING,
    fires_on=(
        lambda: specimens.healthy(build=specimens.mlp(depth=2, activation="Identity")),
        lambda: specimens.regression(build=specimens.mlp(1, activation="Identity")),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        lambda: specimens.healthy(build=specimens.mlp(depth=3)),
        lambda: specimens.with_inputs(lambda inputs: inputs / 1000),
    ),
)
def no_hidden_activation(subject: Subject) -> Answer:
    """Several layers with weights, and nothing between them that is not linear: together they are no more than one.

    Looks like:
        A loss that falls to that of a linear regression, or of logistic regression, and no further, however wide or deep the
        network is.

    Causes:
        - the activation was left out: Keras' Dense has none unless it is given one, and neither has torch's Linear
        - an activation that was made in `__init__` and is never called in `forward`

    Confirm with:
        - a single layer in place of all of them: it must be worse

    Try:
        - ReLU behind each layer but the last one

    False alarms:
        A linear autoencoder, or a product of two narrow matrices that is meant to be one of low rank: hence only a warning,
        unless an activation between the layers is shown to help.

    Decided by:
        A map f of the inputs is affine where f(2a − b) = 2 f(a) − f(b). This holds for what the last layer with weights puts
        out in evaluation mode, for pairs of samples and for the same samples a hundred times as large, within a thousandth
        of its spread, and at least one other layer with weights ran before it.

    Sources:
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 6.1: why a hidden layer must not be linear
        - Cybenko (1989), Approximation by superpositions of a sigmoidal function
    """
    import torch

    from lossdoc import fetching, probe
    from lossdoc.signals import some

    batch = some(subject, fetching.take(subject)[0])
    inputs = fetching.real_inputs([batch])
    model = probe.untouched(subject).build(subject.seed)
    if len(inputs) < 2:
        raise NotApplicable("a single sample makes no pairs")
    size = inputs.square().mean().sqrt().clamp_min(torch.finfo(inputs.dtype).tiny)
    bends = []
    for scale in SCALES:
        first = inputs * (scale / size)
        second = first.roll(1, 0)
        a, b, beyond = (_last(subject, model, Batch(given, batch.targets)) for given in (first, second, 2 * first - second))
        bends.append(float((2 * a - b - beyond).abs().max() / (a - b).abs().max()))
    facts = {"measured": max(bends), "expected": 1.0, "tolerance": 1 - ROUNDING}
    if not max(bends) < ROUNDING:
        return Passed(f"the outputs bend by {max(bends):.1g} of their spread", facts)
    count = sum(map(_weighs, model.modules()))
    return Evidence(
        f"what the last of the {count} layers puts out is linear in the inputs: together they do no more than one",
        facts,
        confidence=0.97,
    )


def _weighs(module: nn.Module) -> bool:
    """Tell whether a module multiplies by a matrix of its own."""
    from torch import Tensor

    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim > 1 and not any(True for _ in module.children())


def _last(subject: Subject, model: nn.Module, batch: Batch) -> Tensor:
    """Return what the last layer with weights puts out, in evaluation mode."""
    from lossdoc import probe

    seen = probe.layer_outputs(subject, model, batch, _weighs, training=False)
    if len(seen) < 2:
        raise NotApplicable("fewer than two layers with weights: there is nothing for an activation to stand between")
    found = list(seen.values())[-1].double()
    if not bool(found.isfinite().all()) or float(found.std()) == 0:
        raise NotApplicable("the last layer does not answer different inputs with different finite numbers")
    return found
