"""Made-up curves, one function for each pattern, all seeded: the examples in the rules and the first tests of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lossdoc.curve import Axis, Context, Curve, Floats, Pair, Runs, Series


def descent(points: int, start: float, floor: float, pace: float = 8.0) -> Floats:
    """Return an exponential descent from `start` to `floor`, `pace` time constants long, float64 (points,)."""
    return floor + (start - floor) * np.exp(-pace * np.linspace(0, 1, points))


def noisy(values: Floats, amount: float, seed: int) -> Floats:
    """Return the values, each times a random factor of mean 1 and standard deviation `amount` (gamma: never negative)."""
    shape = 1 / amount**2
    return values * np.random.default_rng(seed).gamma(shape, 1 / shape, len(values))


def curve(
    train: Floats,
    val: Floats | None = None,
    *,
    axis: Axis = "step",
    classes: int | None = 10,
    steps_per_epoch: float | None = None,
) -> Curve:
    """Make a curve; validation losses are spread evenly over the steps."""
    steps = np.arange(1.0, len(train) + 1)
    measured = None if val is None else Series(np.linspace(1, len(train), len(val)), val, "val_loss")
    context = Context(axis=axis, classes=classes, steps_per_epoch=steps_per_epoch)
    return Curve(Series(steps, train, "train_loss"), measured, context=context)


def healthy(seed: int = 0, points: int = 400) -> Curve:
    """Fall fast, then slowly, to a low loss, with a small steady gap."""
    return curve(
        noisy(descent(points, 2.3, 0.2), 0.08, seed),
        noisy(descent(40, 2.3, 0.24), 0.02, seed + 1),
        steps_per_epoch=points / 20,
    )


def healthy_epochs(seed: int = 0, points: int = 40) -> Curve:
    """Fall as `healthy`, logged once an epoch."""
    train, val = descent(points, 1.9, 0.15), descent(points, 1.8, 0.2)
    return curve(noisy(train, 0.02, seed), noisy(val, 0.02, seed + 1), axis="epoch")


def batch_of_one(seed: int = 0, points: int = 1000) -> Curve:
    """Fall with the wild noise of single samples: healthy, though it looks sick."""
    random = np.random.default_rng(seed)
    return curve(descent(points, 2.3, 0.2) * random.exponential(1, points))


def few_steps(seed: int = 0, points: int = 70) -> Curve:
    """Fall at a low rate, logged at each of a few steps with the noise of batches of sixteen: healthy."""
    return curve(noisy(descent(points, 1.1, 0.25, 3), 0.25, seed), classes=3)


def at_once(seed: int = 0, points: int = 24) -> Curve:
    """Learn all there is in two steps, and stay there: flat, but not for want of learning."""
    return curve(noisy(np.r_[1.1, 0.6, np.full(points - 2, 0.3)], 0.1, seed), classes=3)


def low_from_the_first_epoch(seed: int = 0, points: int = 50) -> Curve:
    """Do most of the descent before the first validation: then a small gap is large against validation's range."""
    train, val = descent(points, 0.9, 0.002, 10), descent(points, 0.3, 0.12, 10)
    return curve(noisy(train, 0.02, seed), noisy(val, 0.01, seed + 1), axis="epoch")


def flat(seed: int = 0, points: int = 300) -> Curve:
    """Stay at the loss of a guess, with the noise of the batches alone: the weights never change."""
    return curve(noisy(np.full(points, math.log(10)), 0.03, seed))


def never_trained(seed: int = 0, points: int = 12) -> Curve:
    """Stay as it is, but for the running averages of batch normalization, which validation uses and which settle."""
    val = descent(points, -2.376, -2.45, 0.7 * points)
    return curve(noisy(np.full(points, 2.45), 0.01, seed), noisy(-val, 3e-4, seed + 1), axis="epoch")


def exploded(seed: int = 0, points: int = 100) -> Curve:
    """Fall, climb faster and faster, and be NaN in the last fifth."""
    climb: Floats = np.exp(np.linspace(-40, 12, points))
    train = noisy(descent(points, 2.3, 0.5) + climb, 0.05, seed)
    train[-(points // 5) :] = np.nan
    return curve(train)


def overfit(seed: int = 0, points: int = 60) -> Curve:
    """Go to 0 in training while validation turns up."""
    time = np.linspace(0, 1, points)
    val = descent(points, 2.3, 0.8, 12) + 0.7 * time
    return curve(noisy(descent(points, 2.3, 0.01), 0.02, seed), noisy(val, 0.02, seed + 1), axis="epoch")


def rising(seed: int = 0, points: int = 200) -> Curve:
    """Go up from the start: the gradient has the wrong sign."""
    return curve(noisy(2.3 + 5 * np.linspace(0, 1, points) ** 1.5, 0.03, seed))


def broken_off(seed: int = 0, points: int = 200) -> Curve:
    """Fall, and be NaN from the middle on."""
    train = noisy(descent(points, 2.3, 0.3), 0.05, seed)
    train[points // 2 :] = np.nan
    return curve(train)


def blown_up(seed: int = 0, points: int = 400) -> Curve:
    """Jump up within the first steps and then wander far above what was reached."""
    train = np.full(points, 2.35)
    train[: points // 10] = np.r_[np.linspace(2.3, 1.1, points // 20), np.linspace(2, 9, points // 10 - points // 20)]
    return curve(noisy(train, 0.03, seed))


def double_softmax(seed: int = 0, points: int = 60, floor_above: float = 0.01) -> Curve:
    """Stop at the floor of a softmax applied twice, log(e + 9) - 1 = 1.4612 for ten classes."""
    floor = math.log(math.e + 9) - 1
    train = descent(points, math.log(10), floor + floor_above, 12)
    return curve(floor + noisy(train - floor, 0.05, seed), axis="epoch")


def seeds(floors: tuple[float, ...] = (0.0, 0.1, 0.0, 0.2, 0.1)) -> Runs:
    """Stop at a different floor in each run: with a double softmax every class that is never learned costs 1/10."""
    return Runs(tuple(double_softmax(seed, floor_above=0.01 + above) for seed, above in enumerate(floors)))


def scattered(ends: tuple[float, ...] = (0.1, 0.9, 0.3, 1.4, 0.2)) -> Runs:
    """End at a loss of its own in each run of the same network."""
    return Runs(tuple(curve(noisy(descent(60, 2.3, end), 0.03, seed), axis="epoch") for seed, end in enumerate(ends)))


def alike(runs: int = 5) -> Runs:
    """End at the same loss in every run."""
    return Runs(tuple(healthy_epochs(seed) for seed in range(runs)))


def underfit(seed: int = 0, points: int = 60) -> Curve:
    """Level off high, in training as in validation."""
    train, val = descent(points, 2.3, 1.3, 14), descent(points, 2.3, 1.35, 14)
    return curve(noisy(train, 0.01, seed), noisy(val, 0.01, seed + 1), axis="epoch")


def slow(seed: int = 0, points: int = 300) -> Curve:
    """Fall in almost a straight line, and little."""
    return curve(noisy(2.3 - 0.25 * np.linspace(0, 1, points), 0.02, seed))


def slow_start(seed: int = 0, points: int = 80) -> Curve:
    """Lie flat for a third of the run, then fall."""
    time = np.linspace(0, 1, points)
    return curve(noisy(0.1 + 2.2 / (1 + np.exp((time - 0.4) / 0.04)), 0.01, seed), axis="epoch")


def waves(seed: int = 0, points: int = 400, per_epoch: int = 40) -> Curve:
    """Swing with the epoch on the way down: the data comes in the same order every time."""
    swing = 1 + 0.4 * np.sin(2 * np.pi * np.arange(points) / per_epoch)
    return curve(noisy(descent(points, 2.3, 0.6, 4) * swing, 0.05, seed), steps_per_epoch=per_epoch)


def rough_validation(seed: int = 0, points: int = 50) -> Curve:
    """Fall smoothly in training while validation jumps about: too few samples in it."""
    val = noisy(descent(points, 2.2, 0.35), 0.5, seed + 1)
    return curve(noisy(descent(points, 2.2, 0.3), 0.01, seed), val, axis="epoch")


def spiky(seed: int = 0, points: int = 600, at: tuple[int, ...] = (180, 320, 470)) -> Curve:
    """Fall as a healthy curve does, but for single steps far above the rest."""
    train = noisy(descent(points, 2.3, 0.3), 0.05, seed)
    train[list(at)] += 4
    return curve(train)


def wrong_first_loss(seed: int = 0, points: int = 400) -> Curve:
    """Begin at five times log 10 and fall: the first layer's or the last layer's weights are far too large."""
    made = curve(noisy(descent(points, 5 * math.log(10), 0.3, 20), 0.05, seed))
    return replace(made, context=replace(made.context, loss="cross_entropy"))


def below_train(seed: int = 0, points: int = 50) -> Curve:
    """Validate better than it trains, as with dropout or augmentation."""
    train, val = descent(points, 2.2, 0.35), descent(points, 1.9, 0.15)
    return curve(noisy(train, 0.02, seed), noisy(val, 0.02, seed + 1), axis="epoch")


def short(points: int = 4) -> Curve:
    """Be over before anything can be told."""
    return curve(np.linspace(2.3, 1.9, points), axis="epoch")


def parted(by: float = 0.5, seed: int = 0) -> Pair:
    """Fall twice alike, logged at other intervals; the first run differs by `by` over the second half."""
    good, run = healthy(seed), healthy(seed + 10, points=600)
    step = run.train.step * 400 / 600
    apart = Series(step, run.train.value + by * np.clip(step / 100 - 2, 0, 1), run.train.name)
    return Pair(replace(run, train=apart, val=None), good)
