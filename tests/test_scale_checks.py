"""What the checks of initialization, gradients and numbers say of networks beyond their own examples."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from lossdoc import specimens, tracing
from lossdoc.checks._signal import strikes
from lossdoc.findings import Severity
from lossdoc.parts.optimizers import Adam
from lossdoc.rule import checks
from lossdoc.signals import signals
from lossdoc.specimens import OwnLoss
from lossdoc.subject import Batch

torch.set_num_threads(1)
BY_NAME = {each.name: each for each in checks.all()}


class Functional(nn.Module):
    """Calls its activations as functions; its sigmoid is a gate, its softmax attention."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.last = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, inputs: Any) -> Any:
        hidden = functional.relu(self.first(inputs)) * torch.sigmoid(self.gate(inputs))
        return self.last(torch.tanh(hidden + (hidden @ hidden.T).softmax(-1) @ hidden))


def test_activations_are_seen_however_they_are_called_and_gates_are_told_apart() -> None:
    trace = tracing.followed(Functional(), Batch(torch.randn(6, 8), torch.zeros(6)))
    names = [call.name for call in trace.calls]
    assert {"relu", "sigmoid", "tanh", "softmax"} <= set(names)
    assert [names[at] for at in trace.hidden_activations()] == ["tanh"]
    assert [call.place for call in trace.calls if call.weight is not None] == ["first", "gate", "last"]


def test_a_linear_network_carries_gradients_as_its_matrices_do() -> None:
    layers = [nn.Linear(8, 8, bias=False) for _ in range(3)]
    for factor, layer in zip((2.0, 3.0, 5.0), layers, strict=True):
        nn.init.orthogonal_(layer.weight, factor)
    subject = specimens.healthy(build=lambda _seed: nn.Sequential(*layers, nn.Linear(8, 4)))
    network = signals(subject).networks[0]
    assert [layer.back for layer in network.layers[:3]] == pytest.approx([15.0, 5.0, 1.0], rel=1e-4)
    assert network.forward == pytest.approx(30.0, rel=1e-4)


@pytest.mark.parametrize(
    ("hit", "networks", "strong"), [(3, 20, False), (4, 20, True), (6, 60, False), (7, 60, True), (0, 5, False)]
)
def test_a_share_is_proven_by_the_exact_binomial_test(hit: Any, networks: Any, strong: Any) -> None:
    assert strikes(hit, networks) is strong


def half(model: Any) -> Any:
    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = model

        def forward(self, inputs: Any) -> Any:
            return (self.body(inputs).half() * 60_000 * 60_000).float()

    return Halved()


def over_deviation(outputs: Any, targets: Any) -> Any:
    same = torch.zeros_like(outputs)
    return ((outputs - same) / same.std(0)).mean() + 0 * targets.sum()


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (lambda: specimens.healthy(loss=OwnLoss(specimens.log_of_zero)), ["`log`", "the logarithm of"]),
        (
            lambda: specimens.healthy(loss=OwnLoss(lambda outputs, _: (1000 * outputs).exp().mean())),
            ["`exp`", "over the largest"],
        ),
        (lambda: specimens.healthy(loss=OwnLoss(over_deviation)), ["division by 0"]),
        (lambda: specimens.healthy(build=specimens.changed(specimens.mlp(), half)), ["float16"]),
        (lambda: specimens.healthy(build=specimens.scaled(specimens.mlp(), 1e30)), ["in 2"]),
        (lambda: specimens.healthy(loss=OwnLoss(specimens.root_at_zero)), ["backward pass of `sqrt`"]),
    ],
    ids=["log", "exp", "deviation", "half", "layer", "backward"],
)
def test_where_the_first_bad_number_is_born(subject: Any, words: Any) -> None:
    evidence = BY_NAME["non-finite"].fires(subject())
    assert evidence is not None
    assert all(word in evidence.summary for word in words), evidence.summary


@pytest.mark.parametrize(("eps", "severity"), [(1e-8, None), (1e-7, None), (1e-16, Severity.ERROR), (1e-40, Severity.ERROR)])
def test_the_epsilon_of_adam(eps: Any, severity: Any) -> None:
    check = BY_NAME["epsilon"]
    evidence = check.fires(specimens.with_recipe(specimens.healthy(), optimizer=Adam(lr=1e-3, eps=eps)))
    assert (None if evidence is None else check.finding(evidence).severity) == severity


@pytest.mark.parametrize(
    ("name", "build", "severity"),
    [
        (
            "vanishing-gradients",
            specimens.refilled(specimens.mlp(hidden=5, depth=12, activation="Sigmoid"), 2.0),
            Severity.ERROR,
        ),
        ("vanishing-activations", specimens.refilled(specimens.mlp(hidden=5, depth=8), 0.004), Severity.ERROR),
        ("exploding-gradients", specimens.refilled(specimens.exponential(hidden=5, depth=8), 2.0), Severity.ERROR),
        ("exploding-activations", specimens.scaled(specimens.mlp(depth=8), 30.0), Severity.ERROR),
        ("dead-relu", specimens.refilled(specimens.mlp(hidden=3, depth=12), 2.0), Severity.ERROR),
        ("saturated-units", specimens.softmaxed(specimens.mlp(hidden=256)), Severity.ERROR),
        ("saturated-units", specimens.softmaxed(specimens.mlp(depth=2)), Severity.WARNING),
        ("saturated-units", specimens.scaled(specimens.mlp(depth=2, activation="Tanh"), 30.0), Severity.WARNING),
    ],
)
def test_how_grave_it_is(name: Any, build: Any, severity: Any) -> None:
    evidence = BY_NAME[name].fires(specimens.healthy(build=build))
    assert evidence is not None
    assert BY_NAME[name].finding(evidence).severity is severity
