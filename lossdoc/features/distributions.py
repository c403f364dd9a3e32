"""Tail probabilities and quantiles of the normal, chi-squared and F distributions, to about ten digits, without scipy."""

from __future__ import annotations

import math
from collections.abc import Callable

TINY = 1e-300  # stands in for a zero denominator in Lentz's method
PRECISION = 1e-14
ROUNDS = 10_000  # a continued fraction needs O(sqrt(max(a, b))) terms: enough for 10^7 degrees of freedom


def normal_tail(z: float) -> float:
    """Return the probability that a standard normal variable exceeds `z`."""
    return math.erfc(z / math.sqrt(2)) / 2


def normal_quantile(p: float) -> float:
    """Return the value that a standard normal variable exceeds with probability 1 - `p`; 0 < p < 1."""
    return _root(lambda z: normal_tail(z) - (1 - p), -40.0, 40.0)


def f_tail(value: float, above: float, below: float) -> float:
    """Return the probability that an F variable with `above` and `below` degrees of freedom exceeds `value`."""
    if not value > 0:
        return 1.0
    if math.isinf(value):
        return 0.0
    return beta_share(below / (below + above * value), below / 2, above / 2)


def f_quantile(p: float, above: float, below: float) -> float:
    """Return the value that an F variable with `above` and `below` degrees of freedom exceeds with probability 1 - `p`."""
    return math.exp(_root(lambda log: f_tail(math.exp(log), above, below) - (1 - p), -40.0, 40.0))


def chi2_tail(value: float, degrees: float) -> float:
    """Return the probability that a chi-squared variable exceeds `value`: an F with endless degrees below."""
    return f_tail(value / degrees, degrees, 1e9)


def beta_share(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b), 0 <= x <= 1 (DLMF 8.17.22, Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side only
        return 1 - beta_share(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front * _fraction(x, a, b) / a


def gamma_below(share: float, ratio: float) -> float:
    """Return the probability that a gamma variable is below a `share` of its mean, which is `ratio` times its deviation.

    By the power series (DLMF 8.7.1), which needs few terms for what is far below.
    """
    shape = min(ratio, 100.0) ** 2
    x = shape * share
    if not 0 < x < shape:
        return float(x > 0)
    term = total = 1.0
    for n in range(1, ROUNDS):
        term *= x / (shape + n)
        total += term
        if term < PRECISION * total:
            break
    return total * math.exp(shape * math.log(x) - x - math.lgamma(shape + 1))


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, ROUNDS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = _nonzero(1 + term / c), 1 / _nonzero(1 + term * d)
            result *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return result


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function is 0, by bisection to the last digits."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
