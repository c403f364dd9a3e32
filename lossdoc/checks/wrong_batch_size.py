"""LS616: batches so small or so large that the model does not learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossdoc.checks import _changed, _compared, _rates, _specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.remedy import named
from lossdoc.rule import rule

if TYPE_CHECKING:
    from lossdoc.experiments import Experiments
    from lossdoc.subject import Subject

USUAL = 32


@rule(
    code="LS616",
    severity=Severity.ERROR,
    fires_on=(_specimens.whole_batch, _specimens.one_by_one),
    quiet_on=(_specimens.sound, _specimens.line),
    mutes=("too-few-epochs",),
)
def wrong_batch_size(experiments: Experiments, *, small: int = 4, part: float = 0.5) -> Answer:
    """Batches of one sample or two, or of the whole data, keep the model from learning.

    Looks like:
        With single samples a loss that jumps from step to step and never settles; with the whole data in one batch a smooth
        loss that has hardly fallen when the epochs are over.

    Causes:
        - a batch size of 1 at a learning rate that was meant for larger batches
        - the batch size set to the number of samples: one step an epoch

    Confirm with:
        - the same training in batches of 32

    Try:
        - batches of 16 to 64 samples
        - a learning rate in proportion to the batch size where that must stay

    False alarms:
        Optimizers that are made for the whole data, such as L-BFGS; data of fewer samples than a usual batch.

    Decided by:
        Batches of four samples or fewer, or of half of the training split or more (and at least 64), are tried as batches of
        32 at the same rate: small ones for as many steps, large ones for as many epochs. An error where the model had
        learned less than half of what it learns then, or where single samples move the weights faster than those of sound
        networks; a warning from a tenth on, each beyond the noise of seeds. A warning, too, where as it is the model learns
        a quarter of what there is and more: that other batches would do better is no fault.

    Sources:
        - D. Masters and C. Luschi, Revisiting small batch training for deep neural networks, 2018: the best lie in 2 to 32
        - P. Goyal and others, Accurate, large minibatch SGD, 2017: the rate in proportion to the batch size
    """
    subject = experiments.subject
    size = subject.batch_size
    if size is None:
        raise NotApplicable("the size of the batches is not known")
    if small < size < max(2 * USUAL, part * _samples(subject)):
        return Passed(f"batches of {size} of {_samples(subject)} samples")
    if _compared.well(experiments):
        return Passed(f"batches of {size}: {_compared.trained(experiments)}", _compared.baseline_facts(experiments))
    longer = max(1.0, size / USUAL) if size > small else 1.0
    changed = _changed.in_batches(subject, USUAL)
    found = _compared.compare(experiments, experiments.tried(named({"data.batch_size": USUAL}), changed, longer=longer))
    if found.severity is None:
        return Passed(f"batches of {USUAL} give {found.told}", found.facts)
    summary = f"in batches of {USUAL} the model gets {found.told} in batches of {size}"
    facts = {**found.facts, "batch_size": float(size)}
    severity = Severity.ERROR if size <= small and _rates.races(experiments) else found.severity
    if not _compared.failing(experiments):
        severity = Severity.WARNING
    return Evidence(summary, facts, confidence=found.confidence, severity=severity)


def _samples(subject: Subject) -> int:
    samples = subject.sizes.get("train")
    if samples is None:
        raise NotApplicable("the size of the training split is not known")
    return samples
