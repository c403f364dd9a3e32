"""Fifteen broken training steps of users' own: `sanity` names each, and raises no error on its healthy twin."""

from __future__ import annotations

import copy
import random
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.utils.checkpoint import checkpoint

from lossdoc import specimens
from lossdoc.findings import Finding, Severity
from lossdoc.parts.optimizers import Adam, Momentum, Sgd
from lossdoc.parts.schedules import Cosine
from lossdoc.rule import Rule, checks, examine
from lossdoc.subject import Subject

torch.set_num_threads(1)
SANITY: list[Rule[Subject]] = [each for each in checks.all() if each.matter == "Subject"]
SEEDS = range(5)


class Net(nn.Module):
    """A body with batch normalization and dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(specimens.FEATURES, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(24, specimens.CLASSES)

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.head(self.body(inputs))


def made(step: Callable[..., Any], seed: int) -> Subject:
    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Net()

    optimizer = (Sgd(lr=0.1), Adam(lr=3e-3), Momentum(lr=0.03))[seed % 3]
    subject = specimens.with_step(step, specimens.healthy(build=build, seed=seed))
    return specimens.with_recipe(subject, optimizer=optimizer, schedule=Cosine())


def ordinary(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def no_zero_grad(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def zero_grad_of_the_model(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    model.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def no_step(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    return loss.item()


def wrong_sign(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    (-loss).backward()
    optimizer.step()
    return loss.item()


def maximized_likelihood(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    likelihood: Any = model(inputs).log_softmax(-1).gather(1, targets[:, None]).mean()
    (-likelihood).backward()
    optimizer.step()
    return -likelihood.item()


def detached_loss(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs).detach(), targets).requires_grad_()
    loss.backward()
    optimizer.step()
    return loss.item()


def new_tensor_of_the_loss(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = torch.tensor(cross_entropy(model(inputs), targets).item(), requires_grad=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def refused_loss(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs).detach(), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def detached_for_the_log(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    outputs = model(inputs)
    loss: Any = cross_entropy(outputs, targets)
    loss.backward()
    optimizer.step()
    assert 0 <= (outputs.detach().argmax(-1) == targets).float().mean() <= 1
    with torch.no_grad():
        model(inputs)
    return loss.detach()


def eval_left_on(model: Any, batch: Any, optimizer: Any) -> Any:
    model.eval()
    return ordinary(model, batch, optimizer)


def eval_for_the_log(model: Any, batch: Any, optimizer: Any) -> Any:
    loss = ordinary(model, batch, optimizer)
    model.eval()
    with torch.no_grad():
        model(batch[0])
    model.train()
    return loss


def summed(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets, reduction="sum")
    loss.backward()
    optimizer.step()
    return loss.item()


def averaged(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets, reduction="sum") / len(targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def scheduler_first(model: Any, batch: Any, optimizer: Any, scheduler: Any) -> Any:
    scheduler.step()
    return ordinary(model, batch, optimizer)


def scheduler_for_each_sample(model: Any, batch: Any, optimizer: Any, scheduler: Any) -> Any:
    loss = ordinary(model, batch, optimizer)
    for _ in batch[1]:
        scheduler.step()
    return loss


def scheduler_once_an_epoch(model: Any, batch: Any, optimizer: Any, scheduler: Any, epoch: int) -> Any:
    loss = ordinary(model, batch, optimizer)
    if getattr(model, "epoch", 0) != epoch:
        model.epoch = epoch
        scheduler.step()
    return loss


SCHEDULERS: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def epochs_counted_in_batches(model: Any, batch: Any, optimizer: Any) -> Any:
    """Divide the rate by ten every second batch, where every second epoch is meant."""
    if optimizer not in SCHEDULERS:
        SCHEDULERS[optimizer] = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    loss = ordinary(model, batch, optimizer)
    SCHEDULERS[optimizer].step()
    return loss


def scheduled(model: Any, batch: Any, optimizer: Any, scheduler: Any) -> Any:
    loss = ordinary(model, batch, optimizer)
    scheduler.step()
    return loss


def clip_first(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    clip_grad_norm_(model.parameters(), 1.0)
    loss.backward()
    optimizer.step()
    return loss.item()


def clipped(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def frozen_body(model: Any, batch: Any, optimizer: Any) -> Any:
    for each in model.body.parameters():
        each.requires_grad = False
    return ordinary(model, batch, optimizer)


def body_without_gradient(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    with torch.no_grad():
        features = model.body(inputs)
    loss: Any = cross_entropy(model.head(features), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def thawed_body(model: Any, batch: Any, optimizer: Any) -> Any:
    for each in model.body.parameters():
        each.requires_grad = True
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model.head(model.body(inputs)), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def new_head(model: Any, batch: Any, optimizer: Any) -> Any:
    if not hasattr(model, "replaced"):
        model.head = nn.Linear(24, specimens.CLASSES)
        model.replaced = True
    return ordinary(model, batch, optimizer)


def new_head_and_group(model: Any, batch: Any, optimizer: Any) -> Any:
    if not hasattr(model, "replaced"):
        model.head = nn.Linear(24, specimens.CLASSES)
        model.replaced = True
        optimizer.add_param_group({"params": list(model.head.parameters())})
    return ordinary(model, batch, optimizer)


def shuffled_apart(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    return ordinary(model, (inputs, targets[torch.randperm(len(targets))]), optimizer)


def rolled_apart(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    return ordinary(model, (inputs, targets.roll(1)), optimizer)


def shuffled_together(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    order = torch.randperm(len(targets))
    return ordinary(model, (inputs[order], targets[order]), optimizer)


def mixed_up(model: Any, batch: Any, optimizer: Any) -> Any:
    """Mix pairs of samples and their labels (Zhang et al. 2018)."""
    inputs, targets = batch
    order, share = torch.randperm(len(targets)), 0.7
    optimizer.zero_grad()
    outputs = model(share * inputs + (1 - share) * inputs[order])
    loss: Any = share * cross_entropy(outputs, targets) + (1 - share) * cross_entropy(outputs, targets[order])
    loss.backward()
    optimizer.step()
    return loss.item()


def softmax_first(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = cross_entropy(model(inputs).softmax(-1), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def log_softmax_first(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = nn.functional.nll_loss(model(inputs).log_softmax(-1), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def argmax_in_the_loss(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = (model(inputs).argmax(-1) - targets).float().square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def argmax_given_a_gradient(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    loss: Any = (model(inputs).argmax(-1) != targets).float().mean().requires_grad_()
    loss.backward()
    optimizer.step()
    return loss.item()


def half(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.float16):
        loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def scaled_half(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.float16):
        loss: Any = cross_entropy(model(inputs), targets)
    (1024 * loss).backward()
    for each in model.parameters():
        each.grad /= 1024
    optimizer.step()
    return loss.item()


def bfloat(model: Any, batch: Any, optimizer: Any) -> Any:
    inputs, targets = batch
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss: Any = cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def gathered_over_steps(model: Any, batch: Any, optimizer: Any, step: int) -> Any:
    return gathered(model, batch, optimizer, step, 1)


def averaged_over_steps(model: Any, batch: Any, optimizer: Any, step: int) -> Any:
    return gathered(model, batch, optimizer, step, 4)


def gathered(model: Any, batch: Any, optimizer: Any, step: int, divisor: int) -> Any:
    inputs, targets = batch
    loss: Any = cross_entropy(model(inputs), targets)
    (loss / divisor).backward()
    if step % 4 == 3:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def summed_parts(model: Any, batch: Any, optimizer: Any) -> Any:
    return parts(model, batch, optimizer, 1)


def averaged_parts(model: Any, batch: Any, optimizer: Any) -> Any:
    return parts(model, batch, optimizer, 2)


def parts(model: Any, batch: Any, optimizer: Any, divisor: int) -> Any:
    optimizer.zero_grad()
    total = 0.0
    for inputs, targets in zip(*(each.chunk(2) for each in batch), strict=True):
        loss: Any = cross_entropy(model(inputs), targets)
        (loss / divisor).backward()
        total += loss.item() / 2
    optimizer.step()
    return total


BROKEN: list[tuple[Callable[..., Any], str]] = [
    (no_zero_grad, "accumulating-gradients"),
    (no_step, "no-update"),
    (wrong_sign, "wrong-sign"),
    (detached_loss, "detached-loss"),
    (new_tensor_of_the_loss, "detached-loss"),
    (refused_loss, "detached-loss"),
    (eval_left_on, "wrong-mode"),
    (summed, "summed-loss"),
    (scheduler_first, "misplaced-scheduler"),
    (scheduler_for_each_sample, "misplaced-scheduler"),
    (scheduler_once_an_epoch, "misplaced-scheduler"),
    (epochs_counted_in_batches, "misplaced-scheduler"),
    (clip_first, "wrong-gradient"),
    (frozen_body, "frozen-parameters"),
    (body_without_gradient, "detached-loss"),
    (new_head, "not-in-optimizer"),
    (shuffled_apart, "bad-labels"),
    (rolled_apart, "bad-labels"),
    (softmax_first, "double-softmax"),
    (argmax_in_the_loss, "detached-loss"),
    (argmax_given_a_gradient, "detached-loss"),
    (half, "wrong-gradient"),
    (gathered_over_steps, "accumulating-gradients"),
    (summed_parts, "accumulating-gradients"),
]
HEALTHY = [
    ordinary, zero_grad_of_the_model, maximized_likelihood, detached_for_the_log, eval_for_the_log, averaged, scheduled,
    clipped, thawed_body, new_head_and_group, shuffled_together, mixed_up, log_softmax_first, scaled_half, bfloat,
    averaged_over_steps, averaged_parts,
]  # fmt: skip


BY_NAME = {each.name: each for each in SANITY}
STEPS = [each for each in SANITY if each.code.startswith("LS5") or each.name in {name for _, name in BROKEN}]


def serious(step: Callable[..., Any], seed: int, rules: list[Rule[Subject]]) -> list[Finding]:
    found = examine("sanity", made(step, seed), rules).findings
    return [each for each in found if each.severity.reaches(Severity.WARNING)]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("step", "name"), BROKEN, ids=[step.__name__ for step, _ in BROKEN])
def test_a_broken_step_is_named(step: Any, name: str, seed: int) -> None:
    """By all of sanity for the first seed, so that nothing explains it away; by its check alone for the others."""
    assert name in [each.name for each in serious(step, seed, [BY_NAME[name]] if seed else SANITY)]


@pytest.mark.parametrize("seed", SEEDS[:3])
@pytest.mark.parametrize("step", HEALTHY, ids=lambda step: step.__name__)
def test_a_sound_step_raises_no_alarm(step: Any, seed: int) -> None:
    """By all of sanity for the first seed, by the checks that look at steps for the others."""
    assert serious(step, seed, STEPS if seed else SANITY) == []


def drawn_by_numpy() -> list[int]:
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - the generator that users' code draws from
    return [*state["state"]["key"].tolist(), state["state"]["pos"]]


def test_no_probe_of_a_step_leaves_a_trace() -> None:
    kept = Net().eval()
    kept.head.train()
    before = {name: each.clone() for name, each in kept.state_dict().items()}
    modes = [each.training for each in kept.modules()]
    luck = torch.get_rng_state(), random.getstate(), drawn_by_numpy()
    subject = replace(made(shuffled_together, 0), build=lambda _seed: kept)
    examine("sanity", subject, STEPS)
    assert all(torch.equal(each, before[name]) for name, each in kept.state_dict().items())
    assert [each.training for each in kept.modules()] == modes
    assert all(each.grad is None and each.requires_grad for each in kept.parameters())
    assert kept.body[3].p == 0.2
    assert not any(each._forward_pre_hooks for each in kept.modules())
    assert torch.equal(torch.get_rng_state(), luck[0])
    assert random.getstate() == luck[1]
    assert drawn_by_numpy() == luck[2]
    assert torch.get_default_dtype() == torch.float32
    assert sys.getprofile() is None
    assert copy.copy(vars(subject)["_shelf"]) == {}  # what was measured does not travel to other processes


class Round(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, given: Any) -> Any:
        return given.round()

    @staticmethod
    def backward(_ctx: Any, slope: Any) -> Any:
        return slope


def rounded(_module: Any, values: Any) -> Any:
    apply: Any = Round.apply
    return apply(values)


def through(function: Callable[[Any, Any], Any]) -> Subject:
    return specimens.healthy(build=specimens.with_function(specimens.mlp(), function))


@pytest.mark.parametrize(
    ("subject", "severity"),
    [
        (through(rounded), Severity.NOTE),
        (through(lambda _, values: values + (values.round() - values).detach()), Severity.NOTE),
        (through(lambda _, values: values * values.detach()), Severity.NOTE),
        (through(lambda _, values: checkpoint(torch.tanh, values, use_reentrant=False)), None),
        (through(lambda _, values: values + torch.randn_like(values)), None),
    ],
)
def test_gradients_that_are_meant_are_no_error(subject: Subject, severity: Severity | None) -> None:
    evidence = BY_NAME["wrong-gradient"].fires(subject)
    assert (None if evidence is None else evidence.severity) is severity
