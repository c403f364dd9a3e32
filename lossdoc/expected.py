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
    return np.asarray(top + np.log(np.exp(scores - top[..., None]).sum(axis=-1)))


def softmax_cells(scores: Floats) -> Floats:
    """Return the cross-entropy of each sample for each label it might have: (N, n) to (N, n)."""
    return np.asarray(logsumexp(scores)[:, None] - scores)


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


def _proportional(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    """Gradient descent, at the first step momentum too; AdamW by design."""
    return weights * (1.0 - hyper["lr"] * hyper["weight_decay"])


def _ahead(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    """Nesterov's form adds the first gradient once more, times the momentum."""
    return weights * (1.0 - hyper["lr"] * hyper["weight_decay"] * (1.0 + hyper["momentum"]))


def _coupled_adam(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    """Bias correction makes the first moments g and g², so the step is lr·g/(|g| + eps)."""
    grad = hyper["weight_decay"] * weights
    return weights - hyper["lr"] * grad / (np.abs(grad) + hyper["eps"])


def _by_squares(weights: Floats, hyper: Mapping[str, float]) -> Floats:
    """Adagrad's first sum of squares is g²; RMSprop's first average is (1 − alpha)·g²."""
    grad = hyper["weight_decay"] * weights
    size = np.sqrt(1.0 - hyper.get("alpha", 0.0)) * np.abs(grad) + hyper["eps"]
    return np.asarray(weights - hyper["lr"] * grad / size)


SHRINKS: Mapping[str, Shrink] = {
    "gd": _proportional,
    "sgd": _proportional,
    "momentum": _proportional,
    "nesterov": _ahead,
    "adagrad": _by_squares,
    "rmsprop": _by_squares,
    "adam": _coupled_adam,
    "adamw": _proportional,
}


def runs_of_labels(labels: Labels) -> tuple[float, float, float]:
    """Return the number of runs of equal labels (N,), its mean over all orders, and its standard deviation over them.

    Barton and David (1957), Multiple Runs; for two labels Wald and Wolfowitz (1940). A single label gives one run and the
    deviation 0.
    """
    count = len(labels)
    runs = 1.0 + float((labels[1:] != labels[:-1]).sum())
    sizes = np.bincount(labels).astype(np.float64)
    squares, cubes = float(np.square(sizes).sum()), float((sizes**3).sum())
    mean = (count * (count + 1) - squares) / count
    variance = (squares * (squares + count * (count + 1)) - 2 * count * cubes - count**3) / (count**2 * max(count - 1, 1))
    return runs, mean, math.sqrt(max(variance, 0.0))
