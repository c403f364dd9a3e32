"""Data made on the spot, by formulas whose answers are known."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lossdoc.datasets.source import Data, Goal, Source
from lossdoc.errors import UserError
from lossdoc.word import Count, Index, NonNegative

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points = NDArray[np.floating[Any]]
    Labels = NDArray[np.int64]

Form = Literal["blobs", "circles", "moons", "spirals", "xor", "sine", "polynomial"]


class Synthetic(Source):
    """`n` points of a known form, with normal noise of standard deviation `noise`, drawn with `seed`.

    Classes in the plane, equally many points each: blobs (three), circles (radii 0.5 and 1), moons, spirals (a turn and a
    half), xor (the corners of a square). Numbers over one input in [-1, 1]: sine is sin(pi x), polynomial x^3 - x / 2.
    """

    word: ClassVar[str] = "synthetic"
    shorthand: ClassVar[str | None] = "form"
    form: Form
    n: Count = 400
    noise: NonNegative = 0.1
    seed: Index = 0

    @property
    def goal(self) -> Goal:
        """Numbers for the two functions, else classes."""
        return "regression" if self.form in FUNCTIONS else "classification"

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # it goes by the form
        """One input for the two functions, else two."""
        return (1,) if self.form in FUNCTIONS else (2,)

    @property
    def classes(self) -> int | None:  # type: ignore[override]  # it goes by the form
        """Three blobs, else two classes."""
        return None if self.form in FUNCTIONS else 3 if self.form == "blobs" else 2

    def load(self, folder: Path) -> Data:  # noqa: ARG002 - see Source
        """Draw the points.

        Raises:
            UserError: when there are fewer points than classes.
        """
        import numpy as np

        if self.n < (self.classes or 1):
            raise UserError.of(f"'synthetic' has {self.n} points for {self.classes} classes", kind="data")
        rng = np.random.default_rng(self.seed)
        if self.form in FUNCTIONS:
            inputs = rng.uniform(-1, 1, (self.n, 1))
            values = FUNCTIONS[self.form](inputs[:, 0]) + rng.normal(0, self.noise, self.n)
            return Data(inputs.astype(np.float32), values.astype(np.float32), ("x",))
        labels = np.arange(self.n) % (self.classes or 1)
        along = rng.uniform(0, 1, self.n)  # how far along its curve a point lies
        points = PLANES[self.form](along, labels) + rng.normal(0, self.noise, (self.n, 2))
        names = tuple(map(str, range(self.classes or 1)))
        return Data(points.astype(np.float32), labels.astype(np.int64), ("x", "y"), names)


def _polar(radius: "Points", angle: "Points") -> "Points":
    import numpy as np

    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _blobs(_along: "Points", labels: "Labels") -> "Points":
    import numpy as np

    return _polar(np.ones(len(labels)), 2 * math.pi * labels / 3)


def _circles(along: "Points", labels: "Labels") -> "Points":
    return _polar(1.0 - 0.5 * labels, 2 * math.pi * along)


def _moons(along: "Points", labels: "Labels") -> "Points":
    """Half a circle, and another turned by half a turn about (0.5, 0.25)."""
    import numpy as np

    upper = _polar(np.ones(len(along)), math.pi * along)
    return np.where(labels[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)


def _spirals(along: "Points", labels: "Labels") -> "Points":
    """The radius grows from 0.2 to 1.2 in a turn and a half; the other arm is half a turn further."""
    return _polar(0.2 + along, 3 * math.pi * along + math.pi * labels)


def _xor(along: "Points", labels: "Labels") -> "Points":
    """Opposite corners of the square from -1 to 1 are one class."""
    import numpy as np

    side = np.where(along < 0.5, -1.0, 1.0)
    return np.stack([side, np.where(labels == 0, side, -side)], axis=1)


def _sine(x: "Points") -> "Points":
    import numpy as np

    return np.asarray(np.sin(math.pi * x))


def _cubic(x: "Points") -> "Points":
    return x**3 - x / 2


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {"sine": _sine, "polynomial": _cubic}
PLANES: Mapping[str, Callable[[Any, Any], Any]] = {
    "blobs": _blobs,
    "circles": _circles,
    "moons": _moons,
    "spirals": _spirals,
    "xor": _xor,
}
