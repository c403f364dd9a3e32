"""Data: read, split, preprocessed with numbers from the training split alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lossdoc.build.feeds import DatasetFeed, Feed, Keys, LoaderFeed, Order, TensorFeed
from lossdoc.build.own import OwnCode
from lossdoc.build.seeding import seeded
from lossdoc.datasets.source import Data, Goal, OwnSource
from lossdoc.errors import UserError, user_code
from lossdoc.parts.losses import ModelLoss
from lossdoc.spec import Spec
from lossdoc.subject import Split

PATH = ("data", "source")


@dataclass(frozen=True)
class Prepared:
    """The splits, ready to be put into batches, and what is known of the targets."""

    feeds: Mapping[Split, Feed]
    goal: Goal | None = None
    classes: int | None = None

    def shape(self) -> tuple[int, ...]:
        """Return the shape of one input, without the batch."""
        feed = self.feeds["train"]
        inputs = feed.inputs if isinstance(feed, TensorFeed) else next(feed.batches(Order(1), 0)).inputs
        if not isinstance(inputs, Tensor):
            raise UserError.of("a list of layers takes one tensor as its input; use 'model: {call: ...}'", kind="batch")
        return tuple(inputs.shape[1:])


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
        prepared = _own(spec, given, source.call)
    else:
        prepared = replace(_arrays(spec, source.load(Path(spec.file).parent)), goal=source.goal)
    for split, feed in prepared.feeds.items():
        if feed.size == 0:
            _fail(spec, f"the {split} split is empty", "empty")
    return prepared


def _own(spec: Spec, given: Any, word: str) -> Prepared:
    if hasattr(given, "train_dataloader"):  # a LightningDataModule
        given = _of_module(given, source_word=word)
    if isinstance(given, Mapping):
        return _own_splits(spec, given, word)
    pair = _pair(given)
    if pair is not None:
        return _arrays(spec, _data(spec, *pair))
    if isinstance(given, Dataset) and not isinstance(given, IterableDataset):
        return _dataset(spec, given, word)
    return _described(spec, {"train": _feed(spec, given, word)}, given)


def _of_module(module: Any, source_word: str) -> dict[str, Any]:
    """Return the loaders of a LightningDataModule by split."""
    with user_code(source_word):
        for name, arguments in (("prepare_data", ()), ("setup", ("fit",))):
            getattr(module, name, lambda *_: None)(*arguments)
        loaders = {"train": module.train_dataloader(), "validation": getattr(module, "val_dataloader", lambda: None)()}
    return {split: loader for split, loader in loaders.items() if loader is not None}


def _own_splits(spec: Spec, given: Mapping[Any, Any], word: str) -> Prepared:
    """Take the splits as the user made them."""
    names = {
        "train": "train",
        "training": "train",
        "validation": "validation",
        "val": "validation",
        "valid": "validation",
        "test": "test",
    }
    unknown = [str(key) for key in given if key not in names]
    if unknown or "train" not in {names.get(key) for key in given}:
        _fail(
            spec,
            f"'{word}' returns a mapping with the keys {', '.join(map(str, given))}; train and validation are meant",
            "data",
        )
    pairs = {names[key]: _pair(each) for key, each in given.items()}
    if all(pair is not None for pair in pairs.values()):
        data = {split: _data(spec, *pair) for split, pair in pairs.items() if pair is not None}
        return _fitted(spec, data)  # type: ignore[arg-type]  # the names are those of Split
    feeds = {names[key]: _feed(spec, each, word) for key, each in given.items()}
    return _described(spec, feeds, given.get("train", given.get("training")))


def _feed(spec: Spec, given: Any, word: str) -> Feed:
    if spec.data.preprocess:
        _fail(spec, f"'preprocess' works on arrays, but '{word}' returns a {type(given).__name__}; do it there", "data")
    pair = _pair(given)
    if pair is not None:
        data = _data(spec, *pair)
        return TensorFeed(torch.from_numpy(data.inputs), torch.from_numpy(data.targets))
    if isinstance(given, IterableDataset):
        given = DataLoader(given, batch_size=spec.data.batch_size)
    if isinstance(given, Dataset):
        whole = np.arange(len(given))  # type: ignore[arg-type]  # map-style: it has a length
        return DatasetFeed(given, whole, word, _keys(spec))
    if not hasattr(given, "__iter__") or iter(given) is given:
        meant = "(inputs, targets), a torch Dataset, a DataLoader, or a mapping of these by split is meant"
        _fail(spec, f"'{word}' returns a {type(given).__name__}; {meant}", "data")
    return LoaderFeed(given, word, spec.seed, _keys(spec))


def _dataset(spec: Spec, dataset: Dataset[Any], word: str) -> Prepared:
    """Split a map-style Dataset; its targets are looked at only where it keeps them in `targets`."""
    size = len(dataset)  # type: ignore[arg-type]  # map-style: it has a length
    targets = getattr(dataset, "targets", None)
    labels = None if targets is None or len(targets) != size else np.asarray(targets)
    split = _split(spec, size, labels if labels is not None and labels.dtype.kind in "iu" else None)
    _feed(spec, dataset, word)
    return _described(spec, {name: DatasetFeed(dataset, of, word, _keys(spec)) for name, of in split.items()}, dataset)


def _described(spec: Spec, feeds: Mapping[Any, Feed], given: Any) -> Prepared:
    """Say what a single batch and the attribute `classes` tell of the targets."""
    known = getattr(given, "dataset", given)
    names = getattr(known, "classes", None)
    classes = spec.data.classes or (len(names) if isinstance(names, list | tuple) else None)
    first = next(iter(feeds["train"].batches(Order(1), 0)), None)
    if first is None:
        _fail(spec, "the train split is empty", "empty")
    whole = first is not None and isinstance(first.targets, Tensor) and not first.targets.is_floating_point()
    return Prepared(feeds, "classification" if classes or whole else "regression", classes)


def _pair(given: Any) -> tuple[Any, Any] | None:
    """Return (inputs, targets) as arrays, if that is what was given."""
    if (
        isinstance(given, tuple | list)
        and len(given) == 2
        and all(isinstance(each, np.ndarray | Tensor | list) for each in given)
    ):
        inputs, targets = (each.detach().cpu().numpy() if isinstance(each, Tensor) else np.asarray(each) for each in given)
        return inputs, targets
    return None


def _data(spec: Spec, inputs: NDArray[Any], targets: NDArray[Any]) -> Data:
    """Bring the user's arrays into our types."""
    if inputs.dtype.kind not in "biuf" or targets.dtype.kind not in "biuf":
        _fail(spec, f"got arrays of {inputs.dtype} and {targets.dtype}; numbers are meant", "data")
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        _fail(
            spec, f"got inputs shaped {inputs.shape} and targets shaped {targets.shape}; as many of both are meant", "data"
        )
    whole = targets.dtype.kind in "biu"
    count = spec.data.classes or (int(targets.max()) + 1 if whole and targets.size and targets.ndim == 1 else 0)
    keep = inputs.dtype.kind in "iu" and inputs.dtype.itemsize > 1  # token numbers; bytes are pixels
    names = tuple(map(str, range(count))) if whole and count <= 2**20 else ()
    return Data(
        inputs.astype(np.int64 if keep else np.float32), targets.astype(np.int64 if whole else np.float32), classes=names
    )


def _arrays(spec: Spec, data: Data) -> Prepared:
    """Split the data, fit the preprocessing on the training split, and apply it to all."""
    whole = data.targets.dtype.kind == "i"
    split = _split(spec, len(data.targets), data.targets if whole and data.targets.ndim == 1 else None)
    parts = {name: Data(data.inputs[of], data.targets[of], data.features, data.classes) for name, of in split.items()}
    return _fitted(spec, parts)


def _fitted(spec: Spec, data: Mapping[Split, Data]) -> Prepared:
    inputs = {split: each.inputs for split, each in data.items()}
    for place, step in enumerate(spec.data.preprocess):
        try:
            fitted = step.fit(inputs["train"])
        except ValueError as bad:
            raise UserError(spec.document.problem(("data", "preprocess", place), str(bad), "shape")) from None
        inputs = {split: fitted(each) for split, each in inputs.items()}
    first = data["train"]
    feeds: dict[Split, Feed] = {
        split: TensorFeed(torch.from_numpy(np.ascontiguousarray(inputs[split])), torch.from_numpy(each.targets))
        for split, each in data.items()
    }
    whole = first.targets.dtype.kind == "i"
    return Prepared(feeds, "classification" if whole else "regression", spec.data.classes or len(first.classes) or None)


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


def _fail(spec: Spec, message: str, kind: str) -> None:
    raise UserError(spec.document.problem(PATH, message, kind, key=True))
