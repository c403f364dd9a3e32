"""What a sweep could recommend, to be trained as it would stand in the file before it is recommended.

The best of many short trials is in part the luckiest one, and it is not what is recommended: a number that does not seem to
matter keeps its configured value. So the few that could be recommended are trained once more, and the configured values
beside them, from seeds that had no part in choosing them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossdoc.ranking import RATE, changes, finished
from lossdoc.subject import Point, Trials

BEST = 3  # points: with the configured values and three seeds each, no more trials than those of a usual sweep
SEEDS = 3  # the fewest from which a t test tells two points apart that differ by a few standard deviations
APART = 1.1  # rates that are nearer to one another are one candidate


def points(trials: Trials, first_seed: int) -> list[Point]:
    """Return what is to be trained, none where there is nothing to choose from; `first_seed` and those behind it are new."""
    chosen = candidates(trials)
    seeds = range(first_seed, first_seed + SEEDS)
    return [Point(index, params, seed) for index, params in enumerate(chosen) for seed in seeds] if len(chosen) > 1 else []


def candidates(trials: Trials) -> Sequence[Mapping[str, Any]]:
    """Return the configured values, where all are known, and those of the best points as they would stand in the file."""
    now = trials.configured
    known = {path: now[path] for path in trials.ranges if now.get(path) is not None}
    chosen: list[Mapping[str, Any]] = [known] if len(known) == len(trials.ranges) else []
    most = len(chosen) + BEST
    for point in finished(trials):
        params = {**known, **changes(trials, point.trial.point.params)}
        if len(chosen) < most and not any(_same(params, other) for other in chosen):
            chosen.append(params)
    return chosen


def _same(params: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two candidates differ in nothing but a hair of the rate."""
    one, two = params.get(RATE, 1.0), other.get(RATE, 1.0)
    near = one < APART * two and two < APART * one
    return near and all(other.get(path) == value for path, value in params.items() if path != RATE)
