"""LS203: a last layer with another number of outputs than there are classes."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Subject


@rule(
    code="LS203",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.mlp(3)),
        lambda: specimens.healthy(build=specimens.mlp(5)),
        lambda: specimens.healthy(build=specimens.mlp(1)),
        lambda: specimens.healthy(build=specimens.mlp(3), classes=None),
    ),
    quiet_on=(specimens.healthy, specimens.binary, lambda: specimens.healthy(classes=None)),
    mutes=("initial-loss", "large-logits"),
)
def head_width(subject: Subject, *, padded_to: int = 128) -> Answer:
    """The last layer has another number of outputs than the data have classes.

    Looks like:
        With too few outputs a crash inside the loss, or an assertion on the accelerator. With too many a first loss of
        log of the wrong number, and outputs that no sample ever asks for.

    Causes:
        - the number of classes is written down twice, and one of the two is wrong
        - a model made for other data: 1,000 outputs for ten classes
        - labels that count from 1, so that the last one needs an output more

    Confirm with:
        - compare the outputs' last dimension with the number of different labels

    Try:
        - let the last layer have one output for each class: `linear: {out: classes}`

    False alarms:
        A class that the training data do not show, but that will come. A vocabulary padded for speed is passed: language
        models with up to the next multiple of 128 outputs.

    Decided by:
        The size of the outputs' class dimension against the number of classes of the data; where that is not known, against
        the largest label among the first samples, so that only too few outputs are seen. The loss is not called.

    Sources:
        - Humbatova et al. (2020), Taxonomy of Real Faults in Deep Learning Systems: wrong size of the output layer
    """
    import torch

    from lossdoc import fetching, probe

    batches = fetching.take(subject)
    first, outputs = probe.first_answer(subject)
    rows = probe.class_rows(subject, outputs, first.targets)
    if rows is None or subject.loss.takes in ("values", "unknown"):
        raise NotApplicable("there is not one label for each row of outputs")
    labels = torch.cat([batch.targets.reshape(-1) for batch in batches])
    seen = int(labels.max()) + 1
    wide, wanted = rows.shape[1], subject.classes or seen
    too_many = wide > wanted and subject.classes is not None and not _padded(subject, wide, wanted, padded_to)
    facts = {"measured": float(wide), "expected": float(wanted), "tolerance": 0.0, "largest_label": float(seen - 1)}
    if wide >= wanted and not too_many:
        return Passed(f"{wide} outputs for {wanted} classes", facts)
    words = "too few: some labels have no output" if wide < wanted else "too many: some outputs are never asked for"
    return Evidence(
        f"the last layer has {wide} {'output' if wide == 1 else 'outputs'}, the data have {wanted} classes: {words}",
        facts=facts,
        confidence=0.98,
        remedies=(f"give the last layer {wanted} outputs: `linear: {{out: classes}}`",),
    )


def _padded(subject: Subject, wide: int, wanted: int, multiple: int) -> bool:
    """Tell whether the outputs are a vocabulary rounded up to a multiple of 8 or more."""
    return subject.task == "language" and wide % 8 == 0 and wide <= -(-wanted // multiple) * multiple
