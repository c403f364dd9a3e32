"""LS210: targets in another coding than the loss means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lossdoc import specimens
from lossdoc.checks import _answers, _heads
from lossdoc.checks._first_loss import word_of
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.losses import Bce, CrossEntropy, Mse
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Batch, Split, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

SMALL = 0.01  # of the configured step: the probabilities then move in proportion to it
MOST = 0.5  # of the targets
FEW = 20  # different whole numbers: with more it is a count or a measurement, not a class


@rule(
    code="LS210",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=OwnLoss(specimens.squares, takes="unknown"), batches=specimens.fed(specimens.column)),
        lambda: specimens.binary(loss=OwnLoss(specimens.hinge, takes="unknown"), batches=specimens.fed(specimens.yes_no)),
        lambda: specimens.regression(loss=OwnLoss(specimens.entropy, "torch.nn:CrossEntropyLoss")),
        lambda: specimens.regression(
            loss=Mse(),
            build=specimens.followed_by(specimens.mlp(10), "Softmax", dim=-1),
            batches=specimens.fed(specimens.ten_hot),
        ),
        lambda: specimens.regression(build=specimens.mlp(1), batches=specimens.fed(specimens.as_numbers), classes=4),
        lambda: specimens.regression(
            build=specimens.followed_by(specimens.mlp(1), "Sigmoid"), batches=specimens.fed(specimens.yes_no)
        ),
        lambda: specimens.binary(
            loss=Bce(inputs="probabilities"),
            build=specimens.followed_by(specimens.mlp(), "Softmax", dim=-1),
            batches=specimens.fed(specimens.one_hot),
        ),
        lambda: specimens.binary(batches=specimens.fed(specimens.numbers)),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        specimens.binary,
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")),
        lambda: specimens.binary(
            loss=OwnLoss(specimens.hinge, takes="unknown"), batches=specimens.fed(specimens.plus_minus)
        ),
        lambda: specimens.binary(build=specimens.mlp(), batches=specimens.fed(specimens.one_hot)),
        lambda: specimens.healthy(
            loss=OwnLoss(specimens.entropy, "torch.nn:CrossEntropyLoss"), batches=specimens.fed(specimens.one_hot)
        ),
    ),
    mutes=("metric-mismatch", "shape-broadcast", "initial-loss", "bad-labels", "output-range"),
)
def label_coding(subject: Subject, *, slower: float = 10.0) -> Answer:
    """The targets are coded in another way than the loss means.

    Looks like:
        A loss that falls and an accuracy that does not; a classifier that answers with the mean of the class numbers;
        training that is many times slower than it need be.

    Causes:
        - class numbers in a squared error, which takes class 9 for three times class 3
        - class numbers where the loss multiplies with one-hot rows, or one-hot rows where it takes class numbers
        - labels 0 and 1 for a loss that wants −1 and 1, such as a hinge
        - a squared error, or a yes-or-no loss for each output, after a softmax over classes
        - a cross-entropy for the continuous targets of a regression

    Confirm with:
        - print five targets, and read in the loss's documentation what it takes

    Try:
        - class numbers with `cross_entropy`; one output and 0 or 1 with `bce`
        - `mse` for numbers that are measured or counted

    False alarms:
        Grades and counts are whole numbers and a fair target of a squared error: a warning, no more. A squared error on
        one-hot rows can train well without a softmax before it.

    Decided by:
        Targets are one-hot where each row has a single 1 and zeros else, class numbers where they are the whole numbers
        from 0 to n − 1, n at most 20, each of them there; measured values where there are more than 20 different ones
        and most lie outside of 0 to 1 (for several classes, between the whole numbers), which is an error where the loss
        takes classes. One-hot rows in a squared or yes-or-no loss after a softmax, and
        class numbers in a squared error, are a warning; an error where a hundredth of a step, as configured, moves the
        probabilities ten times less than with cross-entropy. A loss or step of the user's own is asked about made-up
        answers: it is an error where it costs the samples of one class the same whatever the model answers, or where every
        output equal to the class number is better than the right class alone. Targets of a cross-entropy with a column for
        each output must be at least 0 and sum to 1.

    Sources:
        - Hui and Belkin (2021), Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy
        - Golik et al. (2013), Cross-Entropy vs. Squared Error Training: plateaus of the squared error after a softmax
    """
    import torch

    from lossdoc import fetching, samples

    asked = _answers.probed(subject)
    targets = torch.cat([batch.targets.double() for batch in fetching.take(subject, samples=256)])
    one_hot, counted = samples.one_hot(targets), _numbered(targets)
    found = _distributions(subject, asked) or _values(subject, targets)
    if found is None and _answers.is_own(subject):
        found = _number_everywhere(asked, counted) or _silent_class(asked)
    if found is None and _answers.knows_loss(subject):
        found = _one_hot_elsewhere(subject, asked, slower) if one_hot else _class_numbers(subject, asked, counted)
    return found or Passed("the targets have the form that the loss takes")


def _numbered(targets: Tensor) -> int:
    """Return n where the targets are all the whole numbers from 0 to n − 1, one a sample; else 0."""
    import torch

    if targets.numel() != len(targets):
        return 0
    seen = torch.unique(targets)
    whole = len(seen) in range(2, FEW + 1) and bool((seen == seen.round()).all())
    return len(seen) if whole and float(seen[0]) == 0 and float(seen[-1]) == len(seen) - 1 else 0


def _values(subject: Subject, targets: Tensor) -> Evidence | None:
    """Tell of targets that are measured values, where the loss takes classes: they lie anywhere and do not repeat."""
    import torch

    from lossdoc import probe

    takes = subject.loss.takes in ("logits", "log-probabilities", "probabilities")
    if not takes or not _answers.knows_loss(subject) or targets.numel() != len(targets):
        return None
    beyond, different = (targets < 0) | (targets > 1), len(torch.unique(targets))
    broken = (targets != targets.round()) | probe.answers_yes_or_no(subject)  # whole numbers beyond 0 and 1 are no yes or no
    if different <= FEW or not float((beyond & broken).double().mean()) > MOST:
        return None
    return Evidence(
        f"the targets are values, {different} different ones among {len(targets)} from {float(targets.min()):.3g} to "
        f"{float(targets.max()):.3g}, and `{subject.loss.word}` takes classes",
        facts={"measured": float(different), "expected": float(FEW), "tolerance": 0.0},
        confidence=0.97,
        causes=("a cross-entropy for the continuous targets of a regression",),
        remedies=("`mse` for numbers that are measured or counted",),
    )


def _distributions(subject: Subject, asked: _answers.Probe) -> Evidence | None:
    """Look at what torch's cross-entropy gets in a column for each output: it must be a distribution over the classes."""
    targets, outputs = asked.batch.targets, asked.outputs
    if word_of(subject) != "cross_entropy" or not targets.is_floating_point() or targets.shape != outputs.shape:
        return None
    off = float((targets.double().sum(1) - 1).abs().max()) if targets.ndim > 1 else 1.0
    lowest = float(targets.min())
    if targets.ndim > 1 and targets.shape[1] > 1 and off < 1e-3 and lowest >= 0:
        return None
    single = "over a single output, whose softmax is always 1" if outputs.shape[1:] in ((), (1,)) else "of such rows"
    return Evidence(
        f"the cross-entropy gets the numbers {_few(targets)} as targets, which are no distribution over classes: "
        f"a cross-entropy {single} means nothing",
        facts={"measured": off, "expected": 0.0, "tolerance": 1e-3, "lowest": lowest},
        confidence=0.98,
        remedies=("for a regression use `mse`; for a yes-or-no answer with one output use `bce`",),
    )


def _number_everywhere(asked: _answers.Probe, counted: int) -> Evidence | None:
    """Ask the user's own loss whether it wants every output to be the class number."""
    import torch

    outputs, targets = asked.outputs, asked.batch.targets
    labels = targets.reshape(-1).long()
    if outputs.ndim != 2 or outputs.shape[1] < 3 or counted < 3 or counted > outputs.shape[1]:
        return None
    right = torch.nn.functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
    try:
        everywhere = asked.told(labels[:, None].to(outputs.dtype).expand_as(outputs).clone(), targets)
        alone = [asked.told(size * right, targets) for size in (1.0, 10.0, 100.0)]
    except NotApplicable:
        return None
    if not (everywhere < min(alone) and abs(everywhere) < 1e-6 * max(alone[0], 1e-6)):
        return None
    return Evidence(
        f"{asked.word} is {everywhere:.4g} when all {outputs.shape[1]} outputs equal the class number, and {alone[0]:.4g} "
        "when only the right class is 1: it takes the number of a class for a quantity",
        facts={"measured": everywhere, "expected": alone[0], "tolerance": 0.0, "classes": float(counted)},
        confidence=0.98,
        remedies=("use cross-entropy, which takes class numbers, or make the targets one-hot",),
    )


def _silent_class(asked: _answers.Probe) -> Evidence | None:
    """Ask the user's own loss of one yes-or-no output whether it says anything to the samples of either class."""
    import torch

    outputs, targets = asked.outputs, asked.batch.targets
    if outputs.numel() != len(outputs) or targets.numel() != len(outputs) or _numbered(targets.double()) != 2:
        return None
    spread: dict[int, float] = {}
    for label in (0, 1):
        given = torch.full_like(targets, label)
        try:
            losses = [asked.told(torch.full_like(outputs, each), given) for each in (0.05, 0.3, 0.6, 0.95)]
        except NotApplicable:
            return None
        spread[label] = max(losses) - min(losses)
    silent = min(spread, key=lambda label: spread[label])
    told = f"a sample of class {silent}" if spread[1 - silent] else "every sample"
    if not spread[silent] <= 1e-6 * spread[1 - silent]:
        return None
    return Evidence(
        f"{asked.word} costs {told} the same whatever the model answers: there is nothing to be learned from it",
        facts={"measured": spread[silent], "expected": spread[1 - silent], "tolerance": 1e-6 * spread[1 - silent]},
        confidence=0.97,
        causes=(
            "a loss for labels −1 and 1, such as a hinge, that gets 0 and 1",
            "the half of the loss for 'no' is missing",
        ),
        remedies=(
            "code the labels as the loss wants them: `2 * labels - 1` for −1 and 1, or use `bce`, which takes 0 and 1",
        ),
    )


def _one_hot_elsewhere(subject: Subject, asked: _answers.Probe, slower: float) -> Evidence | None:
    """Judge one-hot rows in a squared or yes-or-no loss."""
    from lossdoc import probe

    softmax = _heads.function_of(subject, asked.batch) == "Softmax"
    word, outputs = word_of(subject), asked.outputs
    squared = subject.loss.takes == "values"
    each = probe.answers_yes_or_no(subject) and softmax and outputs.shape[-1] > 2
    if outputs.shape != asked.batch.targets.shape or not (squared or each):
        return None
    ratio = _speed(subject, asked, "probabilities" if softmax else "logits")
    slow = ratio * slower <= 1
    kind = "a squared error" if word == "mse" else "a loss of numbers" if squared else "a yes-or-no loss for each output"
    return Evidence(
        f"the targets are one-hot: one of {outputs.shape[-1]} classes a sample, and {word} is {kind}"
        f"{' after a softmax' if softmax else ''}; one step changes the probabilities {1 / max(ratio, 1e-9):.3g} times "
        f"less than with cross-entropy",
        facts={
            "measured": ratio,
            "expected": 1.0,
            "tolerance": 1 - 1 / slower if slow else 0.0,
            "classes": float(outputs.shape[-1]),
        },
        severity=None if slow else Severity.WARNING,
        confidence=0.95,
        remedies=("use cross-entropy, with the class numbers as targets",),
    )


def _speed(subject: Subject, asked: _answers.Probe, inputs: str) -> float:
    """Return how far one step as configured moves the probabilities, in multiples of what it does with cross-entropy."""
    batch = asked.batch
    labels = Batch(batch.inputs, batch.targets.argmax(-1))
    entropy = replace(subject, loss=CrossEntropy(inputs=inputs), task="classification", classes=None, plain=None)  # type: ignore[arg-type]
    theirs, usual = _moved(subject, batch, inputs), _moved(_fed(entropy, labels), labels, inputs)
    return theirs / usual if usual > 0 else 1.0


def _fed(subject: Subject, batch: Batch) -> Subject:
    def batches(_split: Split, _epoch: int) -> Iterator[Batch]:
        yield batch

    return replace(subject, batches=batches)


def _moved(subject: Subject, batch: Batch, inputs: str) -> float:
    """Return the root mean square of how far a small step on a batch moves its probabilities."""
    from lossdoc import probe, randomness

    training = probe.training_of(subject, subject.seed)

    def shares() -> Tensor:
        outputs = probe.outputs_of(subject, training.model(), batch).double()
        return outputs if inputs == "probabilities" else outputs.softmax(-1)

    before = shares()
    with randomness.seeded(subject.seed, 0):
        training.step(batch, SMALL, 0)
    return float((shares() - before).square().mean().sqrt())


def _class_numbers(subject: Subject, asked: _answers.Probe, counted: int) -> Evidence | None:
    """Judge class numbers in a loss of plain values."""
    known = counted and counted in (2, subject.classes)
    if subject.loss.takes != "values" or not known or asked.outputs.numel() != len(asked.outputs):
        return None
    meant = "`bce`" if counted == 2 else f"`cross_entropy` with {counted} outputs"
    return Evidence(
        f"the targets are the numbers of {counted} classes, and {word_of(subject)} takes them for quantities"
        + ("" if counted == 2 else f": class {counted - 1} for {counted - 1} times class 1"),
        facts={"measured": float(counted), "expected": float(FEW), "tolerance": 0.0},
        severity=Severity.WARNING,
        confidence=0.8,
        causes=("class numbers in a squared error",),
        remedies=(f"use {meant}",),
    )


def _few(targets: Tensor) -> str:
    return ", ".join(f"{each:.3g}" for each in targets.reshape(-1)[:3].tolist())
