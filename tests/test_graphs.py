"""A model's own forward, followed to a graph of known layers, trains like the model alone; what cannot be is refused."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lossdoc.parts.losses import Mse
from lossdoc.stack import Joined, UnstackableError
from lossdoc.stacking.known import KnownStack, make
from lossdoc.stacking.known.functions import MODULES
from lossdoc.stacking.known.graphs import Graph
from tests.test_known import CLASSES, agree, images, numbers, points

Forward = Callable[[Any, Tensor], Tensor]


class Own(nn.Module):
    """Modules by name, and a forward of one's own."""

    def __init__(self, forward: Forward, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.way = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


class Residual(nn.Module):
    """The block that everybody writes, with one activation for both places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norm, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.two(self.relu(self.norm(self.one(x)))))
        out += x
        return self.relu(out)  # type: ignore[no-any-return]


def states(net: Any, x: Tensor) -> Tensor:
    out, _ = net.a(x.reshape(-1, 4, 3))
    return net.b(out[:, -1])  # type: ignore[no-any-return]


def branches(net: Any, x: Tensor) -> Tensor:
    x = net.a(x)
    y = torch.tanh(x)
    z = net.b(y) + functional.relu(x)
    return net.c(z + y.mul(0.5)) / 2 - 1  # type: ignore[no-any-return]


def linear(size: int, made: int = CLASSES) -> Callable[[], nn.Module]:
    return lambda: nn.Linear(size, made)


def own(forward: Forward, kind: type[Own] = Own, **modules: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: kind(forward, **{name: make() for name, make in modules.items()})


inner = own(lambda net, x: net.a(x).exp(), a=linear(4, 4))
NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "functions": (own(lambda net, x: net.b(functional.gelu(net.a(x))), a=linear(5, 8), b=linear(8)), images(5)),
    "a list": (
        own(
            lambda net, x: net.b(nn.functional.leaky_relu(net.a[1](net.a[0](x).sigmoid()), 0.2)),
            a=lambda: nn.ModuleList([nn.Linear(5, 4), nn.Linear(4, 6)]), b=linear(6),
        ),
        images(5),
    ),
    "inside a list of layers": (
        lambda: nn.Sequential(nn.Linear(5, 4), inner(), nn.Dropout(0.2), nn.Linear(4, CLASSES)), images(5),
    ),
    "images": (
        own(
            lambda net, x: net.b(torch.flatten(functional.max_pool2d(functional.relu(net.a(x)), 2), 1)),
            a=lambda: nn.Conv2d(2, 3, 3, padding=1), b=linear(12),
        ),
        images(2, 4, 4),
    ),
    "residual": (
        own(
            lambda net, x: net.c(net.b(torch.relu(net.a(x / 2))).mean((2, 3))),
            a=lambda: nn.Conv2d(1, 4, 3), b=lambda: nn.Sequential(Residual(4), Residual(4)), c=linear(4),
        ),
        images(1, 6, 6),
    ),
    "branches": (own(branches, a=linear(5, 8), b=linear(8, 8), c=linear(8)), images(5)),
    "gru": (own(states, a=lambda: nn.GRU(3, 5, batch_first=True), b=linear(5)), images(12)),
    "lstm": (own(states, a=lambda: nn.LSTM(3, 5, batch_first=True), b=linear(5)), images(12)),
    "gru's last": (
        own(lambda net, x: net.b(net.a(x)[1][-1]), a=lambda: nn.GRU(3, 5, batch_first=True), b=linear(5)), images(4, 3),
    ),
    "lstm's last": (
        own(
            lambda net, x: net.b(torch.relu(net.a(x)[1][0].squeeze(0))),
            a=lambda: nn.LSTM(3, 5, batch_first=True), b=linear(5),
        ),
        images(4, 3),
    ),
    "views": (
        own(
            lambda net, x: net.b(net.a(x.transpose(1, 2)).permute(0, 2, 1).mean(-1).view(x.size(0), -1).contiguous()),
            a=lambda: nn.Conv1d(3, 4, 2), b=linear(6),
        ),
        images(7, 3),
    ),
    "dropout twice": (
        own(
            lambda net, x: net.c(net.d(net.b(net.d(net.a(x))))),
            a=linear(5, 8), b=linear(8, 8), c=linear(8), d=lambda: nn.Dropout(0.3),
        ),
        images(5),
    ),
    "numbers": (own(lambda net, x: net.b(net.a(x)[:, 1]), a=lambda: nn.Embedding(7, 4), b=linear(4)), numbers(3, high=7)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_a_forward_of_its_own_trains_as_it_does_alone(name: str) -> None:
    model, inputs = NETS[name]
    stack = agree(points(model), inputs, kept=[3, 1, 2])
    assert isinstance(stack, KnownStack)
    assert isinstance(stack.net, Graph)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_function_that_stands_for_a_module(name: str) -> None:
    pooled, flat = "pool" in name, name.endswith("1d")
    args: tuple[Any, ...] = (1,) if "adaptive" in name else (2,) if pooled else (1,) if "softmax" in name else ()
    function = getattr(functional, name, None) or getattr(torch, name)
    shape = (2, 4) if flat else (2, 4, 4) if pooled else (6,)
    behind = 2 if "adaptive" in name else 4 if flat else 8 if pooled else 6
    bend: Forward = lambda net, x: net.b(function(net.a(x).reshape(-1, *shape), *args).flatten(1))  # noqa: E731 - its type
    size = torch.Size(shape).numel()
    agree(points(own(bend, a=linear(5, size), b=linear(behind))), images(5))


class Counting(Own):
    """Remembers how often it was called."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def scaled(net: Any, x: Tensor) -> Tensor:
    return net.a(x) * net.scale  # type: ignore[no-any-return]


class Scaled(Own):
    """Each one has a number of its own."""

    made: ClassVar[list[None]] = []

    def __init__(self) -> None:
        super().__init__(scaled, a=nn.Linear(5, CLASSES))
        self.made.append(None)
        self.scale = 1.0 + len(self.made)


class Weighed(Own):
    """Has a parameter of its own."""

    def __init__(self) -> None:
        super().__init__(scaled, a=nn.Linear(5, CLASSES))
        self.scale = nn.Parameter(torch.ones(()))


def two(forward: Forward, kind: type[Own] = Own) -> Callable[[], nn.Module]:
    return own(forward, kind, a=linear(5), b=linear(5, 5), relu=lambda: nn.ReLU(inplace=True))


def apart(net: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        x = net.b(x)
    return net.a(x)  # type: ignore[no-any-return]


def over(net: Any, x: Tensor) -> Tensor:
    y = net.b(x)
    return net.a(net.relu(y) + y)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (two(lambda net, x: net.a(net.b(x) if x.sum() > 0 else x)), "cannot be followed"),
        (two(lambda net, x: net.a(net.b(x) if net.training else x)), "another one in evaluation"),
        (two(lambda net, x: net.a(net.b(x)), Counting), "keeps something in mind"),
        (two(lambda net, x: net.a(net.b(x) * random.random())), "draws random numbers"),  # noqa: S311 - a net
        (two(lambda net, x: net.a(net.b(x) + torch.rand_like(x))), "is not written out"),
        (two(lambda net, x: net.a(functional.dropout(net.b(x), 0.1))), "is not written out"),
        (two(lambda net, x: net.a(net.b(x).detach())), "is not written out"),
        (two(apart), "a graph of it does not show"),
        (two(over), "is written over"),
        (two(lambda net, x: net.a(net.b(net.b(x)))), "called twice"),
        (two(lambda net, x: net.a(net.b(x) - x.mean(0))), "mixes samples"),
        (two(lambda net, x: net.a(net.b(x).flip(0))), "is not written out"),
        (two(lambda net, x: net.a(1 - net.b(x))), "first argument"),
        (two(lambda net, x: net.a(net.b(x) * x)), "is not written out"),
        (
            own(
                lambda net, x: net.a(net.g(x.unsqueeze(1))[1].mean(0)), g=lambda: nn.GRU(5, 5, batch_first=True), a=linear(5)
            ),
            "not taken as it is",
        ),
        (
            own(
                lambda net, x: net.a(net.g(x.unsqueeze(1))[0][:, 0]),
                g=lambda: nn.GRU(5, 5, 2, batch_first=True),
                a=linear(5),
            ),
            "not of the simplest kind",
        ),
        (Weighed, "a tensor of its own"),
        (Scaled, "differ in more than their numbers"),
    ],
)
def test_what_is_not_followed(model: Callable[[], nn.Module], why: str) -> None:
    sample = Joined(images(5)(), numbers()(), shared=True)
    before = torch.get_rng_state(), random.getstate()
    with pytest.raises(UnstackableError, match=why):
        make(points(model), (0, 1, 2, 2), sample)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_what_a_forward_prints_is_not_printed_while_it_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    def chatty(net: Any, x: Tensor) -> Tensor:
        sys.stdout.write(f"here is {x}")
        return net.a(x)  # type: ignore[no-any-return]

    make(points(own(chatty, a=linear(5))), (0, 1, 2, 2), Joined(images(5)(), numbers()(), shared=True))
    assert "Proxy" not in capsys.readouterr().out


def test_outputs_without_a_last_dimension() -> None:
    column = own(lambda net, x: net.b(torch.tanh(net.a(x))).squeeze(-1), a=linear(5, 4), b=linear(4, 1))
    agree(points(column, loss=Mse(), task="regression"), images(5), images())


def test_who_listens_to_a_module_is_heard() -> None:
    model = two(lambda net, x: net.a(net.b(x)))()
    model.a.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]  # a module
    with pytest.raises(UnstackableError, match="hooked"):
        make(points(lambda: model), (0, 0, 0, 0), Joined(images(5)(), numbers()(), shared=True))
