"""Data: read, split, preprocessed with numbers from the training split alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lossdoc.build.feeds import DatasetFeed, Feed, Keys, LoaderFeed, Order, TensorFeed
from lossdoc.build.given import MEANT, Unfit, as_rows, by_split, is_indexed, is_iterable, labels_of, pair, told
from lossdoc.build.own import OwnCode
from lossdoc.build.places import placed
from lossdoc.build.preprocessing import Steps, preprocess
from lossdoc.build.seeding import seeded
from lossdoc.datasets.source import Data, Goal, OwnSource
from lossdoc.errors import UserError
from lossdoc.parts.losses import ModelLoss, OwnLoss
from lossdoc.spec import Spec
from lossdoc.subject import Split

PATH = ("data", "source")


@dataclass(frozen=True)
class Prepared:
    """The splits, ready to be put into batches, what is known of the targets, and the numbers of the preprocessing."""

    feeds: Mapping[Split, Feed]
    goal: Goal | None = None
    classes: int | None = None
    preprocessing: Steps = ()

    def sample(self) -> Tensor:
        """Return one input, without the batch."""
        feed = self.feeds["train"]
        inputs = feed.inputs if isinstance(feed, TensorFeed) else next(feed.batches(Order(1), 0)).inputs
        if not isinstance(inputs, Tensor):
            raise UserError.of("a list of layers takes one tensor as its input; use 'model: {call: ...}'", kind="layers")
        return inputs[0]


def prepare(spec: Spec) -> Prepared:
    """Read the data of a spec.

    Raises:
        UserError: when they are not there or not as told.
        UserCodeError: when the user's own code raises.
    """
    source = spec.data.source
    if isinstance(source, OwnSource):
        with seeded(spec.data.split.seed):
            given = OwnCode(spec).call(source.call, source.args, PATH)
        with placed(spec, ("data",)):
            prepared = _own(spec, given, source.call)
    else:
        with placed(spec, PATH):
            data = source.load(Path(spec.file).parent)
        prepared = replace(_arrays(spec, data), goal=source.goal)
    for split, feed in prepared.feeds.items():
        if feed.size == 0:
            _fail(spec, f"the {split} split is empty", "empty")
    return prepared


def fitted(spec: Spec) -> Steps:
    """Return the numbers that each step of preprocessing takes from the training split, under its word.

    Raises:
        UserError: when the data are not there or not as told.
        UserCodeError: when the user's own code raises.
    """
    return prepare(spec).preprocessing


def _own(spec: Spec, given: Any, word: str) -> Prepared:
    """Take what the user's own code returned, for each split or to be split."""
    keys = _keys(spec)
    try:
        splits = by_split(given, word)
        parts = {split: as_rows(each, keys) for split, each in (splits or {"train": given}).items()}
        pairs = {split: pair(each, keys) for split, each in parts.items()}
    except Unfit as bad:
        _refuse(spec, word, str(bad))
    data = {split: _data(spec, *each) for split, each in pairs.items() if each is not None}
    if len(data) == len(parts):
        return _arrays(spec, data["train"]) if splits is None else _fitted(spec, data)
    if splits is None and is_indexed(parts["train"]):
        return _dataset(spec, parts["train"], word)
    return _described(spec, {split: _feed(spec, each, word) for split, each in parts.items()}, parts["train"])


def _feed(spec: Spec, given: Any, word: str) -> Feed:
    if isinstance(given, IterableDataset):
        given = DataLoader(given, batch_size=spec.data.batch_size)
    try:
        known = pair(given, _keys(spec)) if not isinstance(given, DataLoader) else None
        if known is None and not is_indexed(given) and not is_iterable(given):
            raise Unfit(told(given))
    except Unfit as bad:
        _refuse(spec, word, str(bad))
    if spec.data.preprocess or spec.data.targets:
        key = "preprocess" if spec.data.preprocess else "targets"
        _fail(spec, f"'{key}' works on arrays, but '{word}' returns {told(given)}; do it there", "data")
    if known is not None:
        data = _data(spec, *known)
        return TensorFeed(torch.from_numpy(data.inputs), torch.from_numpy(data.targets))
    if is_indexed(given):
        return DatasetFeed(given, np.arange(len(given)), word, _keys(spec))
    return LoaderFeed(given, word, spec.seed, _keys(spec))


def _dataset(spec: Spec, dataset: Any, word: str) -> Prepared:
    """Split what holds its samples by number; its targets are looked at only where it keeps them apart."""
    _feed(spec, dataset, word)
    split = _split(spec, len(dataset), labels_of(dataset))
    return _described(spec, {name: DatasetFeed(dataset, of, word, _keys(spec)) for name, of in split.items()}, dataset)


def _described(spec: Spec, feeds: Mapping[Split, Feed], given: Any) -> Prepared:
    """Say what a single batch, the class numbers and the attribute `classes` tell of the targets."""
    known = getattr(given, "dataset", given)
    names = getattr(known, "classes", None)
    classes = spec.data.classes or (len(names) if isinstance(names, list | tuple) else None)
    labels = labels_of(known) if classes is None else None
    if labels is not None and labels.size:
        classes = int(labels.max()) + 1
    first = next(iter(feeds["train"].batches(Order(1), 0)), None)
    if first is None:
        _fail(spec, "the train split is empty", "empty")
    whole = isinstance(first.targets, Tensor) and not first.targets.is_floating_point()
    return Prepared(feeds, "classification" if classes or whole else "regression", classes)


def _data(spec: Spec, inputs: NDArray[Any], targets: NDArray[Any]) -> Data:
    """Bring the user's arrays into our types."""
    if inputs.dtype.kind not in "biuf":
        _fail(spec, f"got inputs of {inputs.dtype}; numbers are meant", "data")
    if targets.dtype.kind not in "biuf":
        _fail(spec, f"got targets of {targets.dtype}; class numbers from 0, or numbers to be predicted, are meant", "data")
    if is_column(targets) and not isinstance(spec.loss, OwnLoss):  # to one of the user's own they stay as they are
        targets = targets[:, 0]
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        _fail(
            spec, f"got inputs shaped {inputs.shape} and targets shaped {targets.shape}; as many of both are meant", "data"
        )
    whole = targets.dtype.kind in "biu"
    single = targets.size > 0 and (targets.ndim == 1 or is_column(targets))
    count = spec.data.classes or (int(targets.max()) + 1 if whole and single else 0)
    keep = inputs.dtype.kind in "iu" and inputs.dtype.itemsize > 1  # token numbers; bytes are pixels
    names = tuple(map(str, range(count))) if whole and count <= 2**20 else ()
    return Data(
        inputs.astype(np.int64 if keep else np.float32), targets.astype(np.int64 if whole else np.float32), classes=names
    )


def is_column(targets: Any) -> bool:
    """Tell whether targets are an array or tensor of class numbers shaped (n, 1)."""
    whole = str(getattr(targets, "dtype", "")).removeprefix("torch.").startswith(("int", "uint", "bool"))
    return whole and len(targets.shape) == 2 and targets.shape[1] == 1


def _arrays(spec: Spec, data: Data) -> Prepared:
    """Split the data, fit the preprocessing on the training split, and apply it to all."""
    whole = data.targets.dtype.kind == "i"
    split = _split(spec, len(data.targets), data.targets if whole and data.targets.ndim == 1 else None)
    parts = {name: Data(data.inputs[of], data.targets[of], data.features, data.classes) for name, of in split.items()}
    return _fitted(spec, parts)


def _fitted(spec: Spec, data: Mapping[Split, Data]) -> Prepared:
    inputs, steps = preprocess(spec, {split: each.inputs for split, each in data.items()})
    first = data["train"]
    whole = first.targets.dtype.kind == "i"
    if whole and spec.data.targets:
        _fail(spec, "'targets' prepares numbers to be predicted, but the targets are class numbers; leave it out", "data")
    targets, _ = preprocess(spec, {split: each.targets for split, each in data.items()}, "targets")
    feeds: dict[Split, Feed] = {
        split: TensorFeed(*(torch.from_numpy(np.ascontiguousarray(part[split])) for part in (inputs, targets)))
        for split in data
    }
    goal: Goal = "classification" if whole else "binary" if _yes_or_no(first) else "regression"
    return Prepared(feeds, goal, spec.data.classes or len(first.classes) or None, steps)


def _yes_or_no(data: Data) -> bool:
    """Tell whether targets that are numbers with a fraction are 0 and 1, and nothing else."""
    return np.array_equal(np.unique(data.targets), [0.0, 1.0])


def _split(spec: Spec, size: int, labels: NDArray[Any] | None) -> dict[Split, NDArray[np.int64]]:
    """Return the samples of each split, in the order of the data."""
    given = spec.data.split
    held = round(size * given.validation)
    if given.validation > 0 and not 0 < held < size:
        _fail(
            spec,
            f"{size} samples cannot be split: {given.validation:g} of them for validation leaves one split empty",
            "data",
        )
    if held == 0:
        return {"train": np.arange(size)}
    order = np.random.default_rng(given.seed).permutation(size)
    if labels is not None and given.stratify is not False:
        order = _in_proportion(order, labels)
    return {"train": np.sort(order[held:]), "validation": np.sort(order[:held])}


def _in_proportion(order: NDArray[np.int64], labels: NDArray[Any]) -> NDArray[np.int64]:
    """Reorder so that every beginning holds each class in proportion: by the place of each sample within its class."""
    place = np.empty(len(order))
    for label in np.unique(labels):
        members = labels[order] == label
        place[members] = (np.arange(members.sum()) + 0.5) / members.sum()
    return order[np.argsort(place, kind="stable")]


def _keys(spec: Spec) -> Keys:
    named = spec.data.batch
    whole = isinstance(spec.loss, ModelLoss)
    return Keys(whole=whole) if named is None else Keys(named.x, named.y, whole=whole)


def _refuse(spec: Spec, word: str, got: str) -> NoReturn:
    _fail(spec, f"'{word}' returns {got}{'' if ' meant' in got else f'; {MEANT}'}", "data")


def _fail(spec: Spec, message: str, kind: str) -> NoReturn:
    raise UserError(spec.document.problem(PATH, message, kind, key=True))
