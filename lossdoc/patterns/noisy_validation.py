"""The pattern `noisy-validation`."""

from __future__ import annotations

import math
from functools import partial

from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import healthy, healthy_epochs, overfit, rough_validation


@rule(
    code="LC108",
    severity=Severity.WARNING,
    fires_on=(rough_validation, partial(rough_validation, seed=2)),
    quiet_on=(healthy, healthy_epochs, overfit),
)
def noisy_validation(
    curve: Curve, *, of_mean: float = 0.2, of_learned: float = 0.1, least: float = 0.03, of_train: float = 2.5
) -> Evidence | None:
    """The validation loss jumps about while training is smooth.

    Looks like:
        A very rough validation curve beside a smooth training curve (figure 10 of the notes, bottom right).

    Causes:
        - the validation set is too small
        - another random part of it is used each time
        - dropout or batch statistics are on during validation

    Confirm with:
        - lossdoc sanity model.yaml --select small-validation-set
        - measure one model twice on the validation data: where the losses differ, dropout or batch statistics are on

    Try:
        - a larger validation set: do not be stingy with it
        - validate on all of it, the same samples every time
        - switch the model to evaluation mode

    False alarms:
        With a rate too high both losses jump; validation must be rougher than training at the same steps.

    Decided by:
        The mean absolute second difference of validation after its first third (0 for a straight line; the mean, as this
        jitter is skewed) exceeds `of_learned` of what was learned, or `of_mean` of its own height and `least` of what was
        learned; and `of_train` times the same measure of training at those steps. A sample's losses have about their mean
        as standard deviation, so 0.2 of the mean is what some 25 samples give.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 10, bottom right
    """
    s = shape(curve)
    if s.val is None or len(s.val) < 8:
        raise NotApplicable("fewer than eight validation losses")
    jitter = s.jitter
    mean = abs(float(s.val.value[len(s.val) // 2 :].mean()))
    if not (math.isfinite(jitter) and math.isfinite(mean)) or jitter == 0:
        return None
    relative, share = jitter / max(mean, 1e-300), jitter / s.learned
    train = s.train_jitter
    margin = max(share / of_learned, min(relative / of_mean, share / least))
    margin = min(margin, jitter / (of_train * train)) if train > 0 else margin
    if not margin > 1:
        return None
    samples = max(1.0, (1 / relative) * (1 / relative))  # a power of what is too small or too large would raise
    facts = {"jitter": jitter, "train_jitter": train, "of_mean": relative, "samples": samples}
    summary = f"validation jumps by {jitter:.3g} at a time, {100 * relative:.0f} % of its mean; training by {train:.2g}"
    sure = certainty("noisy-validation", margin)
    return Evidence(summary, facts, (float(s.val.step[0]), float(s.val.step[-1])), sure)
