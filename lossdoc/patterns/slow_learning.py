"""The pattern `slow-learning`."""

from __future__ import annotations

from functools import partial

from lossdoc.curve import Curve
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import flat, healthy, slow, underfit


@rule(
    code="LC110",
    severity=Severity.WARNING,
    fires_on=(slow, partial(slow, seed=1, points=60)),
    quiet_on=(healthy, underfit, flat),
    mutes=("slow-start", "underfitting"),
)
def slow_learning(
    curve: Curve, *, z: float = 2.58, late_z: float = 1.5, share: float = 0.25, left: float = 0.5
) -> Evidence | None:
    """The loss falls slowly, almost in a straight line, and is far from done.

    Looks like:
        Nearly a straight line downwards (figure 9 of the notes, left).

    Causes:
        - the learning rate is too low
        - the run is too short
        - inputs or targets are not scaled

    Confirm with:
        - lossdoc sweep model.yaml: it warns of lr-too-low where a higher rate learns much more in the same time
        - lossdoc checkup model.yaml --set train.epochs=100: does it get there with more epochs?

    Try:
        - raise the learning rate, three- to tenfold
        - or train longer
        - standardize the inputs

    False alarms:
        A large model in the first percent of a long run looks like this and is healthy.

    Decided by:
        It falls (Kendall's z below -`z`, 1 %), and in its second half too (-`late_z`); the second half makes at least
        `share` of the whole descent, half of a straight line's; and at least `left` of the loss of having learned nothing
        is left.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 9, left
        - Kendall, Rank Correlation Methods, 1970
    """
    s = shape(curve)
    late = s.late_share(0.5)
    if not (s.trend.z < -z and s.late_trend.z < -late_z and late >= share) or s.left < left:
        return None
    facts = {"late_share": late, "left": s.left, "z": s.trend.z, "end": s.end}
    summary = (
        f"the loss still falls: {100 * late:.0f} % of the descent from {s.start:.3g} to {s.end:.3g} comes in the second half"
    )
    return Evidence(
        summary,
        facts,
        (float(s.x[0]), float(s.x[-1])),
        certainty("slow-learning", late / share, s.left / left if s.left > 0 else 1.2),
    )
