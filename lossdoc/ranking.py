"""What the trials of a sweep say together: how much each point learned, and where along an axis learning gets better."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from lossdoc.errors import NotApplicable
from lossdoc.features.distributions import f_tail
from lossdoc.subject import Trial, Trials

RATE = "optimizer.lr"
NEAR = math.sqrt(10)  # half a decade to either side: what lies within is the same rate as far as a sweep can tell
CLEARLY = 0.5  # a rate is clearly worse if the trials near it learn less than half of what the best one does
LEARNED = 0.1  # a sweep in which the best loss fell by less than a tenth of its first value has nothing to compare


CHANCE = 0.05  # the level of the test that tells a point from the best one, seed by seed
AS_GOOD = 0.99  # where there is no second seed, a point that learned so much of what the best did counts as no worse


@dataclass(frozen=True)
class Scored:
    """A point: the means over its seeds of the last loss and of how far it fell; a diverged seed makes both infinite.

    `losses` are those of its seeds, in their order; `stopped` tells that it was not trained to its end.
    """

    trial: Trial
    loss: float
    fall: float
    losses: tuple[float, ...] = ()
    stopped: bool = False

    @property
    def sd(self) -> float:
        """The standard deviation of the loss between seeds; NaN where there is one seed, or one diverged."""
        return stdev(self.losses) if len(self.losses) > 1 and math.isfinite(self.loss) else math.nan


def scored(trials: Trials) -> list[Scored]:
    """Return every point once, in the order of their indexes."""
    by_point: dict[int, list[Trial]] = {}
    for trial in trials.trials:
        by_point.setdefault(trial.point.index, []).append(trial)
    return [_score(by_point[index]) for index in sorted(by_point)]


def _score(of_point: Sequence[Trial]) -> Scored:
    losses = [trial.loss if math.isfinite(trial.loss) else math.inf for trial in of_point]
    first = [float(trial.curve.train.value[0]) for trial in of_point]
    mean = sum(losses) / len(losses)
    stopped = any(trial.stopped_at is not None for trial in of_point)
    return Scored(of_point[0], mean, sum(first) / len(first) - mean, tuple(losses), stopped)


def finished(trials: Trials) -> list[Scored]:
    """Return the points that were trained to their end and diverged with no seed, best first."""
    alive = [point for point in scored(trials) if math.isfinite(point.loss) and not point.stopped]
    return sorted(alive, key=lambda point: (point.loss, point.trial.point.index))


def no_worse(trials: Trials) -> list[Scored]:
    """Return the points that cannot be told from the best one, best first.

    With several seeds by a paired t test, seed by seed, since points with the same seed begin at the same weights and see
    the same batches. With one seed nobody knows the noise: then those that learned nearly as much.
    """
    points = finished(trials)
    return [point for point in points if _as_good(point, points[0])]


def _as_good(point: Scored, best: Scored) -> bool:
    if len(best.losses) < 2:
        return point.fall >= AS_GOOD * best.fall
    mean, error = above(point, best)
    if error == 0 or mean <= 0:
        return mean <= 0
    return f_tail((mean / error) ** 2, 1, len(best.losses) - 1) / 2 > CHANCE


def above(point: Scored, best: Scored) -> tuple[float, float]:
    """Return by how much a point's loss is above another's, seed by seed: the mean and its standard error."""
    differences = [ours - theirs for ours, theirs in zip(point.losses, best.losses, strict=True)]
    return fmean(differences), stdev(differences) / math.sqrt(len(differences))


def flat_rates(trials: Trials) -> tuple[float, float] | None:
    """Return the lowest and the highest learning rate among the points that are no worse than the best.

    None where there are fewer than three such points: two say nothing of what lies between them.
    """
    rates = [point.trial.point.params.get(RATE) for point in no_worse(trials)]
    known = [float(rate) for rate in rates if isinstance(rate, (int, float))]
    return (min(known), max(known)) if len(set(known)) > 2 else None


def recommended(trials: Trials) -> dict[str, Any]:
    """Return the values by path that are better than the configured ones; none where those are no worse than the best.

    They are those that did best when they were trained once more as they would stand in the file; where nothing was, what
    the best point would change.
    """
    if trials.suggested:
        return dict(trials.suggested)
    good = no_worse(replace(trials, trials=trials.confirmed) if trials.confirmed else trials)
    if not good or any(unchanged(trials, one) for one in good):
        return {}
    best = good[0].trial.point.params
    if trials.confirmed:
        return {path: value for path, value in best.items() if value != trials.configured.get(path)}
    return changes(trials, best)


def unchanged(trials: Trials, point: Scored) -> bool:
    """Tell whether a point has the configured values."""
    return all(value == trials.configured.get(path) for path, value in point.trial.point.params.items())


def changes(trials: Trials, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a point would change in the file.

    A number beside the learning rate keeps its configured value where nothing shows that it matters: what a handful of short
    trainings makes of chance should not change a file. Numbers have two digits: neighbors that differ by less are the same
    as far as a sweep can tell.
    """
    now = trials.configured
    changed = {path: value for path, value in params.items() if value != now.get(path) and _matters(trials, path, params)}
    return {path: _rounded(value, trials.ranges.get(path)) for path, value in changed.items()}


def _matters(trials: Trials, path: str, best: Mapping[str, Any]) -> bool:
    """Tell whether the loss falls from the configured value toward a point's, near its rate, by more than chance.

    Choices have no order that could show it, and without a rate beside it, or a configured value to keep, an axis is what
    the sweep was made for.
    """
    numeric = not math.isnan(trials.ranges.get(path, (math.nan, math.nan))[0])
    now = trials.configured.get(path)
    if path == RATE or not numeric or now is None or not isinstance(best.get(RATE), (int, float)):
        return True
    params = [(point.trial.point.params, point.loss) for point in finished(trials)]
    near = [(float(each[path]), loss) for each, loss in params if 1 / NEAR <= each[RATE] / best[RATE] <= NEAR]
    values, losses = [value for value, _ in near], [loss for _, loss in near]
    return p_rising(values, [-loss if best[path] > now else loss for loss in losses]) <= CHANCE


def _rounded(value: Any, ends: tuple[float, float] | None) -> Any:
    """Return a number of a range with two digits; a choice as it is."""
    if ends is None or math.isnan(ends[0]) or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.2g}"), ends[0]), ends[1])


@dataclass(frozen=True)
class RateGap:
    """A configured learning rate near which trials learn much less than the best trial does at another rate."""

    configured: float
    best: float
    near_fall: float
    best_fall: float

    @property
    def too_low(self) -> bool:
        """Whether the better rate is the higher one."""
        return self.best > self.configured


def rate_gap(trials: Trials) -> RateGap | None:
    """Return how much worse the configured learning rate is than the best, None where it is not clearly worse.

    All trials near the configured rate must be worse, whatever their other values: then it is the rate that is to blame.
    Rate times steps bounds how far the weights can move, so that in a training which is longer than the trials a rate that
    is lower by the same factor gets as far: up to there a rate counts as near, too.

    Raises:
        NotApplicable: when the learning rate was not swept around its configured value, or nothing was learned anywhere.
    """
    configured = trials.configured.get(RATE)
    if configured is None or RATE not in trials.ranges:
        raise NotApplicable("the learning rate was not swept, or is not known")
    points = [point for point in scored(trials) if not point.stopped]
    best = max(points, key=lambda point: point.fall, default=None)
    if best is None or not best.fall > LEARNED * abs(float(best.trial.curve.train.value[0])):
        raise NotApplicable("no trial learned enough to be compared with")
    rates = [(float(point.trial.point.params[RATE]), point.fall) for point in points]
    upper = NEAR * max(1.0, trials.shortened)
    near = [fall for rate, fall in rates if 1 / NEAR <= rate / configured <= upper]
    if not near:
        raise NotApplicable(f"no trial was near the configured learning rate {configured:g}")
    better = float(best.trial.point.params[RATE])
    if max(near) >= CLEARLY * best.fall or 1 / NEAR <= better / configured <= upper:
        return None
    return RateGap(configured, better, max(near), best.fall)


@dataclass(frozen=True)
class Edge:
    """An axis along which learning gets better up to the very end of its range.

    `gain` is what the outermost level learned more than the best one further in, as a share of it; `p` the probability that
    losses without a trend along the axis would seem to fall as clearly toward that end.
    """

    path: str
    low: float
    high: float
    upper: bool
    gain: float
    p: float


def edges(trials: Trials) -> list[Edge]:
    """Return the axes at whose end the best point lies, with how sure it is that more lies beyond."""
    return [edge for path in trials.at_edge for edge in [_edge(trials, path)] if edge is not None]


def _edge(trials: Trials, path: str) -> Edge | None:
    points = [point for point in scored(trials) if not point.stopped]
    log = path in trials.log
    values = [float(point.trial.point.params[path]) for point in points]
    if log and min(values) <= 0:  # a configured 0 lies outside of every logarithmic range: there is no edge beside it
        return None
    best = max(range(len(points)), key=lambda index: points[index].fall)
    upper = values[best] == max(values)
    scale = [math.log(value) if log else value for value in values]
    middle = (min(scale) + max(scale)) / 2
    outer = [index for index, at in enumerate(scale) if (at >= middle) == upper or at == middle]
    distance = [abs(scale[index] - scale[best]) for index in outer]
    inner = max((points[index].fall for index in outer if scale[index] != scale[best]), default=-math.inf)
    if not math.isfinite(inner) or points[best].fall <= 0:
        return None
    low, high = trials.ranges[path]
    p = p_rising(distance, [points[index].loss for index in outer])
    return Edge(path, low, high, upper, (points[best].fall - inner) / points[best].fall, p)


def p_rising(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the one-sided p of Kendall's rank test that y rises with x: exact up to seven pairs, else by the normal limit.

    Ties count as neither rising nor falling; infinite values are ranked like any other. (M. Kendall, Biometrika 30, 1938)
    """
    seen = _concordance(x, y)
    if len(x) <= 7:
        all_orders = [_concordance(x, order) for order in itertools.permutations(y)]
        return sum(each >= seen for each in all_orders) / len(all_orders)
    ties = [[list(values).count(value) for value in set(values)] for values in (x, y)]
    n = len(x)
    v0, vx, vy = (sum(t * (t - 1) * (2 * t + 5) for t in groups) for groups in ([n], *ties))
    pairs_x, pairs_y = (sum(t * (t - 1) for t in groups) for groups in ties)
    triples_x, triples_y = (sum(t * (t - 1) * (t - 2) for t in groups) for groups in ties)
    variance = (
        (v0 - vx - vy) / 18 + pairs_x * pairs_y / (2 * n * (n - 1)) + triples_x * triples_y / (9 * n * (n - 1) * (n - 2))
    )
    return 0.5 * math.erfc((seen - 1) / math.sqrt(2 * variance)) if variance > 0 else 1.0


def _concordance(x: Sequence[float], y: Sequence[float]) -> int:
    """Return the number of pairs that rise together minus those that do not."""
    pairs = itertools.combinations(zip(x, y, strict=True), 2)
    return sum(((a > c) - (a < c)) * ((b > d) - (b < d)) for (a, b), (c, d) in pairs)
