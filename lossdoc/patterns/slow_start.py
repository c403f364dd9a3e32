"""The pattern `slow-start`."""

from __future__ import annotations

import math
from functools import partial

from lossdoc.curve import Curve
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
    plateau: float = 0.6,
    later_plateau: float = 0.8,
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

    Confirm with:
        - lossdoc sanity model.yaml --select vanishing-activations
        - lossdoc sanity model.yaml --select symmetric-weights

    Try:
        - initialize properly: He for ReLU, Xavier for tanh and sigmoid
        - batch normalization before the activations
        - patience works too: train on

    False alarms:
        A warm-up of the learning rate gives the same shape and is meant.

    Decided by:
        The time of the first tenth of the descent over the time from there to its half: at least `plateau` (an
        exponential has 0.18, a line 0.25, a parabola 0.81), at least `least` of the run and three points, while the last
        quarter makes less than `late` of it. A descent may begin with a fast drop (to the classes' frequencies): any
        origin in the first 15 % that has `rest` of the learning before it counts, with `later_plateau`, a parabola's. Down
        to the half it bends downwards: the quadratic term of least squares is `sigmas` of its standard error away from that
        of an exponential's side (4 leave 3e-4 to the ten origins), so that a short log of noisy batches has no plateau. Nor
        are the first `steps` of a log by steps one: a momentum of 0.9 takes ten to build up.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 9, middle
        - Saxe, McClelland, Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear networks, 2014
    """
    s = shape(curve)
    if not series.late_share(s.smooth, 0.25) < late:
        return None
    best, end = (0.0, 0.0), 0.0
    for origin in range(int(0.15 * len(s.smooth)) + 1):
        ratio, length = _plateau(s, origin, rest, sigmas)
        wanted = later_plateau if origin else plateau
        long = length >= least * len(s.smooth) and length * s.n / len(s.smooth) >= 3
        if long and ratio / wanted > best[0]:
            best, end = (ratio / wanted, ratio), origin + length
    if best[0] < 1:
        return None
    until = float(s.x[round(end / max(len(s.smooth) - 1, 1) * (s.n - 1))])
    if not s.by_epoch and until < steps:
        return None
    summary = f"the loss hardly moves until {s.unit} {until:g}, then falls from {s.start:.3g} to {s.end:.3g}"
    return Evidence(summary, {"until": until, "plateau": best[1]}, (float(s.x[0]), until), certainty("slow-start", best[0]))


def _plateau(s: Shape, origin: int, rest: float, sigmas: float) -> tuple[float, float]:
    """Return the plateau ratio and the length in smooth points of what begins at an origin; zeros where there is none."""
    curve = s.smooth[origin:]
    top, bottom = series.median(curve[:3]), series.median(s.smooth[-max(3, len(s.smooth) // 10) :])
    if not top - bottom > rest * s.learned:
        return 0.0, 0.0
    tenth, half = (series.first_below(curve, top - part * (top - bottom)) for part in (0.1, 0.5))
    if not (half > tenth and math.isfinite(half)):
        return 0.0, 0.0
    first, last = (round(place * s.n / len(s.smooth)) for place in (origin, origin + half))
    part = s.y[first : last + 1]
    # in a few points by epoch the bend itself would pass for noise; a log by steps is noisiest where the loss is high
    noise = s.noise if s.by_epoch else series.noise(part)
    if series.bulge(part) < sigmas * noise:
        return 0.0, 0.0
    return tenth / (half - tenth), tenth
