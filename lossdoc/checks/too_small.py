"""LS614: a network too small for its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc.checks import _changed, _compared, _rates, _specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.ranking import CLEARLY
from lossdoc.rule import rule

if TYPE_CHECKING:
    from lossdoc.experiments import Experiment, Experiments

LONGER = 4.0


@rule(
    code="LS614",
    severity=Severity.ERROR,
    fires_on=(_specimens.narrow,),
    quiet_on=(_specimens.sound, _specimens.line),
)
def too_small(experiments: Experiments, *, wider: float = 4.0) -> Answer:
    """The network has too few units to express its task.

    Looks like:
        Training and validation loss end on the same high plateau, whatever the learning rate.

    Causes:
        - hidden layers that are too narrow, or a bottleneck between wide ones
        - a linear model for a task that is not linear

    Confirm with:
        - a network four times as wide: does its training loss end lower?
        - `lossdoc overfit`: can it learn 64 samples by heart?

    Try:
        - two to four times as many units in the narrowest layer
        - one more hidden layer

    False alarms:
        A wide network learns faster in the same steps: nothing is said while the loss still falls, or where another rate
        helps. Models that are small on purpose.

    Decided by:
        Neither ten times nor a tenth of the rate learns notably more, and with hidden layers four times as wide, with
        weights of the same distribution, the model learns more than twice as much, surely, of the validation split and more
        of the training split, too. Time must not be what lacks: at the pace of its second half the loss would not come half
        of the way to that of the wide network in four times the steps. A warning where the network as it is learns a quarter
        of what there is or more: that a larger one would do better is no fault.

    Sources:
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 5.2: capacity and underfitting
        - A. Karpathy, A Recipe for Training Neural Networks, 2019: overfit first
    """
    if _compared.enough(experiments):
        return Passed(f"the network is large enough: {_compared.trained(experiments)}")
    if _rates.better(experiments) is not None:
        raise NotApplicable("another learning rate helps: what the network could hold at a better one is not known")
    base = experiments.baseline
    subject = _changed.widened(experiments.subject, wider)
    experiments.afford(experiments.steps, costs=wider**2)  # as many more weights has a layer between two wide ones
    wide = experiments.tried(f"{wider:g} times as wide", subject)
    found = _compared.compare(experiments, wide)
    more = _compared.share(experiments, wide.train_score) > _compared.share(experiments, base.train_score)
    if found.severity is not Severity.ERROR or not more:
        return Passed(f"{wider:g} times as wide it gets {found.told}", found.facts)
    if _would_do(base, wide):
        raise NotApplicable(f"the loss still falls after {base.steps} steps: what the network could hold is not known")
    summary = f"with hidden layers {wider:g} times as wide the network gets {found.told}"
    severity = Severity.ERROR if _compared.failing(experiments) else Severity.WARNING
    return Evidence(summary, {**found.facts, "wider": wider}, confidence=found.confidence, severity=severity)


def _would_do(base: Experiment, wide: Experiment) -> bool:
    """Tell whether four times the steps might do as much as the wider layers: a loss falls ever more slowly."""
    slow, fast = _compared.late(base.trials), _compared.late(wide.trials)
    if not slow or not fast:
        return True
    left = (LONGER - 1) / 0.5  # halves of a training
    return left * (slow[0] - slow[-1]) >= CLEARLY * (slow[-1] - fast[-1])
