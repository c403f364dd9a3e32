"""The tasks, networks and faults of the labelled runs, and the loop that trains one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the name torch's own documentation uses)

DATA = Path(__file__).parents[1] / "lossdoc" / "datasets"
TEXT = (
    "the doctor reads the curve and the curve tells the doctor what the model will not say. a loss that falls and then lies "
    "still has learned what it can; a loss that climbs was pushed the wrong way; a loss that leaps was pushed too hard. "
    "patience is a remedy, more data is a better one, and a smaller step is often enough. "
) * 6
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A data set with a loss; `base` is the loss of having learned nothing, `classes` None unless one class is predicted."""

    name: str
    split: str
    kind: str
    inputs: Tensor
    targets: Tensor
    outputs: int
    base: float
    n_train: int
    classes: int | None = None
    net: str = "mlp"


@dataclass(frozen=True)
class Setup:
    """How one run is trained and logged, its injected faults included."""

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
    axis: str = "step"
    every: int = 1
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


@dataclass(frozen=True)
class Best:
    """The best rate found for a task and an optimizer, the loss it begins and ends at, and when half was learned."""

    task: Task
    lr: float
    start: float
    low: float
    half: float


def tasks() -> list[Task]:
    """Make the tasks."""
    draw = np.random.default_rng(7)

    def task(name: str, split: str, kind: str, data: tuple[Any, Any], outputs: int, **more: Any) -> Task:
        x, y = data
        x = torch.tensor(np.asarray(x, np.float32))
        y = torch.tensor(np.asarray(y, np.int64 if kind == "softmax" else np.float32))
        base = {"softmax": math.log(max(outputs, 2)), "binary": math.log(2), "multilabel": math.log(2)}.get(kind, 1.0)
        classes = outputs if kind == "softmax" else 2 if kind == "binary" else None
        more.setdefault("n_train", min(400, int(0.6 * len(x))))
        return Task(name, split, kind, x, y, outputs, base, classes=classes, **more)

    def packed(name: str) -> tuple[Values, Any]:
        held = np.load(DATA / f"{name}.npz")
        x = held["inputs"].reshape(len(held["inputs"]), -1).astype(float)
        return (x - x.mean(0)) / (x.std(0) + 1e-3), held["targets"]

    digits, wine, iris = packed("digits"), packed("wine"), packed("iris")
    label = draw.integers(0, 5, 900)
    blobs = draw.normal(0, 1, (5, 6))[label] * 1.6 + draw.normal(0, 1, (900, 6))
    x1 = draw.uniform(-2, 2, (900, 1))
    turn, side = draw.uniform(0.5, 3, 900), draw.integers(0, 2, 900)
    angle = 1.6 * turn + math.pi * side
    spiral = np.c_[turn * np.cos(angle), turn * np.sin(angle)] / 1.5 + draw.normal(0, 0.06, (900, 2))
    five = draw.uniform(0, 1, (900, 5))
    friedman = 10 * np.sin(np.pi * five[:, 0] * five[:, 1]) + 20 * (five[:, 2] - 0.5) ** 2 + 10 * five[:, 3] + 5 * five[:, 4]
    friedman = (friedman - friedman.mean()) / friedman.std() + draw.normal(0, 0.15, 900)
    flat = draw.normal(0, 1, (1200, 2))
    ring = np.digitize(np.hypot(*flat.T), [0.76, 1.18, 1.67])
    many = draw.normal(0, 1, (900, 10))
    tags = (many @ draw.normal(0, 1, (10, 6)) + draw.normal(0, 0.3, (900, 6)) > 0).astype(float)
    letters = sorted(set(TEXT))
    code = np.array([letters.index(letter) for letter in TEXT])
    windows = np.lib.stride_tricks.sliding_window_view(code, 13)[::2]
    small = {"n_train": 90}
    return [
        task("digits", "dev", "softmax", digits, 10),
        task("wine", "dev", "softmax", wine, 3, **small),
        task("blobs", "dev", "softmax", (blobs, label), 5),
        task("sine", "dev", "mse", (x1, np.sqrt(2) * np.sin(3 * x1[:, 0]) + draw.normal(0, 0.2, 900)), 1),
        task("spirals", "dev", "binary", (spiral * 1.2, side), 1),
        task("iris", "dev", "softmax", iris, 3, **small),
        task("digits_cnn", "test", "softmax", (digits[0].reshape(-1, 1, 8, 8), digits[1]), 10, net="cnn"),
        task("chars", "test", "softmax", (windows[:, :-1], windows[:, 1:]), len(letters), net="gru"),
        task("friedman", "test", "mse", (five * 3.4 - 1.7, friedman), 1),
        task("rings", "test", "softmax", (flat, ring), 4),
        task("tags", "test", "multilabel", (many, tags), 6),
        task("friedman_nll", "test", "nll", (five * 3.4 - 1.7, friedman), 2),
    ]


class Chars(nn.Module):
    """A character model: embedding, GRU, linear."""

    def __init__(self, letters: int, width: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(letters, 16), nn.Linear(width, letters)
        self.cell = nn.GRU(16, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, t) letters to (n, letters, t) logits."""
        logits: Tensor = self.head(self.cell(self.embed(x.long()))[0])
        return logits.transpose(1, 2)


def network(task: Task, setup: Setup) -> nn.Module:
    """Build the network, its weights multiplied by `scale`."""
    torch.manual_seed(setup.seed)
    act: type[nn.Module] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[setup.act]
    if task.net == "gru":
        net: nn.Module = Chars(task.outputs, setup.width)
    else:
        layers: list[nn.Module] = []
        size = task.inputs[0].numel()
        if task.net == "cnn":
            layers += [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
            size = 8 * 16
        for _ in range(setup.depth):
            layers += [nn.Linear(size, setup.width), act(), nn.Dropout(setup.dropout)]
            size = setup.width
        net = nn.Sequential(*layers, nn.Linear(size, task.outputs, bias=setup.fault != "dead"))
    with torch.no_grad():
        for name, each in net.named_parameters():
            if each.ndim > 1:
                each.mul_(setup.scale)
            elif setup.fault == "dead" and name.endswith("bias"):
                each.fill_(-100.0)
    return net


def measure(task: Task, setup: Setup, out: Tensor, y: Tensor) -> Tensor:
    """Return the loss of outputs."""
    if task.kind == "softmax":
        out = out.softmax(1) if setup.fault == "twice" else out
        loss = F.cross_entropy(out, y, label_smoothing=setup.smoothing)
    elif task.kind in {"binary", "multilabel"}:
        loss = F.binary_cross_entropy_with_logits(out.reshape(y.shape), y)
    elif task.kind == "mse":
        loss = F.mse_loss(out[:, 0], y)
    else:
        loss = (0.5 * (out[:, 1] + (out[:, 0] - y) ** 2 * (-out[:, 1]).exp())).mean()
    return loss * len(y) if setup.fault == "sum" else loss


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "warm-up": lambda t: min(1.0, t / 0.08 + 0.01),
    "step-decay": lambda t: 0.1 ** (int(t / 0.4)),
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t)) + 1e-3,
    "restarts": lambda t: 0.5 * (1 + math.cos(math.pi * ((t * 4) % 1))) + 1e-3,
    "one-cycle": lambda t: min(t / 0.3, (1 - t) / 0.7) + 1e-2,
}


def optimizer(net: nn.Module, setup: Setup) -> torch.optim.Optimizer:
    """Return the optimizer; one that holds other parameters where that is the fault."""
    held = (nn.Linear(2, 2) if setup.fault == "stale" else net).parameters()
    if setup.optimizer == "adam":
        return torch.optim.Adam(held, setup.lr, weight_decay=setup.decay, fused=True)
    momentum = 0.9 if setup.optimizer == "momentum" else 0.0
    return torch.optim.SGD(held, setup.lr, momentum=momentum, weight_decay=setup.decay, fused=True)


def train(task: Task, setup: Setup) -> Log:
    """Train one run."""
    draw = np.random.default_rng(setup.seed)
    mixed = draw.permutation(len(task.inputs))
    n_train = min(setup.n_train or task.n_train, task.n_train)
    rest = mixed[task.n_train : task.n_train + 300]
    n_val = min(setup.n_val or len(rest), len(rest))
    x, y = task.inputs[mixed[:n_train]], task.targets[mixed[:n_train]].clone()
    wrong = torch.as_tensor(draw.random(n_train) < setup.label_noise)
    y[wrong] = y[torch.as_tensor(draw.permutation(n_train))][wrong]
    per_epoch = math.ceil(n_train / setup.batch)
    net = network(task, setup)
    opt = optimizer(net, setup)
    losses, at, val, full = [], [], [], []
    order = np.argsort(y.reshape(n_train, -1)[:, 0].numpy(), kind="stable")
    for step in range(setup.steps):
        if step % per_epoch == 0 and setup.order != "sorted":
            order = draw.permutation(n_train)
        chosen = order[(step % per_epoch) * setup.batch :][: setup.batch]
        losses.append(move((task, setup), net, opt, (x[chosen], y[chosen]), step))
        if (step + 1) % per_epoch == 0:
            at.append(step + 1)
            here = draw.choice(rest, n_val, replace=False) if setup.resample else rest[:n_val]
            full.append(validate(task, setup, net, rest))
            val.append(validate(task, setup, net, here))
    return Log(np.array(losses), at, np.array(val), np.array(full), per_epoch, n_train, n_val)


def move(
    run: tuple[Task, Setup], net: nn.Module, opt: torch.optim.Optimizer, batch: tuple[Tensor, Tensor], step: int
) -> float:
    """Take one training step, with whatever is wrong in it; return the loss before it."""
    (task, setup), (a, b) = run, batch
    if step in setup.bad and (task.net == "gru" or setup.fault == "labels"):
        b = b[torch.as_tensor(np.random.default_rng(step).permutation(len(b)))]
    elif step in setup.bad:
        a = 12 * a
    if setup.fault == "poison" and step >= setup.steps // 2:
        a = a.clone().float()
        a.view(-1)[0] = math.nan
    for group in opt.param_groups:
        group["lr"] = setup.lr * SCHEDULES[setup.schedule](step / setup.steps)
    opt.zero_grad()
    out = net(a)
    loss = measure(task, setup, out.detach().requires_grad_() if setup.fault == "detached" else out, b)
    (-loss if setup.fault == "sign" else loss).backward()
    if step in setup.bad:
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
    if setup.fault != "no-step":
        opt.step()
    return loss.item()


def validate(task: Task, setup: Setup, net: nn.Module, chosen: NDArray[np.intp]) -> float:
    """Return the loss of chosen samples in evaluation mode; of a summed loss, that of a batch."""
    net.eval()
    with torch.no_grad():
        loss = measure(task, setup, net(task.inputs[chosen]), task.targets[chosen]).item()
    net.train()
    return loss / len(chosen) * setup.batch if setup.fault == "sum" else loss


def search(task: Task, name: str, steps: int) -> Best:
    """Find the best rate of an optimizer on a task, half a decade apart."""
    rates = np.geomspace(1e-3, 1e-1, 5) if name == "adam" else np.geomspace(1e-2, 1, 5)
    logs = [(train(task, Setup(float(rate), 1, name, steps=steps)), float(rate)) for rate in rates]
    log, rate = min(logs, key=lambda each: each[0].end if math.isfinite(each[0].end) else math.inf)
    means = log.blocks(40)
    half = float(np.argmax(means <= (means[0] + log.end) / 2)) / 40
    return Best(task, rate, float(log.train[:3].mean()), log.end, half)
