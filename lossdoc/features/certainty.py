"""How sure a verdict is: margins over thresholds turned into probabilities, in one place for all patterns."""

from __future__ import annotations

import math

MOST = 0.98  # as a pattern with fifty cases and no error among them allows: (50 + 1) / (50 + 2)
USUAL = (0.4, 1.7)
FITTED: dict[str, tuple[float, float]] = {
    "double-softmax": (1.14, 0.76),
    "double-softmax, guessed": (1.43, 0.92),
    "healthy": (2.45, 0.12),
    "healthy, no classes": (1.13, 0.30),
    "lr-too-high": (0.96, 0.94),
    "noisy-validation": (-0.26, 2.32),
    "not-learning": (2.53, 1.02),
    "overfitting": (0.48, 2.39),
    "periodic": (3.87, 1.27),
    "rising": (4.55, 1.00),
    "slow-learning": (1.62, 1.23),
    "slow-start": (1.24, 0.73),
    "spikes": (0.68, 0.81),
    "underfitting": (0.64, 0.52),
}
"""By pattern the logit of the probability at its threshold, and what it gains where a margin grows e-fold.

Fitted by logistic regression to verdicts on runs whose conditions are known, by `benchmarks/calibration.py`, which also
judges the fit on tasks it has not seen.
"""


def certainty(name: str, *margins: float) -> float:
    """Return the probability that a verdict is right, of its margins: each a measured value over its threshold, 1 or more.

    The least of them counts. A verdict that was never calibrated is as sure as the usual one.
    """
    level, slope = FITTED.get(name, USUAL)
    margin = min(max(1.0, min(margins)), 100.0)
    return min(MOST, 1 / (1 + math.exp(-level - slope * math.log(margin))))
