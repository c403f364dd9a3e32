"""Trainings with one change against the configured one: which learned more, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import TYPE_CHECKING

from lossdoc.errors import NotApplicable
from lossdoc.features.distributions import f_tail
from lossdoc.findings import Severity
from lossdoc.ranking import CHANCE, CLEARLY, LEARNED, NEAR, p_rising

if TYPE_CHECKING:
    from lossdoc.experiments import Experiment, Experiments, Gain
    from lossdoc.subject import Trial

WELL = (
    0.9  # of all there is to know: what a change could still add is less than a sweep counts as having learned (`LEARNED`)
)
MANY = 2  # failures among five seeds: were it one seed in twenty that fails, so many would be seen in 2 % of cases
TINY = 1e-12  # variance of scores that are all the same


@dataclass(frozen=True)
class Compared:
    """A changed training against another one.

    `clear`: the other one learned less than half of what the changed one did (`CLEARLY`, as in a sweep). `notable`: it
    learned less by a tenth or more. `sure`: by more than seeds and counting make, corrected for the changes tried.
    """

    before: Experiment
    after: Experiment
    gain: Gain
    p: float
    clear: bool
    notable: bool
    sure: bool

    @property
    def severity(self) -> Severity | None:
        """An error where the gain is sure and clear, a warning where it is sure and notable, None where it is neither."""
        if not self.sure or not self.notable:
            return None
        return Severity.ERROR if self.clear else Severity.WARNING

    @property
    def facts(self) -> dict[str, float]:
        """The numbers behind it; the tolerance is two standard errors of the gain."""
        return {
            "measured": self.before.score,
            "expected": self.after.score,
            "tolerance": 2 * self.gain.error,
            "gain": self.gain.mean,
            "p": self.p,
            "seeds": float(self.gain.seeds),
            "steps": float(self.before.steps),
        }

    @property
    def confidence(self) -> float:
        """The probability that it is no chance, as the test has it; never certain."""
        return min(0.99, max(0.5, 1 - self.p))

    @property
    def told(self) -> str:
        """Both scores in words."""
        return f"{score(self.after)} instead of {score(self.before)}"


def fickle(experiments: Experiments, after: Experiment) -> bool:
    """Tell whether two of five seeds of the configured training learn less than half of what a changed one learns.

    Raises:
        NotApplicable: when the time left does not suffice for the other two seeds.
    """
    goal = CLEARLY * share(experiments, after.score)
    return sum(max(0.0, share(experiments, score)) < goal for score in experiments.repeated.scores) >= MANY


def share(experiments: Experiments, value: float) -> float:
    """Return a score as the share of all that can be learned: 0 is knowing nothing of the inputs, 1 is perfect.

    Raises:
        NotApplicable: when knowing nothing is already perfect.
    """
    room = 1 - experiments.chance
    if not room > 0:
        raise NotApplicable("all targets of the validation split are the same: there is nothing to be learned")
    return (value - experiments.chance) / room


def learned(experiments: Experiments) -> tuple[float, float]:
    """Return the shares that the subject as it is has learned of the validation and of the training split."""
    base = experiments.baseline
    return share(experiments, base.score), share(experiments, base.train_score)


def well(experiments: Experiments) -> bool:
    """Tell whether the configured training learns its data so well that no change of it could add much.

    What it does not carry over to the validation split is overfitting, a matter of data and not of the training.
    """
    return max(learned(experiments)) >= WELL


def failing(experiments: Experiments) -> bool:
    """Tell whether the configured training, or most of it, leaves the model near chance: more is then no matter of taste.

    Less than a quarter of what there is to learn, half of what `CLEARLY` asks for, or nothing of its own training split.
    """
    near_chance = learned(experiments)[0] < CLEARLY / 2 or not memorizes(experiments, experiments.baseline)
    return near_chance and experiments.shortened <= NEAR


def enough(experiments: Experiments) -> bool:
    """Tell whether so much was learned that no change could let the model learn twice as much: then nothing is clear."""
    return well(experiments) or learned(experiments)[0] >= CLEARLY


def late(trials: Sequence[Trial]) -> list[float]:
    """Return the training loss over the second half, meaned over seeds and ten blocks of steps; without diverged seeds."""
    losses = [trial.curve.train.value for trial in trials if trial.diverged_at is None]
    if not losses:
        return []
    course = [fmean(at) for at in zip(*(loss[len(loss) // 2 :].tolist() for loss in losses), strict=True)]
    size = max(1, len(course) // 10)
    return [fmean(course[at : at + size]) for at in range(0, size * (len(course) // size), size)]


def falling(trials: Sequence[Trial]) -> bool:
    """Tell whether the loss surely falls in its second half (Kendall's test), by a tenth of its level and more."""
    means = late(trials)
    surely = p_rising(list(range(len(means))), [-mean for mean in means]) < CHANCE if len(means) > 2 else False
    return surely and means[0] - means[-1] > LEARNED * abs(means[-1])


def learns(experiments: Experiments, experiment: Experiment) -> bool:
    """Tell whether a training used its inputs: it scored a tenth of what there is (`LEARNED`), and beyond counting.

    The best of its validations counts: a model that overfits later, or dies, has known its inputs once. Three standard
    errors of counting are more than the best of some tens of them has by chance.
    """
    return share(experiments, _peak(experiments, experiment)) > max(LEARNED, _counted(experiments, experiment))


def guesses_better(experiments: Experiments, experiment: Experiment) -> bool:
    """Tell whether a training got more right than a blind model by more than counting makes, however little that is."""
    counted = _counted(experiments, experiment)
    return 0 < counted < share(experiments, _peak(experiments, experiment))


def memorizes(experiments: Experiments, experiment: Experiment) -> bool:
    """Tell whether a training learned a tenth of what there is of its own training split."""
    samples = max(experiments.subject.sizes.get("train") or 0, experiments.samples or 0)
    return share(experiments, experiment.train_score) > max(LEARNED, _counted(experiments, experiment, samples))


def _counted(experiments: Experiments, experiment: Experiment, samples: int | None = None) -> float:
    """Return three standard errors of the score of a blind model, as a share; of as many samples as validate by default."""
    samples = samples or experiments.samples
    if experiment.measure != "accuracy" or not samples:
        return 0.0
    chance = experiments.chance
    return 3 * math.sqrt(chance * (1 - chance) / samples) / (1 - chance)


def _peak(experiments: Experiments, experiment: Experiment) -> float:
    """Return the mean over the seeds of the best score that was measured on the validation split at any time."""
    stick = experiments.yardstick
    curves = [trial.curve for trial in experiment.trials]
    if experiment.measure == "accuracy" and all("val_accuracy" in curve.others for curve in curves):
        best = [float(curve.others["val_accuracy"].value.max()) for curve in curves]
    elif (
        experiment.measure == "explained variance" and stick.reads_curves and all(curve.val is not None for curve in curves)
    ):
        lowest = [float(curve.val.finite.value.min()) for curve in curves if curve.val is not None and len(curve.val.finite)]
        best = [1 - loss / stick.variances["validation"] for loss in lowest]
    else:
        best = []
    return max(experiment.score, fmean(best)) if best else experiment.score


def compare(experiments: Experiments, after: Experiment, before: Experiment | None = None) -> Compared:
    """Compare a changed training with another one, the configured one where none is given."""
    from lossdoc.experiments import Gain

    base = before or experiments.baseline
    samples = experiments.samples if after.measure == "accuracy" else None
    gain = Gain.between(base.scores, after.scores, samples)
    old, new = max(0.0, share(experiments, base.score)), share(experiments, after.score)
    tried = max(1, len(experiments.done) - 1)
    enough = new > LEARNED
    clear = enough and old < CLEARLY * new
    fails = enough and max(0.0, share(experiments, min(base.scores))) < CLEARLY * new
    p = min(1.0, tried * (min(gain.p, 2 * steadier(base.scores, after.scores)) if fails else gain.p))
    return Compared(base, after, gain, p, clear, enough and old < (1 - LEARNED) * new, p < CHANCE)


def steadier(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the p of an F test that the seeds differ less after a change that made none of them worse than the mean before.

    Where a fault strikes some seeds and spares others, their mean is too rough for a t test, but a change that rescues all
    of them alike is no chance.
    """
    if len(before) < 3 or min(after) < fmean(before) or variance(before) == 0:
        return 1.0
    return f_tail(variance(before) / max(variance(after), TINY), len(before) - 1, len(after) - 1)


def score(experiment: Experiment) -> str:
    """Return a score in words."""
    if experiment.measure == "accuracy":
        return f"{100 * experiment.score:.1f} % right"
    if experiment.measure == "explained variance":
        return f"{100 * max(0.0, experiment.score):.0f} % of the variance"
    return f"a loss that fell by {100 * experiment.score:.0f} %"


def trained(experiments: Experiments) -> str:
    """Return in words what the baseline learned, as what a check that passed has measured."""
    base = experiments.baseline
    length = f"{base.steps} steps, {len(base.scores)} seed{'s' if len(base.scores) > 1 else ''}"
    blind = f", where guessing gives {100 * experiments.chance:.1f} %" if base.measure == "accuracy" else ""
    return f"{score(base)} after {length}{blind}"


def baseline_facts(experiments: Experiments) -> dict[str, float]:
    """Return the numbers of the configured training."""
    base = experiments.baseline
    return {
        "measured": base.score,
        "expected": 1.0,
        "tolerance": 1 - experiments.chance - (1 - experiments.chance) * WELL,
        "chance": experiments.chance,
        "training": base.train_score,
        "steps": float(base.steps),
    }
