"""How far a loss falls along a straight line, and how sure that is: what a test could not have seen proves nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

from lossdoc.curve import Floats
from lossdoc.features import series
from lossdoc.features.distributions import f_tail


class Fall(NamedTuple):
    """By how much the line through `n` values falls from end to end, and the standard error of that."""

    height: float
    error: float
    n: int

    def below(self, limit: float, p: float = 0.01) -> bool:
        """Tell whether a fall by `limit` or more is out of the question: Student's t, one-sided, at `p`."""
        if self.n < 3 or not self.height < limit:
            return False
        return self.error == 0 or f_tail(((limit - self.height) / self.error) ** 2, 1, self.n - 2) / 2 < p


def fall(values: Floats) -> Fall:
    """Fit a line by least squares; noise correlated by r among neighbors has (1 + r) / (1 - r) times the variance."""
    n = len(values)
    if n < 3:
        return Fall(0.0, math.inf, n)
    line = series.line(values)
    left = values - line
    square = float((left**2).sum())
    r = min(0.95, max(0.0, float((left[1:] * left[:-1]).sum()) / square)) if square > 0 else 0.0
    return Fall(float(line[0] - line[-1]), math.sqrt(square / (n - 2) * 12 / n * (1 + r) / (1 - r)), n)
