"""A sweep whose best point lies at the end of the range that was searched."""

from __future__ import annotations

import math

from lossdoc.curve import Curve, Series
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.ranking import edges, finished, no_worse
from lossdoc.rule import rule
from lossdoc.subject import Point, Trial, Trials


def _swept(*losses: float, path: str = "optimizer.lr") -> Trials:
    """Make a sweep over as many decades as there are losses, each fallen from 2.3."""
    rates = [10.0 ** (index - 5) for index in range(len(losses))]
    trials = [
        Trial(Point(index, {path: rate}), Curve(Series.of([2.3, loss])), loss, math.nan)
        for index, (rate, loss) in enumerate(zip(rates, losses, strict=True))
    ]
    return Trials(tuple(trials), {path: (rates[0], rates[-1])}, {}, frozenset({path}))


@rule(
    code="LS603",
    severity=Severity.WARNING,
    fires_on=[
        lambda: _swept(2.3, 2.29, 2.25, 2.0, 1.8, 1.4, 1.0, 0.6),
        lambda: _swept(0.2, 0.5, 0.8, 1.1, 1.9, 2.2, 2.2, 2.3),
    ],
    quiet_on=[
        lambda: _swept(2.3, 2.2, 2.0, 1.0, 0.5, 0.3, 0.6, math.nan),
        lambda: _swept(2.3, 2.0, 1.0, 0.302, 0.303, 0.301, 0.302, 0.3),
        lambda: _swept(0.3, 0.3, 0.3, 0.3),
    ],
)
def best_at_edge(trials: Trials, *, level: float = 0.05, gain: float = 0.05) -> Answer:
    """The best point of the sweep lies at the edge of the range: better ones may lie beyond.

    Looks like:
        Along one axis the loss gets better and better up to the end of the range.
    Causes:
        - the range was laid around a value that is far from the best
        - the training is so short that only the highest rates get anywhere
    Confirm with:
        - one trial beyond the edge
    Try:
        - widen the range on that side
        - train each point longer
    False alarms:
        A range that ends where values stop to make sense, such as a regularization of next to nothing.
    Decided by:
        No trial lies beyond the best one; among the trials of that half of the range the loss falls toward the edge
        (Kendall's rank test, one-sided p at most 0.05: exact up to seven points); and the edge learned at least a
        twentieth more than the best trial further in, since less is not worth another sweep.
    Sources:
        - Y. Bengio, Practical recommendations for gradient-based training of deep architectures, 2012, section 3.3: when the
          best value is near the border of the interval, explore beyond it
    """
    found = [edge for edge in edges(trials) if edge.p <= level and edge.gain >= gain]
    if not found:
        return _best(trials)
    wider = []
    for edge in found:
        step = 10.0 if edge.path in trials.log else edge.high - edge.low
        if edge.path in trials.log:
            low, high = (edge.low, edge.high * step) if edge.upper else (edge.low / step, edge.high)
        else:
            low, high = (edge.low, edge.high + step) if edge.upper else (edge.low - step, edge.high)
        scale = "" if edge.path in trials.log else "lin:"
        wider.append(f"widen {edge.path} to {low:.2g} … {high:.2g}: --param {edge.path}={scale}{low:.2g}..{high:.2g}")
    sides = ", ".join(f"{'upper' if edge.upper else 'lower'} edge of {edge.path}" for edge in found)
    facts = {"gain": found[0].gain, "p": found[0].p}
    confidence = 1 - max(edge.p for edge in found)
    return Evidence(f"the best point lies at the {sides}", facts, confidence=confidence, remedies=tuple(wider))


def _best(trials: Trials) -> Passed | None:
    """Say which point is the best, as far as any is."""
    points = finished(trials)
    if not points:
        return None
    best, params = points[0], points[0].trial.point.params
    numbers = {path: value for path, value in params.items() if isinstance(value, (int, float))}
    values = ", ".join(f"{path} {numbers[path]:.3g}" if path in numbers else f"{path} {params[path]}" for path in params)
    many = len({trial.point.index for trial in trials.trials})
    facts = {**numbers, "loss": best.loss}
    if not math.isfinite(best.sd):
        return Passed(f"best of {many} points: {values}, loss {best.loss:.4g}", facts)
    error = best.sd / math.sqrt(len(best.losses))
    spread = f"loss {best.loss:.4g} ± {best.sd:.2g} ({len(best.losses)} seeds, error {error:.2g})"
    told = f"best of {many} points: {values}, {spread}"
    same = len(no_worse(trials)) - 1
    return Passed(
        f"{told}; {same or 'none'} of the others within its noise",
        {**facts, "sd": best.sd, "error": error, "no_worse": same},
    )
