"""How one run of the labelled runs is set up, its faults included, and the loop that trains many of them at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from networks import ACTS, Build, Runs, draw, forward, sizes, views
from numpy.typing import NDArray
from tasks import Task, Values
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name torch's own documentation uses)

TOGETHER = 128  # runs trained at once
HELD = 300  # validation samples at most


@dataclass(frozen=True)
class Setup:
    """How one run is trained and logged, its injected faults included.

    `before` steps are trained, at ten times the rate, before the log begins: what is logged is a fine-tuning. `shown` tells
    what a log by steps holds: the losses, their exponential mean (ema), or the means of the steps between (window).
    """

    lr: float
    seed: int = 0
    optimizer: str = "adam"
    batch: int = 32
    steps: int = 600
    width: int = 32
    depth: int = 1
    act: str = "relu"
    scale: float = 1.0
    n_train: int | None = None
    n_val: int | None = None
    resample: bool = False
    fault: str = ""
    order: str = "random"
    bad: tuple[int, ...] = ()
    smoothing: float = 0.0
    dropout: float = 0.0
    decay: float = 0.0
    label_noise: float = 0.0
    schedule: str = "constant"
    before: int = 0
    axis: str = "step"
    every: int = 1
    shown: str = "raw"
    with_val: bool = True
    variant: str = ""


@dataclass(frozen=True)
class Log:
    """What was measured: the loss of every step (n,), and at each epoch's end the logged and the full validation loss."""

    train: Values
    at: list[int]
    val: Values
    full: Values
    per_epoch: int
    n_train: int
    n_val: int

    @property
    def end(self) -> float:
        """The mean of the last tenth."""
        return float(self.train[-max(3, len(self.train) // 10) :].mean())

    def blocks(self, count: int) -> Values:
        """Means of equal blocks."""
        return np.array([part.mean() for part in np.array_split(self.train, count)])


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "warm-up": lambda t: min(1.0, t / 0.08 + 0.01),
    "step-decay": lambda t: 0.1 ** (int(t / 0.4)),
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t)) + 1e-3,
    "restarts": lambda t: 0.5 * (1 + math.cos(math.pi * ((t * 4) % 1))) + 1e-3,
    "one-cycle": lambda t: min(t / 0.3, (1 - t) / 0.7) + 1e-2,
    "warm-up cosine": lambda t: min(1.0, t / 0.1 + 0.01) * (0.5 * (1 + math.cos(math.pi * t)) + 1e-3),
    "linear": lambda t: 1.0 - 0.99 * t,
}
RESTS = {"no-step", "detached", "stale"}  # faults that leave the weights as they are


class Feed:
    """Which samples one run sees: (steps, batch) places of inputs and of targets (-1 where a batch is shorter)."""

    def __init__(self, task: Task, setup: Setup) -> None:
        random = np.random.default_rng(setup.seed)
        mixed = random.permutation(len(task.inputs))
        self.n_train = min(setup.n_train or task.n_train, task.n_train)
        self.rest = mixed[task.n_train : task.n_train + HELD]
        self.n_val = min(setup.n_val or len(self.rest), len(self.rest))
        self.per_epoch = math.ceil(self.n_train / setup.batch)
        train, targets = mixed[: self.n_train], mixed[: self.n_train].copy()
        wrong = random.random(self.n_train) < setup.label_noise
        targets[wrong] = train[random.permutation(self.n_train)][wrong]
        order = np.argsort(task.targets.reshape(len(task.targets), -1)[targets, 0].numpy(), kind="stable")
        epochs = math.ceil((setup.steps + setup.before) / self.per_epoch)
        rows = []
        for _ in range(epochs):
            order = order if setup.order == "sorted" else random.permutation(self.n_train)
            rows.append(np.pad(order, (0, self.per_epoch * setup.batch - self.n_train), constant_values=-1))
        places = np.concatenate(rows).reshape(-1, setup.batch)[: setup.steps + setup.before]
        self.inputs = np.where(places < 0, -1, train[places])
        self.targets = np.where(places < 0, -1, targets[places])
        if setup.fault != "inputs" or task.net == "gru":  # a bad batch with wrong labels, or with wild inputs
            for step in setup.bad:
                real = self.targets[step] >= 0
                self.targets[step, real] = np.random.default_rng(step).permutation(self.targets[step, real])
        self.random = random

    def drawn(self, *, resample: bool) -> NDArray[np.intp]:
        """Return the places among the held samples that this validation takes."""
        return self.random.choice(len(self.rest), self.n_val, replace=False) if resample else np.arange(self.n_val)


def train(task: Task, setups: list[Setup]) -> list[Log]:
    """Train runs of one task, those of like size, optimizer and length together; return their logs in the order given."""

    def kind(i: int) -> tuple[bool, bool]:
        return setups[i].depth > 1 or setups[i].width > 32, setups[i].optimizer == "adam"

    logs: dict[int, Log] = {}
    order = sorted(range(len(setups)), key=lambda i: (kind(i), setups[i].steps))
    for _, alike in groupby(order, kind):
        runs = list(alike)
        for first in range(0, len(runs), TOGETHER):
            several = sorted(runs[first : first + TOGETHER], key=lambda i: list(ACTS).index(setups[i].act))
            logs.update(zip(several, Together(task, [setups[i] for i in several]).logs(), strict=True))
    return [logs[i] for i in range(len(setups))]


def rate(setup: Setup, step: int) -> float:
    """Return the learning rate of a step, counted from before the log begins."""
    t = (step - setup.before) / setup.steps
    factor = 10.0 if t < 0 else SCHEDULES[setup.schedule](min(t, 1.0))
    return 0.0 if setup.fault in RESTS else setup.lr * factor


class Together:
    """Runs of one task, sorted by activation, trained step by step with stacked weights."""

    def __init__(self, task: Task, setups: list[Setup]) -> None:
        self.task, self.setups = task, setups
        self.feeds = [Feed(task, setup) for setup in setups]
        self.width = max(setup.width for setup in setups)
        self.builds = [Build(s.width, s.depth, s.act, s.scale, s.fault == "dead", s.seed) for s in setups]
        self.runs = Runs(self.builds, [setup.dropout for setup in setups], self.width)
        self.shapes = sizes(task, max(setup.depth for setup in setups), self.width)
        self.flat = torch.stack([draw(build, self.shapes) for build in self.builds])
        self.weights = views(self.flat, self.shapes)
        self.slots = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.steps = np.array([setup.steps + setup.before for setup in setups])
        self.inputs, self.targets = (self._padded([getattr(f, name) for f in self.feeds]) for name in ("inputs", "targets"))
        self.decay = self._each(lambda s: s.decay)[:, None]
        self.momentum = self._each(lambda s: 0.9 * (s.optimizer == "momentum"))[:, None]
        self.adam = setups[0].optimizer == "adam"
        self.sign = self._each(lambda s: -1 if s.fault == "sign" else 1)
        self.summed = self._each(lambda s: s.fault == "sum") > 0
        self.poisoned = self._each(lambda s: s.before + s.steps // 2 if s.fault == "poison" else math.inf)
        self.rates = torch.tensor([[rate(s, step) for s in setups] for step in range(self.steps.max())])[..., None]

    def _each(self, of: Callable[[Setup], float]) -> Tensor:
        return torch.tensor([float(of(setup)) for setup in self.setups])

    def _padded(self, feeds: list[NDArray[np.intp]]) -> Tensor:
        made = np.full((len(feeds), self.steps.max(), max(each.shape[1] for each in feeds)), -1)
        for run, each in enumerate(feeds):
            made[run, : len(each), : each.shape[1]] = each
        return torch.from_numpy(made)

    def logs(self) -> list[Log]:
        """Train them all; return what was measured from where each log begins."""
        runs = range(len(self.setups))
        losses = np.full((len(runs), self.steps.max()), math.nan)
        at: list[list[int]] = [[] for _ in runs]
        seen: list[list[tuple[float, float]]] = [[] for _ in runs]
        for step in range(self.steps.max()):
            losses[:, step] = self._step(step)
            ends = [r for r in runs if step < self.steps[r] and (step + 1) % self.feeds[r].per_epoch == 0]
            ends = [r for r in ends if step >= self.setups[r].before]
            for r, found in zip(ends, self._validate(ends) if ends else (), strict=True):
                at[r].append(step + 1 - self.setups[r].before)
                seen[r].append(found)
        return [self._log(r, losses[r], at[r], np.array(seen[r]).reshape(-1, 2)) for r in runs]

    def _log(self, r: int, losses: Values, at: list[int], seen: Values) -> Log:
        feed, first = self.feeds[r], self.setups[r].before
        return Log(losses[first : self.steps[r]], at, seen[:, 0], seen[:, 1], feed.per_epoch, feed.n_train, feed.n_val)

    def _step(self, step: int) -> Values:
        places = self.inputs[:, step]
        real = (places >= 0).float()
        x, y = self.task.inputs[places.clamp(min=0)], self.task.targets[self.targets[:, step].clamp(min=0)]
        for r, setup in enumerate(self.setups):
            if setup.bad and setup.fault == "inputs" and step in setup.bad and self.task.net != "gru":
                x[r] *= 12
        each = self._measure(forward(self.task, self.weights, x, self.runs), y, self.setups)
        many = real.sum(1)
        whole = (each * real).sum(1) / torch.where(self.summed, torch.ones(()), many.clamp(min=1))
        whole = whole * torch.where(self.poisoned <= step, math.nan, 1.0)
        grads = torch.autograd.grad((whole * self.sign).sum(), list(self.weights.values()), allow_unused=True)
        held = [
            (torch.zeros_like(p) if g is None else g).reshape(len(whole), -1)
            for p, g in zip(self.weights.values(), grads, strict=True)
        ]
        self._update(step, torch.cat(held, 1))
        return whole.detach().numpy().astype(float)

    def _measure(self, out: Tensor, y: Tensor, setups: list[Setup]) -> Tensor:
        """Return every sample's loss, (runs, n)."""
        runs, n = y.shape[:2]
        kind = self.task.kind
        if kind == "softmax":
            twice = torch.tensor([s.fault == "twice" for s in setups])[:, None, None]
            logs = F.log_softmax(torch.where(twice, out.softmax(-1), out) if twice.any() else out, -1)
            flat = torch.tensor([s.smoothing for s in setups])[:, None]
            picked = logs.gather(-1, y.reshape(runs, -1, 1))[..., 0]
            return -((1 - flat) * picked + flat * logs.mean(-1)).reshape(runs, n, -1).mean(-1)
        if kind in {"binary", "multilabel"}:
            return F.binary_cross_entropy_with_logits(out, y, reduction="none").mean(-1)
        if kind == "mse":
            return ((out - y) ** 2).mean(-1)
        return 0.5 * (out[..., 1] + (out[..., 0] - y[..., 0]) ** 2 * (-out[..., 1]).exp())

    @torch.no_grad()
    def _update(self, step: int, grad: Tensor) -> None:
        """Take one step of each run's optimizer; a bad batch's gradient is held to a norm of 0.1."""
        for r, setup in enumerate(self.setups):
            if setup.bad and step in setup.bad:
                grad[r] *= (0.1 / grad[r].norm()).clamp(max=1)
        if self.decay.any():
            grad = grad + self.decay * self.flat
        first, second = self.slots
        if not self.adam:
            self.flat.sub_(first.mul_(self.momentum).add_(grad) * self.rates[step])
            return
        first.lerp_(grad, 0.1)
        second.mul_(0.999).addcmul_(grad, grad, value=0.001)
        spread = second.sqrt().mul_((1 - 0.999 ** (step + 1)) ** -0.5).add_(1e-8)
        self.flat.sub_((first / spread).mul_(self.rates[step] / (1 - 0.9 ** (step + 1))))

    @torch.no_grad()
    def _validate(self, runs: list[int]) -> list[tuple[float, float]]:
        """Return the logged and the full validation loss of some runs; of a summed loss, that of a batch."""
        held = torch.from_numpy(np.stack([self.feeds[r].rest for r in runs]))
        x, y = self.task.inputs[held], self.task.targets[held]
        weights = {name: p[runs] for name, p in self.weights.items()}
        out = forward(self.task, weights, x, Runs([self.builds[r] for r in runs], None, self.width))
        setups = [self.setups[r] for r in runs]
        each = self._measure(out, y, setups).numpy().astype(float)
        each *= np.array([s.batch if s.fault == "sum" else 1.0 for s in setups])[:, None]
        return [
            (float(losses[self.feeds[r].drawn(resample=self.setups[r].resample)].mean()), float(losses.mean()))
            for r, losses in zip(runs, each, strict=True)
        ]


@dataclass(frozen=True)
class Best:
    """The best rate found for a task and an optimizer, the loss it begins and ends at, and when half was learned."""

    task: Task
    lr: float
    start: float
    low: float
    half: float


def search(task: Task, steps: int) -> dict[str, Best]:
    """Find each optimizer's best rate on a task, half a decade apart, by control runs without a fault."""
    ranges = {"adam": (1e-3, 1e-1), "sgd": (1e-2, 1.0), "momentum": (10**-2.5, 10**-0.5)}
    setups = [Setup(float(rate), 1, name, steps=steps) for name, ends in ranges.items() for rate in np.geomspace(*ends, 5)]
    trained = list(zip(train(task, setups), setups, strict=True))
    found: dict[str, Best] = {}
    for name in ranges:
        logs = [(log, setup.lr) for log, setup in trained if setup.optimizer == name]
        log, rate = min(logs, key=lambda each: each[0].end if math.isfinite(each[0].end) else math.inf)
        means = log.blocks(40)
        half = float(np.argmax(means <= (means[0] + log.end) / 2)) / 40
        found[name] = Best(task, rate, float(log.train[:3].mean()), log.end, half)
    return found
