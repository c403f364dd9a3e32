"""LS301: the first loss against what theory says an untrained network must have."""

from __future__ import annotations

import math

import numpy as np

from lossdoc import specimens
from lossdoc.checks import _first_loss
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Subject


@rule(
    code="LS301",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(build=specimens.knowing),
        lambda: specimens.healthy(loss=OwnLoss(specimens.halved_entropy), expected_loss=math.log(4)),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        specimens.binary,
        lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(), 5.0)),
        lambda: specimens.healthy(loss=OwnLoss(specimens.entropy), expected_loss=math.log(4)),
    ),
)
def initial_loss(subject: Subject, *, sure: float = _first_loss.SURE, smallest: float = 0.02) -> Answer:
    """The loss before the first step is not what a network that knows nothing must have.

    Looks like:
        The first loss is far from log n for n classes (2.303 for ten), log 2 per yes-or-no output, n − 1 for the
        multiclass hinge, the targets' second moment for squared error, by more than the outputs' size explains.

    Causes:
        - the model has been trained already, or the targets leak into the inputs, where the loss is below log n
        - the loss is scaled, summed where it should be averaged, or has the wrong sign
        - softmax or sigmoid is applied twice
        - the number of classes is wrong

    Confirm with:
        - print the loss with all outputs set to 0: it must be exactly log n, whatever the model is
        - shuffle the labels: the loss of an untrained network stays as it is

    Try:
        - correct the loss function; average over the samples
        - start from fresh weights, and look for the targets among the inputs
        - say what the first loss should be with `checks: {initial-loss: {expected: ...}}`, for a loss of your own

    False alarms:
        Fine-tuning begins with a network that does know something: there a loss below log n is as it should be. A last
        layer tied to the embedding favors the present token and is, where that never comes next, a little worse than chance.

    Decided by:
        Regularization and dropout are at 0 with their code in place. The mean loss of several untrained networks is
        compared with the mean over all labels, each with its frequency, of the loss that the same outputs would cost:
        outputs of any size pass that know nothing of the labels. The tolerance is 5 standard errors over all codings of the
        classes, since an untrained network does not know which output stands for which class; and at least 2 % of the
        expected loss: no bug in the list is smaller. Networks that are the same whatever the seed count as one, and then a
        loss below half of log n is an error as well. A loss of the user's own is compared with `expected`, as it is and
        with the outputs set to 0; where nothing is said of it, a note asks for it.

    Sources:
        - Karpathy (2019), A Recipe for Training Neural Networks: verify loss @ init
        - Hoeffding (1951), A Combinatorial Central Limit Theorem
    """
    if _first_loss.word_of(subject) not in _first_loss.FORETOLD:
        return _against_the_users_word(subject, sure=sure, smallest=smallest)
    first = _first_loss.first_loss(subject)
    tolerance = max(sure * first.error, smallest * abs(first.expected))
    known = first.alike and first.measured < first.zero / 2
    facts = {**_first_loss.facts(first), "tolerance": tolerance}
    if known:
        facts |= {"expected": first.zero, "tolerance": first.zero / 2}
    if abs(first.unexplained) <= tolerance and not known:
        return Passed(
            f"the first loss is {first.measured:.3f} ± {first.standard_error:.3f}; outputs of this size must cost "
            f"{first.expected:.3f} ({first.means} = {first.zero:.3f} with all outputs 0)",
            facts,
        )
    words = "above" if first.unexplained > 0 else "below"
    likely = (
        "the loss or its reduction is not what it is called"
        if first.unexplained > 0
        else "an untrained model cannot honestly get there: it has been trained before, or the targets leak into the inputs"
    )
    return Evidence(
        f"the first loss is {first.measured:.3f} ± {first.standard_error:.3f}, {words} the {first.expected:.3f} that "
        f"outputs of this size cost whatever the labels are ({first.means} = {first.zero:.3f} with all outputs 0): {likely}",
        facts=facts,
        confidence=0.97,
        causes=(likely,),
    )


def _against_the_users_word(subject: Subject, *, sure: float, smallest: float) -> Answer:
    """Judge a loss that lossdoc does not know by what the user says it should be."""
    from lossdoc import probe

    wanted = subject.expected_loss
    losses = np.array([start.loss for start in probe.starts(subject)])
    if not np.isfinite(losses).all():
        raise NotApplicable("the first loss is not a finite number")
    error = _first_loss.standard_error(losses)
    zero = _first_loss.at_zero(subject) if subject.loss.takes in ("logits", "values", "unknown") else math.nan
    measured = float(losses.mean())
    if wanted is None:
        return _question(subject, measured, error, zero)
    rounding = smallest * abs(wanted)  # people write 2.3 for log 10
    tolerance = max(sure * error, rounding)
    facts = {"measured": measured, "expected": wanted, "tolerance": tolerance, "standard_error": error, "at_zero": zero}
    at_zero = f", and {zero:.4g} with all outputs 0" if math.isfinite(zero) else ""
    summary = f"the first loss is {measured:.4g} ± {error:.2g}{at_zero}; expected is {wanted:.4g}"
    if abs(zero - wanted) <= rounding or abs(measured - wanted) <= tolerance:
        return Passed(summary, facts)
    return Evidence(summary, facts)


def _question(subject: Subject, measured: float, error: float, zero: float) -> Evidence:
    """Ask the user what a loss that lossdoc does not know should be at first."""
    at_zero = f" ({zero:.4g} with all outputs 0)" if math.isfinite(zero) else ""
    return Evidence(
        f"the first loss is {measured:.4g} ± {error:.2g}{at_zero}; what {subject.loss.word} should be at first is not "
        "known: say so with `checks: {initial-loss: {expected: ...}}`",
        facts={"measured": measured, "expected": math.nan, "tolerance": math.nan, "standard_error": error, "at_zero": zero},
        severity=Severity.NOTE,
        confidence=0.5,
        causes=("a loss of your own, of which lossdoc knows no formula",),
        remedies=("work out the loss of a model that knows nothing: `checks: {initial-loss: {expected: ...}}`",),
    )
