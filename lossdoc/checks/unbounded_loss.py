"""LS206: a loss that can fall without end."""

from __future__ import annotations

from lossdoc import specimens
from lossdoc.checks import _answers
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS206",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(loss=OwnLoss(specimens.raw_likelihood, takes="unknown")),
        lambda: specimens.with_step(specimens.raw_likelihood_step),
    ),
    quiet_on=(
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy, takes="unknown")),
        lambda: specimens.healthy(
            build=specimens.followed_by(specimens.mlp(), "LogSoftmax", dim=-1),
            loss=OwnLoss(specimens.raw_likelihood, takes="unknown"),
        ),
        lambda: specimens.with_step(specimens.plain_step),
    ),
    mutes=("initial-loss",),
)
def unbounded_loss(subject: Subject, *, rounding: float = 1e-3, linear: float = 5.0) -> Answer:
    """The loss has no lowest value: the surer the right answers are, the further it falls below 0.

    Looks like:
        A first loss near 0, then a loss that falls below 0 and on for ever, while the accuracy stands still.

    Causes:
        - a likelihood of logits: `nll_loss` takes log-probabilities, and the log-softmax is missing
        - a score that is maximized without anything that holds it

    Confirm with:
        - print the loss of 100 times, and of 1,000 times, the one-hot labels

    Try:
        - put `log_softmax` before the loss, or use cross-entropy, which applies it itself

    False alarms:
        A score that something outside of the loss bounds, such as clipped weights.

    Decided by:
        The user's own loss, or step, is given outputs of 100 and of 1,000 for the right class and 0 for the others. A loss
        of classes has a lowest value, 0 for most, and is there by then; this one is below 0, and more than five times as
        far below at the second. A model that puts out log-probabilities, whose exponentials sum to 1 within 1e-3 in every
        row, cannot put out such answers, and is passed.

    Sources:
        - torch's documentation of NLLLoss
    """
    answers = _answers.of(subject)
    if answers is None:
        raise NotApplicable("the loss is not the user's own, or there is not one label for each row of outputs")
    sums = answers.outputs.double().exp().sum(-1)
    if bool(((sums - 1).abs() < rounding).all()):
        return Passed("the model puts out log-probabilities, which bound the loss")
    sure, surer = answers.loss(100.0), answers.loss(1000.0)
    if not (sure < 0 and surer < linear * sure):
        return Passed(f"{answers.word} is {sure:.4g} for right answers of size 100, {surer:.4g} for 1,000")
    return Evidence(
        f"{answers.word} is {sure:.4g} for right answers of size 100 and {surer:.4g} for 1,000: it falls without end, and "
        "larger outputs are all that it asks for",
        facts={"measured": surer, "expected": 0.0, "tolerance": abs(linear * sure), "at_100": sure},
        confidence=0.97,
        remedies=("put `log_softmax` before it, or use cross-entropy, which takes logits",),
    )
