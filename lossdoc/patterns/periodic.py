"""The pattern `periodic`."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossdoc.curve import Curve, Floats
from lossdoc.errors import NotApplicable
from lossdoc.features import folding, series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import Shape, shape
from lossdoc.findings import Evidence, Severity
from lossdoc.rule import rule
from lossdoc.synthetic import batch_of_one, healthy, waves

PART = 20_000  # losses folded of a log too long to fold as a whole


@rule(
    code="LC103",
    severity=Severity.WARNING,
    fires_on=(waves, partial(waves, seed=1, per_epoch=25)),
    quiet_on=(healthy, batch_of_one),
    mutes=(
        "lr-too-high",
        "not-learning",
        "underfitting",
        "rising",
        "spikes",
        "slow-start",
        "slow-learning",
        "initial-loss-off",
        "noisy-validation",
    ),
)
def periodic(
    curve: Curve,
    *,
    share: float = 0.1,
    guessed_share: float = 0.3,
    p: float = 1e-4,
    periods: float = 2.9,
    fewest: float = 5,
    faint: float = 1e-3,
) -> Evidence | None:
    """The training loss swings with the epoch: the data comes in the same order every time.

    Looks like:
        Waves or a saw that repeat epoch after epoch (figure 10 of the notes, top).

    Causes:
        - the data is not shuffled between epochs
        - the data is sorted, by class or by difficulty
        - the learning rate itself goes in cycles

    Confirm with:
        - lossdoc sanity model.yaml --select unshuffled-data

    Try:
        - shuffle the training data anew in every epoch
        - for data that cannot be shuffled as a whole, shuffle a large buffer

    False alarms:
        A cyclic learning rate swings too, with its own period. It is not always critical: the model may learn all the
        same.

    Decided by:
        The ranks of the losses less their running median, folded at the length of an epoch: one-way analysis of variance
        over the phase, less the one phase that differs most, for the last batch of an epoch is often smaller (half a summed
        loss, and another skewness). The mean wave explains more than `share` of the variance and the F test's p is below
        `p`; both degrees of freedom are divided by (1 + r²) / (1 - r²), for a correlation r of neighbors, as of a running
        mean (Bartlett's formula, Box's correction). Below `fewest` batches an epoch shuffled runs swing too: what was seen
        in the last batches is better known in the first of the next epoch. Without a known epoch the three highest peaks of
        the autocorrelation are tried, and more is asked: `guessed_share`, and p times the number of points, for so many
        periods could have been tried. Nine tenths of the swings must spread over more than `faint` of the loss of having
        learned nothing: what is less is rounding in a log of four digits.

    Sources:
        - Deep Learning Optimization Methods (study notes), figure 10, top
        - Stellingwerf, Period determination using phase dispersion minimization, 1978
        - Box, Some theorems on quadratic forms applied in the study of analysis of variance problems, II, 1954
    """
    s = shape(curve)
    known = curve.context.steps_per_epoch
    if s.by_epoch:
        raise NotApplicable(
            "the losses are of epochs, or no closer than those of validation: what repeats within an epoch cannot be seen"
        )
    if not _spread(s) > faint * abs(s.reference):
        return None
    if known is None:
        waves_seen, least, tests = _guesses(s, fewest), guessed_share, s.n
    else:
        losses, gap = _losses(s, known)
        period = known / gap
        if known < fewest or period < 3 or len(losses) < periods * period:
            raise NotApplicable(f"{len(losses)} points, {period:.3g} an epoch, do not show what repeats")
        waves_seen, least, tests = [_wave(losses, period)], share, 1
    for wave in waves_seen:
        if wave.share > least and wave.p * tests < p:
            length = known or wave.period * _gap(s.x)
            what = "an epoch" if known else "its strongest period"
            wide = f"{100 * wave.share:.0f} % of its swings"
            summary = f"the training loss repeats every {length:.4g} steps, {what}: that wave is {wide}"
            facts = {"period": length, "share": wave.share, "p": wave.p}
            return Evidence(summary, facts, (float(s.x[0]), float(s.x[-1])), certainty("periodic", wave.share / least))
    return None


def _spread(s: Shape) -> float:
    """Return over how much nine tenths of the losses lie about the smooth curve."""
    return series.quantile(s.residual, 0.95) - series.quantile(s.residual, 0.05)


def _gap(steps: Floats) -> float:
    """Return the usual distance between logged steps."""
    return max(series.median(np.diff(steps)), 1e-9) if len(steps) > 1 else 1.0


def _losses(s: Shape, epoch: float) -> tuple[Floats, float]:
    """Return losses dense enough to show an epoch, and the steps between them: of a log that was reduced, its first part."""
    if s.n == len(s.full) or epoch >= 3 * _gap(s.x):
        return s.y, _gap(s.x)
    part = s.full.value[:PART]
    return part, _gap(s.full.step[:PART])


def _wave(losses: Floats, period: float) -> folding.Wave:
    """Fold the detrended ranks at a period in points."""
    return folding.fold(series.ranks(losses - series.running_median(losses, max(3, round(period) | 1))), period)


def _guesses(s: Shape, fewest: float) -> list[folding.Wave]:
    if s.n < 20:
        raise NotApplicable(f"{s.n} points are too few to find a period in")
    return [_wave(s.y, float(period)) for period in series.likely_periods(series.ranks(s.residual)) if period >= fewest]
