"""The configured learning rate against rates ten and a hundred times as high and as low."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc.checks import _changed, _compared
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.ranking import CLEARLY, LEARNED, NEAR, RATE
from lossdoc.remedy import named

if TYPE_CHECKING:
    from lossdoc.checks._compared import Compared
    from lossdoc.experiments import Experiment, Experiments

HIGHER, LOWER = (10.0, 100.0), (0.1, 0.01)
SLOWEST, FASTEST = -4.0, -1.0  # log10(|Δw| / |w|) at a step of sound trainings (Ben Braiek and Khomh, TheDeepChecker, 2023)


def tried(experiments: Experiments, factor: float) -> Experiment:
    """Train at a multiple of the configured rate.

    Raises:
        NotApplicable: when the time left does not suffice.
    """
    rate = rate_of(experiments, factor)
    return experiments.tried(named({RATE: rate}), _changed.at_rate(experiments.subject, rate))


def rate_of(experiments: Experiments, factor: float) -> float:
    """Return a multiple of the configured rate, in three digits."""
    return float(f"{experiments.subject.recipe.hyper['lr'] * factor:.3g}")


def _wild(experiments: Experiments) -> bool:
    """Tell whether the configured training went the way of too high a rate: diverged, or ended above its start."""
    base = experiments.baseline
    losses = [trial.curve.train.value for trial in base.trials]
    tails = [float(values[-max(1, len(values) // 10) :].mean()) for values in losses]
    return base.diverged > 0 or sum(tail >= values[0] for tail, values in zip(tails, losses, strict=True)) > len(losses) / 2


def better(experiments: Experiments) -> Compared | None:
    """Return the rate that learns most, None where none of them is sure to learn notably more than the configured one.

    The likelier direction is tried first and the other one only where it was not the answer; a hundred times is tried where
    ten times is not clearly it.

    Raises:
        NotApplicable: when the time does not suffice for a single one.
    """
    if _compared.well(experiments):
        return None
    sides = (LOWER, HIGHER) if _wild(experiments) or _fast(experiments) else (HIGHER, LOWER)
    found: list[Compared] = []
    for near, far in sides:
        found.append(_compared.compare(experiments, tried(experiments, near)))
        if found[-1].severity is not Severity.ERROR and _hopeless(experiments):
            found.append(_compared.compare(experiments, tried(experiments, far)))
        if any(one.severity is Severity.ERROR for one in found):
            break
    answers = [one for one in found if one.severity is not None]
    return max(answers, key=lambda one: one.after.score, default=None)


def _hopeless(experiments: Experiments) -> bool:
    """Tell whether so little was learned that a change could learn twice as much."""
    return _compared.learned(experiments)[0] < CLEARLY


def lacks(experiments: Experiments) -> bool:
    """Tell whether it is the rate that lacks, not time: ten times as high it learns clearly more, a hundred times no less.

    A training that is merely short gains by a higher rate, too, but not by one far above those that trainings want. Where
    the time does not suffice to try that one, nothing says so.
    """
    found = better(experiments)
    if found is None or not found.clear or factor_of(experiments, found) < 1:
        return False
    try:
        near, far = (_compared.share(experiments, tried(experiments, factor).score) for factor in HIGHER)
    except NotApplicable:
        return False
    return far >= (1 - LEARNED) * near


def factor_of(experiments: Experiments, found: Compared) -> float:
    """Return by how much the rate of an experiment is that of the configured training."""
    return float(found.after.subject.recipe.hyper["lr"] / experiments.subject.recipe.hyper["lr"])


def too_high(experiments: Experiments) -> Answer:
    """Judge whether lower rates learn more.

    What is sure and notable is an error, too, where two of five seeds fail, or where the weights move faster than those of
    sound networks do.
    """
    found = better(experiments)
    if found is None or factor_of(experiments, found) > 1:
        return _fine(experiments)
    severe = found.clear or races(experiments) or _compared.fickle(experiments, found.after)
    return _evidence(experiments, found, Severity.ERROR if severe else Severity.WARNING, _ended(found.before))


def too_low(experiments: Experiments) -> Answer:
    """Judge whether higher rates learn more, also when the configured one is given its whole training.

    Rate times steps bounds how far the weights can move: in a training that is `shortened` times as long a rate that is
    lower by that factor gets as far, and up to there nothing is wrong with it (as in `ranking.rate_gap`), unless no layer's
    weights change by as much at a step as those of sound networks do, or some layer's do not and two decades lack: whatever
    the training may reach then, a hundredth of its steps would do.
    """
    found = better(experiments)
    if found is None or factor_of(experiments, found) < 1:
        return _fine(experiments)
    reach = NEAR * experiments.shortened
    if factor_of(experiments, found) > reach or _crawls(experiments) or (_drags(experiments) and lacks(experiments)):
        return _evidence(experiments, found, found.severity or Severity.WARNING, "")
    further = [factor for factor in HIGHER if factor > reach][:1]
    beyond = [_compared.compare(experiments, tried(experiments, factor), found.after) for factor in further]
    if not beyond or beyond[0].severity is None:
        return _fine(experiments)
    return _evidence(experiments, beyond[0], beyond[0].severity, "")


def _moves(experiments: Experiments) -> tuple[float, float]:
    """Return the update ratios of the slowest and of the fastest layer, NaN without any: then no comparison holds."""
    ratios = experiments.update_ratios.values()
    return (min(ratios), max(ratios)) if ratios else (math.nan, math.nan)


def _crawls(experiments: Experiments) -> bool:
    """Tell whether even the layer that moves fastest changes by less than a ten-thousandth of its weights at a step."""
    return _moves(experiments)[1] < SLOWEST


def _drags(experiments: Experiments) -> bool:
    """Tell whether some layer changes by less than a ten-thousandth of its weights at a step."""
    return _moves(experiments)[0] < SLOWEST


def _fast(experiments: Experiments) -> bool:
    """Tell whether the layer that moves fastest is nearer to what is too fast than to what is too slow."""
    return _moves(experiments)[1] > (SLOWEST + FASTEST) / 2


def races(experiments: Experiments) -> bool:
    """Tell whether a layer changes by more than a tenth of its weights at a step."""
    return _moves(experiments)[1] > FASTEST


def _evidence(experiments: Experiments, found: Compared, severity: Severity, ended: str) -> Evidence:
    rate, new = experiments.subject.recipe.hyper["lr"], found.after.subject.recipe.hyper["lr"]
    summary = (
        f"at a learning rate of {new:g} the model gets {found.told} at the configured {rate:g}{ended}, "
        f"in the same {found.before.steps} steps"
    )
    facts = {**found.facts, "configured_lr": rate, "best_lr": new, **_moved(experiments)}
    return Evidence(
        summary, facts, confidence=found.confidence, severity=severity, remedies=(f"set optimizer.lr to about {new:.1g}",)
    )


def _ended(base: Experiment) -> str:
    """Say how trainings at too high a rate ended."""
    gone = sum(trial.diverged_at is not None for trial in base.trials)
    return f" ({gone} of {len(base.trials)} seeds left the range of numbers)" if gone else ""


def _fine(experiments: Experiments) -> Passed:
    rate = experiments.subject.recipe.hyper["lr"]
    facts = {**_compared.baseline_facts(experiments), "configured_lr": rate, **_moved(experiments)}
    return Passed(f"the learning rate {rate:g} gives {_compared.trained(experiments)}", facts)


def _moved(experiments: Experiments) -> dict[str, float]:
    """Return the update ratios of the slowest and of the fastest layer as facts, where there are any."""
    slowest, fastest = _moves(experiments)
    return {} if math.isnan(slowest) else {"slowest_update": slowest, "fastest_update": fastest}
