"""The pattern `not-learning`."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from lossdoc.curve import Curve
from lossdoc.errors import NotApplicable
from lossdoc.features.certainty import certainty
from lossdoc.features.falls import fall
from lossdoc.features.shape import Shape, shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import flat, healthy, never_trained, overfit, slow


@rule(
    code="LC109",
    severity=Severity.ERROR,
    fires_on=(flat, partial(flat, seed=1, points=40), never_trained),
    quiet_on=(healthy, slow, overfit),
    mutes=("slow-learning", "slow-start", "underfitting"),
)
def not_learning(
    curve: Curve,
    *,
    stuck: float = 0.03,
    z: float = 2.58,
    left: float = 0.5,
    short: int = 15,
    still: float = 0.15,
    steps: float = 50.0,
) -> Evidence | None:
    """The loss stays where it began: nothing is learned at all.

    Looks like:
        A flat line with the noise of the batches (figure 8 of the notes, left).

    Causes:
        - the gradient is not applied to the weights: no optimizer step, or an optimizer that holds other parameters
        - the graph is cut: detach, no_grad, or frozen parameters
        - gradients are cleared between backward and step
        - dead or saturated units, or a learning rate of 0
        - a learning rate so high that the first steps killed the units: the loss jumped before it stood still
        - labels that have nothing to do with their inputs: shuffled apart

    Confirm with:
        - lossdoc sanity model.yaml --select no-update
        - lossdoc sanity model.yaml --select not-in-optimizer
        - lossdoc sanity model.yaml --select dead-relu
        - lossdoc sanity model.yaml --select bad-labels

    Try:
        - apply it: optimizer.step() after backward(), on model.parameters()
        - take out detach() and no_grad(), unfreeze the parameters
        - raise the learning rate tenfold; divide it by ten where the loss jumped first
        - initialize anew: He for ReLU

    False alarms:
        A learner so slow that its descent hides in the noise; a run that starts from a converged model.

    Decided by:
        Fixed weights make the log exactly white noise, so that is what is tested, not the size of the change: no trend at
        1 %, block means that vary as white noise does (F test at 0.5 %), no point beyond twelve means of an exponential
        tail; and the same for validation, or that it merely settles, as batch normalization's running averages make it: it
        falls by less than a tenth, and jumps by less than 3 % after its first third. Or stuck at the loss of a uniform
        guess: start, end and validation within `stuck` of log n, no late trend. What ends below `left` of a known log n has
        learned, however fast: luck takes an untrained model to 0.8 of it on a few flowers, not to half. A test that could
        not have seen a descent proves nothing: that the loss falls along a line by `still` of its level must be out of the
        question (Student's t at 1 %), by less in proportion in a log of fewer than `steps` steps; unless a loss is constant
        exactly.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 8, left
        - Kendall, Rank Correlation Methods, 1970
    """
    s = shape(curve)
    if s.uniform is not None and s.left < left:
        return None
    if s.flat:
        span = float(s.y.max() - s.y.min())
        summary = f"the training loss stays at {s.end:.4g}" + (
            ": it does not move but for white noise" if span else " exactly"
        )
    elif _stuck(s, stuck, z):
        summary = f"the training loss is stuck at {s.end:.4g}, the loss of a uniform guess"
    else:
        return None
    taken = math.inf if s.by_epoch else float(s.x[-1] - s.x[0])
    level = 0.0 if s.y.min() < 0 and abs(s.end) < s.noise else abs(s.end)  # around 0, as of a policy, it says nothing
    if not _constant(s) and not (level and fall(s.y).below(still * level * min(1.0, taken / steps))):
        raise NotApplicable("it looks like noise, but is too short or too noisy to show a slow descent")
    facts = {"level": s.end, "noise": s.noise, "z": s.trend.z}
    return Evidence(summary, facts, (float(s.x[0]), float(s.x[-1])), certainty("not-learning", s.n / short))


def _constant(s: Shape) -> bool:
    """Tell whether the training loss, or validation, which has no batches to differ in, is the same all along."""
    return any(np.ptp(values) == 0 for values in ([s.y] if s.val is None else [s.y, s.val.value]))


def _stuck(s: Shape, within: float, z: float) -> bool:
    """Tell whether start and end are at log n and validation did not fall either."""
    if s.uniform is None:
        return False
    fell = 0.0 if s.val is None else float(s.val.value[0]) - s.val_end
    near = max(abs(s.end / s.uniform - 1), abs(s.start / s.uniform - 1), fell / s.uniform) < within
    return near and abs(s.late_trend.z) < z and abs(s.trend.tau) < 0.8
