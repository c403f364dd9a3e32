"""The pattern `validation-below-train`."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import below_train, healthy, overfit, underfit


@rule(
    code="LC114",
    severity=Severity.NOTE,
    fires_on=(below_train, partial(below_train, seed=1)),
    quiet_on=(healthy, overfit, underfit),
)
def validation_below_train(curve: Curve, *, z: float = 3.0, gap: float = 0.1) -> Evidence | None:
    """Validation is better than training, to the end.

    Looks like:
        The validation curve runs below the training curve.

    Causes:
        - dropout, augmentation or label smoothing are on in training only
        - the training loss holds a penalty, or is the mean over an epoch in which the model still improved
        - the validation set is easier, or leaks from the training set

    Confirm with:
        - lossdoc sanity model.yaml --select leaked-validation

    Try:
        - nothing, if regularization explains it: compare both in evaluation mode
        - look for duplicates between the two sets

    False alarms:
        It is a note, not a fault: most often regularization explains it.

    Decided by:
        A sign test over the second half: validation is lower than training at the same step more often than `z` standard
        deviations of a fair coin allow, and by more than `gap` of the training loss in the median.

    Sources:
        - Goodfellow, Bengio, Courville, Deep Learning, 2016, section 7.12 (dropout)
    """
    s = shape(curve)
    if s.val is None or len(s.val) < 20:
        raise NotApplicable("fewer than twenty validation losses")
    half = len(s.val) // 2
    train = np.interp(s.val.step[half:], s.x, s.y)
    below = train - s.val.value[half:]
    signs = float(np.sign(below).sum()) / math.sqrt(len(below))
    if not signs > z:
        return None
    middle, level = series.median(below), series.median(train)
    if not (level > 0 and middle > gap * level):
        return None
    facts = {"below": middle, "train": level, "z": signs}
    summary = f"validation runs {middle:.3g} below training, which is at {level:.3g}"
    return Evidence(
        summary,
        facts,
        (float(s.val.step[half]), float(s.val.step[-1])),
        certainty("validation-below-train", middle / level / gap),
    )
