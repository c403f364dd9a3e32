"""The confusion table of the patterns on made-up curves, kept as a golden, so that no threshold drifts unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from lossdoc import synthetic
from lossdoc.curve import Context, Curve, Series
from lossdoc.diagnosis import examine_curve

Made = Callable[[int], Curve]
KINDS: dict[str, tuple[Made, ...]] = {
    "healthy": (
        synthetic.healthy,
        partial(synthetic.healthy, points=90),
        synthetic.healthy_epochs,
        synthetic.batch_of_one,
        synthetic.few_steps,
        synthetic.at_once,
        synthetic.low_from_the_first_epoch,
        synthetic.below_train,
    ),
    "rising": (synthetic.rising, partial(synthetic.rising, points=30)),
    "not-learning": (synthetic.flat, partial(synthetic.flat, points=25)),
    "overfitting": (synthetic.overfit, partial(synthetic.overfit, points=20)),
    "lr-too-high": (synthetic.blown_up, partial(synthetic.blown_up, points=150)),
    "double-softmax": (synthetic.double_softmax, partial(synthetic.double_softmax, floor_above=0.05)),
    "underfitting": (synthetic.underfit, partial(synthetic.underfit, points=20)),
    "slow-learning": (synthetic.slow, partial(synthetic.slow, points=40)),
    "slow-start": (synthetic.slow_start, partial(synthetic.slow_start, points=30)),
    "periodic": (synthetic.waves, partial(synthetic.waves, per_epoch=12)),
    "noisy-validation": (synthetic.rough_validation, partial(synthetic.rough_validation, points=20)),
    "spikes": (synthetic.spiky, partial(synthetic.spiky, points=250, at=(120,))),
}


def averaged(series: Series, weight: float) -> Series:
    """Smooth as TensorBoard does: an exponential mean, debiased."""
    means, mean, whole = [], 0.0, 0.0
    for value in series.value:
        mean, whole = weight * mean + (1 - weight) * float(value), weight * whole + 1 - weight
        means.append(mean / whole)
    return replace(series, value=np.array(means))


def every(series: Series, stride: int) -> Series:
    return replace(series, step=series.step[::stride], value=series.value[::stride])


def thinned(curve: Curve) -> Curve:
    val = curve.val
    return replace(
        curve,
        train=every(curve.train, 2),
        val=every(val, 2) if val is not None and len(val) == len(curve.train) else val,
    )


CHANGES: dict[str, Callable[[Curve], Curve]] = {
    "as it is": lambda curve: curve,
    "no context": lambda curve: replace(curve, context=Context()),
    "no validation": lambda curve: replace(curve, val=None),
    "half of the points": thinned,
    "smoothed": lambda curve: replace(curve, train=averaged(curve.train, 0.6)),
    "four digits": lambda curve: replace(curve, train=replace(curve.train, value=np.round(curve.train.value, 4))),
}


def test_the_confusion_table_is_the_one_that_was_read(golden: Callable[[str, str], None]) -> None:
    lines = []
    for change, alter in CHANGES.items():
        lines.append(f"{change}:")
        for kind, makers in KINDS.items():
            said = Counter(examine_curve(alter(make(seed))).primary for make in makers for seed in range(6))
            verdicts = [(kind, said.pop(kind, 0)), *sorted(said.items(), key=lambda one: (-one[1], one[0]))]
            lines.append(f"  {kind:17s}" + ", ".join(f"{verdict} {many}" for verdict, many in verdicts))
    golden("confusion.txt", "\n".join(lines) + "\n")
