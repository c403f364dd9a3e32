"""Preprocessing of inputs: fitted on the training split only, then applied to every split with the same numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from lossdoc.word import Index, Meant, Number, Own, Positive, Word, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Inputs = NDArray[Any]

Per = Literal["feature", "channel", "all"]
Numbers = Annotated[
    tuple[Number, ...], Field(min_length=1, strict=False), Meant("a list of numbers (one per channel or feature)")
]


class Fitted(Protocol):
    """A step with its numbers, which it keeps whatever it is called with: training, validation and test data alike."""

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The numbers by name, as plain data."""

    def __call__(self, inputs: "Inputs") -> "Inputs":
        """Return the inputs (n, ...) preprocessed."""


@dataclass(frozen=True)
class Affine:
    """(x − shift) / scale, with arrays that broadcast against one sample."""

    shift: "Inputs"
    scale: "Inputs"

    @property
    def numbers(self) -> Mapping[str, Any]:
        """What is subtracted, and by what is divided; lists shaped like a sample, with 1 for the axes they hold for."""
        return {"subtract": self.shift.tolist(), "divide_by": self.scale.tolist()}

    def __call__(self, inputs: "Inputs") -> "Inputs":
        """Return the inputs (n, ...) preprocessed, float32."""
        import numpy as np

        return ((inputs - self.shift) / self.scale).astype(np.float32)


@dataclass(frozen=True)
class Clipped:
    """min(max(x, low), high)."""

    low: float | None
    high: float | None

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The bounds."""
        return {"low": self.low, "high": self.high}

    def __call__(self, inputs: "Inputs") -> "Inputs":
        """Return the inputs (n, ...) within the bounds, float32."""
        import numpy as np

        return np.clip(inputs, self.low, self.high).astype(np.float32)


@dataclass(frozen=True)
class Categories:
    """A 0 or 1 for each value that a feature had in the training data, in its place; a value not seen there is all 0."""

    values: "Mapping[int, Inputs]"

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The values of each feature, by its place."""
        return {str(place): values.tolist() for place, values in self.values.items()}

    def __call__(self, inputs: "Inputs") -> "Inputs":
        """Return the inputs (n, d) as (n, d + values - features), float32."""
        import numpy as np

        columns = [
            inputs[:, [place]] == self.values[place] if place in self.values else inputs[:, [place]]
            for place in range(inputs.shape[1])
        ]
        return np.concatenate(columns, axis=1).astype(np.float32)


class Preprocessing(Word):
    """A step of preprocessing."""

    kind: ClassVar[str] = "a step of preprocessing"

    def fit(self, inputs: "Inputs") -> Fitted:
        """Return the step with its numbers taken from the training inputs (n, ...).

        Raises:
            ValueError: when the step does not suit inputs of that shape.
        """
        raise NotImplementedError


class OwnPreprocessing(Preprocessing, Own):
    """The user's own step, on arrays (n, ...): a class with fit and transform, as scikit-learn's, or a plain function.

    fit gets the training inputs alone, transform those of each split. A function f(inputs) -> inputs is called with each
    split by itself, so it must not take its numbers from what it is given.
    """

    word: ClassVar[str] = "call"


class Scale(Preprocessing):
    """Divides by a number: pixels from 0–255 to 0–1."""

    word: ClassVar[str] = "scale"
    divide_by: Positive

    def fit(self, inputs: "Inputs") -> Affine:  # noqa: ARG002 - see Preprocessing
        """Need nothing of the inputs."""
        import numpy as np

        return Affine(np.zeros(()), np.asarray(self.divide_by))


class Standardize(Preprocessing):
    """To mean 0 and standard deviation 1, per feature, per channel or over all; a constant feature becomes 0."""

    word: ClassVar[str] = "standardize"
    shorthand: ClassVar[str | None] = "per"
    per: Per = "feature"

    def fit(self, inputs: "Inputs") -> Affine:
        """Take mean and deviation of the training inputs, in float64."""
        import numpy as np

        axes = _axes(inputs, self.per)
        deviation = inputs.std(axis=axes, keepdims=True, dtype=np.float64)[0]
        mean = inputs.mean(axis=axes, keepdims=True, dtype=np.float64)[0]
        # rounding alone leaves a constant of size m a deviation of some m·2⁻⁵²·√n: far below 1e-9·m
        return Affine(mean, np.where(deviation > 1e-9 * np.abs(mean), deviation, 1.0))


class Center(Preprocessing):
    """Subtracts the mean, by default per channel: usual for images."""

    word: ClassVar[str] = "center"
    shorthand: ClassVar[str | None] = "per"
    per: Per = "channel"

    def fit(self, inputs: "Inputs") -> Affine:
        """Take the mean of the training inputs, in float64."""
        import numpy as np

        return Affine(inputs.mean(axis=_axes(inputs, self.per), keepdims=True, dtype=np.float64)[0], np.ones(()))


class Statistics(Preprocessing):
    """Published numbers, one mean and one deviation per channel or feature: what a pretrained model was trained with."""

    word: ClassVar[str] = "statistics"
    mean: Numbers
    std: Annotated[tuple[Positive, ...], Field(min_length=1, strict=False), Meant("a list of numbers above 0")] = (1.0,)

    def fit(self, inputs: "Inputs") -> Affine:
        """Take the numbers as they are, along the first dimension of a sample."""
        return Affine(_along(self.mean, inputs, "mean"), _along(self.std, inputs, "std"))


class Clip(Preprocessing):
    """Brings what lies outside [low, high] to the nearer end: outliers go no further."""

    word: ClassVar[str] = "clip"
    low: Number | None = None
    high: Number | None = None

    def fit(self, inputs: "Inputs") -> Clipped:  # noqa: ARG002 - see Preprocessing
        """Need nothing of the inputs.

        Raises:
            ValueError: when there is no bound, or the lower one is not below the upper one.
        """
        if self.low is None and self.high is None:
            raise ValueError("'clip' has no bound; 'low', 'high' or both are meant")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"'clip' goes from {self.low:g} to {self.high:g}; the lower end comes first")
        return Clipped(self.low, self.high)


class OneHot(Preprocessing):
    """A column of 0 and 1 for each value of some features, which are given by their places, counted from 0."""

    word: ClassVar[str] = "one_hot"
    shorthand: ClassVar[str | None] = "features"
    features: Annotated[tuple[Index, ...], Field(min_length=1, strict=False), Meant("a list of places (counted from 0)")]

    def fit(self, inputs: "Inputs") -> Categories:
        """Take the values of the training inputs (n, d).

        Raises:
            ValueError: when the inputs are no vectors, or have no such feature.
        """
        import numpy as np

        if inputs.ndim != 2:
            raise ValueError(f"'one_hot' takes vectors, the inputs have {inputs.ndim - 1} dimensions")
        if max(self.features) >= inputs.shape[1]:
            raise ValueError(f"'one_hot' names feature {max(self.features)}, the inputs have 0 to {inputs.shape[1] - 1}")
        return Categories({place: np.unique(inputs[:, place]) for place in self.features})


def _axes(inputs: "Inputs", per: Per) -> tuple[int, ...]:
    """Return the axes over which is averaged; axis 1 holds channels, or the features of flat samples."""
    keep = {"feature": range(1, inputs.ndim), "channel": range(1, min(2, inputs.ndim)), "all": range(0)}[per]
    return tuple(axis for axis in range(inputs.ndim) if axis not in keep)


def _along(numbers: tuple[float, ...], inputs: "Inputs", name: str) -> "Inputs":
    import numpy as np

    channels = inputs.shape[1] if inputs.ndim > 1 else 1
    if len(numbers) not in (1, channels):
        raise ValueError(f"'{name}' has {len(numbers)} numbers, the inputs have {channels} channels or features")
    return np.asarray(numbers).reshape(-1, *[1] * (inputs.ndim - 2))


PREPROCESSING = table(Scale, Standardize, Center, Statistics, Clip, OneHot, OwnPreprocessing)
