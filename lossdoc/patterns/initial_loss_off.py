"""The pattern `initial-loss-off`."""

from __future__ import annotations

import math
from functools import partial

from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import entropy, shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import batch_of_one, healthy, slow, wrong_first_loss


@rule(
    code="LC113",
    severity=Severity.WARNING,
    fires_on=(wrong_first_loss, partial(wrong_first_loss, seed=1)),
    quiet_on=(healthy, slow, batch_of_one),
)
def initial_loss_off(curve: Curve, *, factor: float = 2.0, sigmas: float = 5.0) -> Evidence | None:
    """The very first loss is far from log n, the loss of a model that knows nothing.

    Looks like:
        The first point stands far above log n, for n classes, or far below it.

    Causes:
        - the last layer's weights are too large: the model starts out sure and wrong
        - inputs are not scaled
        - the loss is summed over the batch instead of averaged
        - below: a pretrained model, or targets that leak into the inputs

    Confirm with:
        - lossdoc sanity model.yaml --select initial-loss
        - lossdoc sanity model.yaml --select large-logits

    Try:
        - scale down the last layer's initial weights
        - standardize the inputs
        - average the loss over the batch

    False alarms:
        Losses that are not cross-entropy in nats, and logs whose first point is already an average of many steps. A loss
        summed over the batch begins far above log n too: without --loss cross_entropy this is only a note.

    Decided by:
        The loss at step 0 or 1, and the median of the first five, differ from log n by more than a `factor`, and by
        `sigmas` of the noise of the first tenth. A healthy He initialization begins at 1.4 times log n, so that a factor
        of two is beyond what a sound initialization gives.

    Sources:
        - Deep Learning Optimization Methods (study notes), training process, step 3
    """
    s = shape(curve)
    classes = curve.context.classes
    if classes is None or classes < 2:
        raise NotApplicable("the number of classes is not known")
    if entropy(curve.context.loss) is False:
        raise NotApplicable(f"the loss is {curve.context.loss}: a uniform guess has no fixed loss")
    if s.by_epoch or s.x[0] > 1:
        raise NotApplicable("the log does not begin with the first step")
    level, first = math.log(classes), float(s.y[0])
    noise = series.noise(s.y[: max(9, s.n // 10)])
    # a batch of one sample may begin anywhere, five of them do not
    ratio = min(max(loss / level, level / loss) if loss > 0 else math.inf for loss in (first, series.median(s.y[:5])))
    if ratio <= factor or abs(first - level) <= sigmas * noise:
        return None
    # a loss summed over the batch begins far above log n too, and is no fault: only a known unit makes it a warning
    severity = Severity.WARNING if entropy(curve.context.loss) else Severity.NOTE
    facts = {"measured": first, "expected": level, "noise": noise}
    summary = f"the first loss is {first:.4g}, a uniform guess over {classes} classes has {level:.4g}"
    return Evidence(
        summary, facts, (float(s.x[0]), float(s.x[0])), min(0.8, certainty("initial-loss-off", ratio / factor)), severity
    )
