"""LS611: a trained model that answers every input alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc.checks import _compared, _specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lossdoc.experiments import Experiments


@rule(
    code="LS611",
    severity=Severity.ERROR,
    fires_on=(_specimens.killed, _specimens.smothered),
    quiet_on=(_specimens.sound, _specimens.line),
)
def constant_output(experiments: Experiments, *, varies: float = 0.01) -> Answer:
    """After training the model gives the same answer whatever the input is.

    Looks like:
        The loss falls quickly to that of the targets' mean (or of the class frequencies) and stays there; the accuracy is
        the share of the most frequent class.

    Causes:
        - units died or saturated: too high a learning rate, a bad initialization, inputs that are not scaled
        - regularization outweighs the loss and drives the weights to 0
        - the gradient does not reach the layers below the last bias

    Confirm with:
        - print the model's outputs for a handful of different inputs
        - `lossdoc sanity`, which counts dead and saturated units

    Try:
        - a tenth of the learning rate
        - an initialization that suits the activation (He for ReLU, Xavier for tanh)
        - weaker regularization

    False alarms:
        A training that has hardly begun, or data whose inputs tell nothing.

    Decided by:
        The model has learned nothing beyond the best blind answer, and over the validation inputs the standard deviation of
        each of its answers is below 1 % of that of its target: by the inequality of Cauchy and Schwarz it can explain at
        most 2 % of the variance. Where the configured training was cut short, the answers must also vary less than those
        of the fresh model: it has lost what it had.

    Sources:
        - Lu, Shin, Su, Karniadakis, Dying ReLU and initialization, 2019
        - A. Karpathy, A Recipe for Training Neural Networks, 2019: input-independent baseline
    """
    if _compared.learns(experiments, experiments.baseline):
        return Passed(f"the answers vary with the inputs: {_compared.trained(experiments)}")
    spread = _spread(experiments, experiments.trained)
    fresh = _spread(experiments, experiments.subject.build(experiments.seeds[0]))
    facts = {"measured": spread, "expected": 1.0, "tolerance": 1 - varies, "fresh": fresh}
    if spread >= varies:
        return Passed(f"over the validation inputs the answers vary by {spread:.2g} of what the targets do", facts)
    if experiments.shortened > 1 and spread > varies * fresh:
        raise NotApplicable(f"{experiments.steps} steps are only the beginning of the configured training")
    summary = (
        f"after {experiments.steps} steps the answers vary by {spread:.2g} of what the targets do, "
        f"those of the fresh model by {fresh:.2g}: the same for every input"
    )
    return Evidence(summary, facts, confidence=0.97)


def _spread(experiments: Experiments, model: nn.Module) -> float:
    """Return the largest standard deviation of an answer over the inputs, in those of its target."""
    import torch

    from lossdoc import fetching, scoring

    subject = experiments.subject
    batches = fetching.take(subject, "validation" if "validation" in subject.sizes else "train")
    given = [scoring.answers(model, batch) for batch in batches]
    if not all(
        isinstance(each, torch.Tensor) and len(each) == batch.size for each, batch in zip(given, batches, strict=True)
    ):
        raise NotApplicable("the model's answers are not one tensor with a row for each sample")
    outputs, targets = torch.cat(given).double(), torch.cat([batch.targets for batch in batches])
    answers, wanted = _comparable(experiments, outputs, targets)
    if len(answers) < 2:
        return 0.0
    varied = wanted.std(0) > 0  # not of a class that no target is of
    return float((answers.std(0) / wanted.std(0))[varied].nan_to_num(0.0).max()) if varied.any() else 0.0


def _comparable(experiments: Experiments, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the answers (N, K) as what the targets (N, K) are: probabilities beside 0 and 1, values beside values."""
    from torch.nn.functional import one_hot

    subject = experiments.subject
    if targets.numel() == outputs.numel():
        logits = experiments.baseline.measure == "accuracy" and subject.loss.takes == "logits"
        answers = outputs.sigmoid() if logits else outputs
        return answers.reshape(len(answers), -1), targets.double().reshape(len(targets), -1)
    if targets.is_floating_point() or outputs.ndim != targets.ndim + 1:
        raise NotApplicable("answers and targets cannot be compared")
    rows = outputs.reshape(-1, outputs.shape[-1])
    answers = rows if subject.loss.takes == "probabilities" else rows.softmax(-1)
    return answers, one_hot(targets.reshape(-1).clamp(0, rows.shape[1] - 1).long(), rows.shape[1]).double()
