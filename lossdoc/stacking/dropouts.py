"""Dropout in a stack: every point its own rate, and the masks that it would have alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.masks import KeyedDropout, draw, drop, mask_shape


class StackedDropout(nn.Module):
    """Dropout of one point in a stack: rate and numbers are given like buffers, so that each point has its own."""

    def __init__(self, keyed: KeyedDropout) -> None:
        super().__init__()
        self.place = keyed.place
        self.channels = keyed.channels
        self.noted: list[tuple[int, ...]] | None = None  # the shapes of a forward's masks while they are noted
        self.calls = 0
        self.register_buffer("rate", torch.tensor(float(keyed.p)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs, those whose number lies below the rate set to 0 and the others scaled up."""
        if self.noted is not None:
            self.noted.append(mask_shape(inputs, channels=self.channels))
            return inputs
        if not self.training:
            return inputs
        numbers: Tensor = getattr(self, f"numbers{self.calls}")
        self.calls += 1
        return drop(inputs, numbers, self.get_buffer("rate").to(inputs.dtype))


class Masks:
    """The stacked dropouts of a model, and the numbers that each call of each of them needs."""

    def __init__(self, model: nn.Module, prefix: str) -> None:
        self.prefix = prefix
        self.dropouts: dict[str, StackedDropout] = {}
        for name, module in list(model.named_modules()):
            if isinstance(module, KeyedDropout):
                owner, _, last = name.rpartition(".")
                self.dropouts[name] = StackedDropout(module)
                setattr(model.get_submodule(owner), last, self.dropouts[name])
        self.shapes: dict[Any, dict[str, list[tuple[int, ...]]]] = {}

    def rates(self, models: Sequence[nn.Module]) -> dict[str, Tensor]:
        """Return the rate of each dropout in each model, tensors (K,), by the names of the buffers."""
        found = {}
        for name in self.dropouts:
            each = [model.get_submodule(name) for model in models]
            rates = [float(one.p if isinstance(one, KeyedDropout) else one.get_buffer("rate")) for one in each]
            found[f"{self.prefix}{name}.rate"] = torch.tensor(rates, dtype=torch.float64)
        return found

    def restart(self) -> None:
        """Begin to count the calls of a forward."""
        for module in self.dropouts.values():
            module.calls = 0

    def note(self, key: Any, forward: Any) -> None:
        """Note the shapes that a forward needs for batches of the kind `key`, by running it once."""
        if not self.dropouts or key in self.shapes:
            return
        for module in self.dropouts.values():
            module.noted = []
        forward()
        self.shapes[key] = {name: module.noted or [] for name, module in self.dropouts.items()}
        for module in self.dropouts.values():
            module.noted = None

    def numbers(self, key: Any, keys: Sequence[int], like: Tensor) -> dict[str, Tensor]:
        """Return the numbers of every call by the names of buffers, (K, ...); one row, expanded, where all keys are one."""
        drawn = {}
        for name, shapes in self.shapes.get(key, {}).items():
            for call, shape in enumerate(shapes):
                rows = {one: draw(one, self.dropouts[name].place, call, shape, like) for one in dict.fromkeys(keys)}
                alike = len(rows) == 1
                stacked = rows[keys[0]].expand(len(keys), *shape) if alike else torch.stack([rows[one] for one in keys])
                drawn[f"{self.prefix}{name}.numbers{call}"] = stacked
        return drawn
