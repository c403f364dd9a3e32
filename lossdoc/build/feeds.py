"""Feeds: one split of the data, as batches in the order of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler, default_collate

from lossdoc.build.seeding import seeded
from lossdoc.errors import UserError, user_code
from lossdoc.subject import Batch

INPUT_KEYS = ("inputs", "x", "input_ids", "pixel_values", "features", "image", "data")
AHEAD = 1 << 20  # bytes of inputs that are put in order at a time: of small batches many, which is several times as fast
TARGET_KEYS = ("targets", "y", "labels", "label", "target")


@dataclass(frozen=True)
class Keys:
    """How a batch that is a mapping is read: the keys of inputs and targets, where the user names them.

    Several keys of inputs, or `whole`, make the inputs a mapping, which the model gets by name; `whole` takes everything.
    """

    x: tuple[str, ...] = ()
    y: str | None = None
    whole: bool = False


@dataclass(frozen=True)
class Order:
    """How the samples of a split are put into batches; without `seed` they keep their order."""

    batch_size: int
    seed: int | None = None
    drop_last: bool = False

    def indices(self, size: int, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Return the samples of each batch of an epoch."""
        order = np.arange(size) if self.seed is None else np.random.default_rng((self.seed, epoch)).permutation(size)
        stop = size - size % self.batch_size if self.drop_last and size >= self.batch_size else size
        for start in range(0, stop, self.batch_size):
            yield order[start : min(start + self.batch_size, stop)]


class Feed(Protocol):
    """One split; `size` is its number of samples, None where that is not known before the end."""

    @property
    def size(self) -> int | None:
        """The number of samples."""

    def batches(self, order: Order, epoch: int) -> Iterator[Batch]:
        """Return the batches of an epoch."""


@dataclass(frozen=True)
class TensorFeed:
    """Samples in memory: inputs (n, ...) and targets (n, ...)."""

    inputs: Tensor
    targets: Tensor

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.inputs)

    def batches(self, order: Order, epoch: int) -> Iterator[Batch]:
        """Return the batches of an epoch."""
        many = max(1, AHEAD // max(1, self.inputs[:1].nbytes * order.batch_size))
        waiting = order.indices(self.size, epoch)
        while some := list(islice(waiting, many)):
            picked = torch.from_numpy(np.concatenate(some))
            inputs, targets, end = self.inputs[picked], self.targets[picked], 0
            for indices in some:
                start, end = end, end + len(indices)
                yield Batch(inputs[start:end], targets[start:end])


@dataclass(frozen=True)
class DatasetFeed:
    """Samples of a torch Dataset, put together as its DataLoader does; `of` are those of the split."""

    dataset: Dataset[Any]
    of: NDArray[np.int64]
    word: str
    keys: Keys = Keys()

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.of)

    def batches(self, order: Order, epoch: int) -> Iterator[Batch]:
        """Return the batches of an epoch."""
        for indices in order.indices(self.size, epoch):
            with user_code(self.word):
                samples = [self.dataset[int(place)] for place in self.of[indices]]
            yield as_batch(_collated(samples, self.word), self.word, self.keys)


@dataclass(frozen=True)
class LoaderFeed:
    """Batches of the user's own DataLoader, or of anything that can be iterated over time and again."""

    loader: Any
    word: str
    seed: int = 0
    keys: Keys = Keys()

    @property
    def size(self) -> int | None:
        """The number of samples, where the loader's dataset knows it."""
        try:
            return len(self.loader.dataset)
        except (AttributeError, TypeError):
            return None

    @property
    def shuffled(self) -> bool | None:
        """Whether the loader shuffles; None where its sampler does not tell."""
        sampler = getattr(self.loader, "sampler", None) if isinstance(self.loader, DataLoader) else None
        return True if isinstance(sampler, RandomSampler) else False if type(sampler) is SequentialSampler else None

    def batches(self, order: Order, epoch: int) -> Iterator[Batch]:
        """Return the batches of an epoch, which draw from random numbers of their own; the order is the loader's."""
        with seeded(order.seed or self.seed, epoch), user_code(self.word):
            remaining = iter(self.loader)
            state = torch.get_rng_state()
        while True:
            with torch.random.fork_rng(devices=()), user_code(self.word):
                torch.set_rng_state(state)
                batch = next(remaining, None)
                state = torch.get_rng_state()
            if batch is None:
                return
            yield as_batch(batch, self.word, self.keys)


def _collated(samples: list[Any], word: str) -> Any:
    """Put samples together as torch's DataLoader does.

    Raises:
        UserError: when they hold what cannot be put together, or tensors of different shapes.
    """
    try:
        return default_collate(samples)
    except (TypeError, RuntimeError, KeyError, AttributeError) as bad:
        told = str(bad).partition("\n")[0].removeprefix("default_collate: ")
        message = f"the samples of '{word}' cannot be put into a batch: {told}"
        raise UserError.of(f"{message}; a DataLoader with a collate_fn of your own can do it", kind="batch") from bad


def as_batch(got: Any, word: str, named: Keys = Keys()) -> Batch:
    """Read a batch: a pair, a mapping with the usual keys, or a longer tuple of whose parts the user names two or more.

    The parts of a tuple are named by their fields where it has any, else "0", "1", "2" by their place.

    Raises:
        UserError: when it is neither.
    """
    if isinstance(got, Batch):
        return got
    if isinstance(got, Mapping):
        return _by_name(got, word, named)
    if isinstance(got, Sequence) and not isinstance(got, str | bytes):
        fields = getattr(got, "_fields", [str(place) for place in range(len(got))])
        if named.x or named.y or (hasattr(got, "_fields") and len(got) > 2):
            return _by_name(dict(zip(fields, got, strict=True)), word, named)
        if len(got) == 2:
            return Batch(_floats(got[0]), _floats(got[1]))
        message = f"'{word}' gives {len(got)} parts a sample; pairs (inputs, targets) are meant"
        hint = """or 'data.batch: {x: "0", y: "1"}' picks two by their place"""
        raise UserError.of(f"{message}, {hint}", kind="batch")
    raise UserError.of(f"'{word}' gives {type(got).__name__}; pairs (inputs, targets) are meant", kind="batch")


def _by_name(got: Mapping[Any, Any], word: str, named: Keys) -> Batch:
    missing = [key for key in (*named.x, named.y) if key is not None and key not in got]
    keys = ", ".join(map(str, got))
    if missing:
        raise UserError.of(f"'{word}' gives mappings without the key '{missing[0]}'; there are: {keys}", kind="batch")
    targets = named.y or next((key for key in TARGET_KEYS if key in got), None)
    inputs = named.x or tuple(key for key in INPUT_KEYS if key in got)[:1]
    if targets is None or not (inputs or named.whole):
        message = f"'{word}' gives mappings with the keys {keys}; the keys inputs and targets (or x and y) are meant"
        raise UserError.of(f"{message}, or 'data.batch: {{x: ..., y: ...}}' names them", kind="batch")
    if named.whole or len(inputs) > 1:
        return Batch({key: _floats(got[key]) for key in (got if named.whole else inputs)}, _floats(got[targets]))
    return Batch(_floats(got[inputs[0]]), _floats(got[targets]))


def _floats(value: Any) -> Any:
    """Return a tensor in the type that models have: no float64."""
    tensor = torch.as_tensor(value) if isinstance(value, np.ndarray | Tensor | list | float | int) else value
    return tensor.float() if isinstance(tensor, Tensor) and tensor.dtype == torch.float64 else tensor
