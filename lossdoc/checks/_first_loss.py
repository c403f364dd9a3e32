"""The first loss of several untrained networks, split into what their outputs' size explains and what it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lossdoc import expected as theory
from lossdoc.checks import _answers
from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable
from lossdoc.expected import Split
from lossdoc.subject import Batch, Subject, kept

if TYPE_CHECKING:
    from lossdoc.probe import Start

CLASS_LOSSES = ("cross_entropy", "nll", "multiclass_hinge", "multi_margin")
VALUE_LOSSES = ("mse", "l1", "huber")
FORETOLD = (*CLASS_LOSSES, "bce", *VALUE_LOSSES)
OF_TORCH = {  # called as `torch.nn:CrossEntropyLoss` or `torch.nn.functional:cross_entropy`
    "CrossEntropyLoss": "cross_entropy",
    "cross_entropy": "cross_entropy",
    "NLLLoss": "nll",
    "nll_loss": "nll",
    "BCEWithLogitsLoss": "bce",
    "BCELoss": "bce",
    "MultiMarginLoss": "multi_margin",
    "MSELoss": "mse",
    "mse_loss": "mse",
    "L1Loss": "l1",
    "HuberLoss": "huber",
    "SmoothL1Loss": "huber",
}
SATURATED = math.log(99.0)  # a logit that far from the others: the softmax gives 99 %
FEWEST, NUMBERS = 32, 2**26  # samples, and the numbers that all of them make: some half a second of work
ENOUGH = 256  # samples: a pass with as many takes little longer than one with a few
SURE = 5.0  # standard errors: one false alarm in 10^6, over all seeds and configurations together


@dataclass(frozen=True)
class FirstLoss:
    """The first losses of several untrained networks, float64 (S,), each with its split.

    `spreads` (S,) are the root-mean-square distances of the outputs from their row's mean (from 0 for a single output),
    `saturated` (S,) the shares of outputs that are sure to 99 %; NaN for plain values.
    """

    losses: Floats
    splits: tuple[Split, ...]
    spreads: Floats
    saturated: Floats
    means: str

    @property
    def measured(self) -> float:
        """The mean first loss over the networks."""
        return float(self.losses.mean())

    @property
    def standard_error(self) -> float:
        """The standard error of `measured` over the networks."""
        return standard_error(self.losses)

    @property
    def zero(self) -> float:
        """The loss with all outputs 0, such as log n."""
        return float(np.mean([each.zero for each in self.splits]))

    @property
    def spread(self) -> float:
        """What the size of the outputs adds to that."""
        return float(np.mean([each.spread for each in self.splits]))

    @property
    def expected(self) -> float:
        """The loss to expect of outputs of this size that know nothing of the targets."""
        return self.zero + self.spread

    @property
    def unexplained(self) -> float:
        """What the size of the outputs does not explain."""
        return self.measured - self.expected

    @property
    def alike(self) -> bool:
        """Whether the networks are all the same, whatever the seed."""
        return len(np.unique(self.losses.round(6))) == 1

    @property
    def error(self) -> float:
        """The standard error of `unexplained`; networks that are all the same count as one."""
        of_mean = 1.0 if self.alike else math.sqrt(len(self.splits))
        return math.sqrt(float(np.mean([each.error**2 for each in self.splits]))) / of_mean


def standard_error(values: Floats) -> float:
    """Return the standard error of a mean, NaN for a single value."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def word_of(subject: Subject) -> str:
    """Return the loss's word, for torch's own losses that of their like here; `multi_margin` is the hinge divided by n."""
    word = subject.loss.word
    return OF_TORCH.get(word.rpartition(":")[2], word) if word.startswith("torch.nn") else word


def first_loss(subject: Subject) -> FirstLoss:
    """Return the first loss over enough networks for `initial-loss` to be able to decide; kept with the subject.

    Raises:
        NotApplicable: for a loss whose value lossdoc cannot foretell, and where the loss cannot be called.
    """
    return kept(subject, "first loss", lambda: _measured(subject))


def _measured(subject: Subject) -> FirstLoss:
    from lossdoc import fetching, probe, signals

    if word_of(subject) not in FORETOLD:
        raise NotApplicable(f"lossdoc cannot foretell the first loss of {subject.loss.word}")
    networks = networks_needed(subject)
    many = affordable(subject, networks)
    batches = larger(subject, fetching.take(subject, samples=many))
    if batches[0].size > 2 * many and subject.loss.reduction != "sum":
        batches = [signals.some(subject, batches[0], many)]
    seen = [probe.begin_with(subject, subject.seed + seed, batches) for seed in range(networks)]
    if not all(math.isfinite(start.loss) and all(bool(each.isfinite().all()) for each in start.outputs) for start in seen):
        raise NotApplicable("the first loss or the first outputs are not finite numbers")
    losses = np.array([start.loss for start in seen])
    splits = tuple(split_of(subject, start) for start in seen)
    shapes = np.array([_shape(subject, start) for start in seen])
    return FirstLoss(losses, splits, shapes[:, 0], shapes[:, 1], meaning(subject))


def affordable(subject: Subject, networks: int) -> int:
    """Return how many samples are measured: fewer where each of them makes many numbers on its way."""
    from lossdoc import fetching, signals

    return min(fetching.SAMPLES, max(FEWEST, int(NUMBERS / networks / signals.made_by_a_sample(subject))))


def larger(subject: Subject, batches: list[Batch]) -> list[Batch]:
    """Return small batches joined to some of `ENOUGH` samples or more, which are as quick to measure as one of a few.

    Batches whose shapes differ stay as they are, and all of them where the model normalizes the batch or the loss is a sum.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    from lossdoc import probe, samples

    at_once = ENOUGH // batches[0].size
    model = probe.untouched(subject).build(subject.seed)
    normalizes = any(isinstance(each, _BatchNorm) for each in model.modules())
    if at_once < 2 or normalizes or subject.loss.reduction == "sum" or not _answers.alike(batches):
        return batches
    return [samples.joined(batches[at : at + at_once]) for at in range(0, len(batches), at_once)]


def networks_needed(subject: Subject) -> int:
    """Return how many networks are to be measured.

    Labels told perfectly lie n − 1 standard deviations from the mean of all codings of n classes, so S networks reach at
    most (n − 1)·sqrt(S) standard errors: with two classes or a plain value (n − 1 = 1) five networks would prove nothing.
    """
    free = (subject.classes or 2) - 1 if word_of(subject) in CLASS_LOSSES else 1
    return max(5, math.ceil(1.2 * (SURE / max(free, 1)) ** 2))


def meaning(subject: Subject) -> str:
    """Return in words what the loss is with all outputs 0."""
    if word_of(subject) in ("cross_entropy", "nll"):
        return f"log {subject.classes}" if subject.classes else "log n"
    if word_of(subject) == "bce":
        return "log 2"
    return "all margins missed" if word_of(subject) in CLASS_LOSSES else "the loss of always answering 0"


def split_of(subject: Subject, start: Start) -> Split:
    """Split one network's first loss.

    Raises:
        NotApplicable: when the targets do not have the form that the loss takes.
    """
    from lossdoc import probe

    word = word_of(subject)
    if word in CLASS_LOSSES:
        given = probe.scores_and_labels(subject, start)
        if given is None or given[0].shape[1] < 2:
            raise NotApplicable("the targets are not one label for each row of two or more outputs")
        scores, labels = given
        return theory.split_classes(cells(subject, scores), labels, zero_of(subject, scores.shape[1]))
    pair = probe.values_and_targets(start)
    if pair is None:
        raise NotApplicable("outputs and targets differ in size")
    if word == "bce":
        logits = pair[0] if subject.loss.takes == "logits" else _logit(pair[0])
        return theory.split_binary(logits, pair[1])
    return theory.split_values(residual_loss(subject), *pair)


def residual_loss(subject: Subject) -> theory.Residual:
    """Return the loss of each residual for a loss of plain values."""
    delta = float(getattr(subject.loss, "delta", 1.0))
    if word_of(subject) == "huber":
        return lambda residual: theory.huber(residual, delta)
    return np.square if word_of(subject) == "mse" else np.abs


def zero_of(subject: Subject, classes: int) -> float:
    """Return the loss with all outputs equal for n classes."""
    if word_of(subject) in ("multiclass_hinge", "multi_margin"):
        whole = float(getattr(subject.loss, "margin", 1.0)) * (classes - 1)
        return whole / classes if word_of(subject) == "multi_margin" else whole
    return math.log(classes)


def cells(subject: Subject, scores: Floats) -> Floats:
    """Return the loss of every sample for every label it might have, (N, n), computed apart from the loss's own code."""
    if word_of(subject) in ("multiclass_hinge", "multi_margin"):
        margin = float(getattr(subject.loss, "margin", 1.0))
        whole = np.asarray(margin * theory.hinge_cells(scores / margin))
        return whole / scores.shape[1] if word_of(subject) == "multi_margin" else whole
    if subject.loss.takes == "logits":
        plain = theory.softmax_cells(scores)
    else:
        plain = -_log(scores) if subject.loss.takes == "probabilities" else -scores
    smoothing = float(getattr(subject.loss, "label_smoothing", 0.0))
    return np.asarray((1 - smoothing) * plain + smoothing * plain.mean(axis=1, keepdims=True))


def _shape(subject: Subject, start: Start) -> tuple[float, float]:
    """Return the spread of the outputs as logits, and the share of them that is sure to 99 %."""
    from lossdoc import probe

    if word_of(subject) in CLASS_LOSSES:
        given = probe.scores_and_labels(subject, start)
        scores = np.zeros((1, 2)) if given is None else given[0]
        logits = _log(scores) if subject.loss.takes == "probabilities" else scores
        sure = (np.exp(logits.max(axis=1) - theory.logsumexp(logits)) > 0.99).mean()
        return float((logits - logits.mean(axis=1, keepdims=True)).std()), float(sure)
    pair = probe.values_and_targets(start)
    outputs = np.zeros(1) if pair is None else pair[0]
    if word_of(subject) != "bce":
        return float(np.sqrt(np.square(outputs).mean())), math.nan
    logits = outputs if subject.loss.takes == "logits" else _logit(outputs)
    return float(np.sqrt(np.square(logits).mean())), float((np.abs(logits) > SATURATED).mean())


def _log(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(probabilities, 1e-12)))  # the loss has the same floor


def _logit(probabilities: Floats) -> Floats:
    return _log(probabilities) - _log(1 - probabilities)


def at_zero(subject: Subject) -> float:
    """Return the loss itself with all outputs replaced by 0, NaN where it cannot be had.

    Raises:
        UserCodeError: when the loss raises.
    """
    from lossdoc import probe

    start = probe.one_start(subject)
    return probe.loss_of(subject, start.outputs[0] * 0, start.targets[0])


def facts(first: FirstLoss) -> dict[str, float]:
    """Return the numbers that every finding on the first loss carries."""
    return {
        "measured": first.measured,
        "expected": first.expected,
        "tolerance": SURE * first.error,
        "standard_error": first.standard_error,
        "at_zero": first.zero,
        "from_spread": first.spread,
        "networks": float(len(first.losses)),
    }
