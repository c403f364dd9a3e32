"""LS613: regularization that keeps the model from learning."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING

from lossdoc.checks import _compared, _specimens
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.ranking import CHANCE, CLEARLY, LEARNED, NEAR
from lossdoc.rule import rule

if TYPE_CHECKING:
    from lossdoc.experiments import Experiments
    from lossdoc.subject import Subject

LONGER = 1.5  # times as long is worth a second look
USUAL = 0.5  # of the units: no more are usually dropped (Srivastava and others, Dropout, 2014, section 7.3)
MATTERS = 0.1  # of the loss's gradient: less than that batches of 32 make of it by chance


@rule(
    code="LS613",
    severity=Severity.ERROR,
    fires_on=(_specimens.smothered, _specimens.dropped),
    quiet_on=(_specimens.sound, _specimens.line, _specimens.decayed),
    mutes=("constant-output",),
)
def over_regularized(experiments: Experiments) -> Answer:
    """The penalty on the weights, or dropout, holds the model back more than its data do.

    Looks like:
        Training and validation loss lie close together and high; the weights shrink toward 0.

    Causes:
        - an L1 or L2 strength, or a weight decay, that is some decades too large
        - penalties both in the loss and in the optimizer
        - a dropout that leaves too few units, or comes right before the output

    Confirm with:
        - the same training with all regularization and dropout at 0: it must not be better
        - the norm of the penalty's gradient beside that of the loss's

    Try:
        - divide the strength by ten, and again
        - tune it with `lossdoc sweep`

    False alarms:
        Regularization that costs a little on small validation splits is not meant: the gain must be clear.

    Decided by:
        Without regularization and dropout the model learns surely more in the same steps: an error where it had learned
        less than half of that, a warning from a tenth on. Of penalties alone the gradient at the first weights must be a
        tenth of the loss's or more; where it is larger than the loss's, a tenth of what is left undone is a warning, too.
        It is an error where without them the model surely does better on both splits and leaves less than half as much
        undone of the training split: what a sound penalty takes there it gives back on the validation split. It is one, too,
        where such a penalty costs a tenth in a part of the training already: it shrinks the weights step by step, so that
        the harm grows with the steps.

    Sources:
        - the study notes' checklist, step 5
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 7.1
        - H. Ben Braiek and F. Khomh, TheDeepChecker, 2023: ratio of regularization to data loss
    """
    subject = experiments.subject
    terms = _terms(subject)
    if not terms:
        return Passed("there is no regularization and no dropout")
    if _compared.well(experiments):
        return Passed(f"with {', '.join(terms)}: {_compared.trained(experiments)}", _compared.baseline_facts(experiments))
    pull = _pull(subject)
    if pull < MATTERS and not any("dropout" in term for term in terms):
        told = f"at first the gradient of {', '.join(terms)} is {pull:.1g} times that of the loss"
        return Passed(told, {"gradient_ratio": pull})
    found = _without(experiments)
    severity = _severity(experiments, found, pull)
    longer = experiments.room(2)
    if severity is None and pull >= MATTERS and longer >= LONGER:
        found = _without(experiments, longer)
        severity = _severity(experiments, found, pull)
    facts = found.facts if math.isnan(pull) else {**found.facts, "gradient_ratio": pull}
    if severity is None:
        return Passed(f"without {', '.join(terms)}: {found.told}", facts)
    beside = "" if math.isnan(pull) else f"; at first the penalties' gradient is {pull:.2g} times the loss's"
    summary = f"without {', '.join(terms)} the model gets {found.told}{beside}"
    return Evidence(summary, facts, confidence=found.confidence, severity=severity)


def _without(experiments: Experiments, longer: float = 1.0) -> _compared.Compared:
    """Compare the training with the same one without regularization and dropout, both so many times as long."""
    from lossdoc import regularization

    told = "" if longer == 1.0 else f", {longer:.3g} times as long"
    base = (
        experiments.baseline if longer == 1.0 else experiments.tried(f"as it is{told}", experiments.subject, longer=longer)
    )
    off = regularization.unregularized(experiments.subject)
    return _compared.compare(
        experiments, experiments.tried(f"switch the regularization off{told}", off, longer=longer), base
    )


def _severity(experiments: Experiments, found: _compared.Compared, pull: float) -> Severity | None:
    """Return how grave it is what regularization costs, None where it costs nothing to speak of."""
    severity = found.severity or (Severity.WARNING if _costs(found, pull) else None)
    grows = found.severity is not None and pull >= MATTERS and experiments.shortened > NEAR
    return Severity.ERROR if grows or _holds_down(found, pull) else severity


def _costs(found: _compared.Compared, pull: float) -> bool:
    """Tell whether penalties that outweigh the loss at first leave a tenth more undone than there would be without them."""
    return pull > 1 and found.sure and 1 - found.after.score < (1 - LEARNED) * (1 - found.before.score)


def _holds_down(found: _compared.Compared, pull: float) -> bool:
    """Tell whether penalties leave more than twice as much undone of the training split, and more of the validation split.

    What a sound penalty takes from the training split it gives back on the validation split.
    """
    from lossdoc.experiments import Gain

    before, after = found.before.train_scores, found.after.train_scores
    known = Gain.between(before, after)
    undone, free = 1 - fmean(before), 1 - fmean(after)
    return pull >= MATTERS and found.sure and known.p < CHANCE and free < CLEARLY * undone


def likely(subject: Subject) -> bool:
    """Tell whether penalties pull as much as batches differ, or more is dropped than usual: a cause to be tried first."""
    try:
        pull = _pull(subject)
    except NotApplicable:  # a gradient that cannot be asked for
        pull = math.nan
    return pull >= MATTERS or max(_dropped(subject), default=0.0) > USUAL


def _dropped(subject: Subject) -> set[float]:
    """Return the rates of all dropouts."""
    from lossdoc.regularization import DROPOUTS

    return {float(module.p) for module in subject.build(subject.seed).modules() if isinstance(module, DROPOUTS)}


def _terms(subject: Subject) -> list[str]:
    """Return in words what regularizes."""
    terms = [f"{one.word} {one.coefficient:g}" for one in subject.recipe.penalties if one.coefficient]
    decay = float(subject.recipe.hyper.get("weight_decay", 0.0))
    terms += [f"weight decay {decay:g}"] if decay else []
    return terms + [f"dropout {rate:g}" for rate in sorted(_dropped(subject)) if rate > 0]


def _pull(subject: Subject) -> float:
    """Return the norm of the penalties' gradient over that of the loss's at the first weights; NaN without penalties.

    A weight decay inside the optimizer pulls by the decay times the weights.
    """
    from dataclasses import replace

    from lossdoc import fetching, probe

    decay = float(subject.recipe.hyper.get("weight_decay", 0.0))
    if not decay and not any(one.coefficient for one in subject.recipe.penalties):
        return math.nan
    batch, model = fetching.take(subject, samples=1)[0], probe.untouched(subject).build(subject.seed)
    bare = replace(subject, recipe=replace(subject.recipe, penalties=()))
    whole, plain = (probe.gradient(each, model, batch) for each in (subject, bare))
    loss = sum(float(grad.double().square().sum()) for grad in plain.values())
    pull = 0.0
    for name, weight in probe.parameters_of(model).items():
        term = whole[name] - plain.get(name, 0.0) if name in whole else 0.0
        pull += float((term + decay * weight).double().square().sum())
    return math.sqrt(pull / loss) if loss > 0 else math.inf
