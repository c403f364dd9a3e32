"""What the patterns measure of a curve, each quantity taken once."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from lossdoc.curve import Curve, Floats, Series
from lossdoc.features import series
from lossdoc.features.distributions import gamma_below
from lossdoc.features.falls import Fall, fall

MOST = 2000  # points kept: longer curves become this many blocks, with the median and the maximum of each
BATCH = 0.4  # jitter counts 2.5 times training's: so that a validation noisier than one batch is of fewer samples than that
GAIN = 0.1  # the share of the loss of having learned nothing, below which nothing was learned that is worth the name
STILL = 0.03  # of its level; untrained networks of several seeds differ by as much, and losses of one that stays by less


class Shape:
    """The measures of one curve; lengths and places are in points of the (reduced) curve, counted from 0.

    The training loss, or the validation loss where fewer than seven training losses are finite. `x`, `y` are steps and
    losses, `top` the largest loss of each block, all float64 (n,); `full` is the series before it was reduced.
    """

    def __init__(self, curve: Curve) -> None:
        train, val = curve.train.finite, curve.val.finite if curve.val is not None else None
        main = val if len(train) < 7 and val is not None else train
        self.curve = curve
        self.full = main
        self.x = main.step if len(main) <= MOST else series.blocks(main.step, MOST)
        self.y = series.blocks(main.value, MOST)
        self.top = series.extremes(main.value, MOST)
        self.n = len(self.y)
        self.val: Series | None = val if val is not None and len(val) >= 5 and main is train else None
        self.by_epoch = curve.context.axis == "epoch" or (self.val is not None and np.array_equal(self.val.step, train.step))

    @property
    def unit(self) -> str:
        """What a step of the curve is called."""
        return self.curve.context.axis or "step"

    def rates(self, step: float) -> Floats:
        """Return the logged learning rate up to a step, in shares of its highest; empty where none is logged."""
        rate = self.curve.others.get("lr")
        if rate is None or not len(rate.finite) or not rate.finite.value.max() > 0:
            return np.empty(0)
        return np.asarray(rate.finite.value[rate.finite.step <= step] / rate.finite.value.max())

    @cached_property
    def smooth(self) -> Floats:
        """At most 60 points: the running median of three, or medians of 60 blocks."""
        return series.median_of_three(self.y) if self.n <= 60 else series.blocks(self.y, 60)

    @cached_property
    def twenty(self) -> Floats:
        """Medians of twenty blocks, for rank tests."""
        return series.blocks(self.y, 20)

    @cached_property
    def noise(self) -> float:
        """The standard deviation of the noise of a point."""
        return series.noise(self.y)

    @cached_property
    def trend(self) -> series.Trend:
        """The trend of the whole curve."""
        return series.kendall(self.twenty)

    @cached_property
    def late_trend(self) -> series.Trend:
        """The trend of the second half."""
        return series.kendall(self.twenty[len(self.twenty) // 2 :])

    @cached_property
    def start(self) -> float:
        """The loss at the start: the median of the first fiftieth of a log by steps, the first loss where losses explode.

        The first loss stands too where that median is a hundred times as high: a single sample's squared error is that far
        below its median in one run of twenty, the mean of a few never. Nor is a fast descent noise: then the first stands
        above the median by three deviations of the first losses' noise.
        """
        many = 1 if self.by_epoch else max(1, min(5, self.n // 50))
        middle, first = series.median(self.y[:many]), float(self.y[0])
        falls = first - middle > 3 * series.noise(self.y[: max(9, self.n // 20)])
        return first if self.exploded or falls or middle > 100 * first > 0 else middle

    @cached_property
    def exploded(self) -> bool:
        """Whether losses explode after the first, which then is the only one of having learned nothing.

        Either the first few are far above it by the noise of those losses. Or the later noise tells that the first is no
        single sample's: its deviation is below 0.7 of its level (an exponential's is 1.3 of its median), and one of the
        first tenth lies above thrice the first and beyond twice the later noise's tail. Or the first is below half of the
        next five, and by chance, as a gamma variable with the later noise's deviation, in one case of 200.
        """
        first, middle = float(self.y[0]), series.median(self.y[: max(1, min(5, self.n // 50))])
        if not first > 0:
            return False
        if middle > 1.5 * first and middle - first > 3 * series.noise(self.y[: max(9, self.n // 20)]):
            return True
        highest, next_ = float(self.y[: max(3, self.n // 10)].max()), series.median(self.y[1:6])
        if not (highest > 3 * first or next_ > 2 * first):
            return False
        late = self.y[self.n // 2 :]
        level, noise = series.median(late), series.noise(late)
        if noise < 0.7 * level and highest > max(3 * first, first + 2 * series.tail_bound(late - level)):
            return True
        return level > 0 < noise and next_ > 2 * first and gamma_below(first / next_, level / noise) < 0.005

    @cached_property
    def end(self) -> float:
        """The loss at the end: the median of the last tenth; of a log by steps, at least three points."""
        return series.median(self.y[-max(1 if self.by_epoch else 3, self.n // 10) :])

    @cached_property
    def bottom(self) -> float:
        """The smooth loss at the end: the median of its last tenth, at least three points."""
        return series.median(self.smooth[-max(3, len(self.smooth) // 10) :])

    @cached_property
    def second_half(self) -> Fall:
        """The fall along the line through the second half."""
        return fall(self.y[self.n // 2 :])

    def late_share(self, part: float) -> float:
        """Return which share of the descent is made in the last `part`, at most half; of a straight line, `part`.

        In a log by steps the line through the second half tells it with a quarter of the error that few points have. NaN
        where there is no way down.
        """
        drop = float(self.smooth[0]) - series.median(self.smooth[-3:])
        if self.by_epoch or not drop > 0:
            return series.late_share(self.smooth, part)
        return self.second_half.height * 2 * part / drop

    @cached_property
    def lowest(self) -> tuple[float, int]:
        """The lowest level that was held for as long as the end is, and the point in the middle of it.

        Like is compared with like: single lowest points of a noisy curve lie far below its level.
        """
        width = max(3, self.n // 10)
        levels = series.sliding_medians(self.y, width)
        at = int(levels.argmin())
        return float(levels[at]), min(self.n - 1, at * max(1, width // 4) + width // 2)

    @cached_property
    def uniform(self) -> float | None:
        """The loss of a uniform guess, log n, where the classes are known and the loss is in nats a sample, else None.

        It is in nats when the curve begins within a factor of three of log n, or ends within a quarter of it.
        """
        classes = self.curve.context.classes
        if classes is None or classes < 2 or not self.n or entropy(self.curve.context.loss) is False:
            return None
        level = math.log(classes)
        firsts = [float(self.y[0]), self.start]
        if self.val is not None and self.by_epoch:
            firsts.append(float(self.val.value[0]))
        near = any(level / 3 <= first <= 3 * level for first in firsts) or 0.8 * level <= self.end <= 1.25 * level
        return level if near else None

    @cached_property
    def reference(self) -> float:
        """The loss of having learned nothing: log n where that is known, else the start."""
        return self.start if self.uniform is None else self.uniform

    @cached_property
    def hidden(self) -> float:
        """What the mean of a first epoch hides of the descent, where nothing but it tells how high the loss began; else 0.

        An exponential's start lies above its first mean by about as much as the second mean lies below it.
        """
        if not (self.by_epoch and self.uniform is None and self.n > 1):
            return 0.0
        gap = float(self.x[1] - self.x[0])
        epochs = min(1.0, (float(self.x[0]) or 1.0) / gap) if gap > 0 else 1.0
        return max(0.0, float(self.y[0] - self.y[1])) * epochs

    @cached_property
    def learned(self) -> float:
        """What was learned at best: how far the smooth curve came below the reference, at least a tenth of that."""
        return max(self.reference - float(self.smooth.min()), GAIN * abs(self.reference), 1e-300)

    @property
    def gained(self) -> bool:
        """Whether more than a tenth of the reference was learned: who gained nothing has nothing to lose."""
        return self.reference - float(self.smooth.min()) >= self.learned

    @cached_property
    def left(self) -> float:
        """The share of the reference that is left at the end; NaN for losses that can be negative."""
        return self.end / self.reference if self.reference > 0 and self.y.min() >= 0 else math.nan

    @cached_property
    def residual(self) -> Floats:
        """The losses less their running median over a twentieth of the curve, at least nine points."""
        return self.y - self.middle

    @cached_property
    def middle(self) -> Floats:
        """The running median that `residual` is measured from."""
        return series.running_median(self.y, max(9, self.n // 20 | 1))

    @cached_property
    def flat(self) -> bool:
        """Whether both losses look like white noise around a constant, as they do when the weights never change."""
        return series.steady(self.y, self.trend) and (self.val is None or series.steady(self.val.value) or self.settles)

    @cached_property
    def settles(self) -> bool:
        """Whether validation does no more than it does of weights that stay, under batch normalization's running averages.

        These settle, so that it drifts smoothly, but a loss that falls by a tenth (see `gained`) has been learned.
        """
        if self.val is None:
            return False
        fallen = float(self.val.value[0]) - self.val_end
        return fallen < GAIN * abs(self.val_end) and self.val_jumps < STILL

    @cached_property
    def val_jumps(self) -> float:
        """The jaggedness of validation after its first third, as a share of its level; NaN without."""
        return math.nan if self.val is None else self.jitter / max(abs(self.val_end), 1e-300)

    @cached_property
    def val_end(self) -> float:
        """The validation loss at the end, the median of its last tenth, at least three points; NaN where there is none."""
        return math.nan if self.val is None else series.median(self.val.value[-max(3, len(self.val) // 10) :])

    @cached_property
    def jitter(self) -> float:
        """The jaggedness of validation after its first third; NaN without."""
        return math.nan if self.val is None else series.jaggedness(self.val.value[len(self.val) // 3 :])

    @cached_property
    def train_jitter(self) -> float:
        """The jaggedness of training at the steps of validation after its first third; NaN without.

        Of a log by steps it is that of training's level, and a single batch's noise where that is more.
        """
        if self.val is None:
            return math.nan
        late = self.val.step[len(self.val) // 3 :]
        train = series.jaggedness(np.interp(late, self.x, self.y if self.by_epoch else self.middle))
        batch = 0.0 if self.by_epoch else BATCH * series.noise(self.y[self.n // 2 :])
        return max(train, batch)


def entropy(loss: str | None) -> bool | None:
    """Tell whether a loss is the cross-entropy of one class among several, by its name; None where the name is not known.

    The negative log-likelihood of a density (Gaussian, Poisson) is none, nor is the binary one of several labels.
    """
    if loss is None:
        return None
    name = loss.lower().replace("-", "_")
    if any(word in name for word in ("gauss", "poisson", "multilabel")):
        return False
    return any(word in name for word in ("cross", "nll", "softmax", "log_loss", "logloss")) or name in {"ce", "bce"}


def shape(curve: Curve) -> Shape:
    """Return the measures of a curve; they are kept with it, so every pattern shares them."""
    kept = vars(curve).get("_shape")
    if not isinstance(kept, Shape):
        kept = Shape(curve)
        object.__setattr__(curve, "_shape", kept)
    return kept
