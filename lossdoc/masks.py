"""Dropout whose masks follow from a key, so that one point alone and a hundred stacked ones drop the same units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # these drop whole channels


class KeyedDropout(nn.Dropout):
    """nn.Dropout with numbers drawn from the seed of torch's generator, its own place in the model, and the call's number.

    torch's own takes the next numbers of the generator, so that its masks depend on everything that drew before it.
    """

    def __init__(self, rate: float, place: int, *, channels: bool) -> None:
        super().__init__(rate)
        self.place = place
        self.channels = channels
        self.calls = (0, -1)  # the seed of the last call, and how many there were with that seed before

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs, a share `p` of them set to 0 and the others scaled up; all of them outside training."""
        if not self.training or self.p == 0:
            return inputs
        seed, calls = torch.initial_seed(), self.calls
        self.calls = (seed, calls[1] + 1 if calls[0] == seed else 0)
        numbers = draw(seed, self.place, self.calls[1], mask_shape(inputs, channels=self.channels), inputs)
        return drop(inputs, numbers, self.p)


def mask_shape(inputs: Tensor, *, channels: bool) -> tuple[int, ...]:
    """Return the shape of the numbers that decide what is dropped: one for each input, or one for each channel."""
    return (*inputs.shape[:2], *[1] * (inputs.ndim - 2)) if channels else tuple(inputs.shape)


def draw(seed: int, place: int, call: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return numbers from 0 to 1 that follow from the key alone, of the type and on the device of `like`."""
    generator = torch.Generator(like.device)
    generator.manual_seed((seed * 1_000_003 + place * 1_009 + call + 1) % (2**63 - 1))
    return torch.rand(shape, generator=generator, dtype=like.dtype, device=like.device)


def drop(inputs: Tensor, numbers: Tensor, rate: float | Tensor) -> Tensor:
    """Return the inputs where their numbers are at least `rate`, scaled up by what the others lack, and 0 elsewhere."""
    return inputs * ((numbers >= rate).to(inputs.dtype) / (1 - rate))


def key_dropouts(model: nn.Module) -> nn.Module:
    """Put a keyed dropout in the place of each of torch's own in the model; return the model.

    Dropout inside torch's recurrent networks and attention, alpha dropout, and torch.nn.functional.dropout stay as they are,
    and so does what the user hooked into.
    """
    for place, (name, module) in enumerate(list(model.named_modules(remove_duplicate=False))):
        if type(module) in (nn.Dropout, *CHANNELS) and name and not module._forward_hooks:  # noqa: SLF001 - no other name
            keyed = KeyedDropout(module.p, place, channels=type(module) in CHANNELS).train(module.training)
            owner, _, last = name.rpartition(".")
            setattr(model.get_submodule(owner), last, keyed)
    return model


def forget_calls(model: nn.Module) -> None:
    """Let the next forward be the first with its seed."""
    for module in model.modules():
        if isinstance(module, KeyedDropout):
            module.calls = (0, -1)
