"""Made-up models with a mistake in their code, and sound ones that might be taken for such."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lossdoc.specimens.models import changed

if TYPE_CHECKING:
    from torch import Tensor, nn

Maker = Callable[[int], "nn.Module"]


def with_function(build: Maker, function: Callable[[Any, Any], Any]) -> Maker:
    """Return a maker whose models put what comes out of their first layer through `function(module, values)`."""

    def extend(model: Any) -> Any:
        from torch import nn

        class Changed(nn.Module):
            def forward(self, values: Tensor) -> Any:
                return function(self, values)

        return nn.Sequential(model[0], Changed(), *model[1:])

    return changed(build, extend)


def with_idle_part(build: Maker) -> Maker:
    """Return a maker whose models have a layer that their outputs do not depend on."""

    def extend(model: Any) -> Any:
        from torch import nn

        class Idle(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.used, self.idle = model, nn.Linear(8, 8)

            def forward(self, inputs: Tensor) -> Any:
                return self.used(inputs)

        return Idle()

    return changed(build, extend)


def with_wrong_backward(build: Maker) -> Maker:
    """Return a maker whose models square with a backward pass of their own that forgets the factor 2."""

    def square(_module: Any, values: Any) -> Any:
        import torch

        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, given: Any) -> Any:
                ctx.save_for_backward(given)
                return given * given

            @staticmethod
            def backward(ctx: Any, slope: Any) -> Any:
                (given,) = ctx.saved_tensors
                return slope * given

        squared: Any = Square
        return squared.apply(values)

    return with_function(build, square)


def with_damage(build: Maker) -> Maker:
    """Return a maker whose models change in place what the backward pass needs, behind torch's back."""

    def damaged(_module: Any, values: Any) -> Any:
        risen = values.exp()
        risen.data.clamp_(max=1.0)
        return risen

    return with_function(build, damaged)


def leaking(build: Maker) -> Maker:
    """Return a maker whose models subtract the mean over the batch."""
    return with_function(build, lambda _module, values: values - values.mean(0))


def with_lasting_dropout(build: Maker) -> Maker:
    """Return a maker whose models drop units in evaluation, too."""

    def drop(_module: Any, values: Any) -> Any:
        from torch.nn.functional import dropout

        return dropout(values, 0.2)

    return with_function(build, drop)


def with_dropout(build: Maker) -> Maker:
    """Return a maker whose models drop units in training, as it should be."""

    def drop(module: Any, values: Any) -> Any:
        from torch.nn.functional import dropout

        return dropout(values, 0.2, training=module.training)

    return with_function(build, drop)


def with_momentum(build: Maker, momentum: float) -> Maker:
    """Return a maker whose models' batch normalization has another momentum."""

    def change(model: Any) -> None:
        from torch import nn

        for each in model.modules():
            if isinstance(each, nn.BatchNorm1d):
                each.momentum = momentum

    return changed(build, change)


def unseeded(seed: int) -> nn.Module:
    """Make a network whose weights no seed reaches."""
    import numpy as np
    import torch

    from lossdoc.specimens.models import mlp

    model = mlp()(seed)
    with torch.no_grad():
        for each in model.parameters():
            each.add_(torch.as_tensor(np.random.default_rng().normal(0, 0.01, each.shape), dtype=each.dtype))
    return model


def reading_across(seed: int) -> nn.Module:
    """Make a recurrent network that takes the samples of a batch for moments of time."""
    import torch
    from torch import nn

    from lossdoc.specimens.data import CLASSES

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.head = nn.GRU(4, 12), nn.Linear(12, CLASSES)

        def forward(self, inputs: Tensor) -> Any:
            return self.head(self.read(inputs.reshape(-1, 2, 4))[0][:, -1])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Reader()
