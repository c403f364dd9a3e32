"""The batches of a stack: what each point would see alone, in the order of its own seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lossdoc import loop, measuring
from lossdoc.stack import Joined, UnstackableError
from lossdoc.subject import Batch, Split, Subject


class Feed:
    """The training batches of K points; points with the same seed share theirs."""

    def __init__(self, subjects: Sequence[Subject], seeds: Sequence[int]) -> None:
        self.seeds = list(seeds)
        first = dict(zip(seeds, subjects, strict=True))
        self.streams = {seed: loop.epochs_of(first[seed], seed) for seed in dict.fromkeys(seeds)}

    def keep(self, places: Sequence[int]) -> None:
        """Go on for the points at these places only."""
        self.seeds = [self.seeds[place] for place in places]
        self.streams = {seed: self.streams[seed] for seed in dict.fromkeys(self.seeds)}

    def __iter__(self) -> Iterator[tuple[int, Joined, bool]]:
        """Yield (epoch, batch, whether it is the epoch's last) for ever."""
        while True:
            came = {seed: next(stream) for seed, stream in self.streams.items()}
            (epoch, batch, last), *others = came.values()
            if any((one, end) != (epoch, last) for one, _, end in others):
                raise UnstackableError("the epochs of different seeds are not equally long")
            if not others:
                yield epoch, Joined(batch.inputs, batch.targets, shared=True), last
                continue
            batches = [came[seed][1] for seed in self.seeds]
            yield epoch, joined(batches), last


def joined(batches: Sequence[Batch]) -> Joined:
    """Return one batch for each point as one.

    Raises:
        UnstackableError: when they differ in shape.
    """
    return Joined(_stack([each.inputs for each in batches]), _stack([each.targets for each in batches]), shared=False)


def whole(subject: Subject, split: Split) -> Iterator[Joined]:
    """Yield a split's batches, the same ones for all points."""
    return (Joined(batch.inputs, batch.targets, shared=True) for batch in measuring.whole(subject, split))


def of_point(batch: Joined, place: int) -> Batch:
    """Return the batch of one point."""
    if batch.shared:
        return Batch(batch.inputs, batch.targets)
    return Batch(_at(batch.inputs, place), _at(batch.targets, place))


def _at(part: Any, place: int) -> Any:
    return {name: _at(each, place) for name, each in part.items()} if isinstance(part, Mapping) else part[place]


def _stack(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {name: _stack([part[name] for part in parts]) for name in parts[0]}
    if not isinstance(parts[0], Tensor) or len({part.shape for part in parts}) > 1:
        raise UnstackableError("the batches of different seeds are not tensors of one shape")
    return torch.stack(list(parts))
