"""LS111: validation or test data on another scale than the training data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lossdoc import specimens
from lossdoc.curve import Floats
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.rule import rule
from lossdoc.subject import Batch, Split, Subject

if TYPE_CHECKING:
    from torch import Tensor

MOST = 5_000  # samples of each split: a shift of a tenth of a deviation is then beyond all doubt
FEWEST = 10  # samples, below which not even fully parted splits are
NARROW = 50  # columns that are tested one by one; of more, each sample's mean and root mean square
UNLIKELY = 1e-6


@dataclass(frozen=True)
class Compared:
    """Two splits, column by column.

    `ratios` are the deviations of the other split divided by those of the training split, `shifts` the differences of the
    means in deviations of the training split, `sure` the columns whose distributions differ beyond doubt; (d,) each.
    """

    ratios: Floats
    shifts: Floats
    sure: Floats

    @property
    def ratio(self) -> float:
        """By which factor, above 1, the typical column's deviation differs."""
        return math.exp(float(np.median(np.abs(np.log(self.ratios)))))

    @property
    def shift(self) -> float:
        """By how many deviations the typical column's mean differs."""
        return float(np.median(np.abs(self.shifts)))

    @property
    def farthest(self) -> float:
        """The largest factor among the columns that differ beyond doubt; 1 where there are none."""
        logs = np.abs(np.log(self.ratios[self.sure > 0]))
        return math.exp(float(logs.max())) if len(logs) else 1.0


@rule(
    code="LS111",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.healthy(batches=specimens.fed(specimens.with_validation(lambda inputs: inputs / 255))),
        lambda: specimens.healthy(batches=specimens.fed(specimens.with_validation(lambda inputs: 5 * inputs + 10))),
        lambda: specimens.healthy(batches=specimens.fed(specimens.with_validation(specimens.standardized))),
        lambda: specimens.healthy(batches=specimens.fed(specimens.with_validation(specimens.jittered))),
    ),
    quiet_on=(
        specimens.healthy,
        specimens.regression,
        lambda: specimens.healthy(batches=specimens.fed(specimens.with_validation(lambda inputs: inputs[:40]))),
        lambda: specimens.with_inputs(lambda inputs: (inputs > 1.5).float()),
    ),
)
def mismatched_preprocessing(
    subject: Subject, *, gross: float = 3.0, grossly: float = 2.0, notable: float = 1.5, notably: float = 0.5
) -> Answer:
    """Validation or test data were not prepared as the training data were.

    Looks like:
        A validation loss that is high from the start and moves in its own way; a model that is good on its validation data
        and strange in use.

    Causes:
        - the training data are scaled and the others are not, or are scaled by their own mean and deviation
        - augmentation that is applied to the validation data as well
        - splits cut from sorted data, so that one holds other classes or other times

    Confirm with:
        - print mean and standard deviation of each split's first batch

    Try:
        - take mean and deviation from the training data, keep them, and scale every split with them
        - augment the training data only
        - shuffle before splitting

    False alarms:
        A split by time, place or person on purpose can differ that much: then the model is asked about something new.

    Decided by:
        Each column's distribution in both splits (of more than 50 columns, each sample's mean and root mean square) is
        compared by the test of Kolmogorov and Smirnov, which holds whatever the distribution is and for small splits, at
        10⁻⁶ over all columns together. It fires where one differs, and the typical column's deviation by a factor above 1.5
        or its mean by more than half a deviation: a warning; an error above a factor of 3 or 2 deviations, or where a
        column's deviation differs tenfold. A split whose columns all have mean 0 and deviation 1, more exactly than chance
        would give once in 10⁶, was scaled by its own statistics: a warning. So is validation data that come out otherwise
        when read twice.

    Sources:
        - Stephens (1970), Use of the Kolmogorov-Smirnov statistics without extensive tables
        - the study notes, block "published statistics": test data centered differently give strange results
    """
    from lossdoc import fetching

    others: tuple[Split, ...] = tuple(split for split in ("validation", "test") if split in subject.sizes)
    if not others:
        raise NotApplicable("there is no split beside the training split")
    batches = fetching.take(subject, "train", samples=MOST)
    known = _table(batches)
    told: list[str] = []
    for split in others:
        asked = fetching.take(subject, split, samples=MOST)
        given = _table(asked)
        if given.shape[1:] != known.shape[1:] or min(len(given), len(known)) < FEWEST:
            raise NotApplicable("the splits differ in shape, or are too small")
        found = compare(known, given)
        scale = _scaled(split, found, (gross, grossly), (notable, notably)) or _by_itself(split, given)
        if scale is not None:
            return scale
        told.append(f"{split}: deviations differ by a factor of {found.ratio:.3g}, means by {found.shift:.2g} deviations")
        if split == "validation" and _random(subject, asked):
            return _restless(subject)
    return Passed("; ".join(told))


def _table(batches: list[Batch]) -> Floats:
    """Return the inputs of all samples as (N, d).

    Raises:
        NotApplicable: when they are no measurements, such as tokens.
    """
    from lossdoc import fetching

    inputs: Tensor = fetching.real_inputs(batches)
    if not bool(inputs.isfinite().all()):
        raise NotApplicable("some inputs are not finite")
    return np.asarray(inputs.double().flatten(1).cpu().numpy())


def compare(known: Floats, given: Floats) -> Compared:
    """Compare the columns of two splits, (N, d) and (M, d); of many columns, each sample's mean and root mean square."""
    if known.shape[1] > NARROW:
        known, given = _summaries(known), _summaries(given)
    known_sd, given_sd = known.std(0), given.std(0)
    varied = (known_sd > 0) & (given_sd > 0)
    if not varied.any():
        raise NotApplicable("no column varies in both splits")
    known, given, known_sd, given_sd = (each[..., varied] for each in (known, given, known_sd, given_sd))
    p = np.array([kolmogorov_smirnov(one, other) for one, other in zip(known.T, given.T, strict=True)])
    return Compared(given_sd / known_sd, (given.mean(0) - known.mean(0)) / known_sd, (p < UNLIKELY / len(p)).astype(float))


def _summaries(table: Floats) -> Floats:
    return np.column_stack([table.mean(1), np.sqrt(np.square(table).mean(1))])


def kolmogorov_smirnov(one: Floats, other: Floats) -> float:
    """Return the probability that samples of one distribution lie as far apart; too large where values are tied."""
    both = np.sort(np.concatenate([one, other]))
    below = [np.searchsorted(np.sort(each), both, side="right") / len(each) for each in (one, other)]
    apart = float(np.abs(below[0] - below[1]).max())
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    size = (root + 0.12 + 0.11 / root) * apart
    if size < 0.3:
        return 1.0  # the series needs many terms there, and is 1 to five digits
    return min(1.0, 2 * sum((1.0 if k % 2 else -1.0) * math.exp(-2 * (k * size) ** 2) for k in range(1, 12)))


def _scaled(split: str, found: Compared, gross: tuple[float, float], notable: tuple[float, float]) -> Evidence | None:
    """Judge how far the typical column differs."""
    if not found.sure.any():
        return None
    serious = found.ratio > gross[0] or found.shift > gross[1] or found.farthest > 10
    if not serious and not (found.ratio > notable[0] or found.shift > notable[1]):
        return None
    return Evidence(
        f"the {split} data lie elsewhere than the training data: the typical deviation differs by a factor of "
        f"{found.ratio:.3g} (at most {found.farthest:.3g}), the typical mean by {found.shift:.3g} deviations",
        facts={"measured": found.ratio, "expected": 1.0, "tolerance": notable[0] - 1, "shift": found.shift},
        severity=None if serious else Severity.WARNING,
        confidence=0.95,
    )


def _by_itself(split: str, given: Floats) -> Evidence | None:
    """Look for columns that were all standardized by the split's own mean and deviation."""
    deviations = given.std(0)
    varied = given[:, deviations > 0]
    sizes = deviations[deviations > 0]
    if not len(sizes):
        return None
    count = len(given)
    mean = float(np.abs(varied.mean(0) / sizes).max())
    spread = min(float(np.abs(sizes * math.sqrt(count / (count - free)) - 1).max()) for free in (0, 1))
    # the chance that one column's mean and deviation come out so round: their normal density at 0 times the width
    chance = min(1.0, 0.8 * math.sqrt(count) * mean) * min(1.0, 0.8 * math.sqrt(2 * count) * spread)
    if not chance < UNLIKELY:
        return None
    return Evidence(
        f"every column of the {split} data has mean 0 within {mean:.1g} and deviation 1 within {spread:.1g}: they were "
        "scaled by their own statistics, not by those of the training data",
        facts={"measured": mean, "expected": 1 / math.sqrt(count), "tolerance": 0.0, "chance": chance},
        severity=Severity.WARNING,
        confidence=0.9,
        causes=("the scaler was fitted again on that split",),
        remedies=("fit the scaler on the training data only, and apply it to all splits",),
    )


def _random(subject: Subject, first: list[Batch]) -> bool:
    """Tell whether the validation data come out otherwise when they are read a second time, whatever their order."""
    from lossdoc import fetching

    size = subject.sizes.get("validation")
    if size is None or size > MOST:
        return False
    again = fetching.take(subject, "validation", epoch=1, samples=MOST)
    keys = [{row.tobytes() for row in _table(batches)} for batches in (first, again)]
    return len(keys[0] & keys[1]) < len(keys[0]) / 2


def _restless(subject: Subject) -> Evidence:
    return Evidence(
        "the validation data come out otherwise when they are read a second time: augmentation is applied to them",
        facts={"measured": 0.0, "expected": float(subject.sizes.get("validation") or 0), "tolerance": 0.0},
        severity=Severity.WARNING,
        confidence=0.9,
        causes=("augmentation that is applied to the validation data as well",),
        remedies=("augment the training data only",),
    )
