"""A few samples taken from a subject's training data, and the best that any model can do on them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lossdoc.errors import UserError
from lossdoc.subject import Batch, Split, Subject, Task

FAR_ENOUGH = 16
"""After this many times the wanted samples the search for rare classes ends: a class that is still not full is less than a
sixteenth as frequent as an equal share."""


def collect(subject: Subject, count: int) -> Batch:
    """Return up to `count` training samples as one batch, as nearly as possible the same number of each class.

    Samples whose shape differs from that of the first are passed over. Where samples have no class they are the first ones.

    Raises:
        UserError: when the training split is empty.
    """
    kept = _Strata(count, subject.classes)
    for batch in subject.batches("train", subject.seed):
        kept.add(batch, labels(batch.targets, subject.task))
        if kept.full or (kept.seen >= FAR_ENOUGH * count and subject.shuffled is not False):
            break
    if not kept.samples:
        raise UserError.of("the training split has no samples", kind="data")
    return joined(kept.chosen())


class _Strata:
    """Keeps the first samples of each class, and the first of all to fill up with."""

    def __init__(self, count: int, classes: int | None) -> None:
        self.count = count
        self.classes = classes or 1
        self.samples: list[tuple[int, Batch]] = []  # rank within the class, sample
        self.held: Counter[int] = Counter()
        self.seen = 0

    def add(self, batch: Batch, of_class: list[int]) -> None:
        """Look at every sample of a batch."""
        quota = math.ceil(self.count / self.classes)
        for index, label in enumerate(of_class):
            self.seen += 1
            if self.held[label] < quota or len(self.samples) < 2 * self.count:
                sample = Batch(take(batch.inputs, slice(index, index + 1)), take(batch.targets, slice(index, index + 1)))
                if not self.samples or shapes(sample) == shapes(self.samples[0][1]):
                    self.samples.append((self.held[label], sample))
                    self.held[label] += 1

    @property
    def full(self) -> bool:
        """Whether every class has its share."""
        enough = [held for held in self.held.values() if held >= self.count // self.classes]
        return len(self.samples) >= self.count and len(enough) >= min(self.classes, self.count)

    def chosen(self) -> list[Batch]:
        """Return the samples in rounds of one of each class."""
        rounds = sorted(range(len(self.samples)), key=lambda index: (self.samples[index][0], index))
        return [self.samples[index][1] for index in rounds[: self.count]]


def labels(targets: Any, task: Task) -> list[int]:
    """Return the class of each sample; all 0 where samples have none."""
    if task == "classification" and isinstance(targets, Tensor) and targets.ndim == 1:
        return [int(label) for label in targets.tolist()]
    if task == "binary" and isinstance(targets, Tensor) and targets.numel() == len(targets):
        return [int(label > 0.5) for label in targets.reshape(-1).tolist()]
    return [0] * len(targets)


def take(part: Any, index: Any) -> Any:
    """Index a tensor (B, ...) or each tensor of a mapping by samples."""
    return {name: value[index] for name, value in part.items()} if isinstance(part, Mapping) else part[index]


def shapes(sample: Batch) -> list[tuple[int, ...]]:
    """Return the shapes of all tensors of a batch."""
    return [tuple(part.shape) for part in _tensors(sample.inputs)] + [tuple(part.shape) for part in _tensors(sample.targets)]


def form(batch: Batch) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of what one sample of a batch consists of, inputs and targets; none where they are no tensors."""
    return tuple(shape[1:] for shape in shapes(batch))


def joined(samples: list[Batch]) -> Batch:
    """Return several batches as one."""

    def join(parts: list[Any]) -> Any:
        if isinstance(parts[0], Mapping):
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return torch.cat(parts)

    return Batch(join([sample.inputs for sample in samples]), join([sample.targets for sample in samples]))


def split(batch: Batch, size: int, order: Tensor) -> list[Batch]:
    """Return the samples in another order as batches of `size`; a single sample left over joins the batch before it.

    A batch of one has no deviation, which batch normalization divides by.
    """
    parts = [order[at : at + size] for at in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return [Batch(take(batch.inputs, part), take(batch.targets, part)) for part in parts]


def thinned(subject: Subject, split: Split, most: int) -> Subject:
    """Return the subject with at most so many samples of a split, drawn at random once and for all.

    Data whose length is not known are left as they are.
    """
    count = subject.sizes.get(split)
    if count is None or count <= most:
        return subject
    chosen = set(torch.randperm(count, generator=torch.Generator().manual_seed(subject.seed))[:most].tolist())

    @cache
    def kept() -> list[Batch]:
        return list(_only(chosen, subject.batches(split, 0), subject.batch_size or most))

    def batches(asked: Split, epoch: int) -> Iterable[Batch]:
        return iter(kept()) if asked == split else subject.batches(asked, epoch)

    return replace(subject, batches=batches, sizes={**subject.sizes, split: most})


def _only(chosen: Collection[int], batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """Yield batches of `size` of the chosen samples, by their places; smaller ones where shapes differ."""
    first, waiting = 0, list[Batch]()
    for batch in batches:
        places = [place for place in range(batch.size) if first + place in chosen]
        first += batch.size
        if not places:
            continue
        some = Batch(take(batch.inputs, places), take(batch.targets, places))
        if waiting and (form(some) != form(waiting[0]) or _held(waiting) >= size):
            yield joined(waiting)
            waiting = []
        waiting.append(some)
    if waiting:
        yield joined(waiting)


def _held(batches: Iterable[Batch]) -> int:
    return sum(batch.size for batch in batches)


@dataclass(frozen=True)
class Ceiling:
    """The best that any model can do: accuracy, loss (mean entropy in nats, or mean squared error), samples it must miss."""

    accuracy: float = 1.0
    loss: float = 0.0
    missed: int = 0


def ceiling(batch: Batch, task: Task) -> Ceiling:
    """Return the best reachable result on samples of which some have the same inputs and different targets.

    In a language task, and wherever the targets are what follows each token, the inputs of a token are those up to it, as a
    causal model sees them. A negative class (one that a loss is told to ignore) counts as missed.
    """
    targets = batch.targets
    if not isinstance(targets, Tensor):
        return Ceiling()
    if task == "regression":
        return _least_squares(batch)
    groups: defaultdict[bytes, Counter[int]] = defaultdict(Counter)
    wanted = targets.reshape(len(targets), -1)
    wanted = (wanted > 0.5).long() if task == "binary" else wanted
    for row, keys in enumerate(_keys(batch, causal=task == "language" or _follow(batch))):
        for position, key in enumerate(keys):
            groups[key][int(wanted[row, position])] += 1
    right = sum(max((many for label, many in group.items() if label >= 0), default=0) for group in groups.values())
    entropy = sum(many * math.log(group.total() / many) for group in groups.values() for many in group.values())
    return Ceiling(right / wanted.numel(), entropy / wanted.numel(), wanted.numel() - right)


def _follow(batch: Batch) -> bool:
    """Tell whether the targets (B, T) are the next tokens of the inputs (B, T)."""
    inputs, targets = batch.inputs, batch.targets
    alike = isinstance(inputs, Tensor) and inputs.shape == targets.shape and inputs.ndim == 2 and inputs.shape[1] > 1
    return alike and inputs.dtype == targets.dtype and bool((inputs[:, 1:] == targets[:, :-1]).all())


def _least_squares(batch: Batch) -> Ceiling:
    """Return the mean squared error of the best model: that of the mean within each group of identical inputs."""
    targets = batch.targets.double().reshape(len(batch.targets), -1)
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, keys in enumerate(_keys(batch, causal=False)):
        groups[next(keys)].append(row)
    error = sum(float((targets[rows] - targets[rows].mean(0)).square().sum()) for rows in groups.values())
    missed = sum(len(rows) for rows in groups.values() if bool((targets[rows] != targets[rows[0]]).any()))
    return Ceiling(math.nan, error / targets.numel(), missed)


def _keys(batch: Batch, *, causal: bool) -> Iterator[Iterator[bytes]]:
    """Yield for each sample the keys of its targets in their order; two with the same key had the same inputs."""
    tensors = [part.detach().contiguous().cpu() for part in _tensors(batch.inputs)]
    by_token = causal and len(tensors) == 1 and tensors[0].shape[:2] == batch.targets.shape[:2] and batch.targets.ndim == 2
    for row in range(len(batch.targets)):
        digest = hashlib.blake2b()
        if by_token:
            yield _prefixes(digest, tensors[0][row])
        else:
            for part in tensors:
                digest.update(_bytes(part[row]))
            yield (digest.digest() + position.to_bytes(8) for position in range(math.prod(batch.targets.shape[1:])))


def _prefixes(digest: hashlib.blake2b, tokens: Tensor) -> Iterator[bytes]:
    for token in tokens:
        digest.update(_bytes(token))
        yield digest.digest()


def _bytes(part: Tensor) -> bytes:
    return part.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _tensors(part: Any) -> list[Tensor]:
    parts = part.values() if isinstance(part, Mapping) else [part]
    return [each for each in parts if isinstance(each, Tensor)]


def one_hot(targets: Tensor) -> bool:
    """Tell whether targets (..., n) are rows of a 1 and zeros."""
    if targets.ndim < 2 or targets.shape[-1] < 2:
        return False
    return bool(((targets == 0) | (targets == 1)).all() & (targets.sum(-1) == 1).all())
