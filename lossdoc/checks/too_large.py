"""LS615: a network so large that a smaller one generalizes better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc.checks import _changed, _compared, _specimens
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule

if TYPE_CHECKING:
    from lossdoc.experiments import Experiments


@rule(
    code="LS615",
    severity=Severity.WARNING,
    fires_on=(_specimens.overfit,),
    quiet_on=(_specimens.sound, _specimens.line),
)
def too_large(experiments: Experiments, *, narrower: float = 0.25) -> Answer:
    """A network a quarter as wide does better on the validation split.

    Looks like:
        Training is learned by heart, validation stays far behind, and a smaller network closes some of the gap.

    Causes:
        - many more weights than the data can determine
        - too few data for this network

    Confirm with:
        - the same training with a quarter of the units

    Try:
        - more data, first of all
        - fewer units or layers
        - regularization

    False alarms:
        Large networks often generalize better than small ones, and then nothing is said.

    Decided by:
        Training is learned well and less than that on the validation split, by a tenth of what there is to learn or more;
        and with hidden layers a quarter as wide the validation score is surely and notably better over the seeds.

    Sources:
        - the study notes' gallery, figure 8 middle: the model is too big for the data, or the data too few
        - M. Belkin and others, Reconciling modern machine learning practice and the bias-variance trade-off, 2019
    """
    known, new = (max(0.0, value) for value in reversed(_compared.learned(experiments)))
    if known < _compared.WELL or new > known - (1 - _compared.WELL):
        return Passed(
            f"validation keeps up with training ({100 * new:.0f} % and {100 * known:.0f} % of what there is to learn)"
        )
    small = experiments.tried(f"{narrower:g} times as wide", _changed.widened(experiments.subject, narrower))
    found = _compared.compare(experiments, small)
    if found.severity is None:
        return Passed(f"a network {narrower:g} times as wide gets {found.told}", found.facts)
    summary = f"with hidden layers {narrower:g} times as wide the network gets {found.told} of the validation split"
    return Evidence(summary, found.facts, confidence=found.confidence)
