"""LS610: a model that learns as much from inputs that do not belong to its targets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossdoc.checks import _changed, _compared, _neighbors, _specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.ranking import CHANCE, LEARNED, NEAR
from lossdoc.rule import rule

if TYPE_CHECKING:
    from torch import nn

    from lossdoc.experiments import Experiment, Experiments

APART = "inputs shuffled apart"


@rule(
    code="LS610",
    severity=Severity.ERROR,
    fires_on=(_specimens.apart, _specimens.blind),
    quiet_on=(_specimens.sound, _specimens.line, _specimens.overfit),
    mutes=("constant-output",),
)
def ignores_input(experiments: Experiments) -> Answer:
    """Real inputs teach the model no more than inputs dealt to the targets at random.

    Looks like:
        Training memorizes or stands still, and on the validation split the model is no better than one that never saw an
        input: the most frequent class, or the mean of the targets.

    Causes:
        - inputs and targets were shuffled, sorted or joined apart from each other
        - the model's answers do not depend on its inputs: a wrong variable in `forward`, a mask of zeros, dead units
        - the inputs carry no information on the targets

    Confirm with:
        - train on inputs set to zero, or shuffled: the result must be worse
        - print a few inputs next to their targets

    Try:
        - shuffle inputs and targets with the same permutation, or keep them in one data set
        - follow one sample from the file to the loss
        - predict the targets with a simple model: is there anything to be learned?

    False alarms:
        Data without any signal are named here, too: they look the same. A training too short to learn anything is not
        judged.

    Decided by:
        A model that scores above the best blind answer on the validation split at any time of its training (by a
        tenth of what there is to learn and three standard errors of counting) uses its inputs. Of one that does not:
        it answers all inputs the same whatever its weights are (five random drawings); or it learns its training
        split by a tenth and more, and not surely a tenth less of it when the inputs are dealt anew to the targets
        (paired t test over seeds), and near inputs do not surely have targets more alike than targets dealt at random
        (a permutation test); or it learns neither split, and that test of some hundred samples finds nothing either (a
        warning where only a part of the training was tried, and the training split is not surely known better than the
        validation split).

    Sources:
        - A. Karpathy, A Recipe for Training Neural Networks, 2019: input-independent baseline
        - C. Zhang and others, Understanding deep learning requires rethinking generalization, 2017: random labels
    """
    base = experiments.baseline
    if _compared.learns(experiments, base):
        return Passed(f"the inputs tell: {_compared.trained(experiments)}", _compared.baseline_facts(experiments))
    if _deaf(experiments):
        summary = "whatever its weights are, the model answers all inputs the same: they never reach its outputs"
        return Evidence(summary, _compared.baseline_facts(experiments), confidence=0.99)
    best = max((one for one in experiments.done.values() if APART not in one.name), key=lambda one: one.train_score)
    if _compared.learns(experiments, best):
        summary = f"not as configured, but with {best.name} the model learns from its inputs: {_compared.score(best)}"
        return Passed(summary, _compared.baseline_facts(experiments))
    if not _compared.memorizes(experiments, best):
        return _unrelated(experiments, best)
    if _related(experiments):
        raise NotApplicable("near inputs have near targets: whatever the model learns by heart, they belong together")
    return _dealt_anew(experiments, best)


def _deaf(experiments: Experiments) -> bool:
    """Tell whether the answers are the very same for different inputs whatever the weights are: five random drawings.

    The model's own first weights would not tell: a last layer of zeros, or dead units, make a listening one silent.
    """
    import torch

    from lossdoc import fetching, probe, scoring

    subject = experiments.subject
    batches = fetching.take(subject)
    for seed in range(probe.SEEDS):
        model = probe.untouched(subject).build(experiments.seeds[0] + seed)
        _redraw(model, seed)
        given = [scoring.answers(model, batch) for batch in batches]
        if not all(isinstance(each, torch.Tensor) and bool((each == given[0][:1]).all()) for each in given):
            return False
    return sum(batch.size for batch in batches) > 1


def _redraw(model: nn.Module, seed: int) -> None:
    """Draw all weights anew, so that what a unit sums up has the variance of its inputs (LeCun and others, 1998)."""
    import torch

    luck = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in model.parameters():
            drawn = torch.randn(each.shape, generator=luck) / math.sqrt(max(1, each[0].numel() if each.ndim > 1 else 1))
            each.copy_(drawn)


def _by_luck(experiments: Experiments, apart: Experiment, gain: float) -> bool:
    """Tell whether so many more right answers may be due to the one order in which the inputs were shuffled.

    The seeds share it, so that they do not tell how much another one would have changed: counting does.
    """
    from lossdoc.features.distributions import normal_tail

    samples = experiments.subject.sizes.get("train")
    if apart.measure != "accuracy" or not samples:
        return False
    error = math.sqrt(2 * apart.train_score * (1 - apart.train_score) / samples)
    return error > 0 and normal_tail(gain / error) >= CHANCE


def _related(experiments: Experiments) -> bool:
    """Tell whether near inputs surely have near targets; not where nothing is near anything."""
    try:
        return _neighbors.p_unrelated(experiments.subject)[0] < CHANCE
    except NotApplicable:
        return False


def _unrelated(experiments: Experiments, best: Experiment) -> Evidence:
    """Ask whether near inputs have near targets, where no training has learned anything."""
    from lossdoc.experiments import Gain

    p, samples = _neighbors.p_unrelated(experiments.subject)
    if p < CHANCE:
        raise NotApplicable(f"nothing was learned in {best.steps} steps, not even of the training split")
    summary = (
        f"nothing was learned in {best.steps} steps, and of {samples} samples those with near inputs have targets no more "
        f"alike than targets dealt at random (p = {p:.2g}): inputs and targets do not belong together"
    )
    facts = {**_compared.baseline_facts(experiments), "p": p, "samples": float(samples)}
    heart = Gain.between(best.scores, best.train_scores).p < CHANCE  # it begins to learn by heart, and nothing else
    severity = Severity.ERROR if heart or experiments.shortened <= NEAR else Severity.WARNING
    return Evidence(summary, facts, confidence=0.9, severity=severity)


def _dealt_anew(experiments: Experiments, best: Experiment) -> Answer:
    """Compare what was memorized with what is memorized of inputs that surely do not belong to their targets."""
    from lossdoc.experiments import Gain

    changed = _changed.shuffled_apart(best.subject)
    apart = experiments.tried(f"{best.name}, {APART}", changed, longer=best.steps / experiments.steps)
    gain = Gain.between(apart.train_scores, best.train_scores)
    facts = {
        "measured": best.train_score,
        "expected": apart.train_score,
        "tolerance": 2 * gain.error,
        "p": gain.p,
        "validation": best.score,
        "chance": experiments.chance,
        "steps": float(best.steps),
    }
    known, random = (100 * _compared.share(experiments, one.train_score) for one in (best, apart))
    if gain.p < CHANCE and known > (1 + LEARNED) * random and not _by_luck(experiments, apart, gain.mean):
        return Passed(f"of real inputs {known:.0f} % was memorized, of shuffled ones {random:.0f} %", facts)
    summary = (
        f"inputs dealt to the targets at random are memorized as well as the real ones ({random:.0f} % and {known:.0f} % of "
        "what there is to know), and neither helps on the validation split: inputs and targets do not belong together"
    )
    return Evidence(
        summary, facts, confidence=0.95, remedies=("shuffle inputs and targets by one and the same permutation",)
    )
