"""LS612: a training that is over before the model has learned what it can at its rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc.checks import _compared, _rates, _specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.ranking import NEAR
from lossdoc.rule import rule

if TYPE_CHECKING:
    from lossdoc.experiments import Experiments

LONGER = 4.0


@rule(
    code="LS612",
    severity=Severity.ERROR,
    fires_on=(_specimens.cut_short,),
    quiet_on=(_specimens.sound, _specimens.line, _specimens.slow),
)
def too_few_epochs(experiments: Experiments) -> Answer:
    """The training ends while the model still learns, at a learning rate that is right.

    Looks like:
        The loss is still falling when the training ends; validation falls with it.

    Causes:
        - the number of epochs or steps was meant for a trial, or for more data
        - a schedule that lets the rate decay too soon

    Confirm with:
        - train on: does the validation score still rise?
        - a tenfold rate (`lr-too-low`): where that learns as much in the same steps, the rate was the trouble

    Try:
        - more epochs, until the validation loss no longer falls

    False alarms:
        A fine-tuning or a trial that is short on purpose.

    Decided by:
        Four times the steps let the model learn more than twice as much, beyond the noise of seeds; and no rate ten times
        as high does the same in the configured steps, or one a hundred times as high is worse than that: then the rate lies
        within half a decade of where short trainings want it, and it is time that lacks. Where the time allows only a part
        of the configured training nothing is said.

    Sources:
        - the study notes' gallery, figure 9 left: raise the rate, or train longer
        - Y. Bengio, Practical recommendations for gradient-based training of deep architectures, 2012, section 3.1
    """
    if _compared.enough(experiments):
        return Passed(f"the configured training suffices: {_compared.trained(experiments)}")
    if experiments.shortened > NEAR:
        times = f"{experiments.shortened:.3g} times as long as what was tried"
        raise NotApplicable(f"the configured training is {times}: the time does not suffice to see its end")
    whole = LONGER * experiments.shortened
    longer = experiments.tried(f"{whole:.3g} times as long", experiments.subject, longer=whole)
    found = _compared.compare(experiments, longer)
    facts = {**found.facts, "steps_tried": float(longer.steps)}
    if found.severity is not Severity.ERROR or _rates.lacks(experiments):
        return Passed(f"{longer.steps} steps give {found.told}", facts)
    summary = (
        f"{longer.steps} steps give {found.told} after the configured {round(experiments.steps * experiments.shortened)}"
    )
    return Evidence(summary, facts, confidence=found.confidence)
