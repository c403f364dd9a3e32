"""Points where earlier ones were good: Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lossdoc.search import Choices, Range, Search, Space, draw
from lossdoc.subject import Point, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

ROUND = 8  # points asked for at once: enough to train several side by side, few enough that later ones learn from them


class Tpe:
    """Asks in rounds of `ROUND` points; the first round is random, with the configured point first.

    A round depends on the seed and on the trials of the rounds before it alone, told in the order of their indexes: so the
    number of workers changes nothing, and neither does an interruption. (J. Bergstra et al., Algorithms for hyper-parameter
    optimization, 2011)
    """

    def __init__(self, space: Space, points: int, seed: int) -> None:
        self.space = space
        self.points = points
        self.seed = seed
        self._told: dict[int, list[Trial]] = {}

    def ask(self) -> list[Point]:
        """Return what is not told yet of the first round that is not finished."""
        for first in range(0, self.points, ROUND):
            indexes = range(first, min(first + ROUND, self.points))
            if not all(index in self._told for index in indexes):
                return [point for point in self._round(indexes) if point.index not in self._told]
        return []

    def tell(self, trials: Sequence[Trial]) -> None:
        """Keep the trials by their points."""
        for trial in trials:
            self._told.setdefault(trial.point.index, []).append(trial)

    def _round(self, indexes: range) -> list[Point]:
        if indexes[0] == 0:
            drawn = [draw(self.space, self.seed, index) for index in indexes]
            origin = self.space.origin
            return drawn if origin is None else [Point(0, origin, self.seed), *drawn[1:]]
        import optuna

        with _quiet():
            # constant_liar: what is asked for in the same round counts as tried, or all of a round would be one point
            sampler = optuna.samplers.TPESampler(n_startup_trials=0, seed=self.seed + indexes[0], constant_liar=True)
            study = optuna.create_study(sampler=sampler)
            for index in range(indexes[0]):
                study.add_trial(self._frozen(self._told[index]))
            asked = [study.ask(self._kinds()).params for _ in indexes]
        return [Point(index, self._params(found), self.seed) for index, found in zip(indexes, asked, strict=True)]

    def _kinds(self) -> dict[str, BaseDistribution]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            path: FloatDistribution(axis.low, axis.high, log=axis.log)
            if isinstance(axis, Range)
            else CategoricalDistribution(range(len(axis.values)))
            for path, axis in self.space.axes.items()
        }

    def _params(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was found as values: choices by their place, numbers without the noise of their last digits."""
        axes = self.space.axes
        return {
            path: axis.values[found[path]] if isinstance(axis, Choices) else axis.at(axis.share(found[path]))
            for path, axis in axes.items()
        }

    def _frozen(self, of_point: Sequence[Trial]) -> FrozenTrial:
        """Return a point as the study knows it: its seeds' mean loss, PRUNED where one of them did not live to the end.

        A value outside of its range, such as a configured 0 on a logarithmic one, is left out: nothing is learned from it.
        """
        from optuna.trial import TrialState, create_trial

        point, kinds = of_point[0].point, self._kinds()
        params: dict[str, Any] = {}
        for path, axis in self.space.axes.items():
            value = point.params[path]
            if isinstance(axis, Choices):
                params[path] = axis.values.index(value)
            elif axis.low <= value <= axis.high:
                params[path] = value
        mean = sum(trial.loss for trial in of_point) / len(of_point)
        whole = math.isfinite(mean) and all(trial.stopped_at is None for trial in of_point)
        return create_trial(
            state=TrialState.COMPLETE if whole else TrialState.PRUNED,
            value=mean if whole else None,
            params=params,
            distributions={path: kinds[path] for path in params},
            intermediate_values={} if whole else _last(of_point),
        )


def _last(of_point: Sequence[Trial]) -> dict[int, float]:
    """Return where the first of a point's trials ended, and its last finite training loss there: the later, the better."""
    trial = min(of_point, key=lambda each: len(each.curve.train))
    finite = trial.curve.train.finite.value
    return {len(trial.curve.train): float(finite[-1])} if len(finite) else {}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from announcing studies in the middle of our own progress."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


TPE = Search(Tpe)
