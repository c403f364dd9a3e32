"""The pattern `slow-start`."""

from __future__ import annotations

import math
from functools import partial

from lossdoc.curve import Curve
from lossdoc.errors import Undecided
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import Shape, shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import healthy, slow, underfit
from lossdoc.synthetic import slow_start as flat_at_first


@rule(
    code="LC111",
    severity=Severity.WARNING,
    fires_on=(flat_at_first, partial(flat_at_first, seed=1, points=200)),
    quiet_on=(healthy, underfit, slow),
    mutes=("underfitting", "initial-loss-off"),
)
def slow_start(
    curve: Curve,
    *,
    plateau: float = 0.8,
    least: float = 0.05,
    late: float = 0.25,
    rest: float = 0.4,
    sigmas: float = 4.0,
    steps: float = 10.0,
) -> Evidence | None:
    """The loss lies flat at first, then it falls.

    Looks like:
        A plateau at the start, then a cliff (figure 9 of the notes, middle).

    Causes:
        - weights initialized too small, or wrongly
        - saturating activations in a deep model: sigmoid, tanh
        - a long warm-up of the learning rate
        - inputs or targets that are not scaled

    Confirm with:
        - lossdoc sanity model.yaml --select vanishing-activations
        - lossdoc sanity model.yaml --select symmetric-weights
        - lossdoc sanity model.yaml --select unscaled-inputs

    Try:
        - initialize properly: He for ReLU, Xavier for tanh and sigmoid
        - batch normalization before the activations
        - patience works too: train on

    False alarms:
        A warm-up of the learning rate gives the same shape and is meant.

    Decided by:
        The time of the first tenth of the descent over the time from there to its half: at least `plateau`, a parabola's
        (0.81), which is what a rate that rises in proportion to the steps makes of a constant slope; an exponential has
        0.18, a line 0.25, a cosine 0.69. It lasts at least `least` of the run and three points (of a log that leaves out
        epochs, two points and three epochs), and the last quarter makes less than `late` of the descent. This may begin with
        a fast drop (to the classes' frequencies): any origin in the first 15 % that has `rest` of the learning before it
        counts. Down to the half it bends downwards: the quadratic term of least squares is `sigmas` of its standard error
        away from that of an exponential's side (4 leave 3e-4 to the ten origins), so that a short log of noisy batches has
        no plateau; with more than one, but fewer, nothing can be told. Of a log by steps the delays that every run has do
        not count: the `steps` that a momentum of 0.9 takes to build up, and those by which a running mean lags behind
        (r / (1 - r) for a correlation r of neighbors' noise, at most 9, as of TensorBoard's smoothing by 0.9).

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 9, middle
        - Saxe, McClelland, Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear networks, 2014
    """
    s = shape(curve)
    if not series.late_share(s.smooth, 0.25) < late:
        return None
    best, end, hidden = 0.0, 0.0, False
    delay = 0.0 if s.by_epoch else _delay(s, steps) * len(s.smooth) / s.n
    smooth = s.smooth.tolist()
    for origin in range(int(0.15 * len(smooth)) + 1):
        length, half = _descent(smooth[origin:], s, rest)
        if not (length >= least * len(s.smooth) and _lasts(s, length) and half > length):
            continue
        ratio = (length - delay) / (half - length)
        if ratio < max(plateau, best):
            continue
        bend = _bend(s, origin, half)
        if bend >= sigmas:
            best, end = ratio, origin + length
        hidden = hidden or bend > 1
    if best < plateau and hidden:
        raise Undecided("the loss seems to lie flat at first, but its noise could look like that")
    if best < plateau:
        return None
    until = float(s.x[round(end / max(len(s.smooth) - 1, 1) * (s.n - 1))])
    summary = f"the loss hardly moves until {s.unit} {until:g}, then falls from {s.start:.3g} to {s.end:.3g}"
    sure = certainty("slow-start", best / plateau)
    half_way, then = s.rates(until / 2), s.rates(until)
    climbs = len(half_way) > 0 and half_way[-1] < 0.5 <= then.max()
    causes = ("the learning rate climbs until then: a warm-up, which is meant",) if climbs else ()
    return Evidence(summary, {"until": until, "plateau": best}, (float(s.x[0]), until), sure, causes=causes)


def _delay(s: Shape, steps: float, calm: float = 0.02) -> float:
    """Return by how many points momentum, and the running mean that a log may show, delay any descent.

    Where nobody tells whether the axis is steps or epochs, it is epochs if hardly any noise is left at the end, as means of
    many batches have: less than `calm` of what was learned.
    """
    late = s.y[s.n // 2 :] - series.line(s.y[s.n // 2 :])
    square = float((late**2).sum())
    if s.curve.context.axis is None and square < (calm * s.learned) ** 2 * len(late):
        return 0.0
    r = min(0.9, max(0.0, float((late[1:] * late[:-1]).sum()) / square)) if square > 0 else 0.0
    gap = float(s.x[-1] - s.x[0]) / max(s.n - 1, 1)
    return r / (1 - r) + (steps / gap if gap > 0 else 0.0)


def _descent(curve: list[float], s: Shape, rest: float) -> tuple[float, float]:
    """Return where a tenth and half of a descent are done, in smooth points from its origin; zeros where there is none."""
    top, bottom = sorted(curve[:3])[min(1, len(curve) - 1)], s.bottom
    if not top - bottom > rest * s.learned:
        return 0.0, 0.0
    tenth, half = (series.first_below(curve, top - part * (top - bottom)) for part in (0.1, 0.5))
    return (tenth, half) if math.isfinite(half) else (0.0, 0.0)


def _lasts(s: Shape, length: float) -> bool:
    """Tell whether a plateau lasts for three points, or for three epochs of a log that leaves out every other one."""
    points = length * s.n / len(s.smooth)
    apart = float(s.x[-1] - s.x[0]) / max(s.n - 1, 1) if s.curve.context.axis == "epoch" else 1.0
    return points >= 3 or (points >= 2 and points * apart >= 3)


def _bend(s: Shape, origin: int, half: float) -> float:
    """Return by how many standard errors a descent bends downwards as far as its half."""
    first, last = (round(place * s.n / len(s.smooth)) for place in (origin, origin + half))
    part = s.y[first : last + 1]
    # in a few points by epoch the bend itself would pass for noise; a log by steps is noisiest where the loss is high
    noise = s.noise if s.by_epoch else series.noise(part)
    bulge = series.bulge(part)
    return bulge / noise if noise > 0 else math.copysign(math.inf, bulge or 1.0)
