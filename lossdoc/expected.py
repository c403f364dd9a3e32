"""What theory says of an untrained network: first losses, their sampling error, what a zero-gradient step does; no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Floats

Labels = NDArray[np.int64]
Residual = Callable[[Floats], Floats]
MOST_CLASSES = 2_000  # beyond, a matrix of classes by classes no longer fits; samples are permuted instead


@dataclass(frozen=True)
class Split:
    """A first loss in three parts.

    `zero` is the loss with all outputs 0, `spread` what outputs of this size cost whichever label belongs to which sample,
    so that `zero + spread` is the loss to expect; `paired` is what the pairing of labels and samples adds to it, and
    `error` the standard deviation of that over equally likely codings of the labels.
    """

    zero: float
    spread: float
    paired: float
    error: float

    @property
    def expected(self) -> float:
        """The loss to expect of outputs of this size that know nothing of the labels."""
        return self.zero + self.spread


def logsumexp(scores: Floats) -> Floats:
    """Return log sum exp over the last axis: (N, n) to (N,)."""
    top: Floats = scores.max(axis=-1)
    return top + np.asarray(np.log(np.exp(scores - top[..., None]).sum(axis=-1)))


def softmax_cells(scores: Floats) -> Floats:
    """Return the cross-entropy of each sample for each label it might have: (N, n) to (N, n)."""
    return logsumexp(scores)[:, None] - scores


def nll_cells(scores: Floats) -> Floats:
    """Return the negative log-likelihood of each sample for each label it might have; the scores are log-probabilities."""
    return -scores


def hinge_cells(scores: Floats) -> Floats:
    """Return sum over j ≠ k of max(0, 1 + z_j − z_k) for each sample and each label k it might have: (N, n) to (N, n)."""
    margins = 1.0 + scores[:, None, :] - scores[:, :, None]  # (N, k, j)
    return np.asarray(np.maximum(margins, 0.0).sum(axis=2) - 1.0)  # j = k gave 1


def split_classes(cells: Floats, labels: Labels, zero: float) -> Split:
    """Split the mean loss of samples with one label each; `cells` is (N, n), `labels` (N,).

    The baseline gives every sample every label with the label's frequency. An untrained network does not know which output
    stands for which class, so the classes' codes are exchangeable: the error is the standard deviation of the paired part
    over all permutations of the codes, which Hoeffding (1951) gives in closed form as sum d² / (n − 1).
    """
    count, classes = cells.shape
    frequencies = np.bincount(labels, minlength=classes) / count
    baseline = float((cells @ frequencies).mean())
    paired = float(cells[np.arange(count), labels].mean()) - baseline
    if classes > MOST_CLASSES:
        error = _error_over_samples(cells, frequencies)
    else:
        table = np.zeros((classes, classes))
        np.add.at(
            table, labels, (cells - cells.mean(axis=0)) / count
        )  # row: the class, column: the output that it is scored by
        table -= table.mean(axis=1, keepdims=True) + table.mean(axis=0, keepdims=True) - table.mean()
        error = math.sqrt(float(np.square(table).sum()) / (classes - 1)) if classes > 1 else 0.0
    return Split(zero, baseline - zero, paired, error)


def _error_over_samples(cells: Floats, frequencies: Floats) -> float:
    """Return Hoeffding's standard deviation of the mean over permutations of the labels among the samples."""
    centered = cells - (cells @ frequencies)[:, None] - cells.mean(axis=0) + float((cells @ frequencies).mean())
    return math.sqrt(float((np.square(centered) @ frequencies).sum()) / (len(cells) * (len(cells) - 1)))


def split_binary(logits: Floats, targets: Floats) -> Split:
    """Split the mean binary cross-entropy of logits (N, K) against targets (N, K) in [0, 1].

    The error is over the signs of the K outputs: an untrained network does not know which way is yes.
    """
    yes, no = np.logaddexp(0.0, -logits), np.logaddexp(0.0, logits)
    share = targets.mean(axis=0)
    baseline = float((share * yes + (1 - share) * no).mean())
    paired = ((targets - share) * (yes - no)).mean(axis=0)
    error = math.sqrt(float(np.square(paired).sum())) / len(paired)
    return Split(math.log(2), baseline - math.log(2), float(paired.mean()), error)


def split_values(residual_loss: Residual, outputs: Floats, targets: Floats) -> Split:
    """Split a mean loss of residuals for outputs and targets of shape (N, K); the error is over the outputs' signs.

    The baseline pairs outputs with the targets of other samples: all shifts for few samples, 16 of them for many.
    """
    count = len(outputs)
    zero = float(residual_loss(targets).mean())
    shifts = range(1, count) if count <= 17 else np.linspace(1, count - 1, 16).astype(int)
    baseline = float(np.mean([residual_loss(np.roll(targets, shift, axis=0) - outputs).mean() for shift in shifts]))
    paired = float(residual_loss(targets - outputs).mean()) - baseline
    return Split(zero, baseline - zero, paired, abs(paired))


def huber(residual: Floats, delta: float = 1.0) -> Floats:
    """Return Huber's loss of each residual (1964): quadratic up to `delta`, linear beyond."""
    size = np.abs(residual)
    return np.where(size <= delta, 0.5 * np.square(size), delta * (size - 0.5 * delta))


Shrink = Callable[[Floats, Mapping[str, float]], Floats]


def _coupled_sgd(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    """At the first step momentum holds the gradient alone; Nesterov's form adds it once more, times the momentum."""
    ahead = 1.0 + hyper.get("momentum", 0.0) if hyper.get("nesterov", 0.0) else 1.0
    return weights * (1.0 - hyper["lr"] * hyper["weight_decay"] * ahead)


def _decoupled(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    return weights * (1.0 - hyper["lr"] * hyper["weight_decay"])


def _coupled_adam(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    """Bias correction makes the first moments g and g², so the step is lr·g/(|g| + eps)."""
    grad = hyper["weight_decay"] * weights
    return weights - hyper["lr"] * grad / (np.abs(grad) + hyper["eps"])


def _coupled_adagrad(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    grad = hyper["weight_decay"] * weights
    total = np.square(grad) + hyper.get("initial_accumulator_value", 0.0)
    return weights - hyper["lr"] * grad / (np.sqrt(total) + hyper["eps"])


SHRINKS: Mapping[str, Shrink] = {
    "sgd": _coupled_sgd,
    "momentum": _coupled_sgd,
    "adamw": _decoupled,
    "adam": _coupled_adam,
    "adagrad": _coupled_adagrad,
}
