"""The data that lie in the package: digits, iris, wine. ATTRIBUTION.md beside them says where they are from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lossdoc.datasets.source import Data, Goal, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).parent
CHECKSUMS = {
    "digits": "9be92edf31d6a4c8e14f0a99a6a34b2261de1d589a0ac5518384a4124c3650a6",
    "iris": "cf08350cb23eb92d1a8b8574876717809201229af3f5f050fb253fdc65853459",
    "wine": "b60a2f5635af2c48fc90f994aac3bec0498538792391fb7a2977172e0dc176a2",
}


class _Builtin(Source):
    """Data in the package, read from `<word>.npz`."""

    @property
    def goal(self) -> Goal:
        """Each of them is a classification."""
        return "classification"

    def arrays(self) -> "tuple[NDArray[Any], NDArray[Any]]":
        """Return inputs, float32 (n, ...), and class numbers, int64 (n,)."""
        import numpy as np

        with np.load(FOLDER / f"{self.word}.npz", allow_pickle=False) as stored:
            return stored["inputs"].astype(np.float32), stored["targets"].astype(np.int64)


class Digits(_Builtin):
    """1,797 handwritten digits of 8 x 8 pixels from 0 to 16, shaped (1, 8, 8); ten classes."""

    word: ClassVar[str] = "digits"
    shape: ClassVar[tuple[int, ...] | None] = (1, 8, 8)
    classes: ClassVar[int | None] = 10

    def load(self, folder: Path) -> Data:  # noqa: ARG002 - see Source
        """Read the images."""
        inputs, targets = self.arrays()
        return Data(inputs[:, None], targets, classes=tuple("0123456789"))


class Iris(_Builtin):
    """150 iris flowers, four lengths in cm, three species."""

    word: ClassVar[str] = "iris"
    shape: ClassVar[tuple[int, ...] | None] = (4,)
    classes: ClassVar[int | None] = 3

    def load(self, folder: Path) -> Data:  # noqa: ARG002 - see Source
        """Read the measurements."""
        features = ("sepal_length", "sepal_width", "petal_length", "petal_width")
        return Data(*self.arrays(), features, ("setosa", "versicolor", "virginica"))


class Wine(_Builtin):
    """178 Italian wines, thirteen chemical measurements of very different size, three growers."""

    word: ClassVar[str] = "wine"
    shape: ClassVar[tuple[int, ...] | None] = (13,)
    classes: ClassVar[int | None] = 3

    def load(self, folder: Path) -> Data:  # noqa: ARG002 - see Source
        """Read the measurements."""
        features = (
            "alcohol malic_acid ash alcalinity_of_ash magnesium total_phenols flavanoids nonflavanoid_phenols "
            "proanthocyanins color_intensity hue od280_od315 proline"
        )
        return Data(*self.arrays(), tuple(features.split()), ("grower_1", "grower_2", "grower_3"))


def checksum(word: str) -> str:
    """Return the SHA-256 of the file of one data set, as it lies there."""
    import hashlib

    return hashlib.sha256((FOLDER / f"{word}.npz").read_bytes()).hexdigest()
