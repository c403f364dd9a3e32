"""The pattern `overfitting`."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from lossdoc.curve import Curve, Series
from lossdoc.errors import NotApplicable
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import Shape, shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import healthy, healthy_epochs, overfit, rough_validation


@rule(
    code="LC107",
    severity=Severity.ERROR,
    fires_on=(overfit, partial(overfit, seed=1, points=30)),
    quiet_on=(healthy, healthy_epochs, rough_validation),
    mutes=("underfitting", "not-learning", "slow-start", "slow-learning"),
)
def overfitting(
    curve: Curve,
    *,
    of_range: float = 0.1,
    gap: float = 0.5,
    turn: float = 0.15,
    turn_gap: float = 0.3,
    sigmas: float = 5.0,
    rough_sigmas: float = 10.0,
    left: float = 0.5,
    z: float = 2.58,
) -> Evidence | None:
    """The training loss goes on falling while validation stays behind or turns up.

    Looks like:
        A gap that stays, or a validation loss with a valley and a slope after it (figure 8 of the notes, middle and
        right).

    Causes:
        - too few data for this model
        - the model is too large for the data
        - too little regularization, or training went on too long
        - validation data from another distribution

    Confirm with:
        - lossdoc checkup model.yaml --set data.split.validation=0.6: with half of the training data the gap must grow
        - lossdoc sweep model.yaml: does more L2 narrow it?

    Try:
        - first of all more data, or augmentation
        - second, regularization: L2, dropout
        - a smaller model
        - stop at the validation minimum

    False alarms:
        A small gap is normal, and significant too: only a gap that is large against both losses counts. A training loss
        that includes a penalty hides a gap.

    Decided by:
        Training must have less than `left` of its first loss left, or validation must end above where it began, by `turn`
        of its range and `rough_sigmas`, while training fell. Gap: at the end validation exceeds training by more
        than `of_range` of its own range, or of all that was learned where that is more, `gap` of its own height, and
        `sigmas` of its noise. Turn: it rose from its minimum by more than `turn` of its range and `sigmas`, with tau
        above 0.5 since, and exceeds training by `turn_gap` of its height. Where validation is rough (see
        noisy-validation), by `rough_sigmas`. Where it is known how many samples n validation has, its gap must also exceed
        `z` (1 %) standard errors of a mean of n losses: losses from 0 to c with mean m vary by at most m·(c − m), and c is
        taken to be the first loss. In a checkup it is a warning where the trained model knows as much of the validation
        split, within a tenth, as of the training split: then it is too sure of its answers, not wrong.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 8
        - Prechelt, Early stopping - but when?, 1998
        - Bhatia and Davis, A better bound on the variance, 2000
    """
    s = shape(curve)
    if s.val is None:
        raise NotApplicable("no validation loss, or fewer than five of it")
    value = s.val.value
    # a first epoch may do most of the descent: then validation's own range says little, and what was learned stands for it
    spread = max(float(np.ptp(value)), s.learned + s.hidden)
    excess, low = s.val_end - s.end, int(value.argmin())
    rise = s.val_end - float(value[low])
    gone = s.val_end - float(value[0]) if s.end < s.start else 0.0
    if s.left > left and not (gone > turn * spread and gone > rough_sigmas * series.noise(value)):
        return None  # what has not learned the training data has not learned it by heart
    if not (s.end >= 0 and s.val_end > 0 and np.isfinite(spread)):  # ratios mean nothing for losses that can be negative
        return None
    stays = min(excess / spread / of_range, excess / s.val_end / gap)
    turns = min(rise / spread / turn, excess / s.val_end / turn_gap)
    if max(stays, turns) <= 1:
        return None
    sigma = series.noise(value)
    stays, turns = min(stays, excess / (sigmas * sigma + 1e-300)), min(turns, rise / (sigmas * sigma + 1e-300))
    stays = min(stays, excess / (z * _sampling(s, curve.context.n_val) + 1e-300))
    if not (turns > 1 and series.kendall(series.blocks(value[low:], 20)).tau > 0.5):
        turns = 0.0
    if max(stays, turns) <= 1:
        return None
    if s.jitter > 0.1 * s.learned and s.jitter > 2.5 * s.train_jitter and excess < rough_sigmas * sigma:
        return None
    best = float(s.val.step[low])
    facts = {"gap": excess, "train": s.end, "validation": s.val_end, "best_step": best, "rise": rise}
    summary = f"validation ends at {s.val_end:.3g}, training at {s.end:.3g}"
    if turns > 1:
        summary += f"; validation was best at {s.unit} {best:g} and has risen by {rise:.3g} since"
    begin = best if low < len(value) - max(3, len(value) // 10) else _parting(s, s.val, excess)
    return Evidence(summary, facts, (begin, float(s.val.step[-1])), certainty("overfitting", max(stays, turns)))


def _parting(s: Shape, val: Series, excess: float) -> float:
    """Return the step from which on validation lies above training by half of what it does at the end."""
    near = np.flatnonzero(val.value - np.interp(val.step, series.blocks(s.x, 60), series.blocks(s.y, 60)) < excess / 2)
    return float(val.step[min(near[-1] + 1, len(val) - 1)]) if len(near) else float(val.step[0])


def _sampling(s: Shape, samples: int | None) -> float:
    """Return the standard error of the validation loss at its end, 0 where nothing is known of it."""
    if not samples or s.val_end >= s.start:
        return 0.0
    return math.sqrt(s.val_end * (s.start - s.val_end) / samples)
