"""The conditions of the labelled runs: how each is injected, and the check that it took hold."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from tasks import Task, Values
from training import SCHEDULES, Best, Log, Setup

Plan = Callable[[random.Random, Best, Setup], Setup]


def healthy(draw: random.Random, best: Best, plain: Setup) -> Setup:  # noqa: PLR0911  (a table of cases)
    """A sound run, often one that looks sick."""
    slower = best.lr * draw.choice([0.3, 0.5, 1.0])
    sorts = ["plain", "plain", "plain", "batch of one", "smoothing", "dropout", "sum", "short", "short", "fine-tuning"]
    some = draw.choice([*sorts, "ema", "window", *list(SCHEDULES)[1:]])
    made = replace(plain, lr=slower, variant=some)
    if some == "batch of one":
        return replace(made, batch=1, lr=best.lr / 5, axis="step", steps=800)
    if some == "short":
        rate, steps = best.lr * draw.choice([0.3, 1]), draw.choice([24, 40, 70, 100])
        return replace(made, batch=16, axis="step", every=1, steps=steps, lr=rate)
    if some == "fine-tuning":
        return replace(made, before=draw.choice([20, 40, 80]), lr=best.lr * draw.choice([0.05, 0.1]))
    if some in {"ema", "window"}:
        return replace(made, shown=some, axis="step", every=draw.choice([5, 10]) if some == "window" else made.every)
    if some in SCHEDULES:
        return replace(made, schedule=some, lr=best.lr)
    if some == "sum":
        return replace(made, fault="sum", lr=best.lr if made.optimizer == "adam" else best.lr / made.batch)
    decay = draw.choice([0.0, 1e-3, 3e-3])
    return replace(made, smoothing=0.1 * (some == "smoothing"), dropout=0.3 * (some == "dropout"), decay=decay)


def too_high(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """A rate far above the best."""
    return replace(
        plain,
        lr=best.lr * 10 ** draw.uniform(0.5, 1.7),
        depth=draw.choice([1, 2]),
        act=draw.choice(["relu", "tanh"]),
        schedule=draw.choice(["constant", "constant", "constant", "cosine", "step-decay"]),
    )


def slow(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """A rate far below the best."""
    return replace(plain, lr=best.lr * 10 ** -draw.uniform(1.2, 2.6))


def slow_start(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """Weights far too small, or deep saturated layers."""
    if draw.random() < 0.5:
        return replace(
            plain,
            scale=draw.uniform(0.02, 0.3),
            depth=draw.choice([2, 3]),
            lr=best.lr * draw.choice([0.3, 1]),
            variant="tiny",
        )
    return replace(plain, act="sigmoid", depth=draw.choice([2, 3, 4]), lr=best.lr * draw.choice([1, 3]), variant="sigmoid")


def stays(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """Weights that never change."""
    fault = draw.choice(["no-step", "detached", "stale", "zero rate"] + (["dead"] if best.task.net == "mlp" else []))
    return replace(plain, fault=fault, lr=1e-12 if fault == "zero rate" else best.lr, variant=fault)


def climbs(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """The gradient with the wrong sign."""
    return replace(plain, fault="sign", lr=best.lr * 10 ** -draw.uniform(0.5, 1.5))


def overfits(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """Few samples, a large model, some wrong labels."""
    few, noise = draw.choice([24, 40, 60]), draw.choice([0.0, 0.2, 0.3])
    return replace(
        plain, n_train=few, batch=8, width=64, depth=2, lr=best.lr * draw.choice([0.3, 1]), label_noise=noise, with_val=True
    )


def rough(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """A tiny validation set, drawn anew each time or not."""
    many = draw.choice([2, 3]) if best.task.net == "gru" else draw.choice([5, 8, 12])
    return replace(plain, lr=best.lr, n_val=many, resample=draw.random() < 0.7, with_val=True)


def sorts(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """Data in the order of its targets."""
    batch = draw.choice([8, 16]) if best.task.n_train < 200 else draw.choice([16, 32])
    return replace(plain, order="sorted", batch=batch, axis="step", every=1, lr=best.lr * draw.choice([0.3, 1]))


def corrupt(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """A few bad batches."""
    bad = tuple(sorted(draw.sample(range(plain.steps // 4, plain.steps - 20), draw.choice([1, 2, 4]))))
    return replace(plain, bad=bad, axis="step", every=1, lr=best.lr * 0.5, fault=draw.choice(["labels", "inputs"]))


def too_small(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """A model too small or held too short."""
    if draw.random() < 0.5:
        return replace(plain, width=1, depth=1, act="tanh", lr=best.lr, variant="narrow")
    return replace(plain, decay=10 ** draw.uniform(-1.7, 0), optimizer="sgd", lr=min(best.lr, 0.1), variant="decay")


def twice(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """Softmax in the model and in the loss."""
    return replace(plain, fault="twice", lr=best.lr * draw.choice([0.5, 1, 2]))


def breaks(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """A NaN in the data of the second half."""
    return replace(plain, fault="poison", lr=best.lr * draw.choice([0.3, 1]))


def cut_off(draw: random.Random, best: Best, plain: Setup) -> Setup:
    """A log of a few points."""
    return replace(plain, lr=best.lr, steps=draw.randint(2, 6), axis="step", every=1)


PLANS: dict[str, tuple[Plan, int]] = {
    "healthy": (healthy, 32),
    "lr-too-high": (too_high, 10),
    "slow-learning": (slow, 5),
    "slow-start": (slow_start, 5),
    "not-learning": (stays, 4),
    "rising": (climbs, 4),
    "overfitting": (overfits, 6),
    "noisy-validation": (rough, 5),
    "periodic": (sorts, 5),
    "spikes": (corrupt, 5),
    "underfitting": (too_small, 5),
    "double-softmax": (twice, 4),
    "nan": (breaks, 2),
    "inconclusive": (cut_off, 2),
}


ROUNDS = (1.6, 1.6)  # how many runs each round trains for one that is wanted: not every injection takes hold


def control(label: str, setup: Setup, best: Best) -> Setup | None:
    """Return the run beside which a condition shows: the same at the best rate found; None where none is needed."""
    return replace(setup, lr=best.lr) if label in {"lr-too-high", "slow-learning"} else None


def holds(label: str, setup: Setup, log: Log, best: Best, beside: Log | None) -> bool:
    """Check that the condition took hold, or that a healthy run is one; `beside` is the log of the run of `control`."""
    task = best.task
    unit = setup.batch if setup.fault == "sum" else 1.0
    if label == "nan":
        return not np.isfinite(log.train).all()
    if not np.isfinite(log.train).all() or not np.isfinite(log.full).all():
        return False
    base = best.start if task.kind == "nll" else task.base
    end, could = log.end / unit, base - best.low
    learned = (base - end) / could
    better = -math.inf if beside is None or not math.isfinite(beside.end) else (base - beside.end) / could
    means = log.blocks(min(20, len(log.train))) / unit
    full = log.full
    done = learned > 0.6 and (end < 0.5 * base or task.kind == "nll")
    gap = end - log.end if not len(full) else float(full[-3:].mean()) - log.end
    narrow = _narrow(log, base - end, 1.0)
    falls = means[0] - means[-1]
    jag = max(4 * _jag(full), 0.25 * float(log.val[len(full) // 2 :].mean()), 0.05 * base) if len(full) > 9 else math.inf
    checks = {
        "healthy": done and _sound(setup, log, means, base - end, unit),
        "lr-too-high": learned < 0.6 and better > learned + 0.3 and log.train.std() > 0,
        "slow-learning": learned < 0.5 < better
        and _falls(log, means)
        and means[0] - end > 0.02 * base
        and means[0] < 2 * base,
        "slow-start": narrow and learned > 0.5 and best.half < 0.15 and _plateau(log),
        "not-learning": True,
        "rising": means[-1] > 1.2 * means[0] and float(np.mean(np.diff(means) > 0)) > 0.6,
        "overfitting": _gap(log, full, base),
        "noisy-validation": learned > 0.5 and _jag(log.val) > jag,
        "periodic": narrow and len(log.train) > 5 * log.per_epoch and log.per_epoch > 3 and _repeats(log),
        "spikes": done and narrow and _spiked(setup, log, base),
        "underfitting": task.kind != "nll"
        and end > (0.45 if task.classes else 0.6) * base
        and best.low < 0.5 * end
        and means[3 * len(means) // 4 - 1] - means[-1] < 0.1 * falls
        and means[0] - end > 0.05 * base
        and gap < 0.3 * end,
        "double-softmax": task.kind == "softmax" and base - end > 0.05,
        "inconclusive": True,
    }
    return bool(checks[label])


def _sound(setup: Setup, log: Log, means: Values, learned: float, unit: float) -> bool:
    meant = setup.schedule == "restarts" or setup.batch == 1
    rises = float((means - np.minimum.accumulate(means)).max()) > 0.15 * learned and not meant
    if not len(log.full):
        return not rises
    if setup.before and not (means[-1] < 0.85 * means[0] and means[0] > 0.2 * (learned + means[-1])):
        return False  # a fine-tuning that hardly moves looks like no learning, and one of what is known moves by noise
    end = float(log.full[-max(1, len(log.full) // 10) :].mean())
    early = float(np.argmax(means <= (means[0] + means[-1]) / 2)) / len(means) < 0.3
    return (
        not rises
        and _narrow(log, learned, unit)
        and end - float(log.full.min()) < 0.1 * learned * unit
        and (early or setup.schedule != "constant" or setup.before > 0)
    )


def _narrow(log: Log, learned: float, unit: float) -> bool:
    """Tell whether the gap between the losses is small against validation's, or against what was learned."""
    if not len(log.full):
        return True
    end = float(log.full[-max(1, len(log.full) // 10) :].mean())
    return end - log.end < 0.35 * end or end - log.end < 0.07 * learned * unit


def _falls(log: Log, means: Values) -> bool:
    error = float(np.std(np.diff(log.train, 2))) / math.sqrt(6) / math.sqrt(len(log.train) / 20)
    half = means[len(means) // 2]
    return bool(
        means[0] - means[-1] > 8 * error
        and half - means[-1] > 0.25 * (means[0] - means[-1])
        and half - means[-1] > 4 * error
    )


def _plateau(log: Log) -> bool:
    means = log.blocks(50)
    top, low = means[:2].mean(), means[-5:].mean()
    tenth, half = (int(np.argmax(means <= top - part * (top - low))) for part in (0.1, 0.5))
    return tenth >= 5 and tenth >= 0.8 * (half - tenth) and means[37] - low < 0.2 * (top - low)


def _gap(log: Log, full: Values, base: float) -> bool:
    if len(full) < 10:
        return False
    end, low, spread = float(full[-max(3, len(full) // 10) :].mean()), float(full.min()), float(np.ptp(full))
    gap = end - log.end
    return (
        gap > 0.55 * end
        and gap > 0.2 * spread
        and gap > 0.15 * base
        and log.end < 0.5 * base
        and (end - low > 0.2 * spread or log.end < 0.1 * base)
    )


def _jag(values: Values) -> float:
    return float(np.abs(np.diff(values[len(values) // 2 :], 2)).mean()) / math.sqrt(6)


def _repeats(log: Log) -> bool:
    many = len(log.train) // log.per_epoch
    table = log.train[: many * log.per_epoch].reshape(many, log.per_epoch)[many // 5 :]
    table = table - table.mean(1, keepdims=True)
    pairs = [float(np.corrcoef(a, b)[0, 1]) for a, b in pairwise(table)]
    return float(np.median(pairs)) > 0.6 and float(np.median(np.ptp(table, 1))) > 0.1 * log.train.mean()


def _spiked(setup: Setup, log: Log, base: float) -> bool:
    around = [np.delete(log.train[max(0, at - 15) : at + 15], min(at, 15)) for at in setup.bad]
    return all(
        log.train[at] - near.mean() > max(10 * near.std(), 0.4 * base) for at, near in zip(setup.bad, around, strict=True)
    )


def also(label: str, task: Task, log: Log) -> list[str]:
    """Name what else a reader may rightly say."""
    if label != "lr-too-high":
        return []
    means, base = log.blocks(20), task.base
    rest = means[5:]
    flat = bool(abs(np.median(rest) / base - 1) < 0.06 and np.ptp(rest) < 0.1 * base)
    up = bool(np.mean(np.diff(means) > 0) > 0.7 and means[-1] > 1.2 * means[0])
    fell = bool(means[0] > 2 * means[-1])  # it burst in the first steps
    recovers = float(np.median(log.train[-len(log.train) // 10 :])) < 0.4 * base  # what is left are spikes
    return ["spikes"] * recovers + ["not-learning"] * (flat and not fell) + ["rising"] * up
