"""Steps of preprocessing, fitted on the training split and applied to every split with the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lossdoc.build.own import OwnCode
from lossdoc.errors import UserError, user_code
from lossdoc.parts.preprocessing import Fitted, OwnPreprocessing, Preprocessing
from lossdoc.spec import Spec
from lossdoc.subject import Split

Inputs = NDArray[Any]
Steps = tuple[Mapping[str, Any], ...]  # the numbers of each step, under its word


def preprocess(
    spec: Spec, inputs: Mapping[Split, Inputs], key: Literal["preprocess", "targets"] = "preprocess"
) -> tuple[Mapping[Split, Inputs], Steps]:
    """Return the inputs (or the targets) of each split preprocessed, and the numbers of the steps as plain data.

    Raises:
        UserError: when a step does not suit the inputs.
        UserCodeError: when the user's own step raises.
    """
    steps = []
    given: tuple[Preprocessing, ...] = getattr(spec.data, key)
    for place, step in enumerate(given):
        fitted = _fit(spec, step, ("data", key, place), inputs["train"])
        inputs = {split: fitted(each) for split, each in inputs.items()}
        steps.append({step.call if isinstance(step, OwnPreprocessing) else step.word: fitted.numbers})
    return inputs, tuple(steps)


def _fit(spec: Spec, step: Preprocessing, path: tuple[str | int, ...], inputs: Inputs) -> Fitted:
    if isinstance(step, OwnPreprocessing):
        return _own(spec, step, path, inputs)
    try:
        return step.fit(inputs)
    except ValueError as bad:
        raise UserError(spec.document.problem(path, str(bad), "shape")) from None


@dataclass(frozen=True)
class OwnFitted:
    """The user's own step; `made` is what was fitted, None for a function."""

    spec: Spec
    word: str
    path: tuple[str | int, ...]
    call: Callable[[Inputs], Any]
    made: object = None

    @property
    def numbers(self) -> Mapping[str, Any]:
        """What fit stored as attributes whose names end in `_`, as is scikit-learn's convention, if those are numbers."""
        learned = {name: _numbers(each) for name, each in getattr(self.made, "__dict__", {}).items() if _learned(name)}
        return {name: each for name, each in learned.items() if each is not None}

    def __call__(self, inputs: Inputs) -> Inputs:
        """Return what the user's code makes of the inputs, float32 unless it is whole numbers.

        Raises:
            UserError: when that is not as many samples of numbers.
        """
        with user_code(self.word):
            given = self.call(inputs.copy())  # what it does to them in place stays with it
            made = np.asarray(given.toarray() if hasattr(given, "toarray") else given)  # scikit-learn's are often sparse
        if made.dtype.kind not in "biuf" or made.shape[:1] != inputs.shape[:1]:
            got = "nothing" if given is None else f"{type(given).__name__} shaped {made.shape} of {made.dtype}"
            message = f"'{self.word}' makes {got} of {len(inputs)} samples; an array of numbers with as many is meant"
            raise UserError(self.spec.document.problem((*self.path, "call"), message, "data"))
        return made if made.dtype == np.int64 else made.astype(np.float32)


def _learned(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _numbers(value: Any) -> Any:
    """Return a number, an array of numbers or a list of these as plain data, None for anything else."""
    if isinstance(value, list | tuple):
        parts = [_numbers(each) for each in value]
        return None if None in parts else parts
    known = isinstance(value, int | float | np.ndarray | np.generic)
    return np.asarray(value).tolist() if known and np.asarray(value).dtype.kind in "biuf" else None


def _own(spec: Spec, step: OwnPreprocessing, path: tuple[str | int, ...], inputs: Inputs) -> OwnFitted:
    own = OwnCode(spec)
    if not isinstance(own.find(step.call, path), type):
        return OwnFitted(spec, step.call, path, own.function(step.call, step.args, path, takes=1))
    made = own.call(step.call, step.args, path)
    if callable(getattr(made, "fit", None)) and callable(getattr(made, "transform", None)):
        with user_code(step.call):
            made.fit(inputs.copy())
        return OwnFitted(spec, step.call, path, made.transform, made)
    if not callable(made):
        message = f"'{step.call}' has no fit and transform, nor can its objects be called; one of the two is meant"
        raise UserError(spec.document.problem((*path, "call"), message, "not-callable"))
    return OwnFitted(spec, step.call, path, made, made)
