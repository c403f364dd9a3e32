"""What the user keeps is as it was after all checks: model, optimizer, data, random numbers and torch's own settings."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import lossdoc

FEATURES, CLASSES, SAMPLES = 16, 3, 96


class Recurrent(nn.Module):
    """A recurrent network that keeps a count of its calls in a buffer, and its own memory of the last inputs."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, CLASSES)
        self.register_buffer("calls", torch.zeros(()))
        self.last: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        self.last = inputs
        scores: Tensor = self.head(self.body(inputs.reshape(len(inputs), 4, 4))[0][:, -1])
        return scores


def dense() -> nn.Module:
    model = nn.Sequential(
        nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(16, CLASSES)
    )
    model[0].bias.requires_grad_(False)
    model[1].eval()  # modes that differ from module to module
    return model


def convolution() -> nn.Module:
    layers = (nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, CLASSES))
    return nn.Sequential(*layers).eval()


def normalized() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Linear(FEATURES, 16)), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, CLASSES))


def own_step(model: Any, batch: Any, optimizer: Any) -> Tensor:
    """Train in a way that touches everything: the mode, the inputs in place, Python's and numpy's random numbers."""
    model.train()
    inputs, labels = batch
    inputs.add_(random.gauss(0, 1e-3) + np.random.normal(0, 1e-3))  # noqa: NPY002 - as users' code does
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss


def tensors(parts: Any) -> Any:
    """Return something with its tensors as lists of numbers, to be compared with `==`."""
    if isinstance(parts, Tensor):
        return parts.detach().clone().tolist()
    if isinstance(parts, dict):
        return {str(name): tensors(each) for name, each in parts.items()}
    return [tensors(each) for each in parts] if isinstance(parts, (list, tuple)) else parts


def hooks(module: nn.Module) -> list[int]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [len(getattr(module, kind)) for kind in kinds]


def look(model: nn.Module, optimizer: torch.optim.Optimizer, data: list[Any]) -> dict[str, Any]:
    """Return all that may not change, by what it is called."""
    numpys: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - the generator that users' code draws from
    return {
        "weights and buffers": tensors(model.state_dict()),
        "gradients": [tensors(each.grad) for each in model.parameters()],
        "objects": [id(each) for each in model.parameters()],
        "frozen": [each.requires_grad for each in model.parameters()],
        "modes": [each.training for each in model.modules()],
        "hooks": [hooks(each) for each in model.modules()],
        "settings": [(each.p, each.inplace) for each in model.modules() if isinstance(each, nn.Dropout)],
        "memory": tensors(getattr(model, "last", None)),
        "optimizer": tensors(copy.deepcopy(optimizer.state_dict())),
        "held": [[id(each) for each in group["params"]] for group in optimizer.param_groups],
        "data": tensors(data),
        "torch's random numbers": torch.get_rng_state().tolist(),
        "Python's random numbers": random.getstate(),
        "numpy's random numbers": [*numpys["state"]["key"].tolist(), numpys["state"]["pos"]],
        "torch's settings": (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()),
        "determinism": torch.are_deterministic_algorithms_enabled(),
        "profiler": sys.getprofile(),
    }


@pytest.mark.parametrize("step", [None, own_step], ids=["pure", "own"])
@pytest.mark.parametrize("make", [dense, convolution, Recurrent, normalized])
def test_all_checks_together_leave_no_trace(make: Callable[[], nn.Module], step: Any) -> None:
    torch.manual_seed(3)
    model = make()
    inputs = torch.randn(SAMPLES, FEATURES)
    labels = inputs[:, :CLASSES].argmax(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    modes = [each.training for each in model.modules()]
    own_step(model, (inputs[:16].clone(), labels[:16]), optimizer)  # so that there are gradients and momenta
    for each, mode in zip(model.modules(), modes, strict=True):
        each.training = mode
    before = look(model, optimizer, [inputs, labels])
    given = {} if step is None else {"step": step}
    report = lossdoc.check(model, (inputs, labels), nn.CrossEntropyLoss(), optimizer=optimizer, batch_size=16, **given)
    after = look(model, optimizer, [inputs, labels])
    assert [name for name, each in before.items() if after[name] != each] == []
    assert len(report.passed) > 15
