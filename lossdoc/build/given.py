"""What the user's own code returns as data: every usual form is taken, and any other is told what is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lossdoc.build.feeds import INPUT_KEYS, TARGET_KEYS, Keys
from lossdoc.errors import kind_of, user_code
from lossdoc.subject import Split

SPLITS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
}
IN_ORDER: tuple[Split, ...] = ("train", "validation", "test")
MEANT = (
    "(inputs, targets) as arrays, a list of such samples, a torch Dataset, a DataLoader, or these by split, "
    "as (train, validation) or as {train: ..., validation: ...}, is meant"
)
Pair = tuple[NDArray[Any], NDArray[Any]]


class Unfit(Exception):  # noqa: N818 - it says what is wrong with what was given
    """What was given is no data; the text says what it is, and why that does not do."""


def by_split(given: Any, word: str) -> Mapping[Split, Any] | None:
    """Return what was given for each split, None where it is not given by split.

    Raises:
        Unfit: when a mapping names splits that do not exist, or no training data.
        UserCodeError: when a LightningDataModule raises.
    """
    if hasattr(given, "train_dataloader"):
        return _of_module(given, word)
    if isinstance(given, Mapping) and any(key in SPLITS for key in given):
        unknown = [str(key) for key in given if key not in SPLITS]
        if unknown or "train" not in {SPLITS[key] for key in given if key in SPLITS}:
            raise Unfit(f"a mapping with the keys {', '.join(map(str, given))}; train, validation and test are meant")
        return {SPLITS[key]: each for key, each in given.items()}
    if isinstance(given, tuple) and 2 <= len(given) <= 3 and all(_is_whole(each) for each in given):
        return dict(zip(IN_ORDER, given, strict=False))
    return None


def as_rows(given: Any, keys: Keys) -> Any:
    """Return a mapping of arrays of which the model gets more than one as a list of samples; anything else as it is."""
    if not isinstance(given, Mapping) or not (keys.whole or len(keys.x) > 1):
        return given
    sizes = {name: len(each) for name, each in given.items() if hasattr(each, "__len__")}
    if len(sizes) < len(given) or len(set(sizes.values())) != 1:
        raise Unfit(f"{told(given)}, which are not of one length")
    return [{name: each[place] for name, each in given.items()} for place in range(next(iter(sizes.values())))]


def pair(given: Any, keys: Keys) -> Pair | None:
    """Return (inputs, targets) as arrays where samples in memory were given, however; None where it is anything else.

    Raises:
        Unfit: when the samples differ in shape, or are one array without targets.
    """
    if _is_array(given):
        raise Unfit(f"one array shaped {tuple(np.shape(given))}, without targets")
    if isinstance(given, tuple | list) and len(given) == 2 and _is_columns(*given):
        return _array(given[0], "inputs"), _array(given[1], "targets")
    if isinstance(given, Mapping):
        return _columns(given, keys)
    if type(given) is TensorDataset and len(given.tensors) == 2:  # a subclass may give something else by number
        return _array(given.tensors[0], "inputs"), _array(given.tensors[1], "targets")
    if isinstance(given, list | tuple) and given and all(_is_sample(each) for each in given):
        return _array([each[0] for each in given], "inputs"), _array([each[1] for each in given], "targets")
    return None


def is_indexed(given: Any) -> bool:
    """Tell whether samples can be had by their number: a map-style Dataset, a list of mappings, whatever has a length."""
    if isinstance(given, list | tuple):
        return bool(given) and all(isinstance(each, Mapping) for each in given)
    known = not isinstance(given, str | bytes | Mapping | IterableDataset | DataLoader | type)
    return known and hasattr(given, "__len__") and hasattr(given, "__getitem__")


def is_iterable(given: Any) -> bool:
    """Tell whether batches can be had from it time and again.

    Raises:
        Unfit: when it can be run through only once.
    """
    if isinstance(given, Iterator):
        raise Unfit(
            f"a {type(given).__name__}, which is used up after one epoch: make a list of it, or a class with __iter__"
        )
    if isinstance(given, list | tuple):
        return bool(given) and all(_is_batch(each) for each in given)
    return hasattr(given, "__iter__") and not isinstance(given, str | bytes | Mapping | set | type)


def labels_of(dataset: Any) -> NDArray[Any] | None:
    """Return the class numbers (n,) that a Dataset keeps in `targets` or `labels`, None where it keeps none."""
    found = next((getattr(dataset, name) for name in ("targets", "labels") if hasattr(dataset, name)), None)
    if found is None or callable(found):
        return None
    try:
        labels = np.asarray(found)
    except ValueError:  # a ragged list: they are no class numbers
        return None
    return labels if labels.dtype.kind in "iu" and labels.shape == (len(dataset),) else None


def told(given: Any) -> str:
    """Return what was given in words."""
    if given is None:
        return "nothing (a forgotten return?)"
    if isinstance(given, type):
        return f"the class {given.__name__} itself, not an object of it"
    if isinstance(given, tuple | list) and not given:
        return f"an empty {type(given).__name__}"
    if isinstance(given, tuple | list):
        kinds = [type(each).__name__ for each in given[:4]]
        return f"a {type(given).__name__} of {len(given)} ({', '.join(kinds)}{', ...' if len(given) > 4 else ''})"
    if isinstance(given, Mapping):
        return f"a mapping with the keys {', '.join(map(str, given)) or '(none)'}"
    return kind_of(given)


def _of_module(module: Any, word: str) -> dict[Split, Any]:
    """Return the loaders of a LightningDataModule by split."""
    with user_code(word):
        for name, arguments in (("prepare_data", ()), ("setup", ("fit",))):
            getattr(module, name, lambda *_: None)(*arguments)
        train = module.train_dataloader()
        validation = module.val_dataloader() if _has(module, "val_dataloader") else None
    if isinstance(validation, list | tuple) and len(validation) == 1:  # Lightning takes several
        (validation,) = validation
    return {"train": train} if validation is None else {"train": train, "validation": validation}


def _has(module: Any, name: str) -> bool:
    """Tell whether a LightningDataModule has a method of its own; that of Lightning's base class only raises."""
    method = getattr(type(module), name, None)
    package = getattr(method, "__module__", "").partition(".")[0]
    return method is not None and package not in ("lightning", "pytorch_lightning")


def _is_array(given: Any) -> bool:
    """Tell an array, a tensor, or a table of pandas."""
    return isinstance(given, np.ndarray | Tensor) or hasattr(given, "__array__")


def _is_columns(inputs: Any, targets: Any) -> bool:
    """Tell inputs and their targets; the inputs may be a list of tuples."""
    rows = isinstance(inputs, list) and bool(inputs) and not isinstance(inputs[0], Mapping)
    return (_is_array(inputs) or rows) and (_is_array(targets) or _is_rows(targets))


def _is_rows(given: Any) -> bool:
    """Tell a list of numbers, of arrays, or of lists of such from one of samples."""
    return isinstance(given, list) and bool(given) and not isinstance(given[0], tuple | Mapping)


def _is_sample(given: Any) -> bool:
    """Tell an input with its target."""
    return isinstance(given, tuple | list) and len(given) == 2 and not _is_batch(given)


def _is_batch(given: Any) -> bool:
    """Tell a batch, whose targets are as many as its inputs, from a sample; a sample's input is often a vector."""
    if not isinstance(given, tuple | list) or len(given) != 2 or not all(_is_array(each) for each in given):
        return False
    inputs, targets = (np.shape(each) for each in given)
    return len(inputs) > 1 and len(targets) > 0 and inputs[0] == targets[0]


def _is_whole(given: Any) -> bool:
    """Tell all samples of a split from their inputs or targets alone."""
    if _is_array(given) or _is_rows(given) or isinstance(given, str | bytes | Mapping):
        return False
    if isinstance(given, tuple):
        return len(given) == 2 and _is_columns(*given)
    return hasattr(given, "__iter__") or is_indexed(given)


def _columns(given: Mapping[Any, Any], keys: Keys) -> Pair | None:
    """Return the inputs and targets of a mapping of arrays; None where there are several inputs."""
    inputs = keys.x or tuple(key for key in INPUT_KEYS if key in given)[:1]
    targets = keys.y or next((key for key in TARGET_KEYS if key in given), None)
    missing = [key for key in (*inputs, targets) if key is not None and key not in given]
    if len(inputs) != 1 or targets is None or missing:
        raise Unfit(
            f"{told(given)}; the keys train and validation, or inputs and targets (or x and y), are meant; "
            "'data.batch: {x: ..., y: ...}' names others"
        )
    return _array(given[inputs[0]], "inputs"), _array(given[targets], "targets")


def _array(given: Any, what: str) -> NDArray[Any]:
    """Return what was given for the inputs, or the targets, as one array.

    Raises:
        Unfit: when the samples are not of one shape.
    """
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        given = [each.detach().cpu().numpy() if isinstance(each, Tensor) else each for each in given]
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    try:
        return np.asarray(given)
    except ValueError:
        shapes = sorted({np.shape(each) for each in given if _is_array(each)} or {(len(each),) for each in given})
        raise Unfit(f"{what} of different shapes ({', '.join(map(str, shapes[:3]))}); as arrays all must have one") from None
