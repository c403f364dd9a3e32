"""The adapters to npz files, texts, parquet files and folders of images; none of them runs what it reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lossdoc.datasets.csv_file import Csv, Rows
from lossdoc.datasets.source import Data, Goal, Source, Table, refuse_numbers
from lossdoc.errors import UserError, did_you_mean
from lossdoc.word import Count, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")


class Npz(Source):
    """Two arrays of an npz file, read without pickle: inputs (n, ...) and targets (n,), whole numbers for classes."""

    word: ClassVar[str] = "npz"
    shorthand: ClassVar[str | None] = "path"
    path: Text
    inputs: Text = "inputs"
    targets: Text = "targets"
    task: Table = "classification"

    @property
    def goal(self) -> Goal:
        """What `task` says."""
        return self.task

    def load(self, folder: Path) -> Data:
        """Read both arrays."""
        import zipfile

        import numpy as np

        path = folder / self.path
        with (
            _reading(path, "an npz file", ValueError, zipfile.BadZipFile, EOFError, TypeError),
            np.load(path, allow_pickle=False) as stored,  # the single array of an npy file is no context: a TypeError
        ):
            inputs, targets = (_array(path, stored, name) for name in (self.inputs, self.targets))
        if len(inputs) != len(targets):
            message = f"'{self.inputs}' has {len(inputs)} samples, '{self.targets}' {len(targets)}; as many are meant"
            raise UserError.of(message, kind="data", file=path)
        if self.task == "regression":
            return Data(inputs.astype(np.float32), targets.astype(np.float32))
        refuse_numbers(targets, np.unique(targets), self.targets, path)
        return Data(inputs.astype(np.float32), *_numbered(targets))


class TextFile(Source):
    """A text to be continued: windows of `length` characters or bytes, each to be told from those before it.

    The vocabulary is every character of the file, sorted, or the 256 bytes; `classes` stands for its size in the layers.
    """

    word: ClassVar[str] = "text"
    shorthand: ClassVar[str | None] = "path"
    path: Text
    unit: Literal["character", "byte"] = "character"
    length: Count = 64

    @property
    def goal(self) -> Goal:
        """A language model."""
        return "language"

    def load(self, folder: Path) -> Data:
        """Cut the file into windows side by side; what is left over at its end is not used."""
        import numpy as np

        path = folder / self.path
        with _reading(path, "a text (UTF-8); 'unit: byte' reads any file", UnicodeDecodeError):
            raw = path.read_bytes()
            text = raw if self.unit == "byte" else raw.decode("utf-8")
        vocabulary = tuple(map(str, range(256))) if isinstance(text, bytes) else tuple(sorted(set(text)))
        number = {each: place for place, each in enumerate(vocabulary)}
        tokens = np.array(list(text) if isinstance(text, bytes) else [number[each] for each in text], dtype=np.int64)
        count = (len(tokens) - 1) // self.length
        if count < 2:
            message = f"holds {len(tokens)} {self.unit}s; two windows of {self.length} and the one behind them are needed"
            raise UserError.of(message, kind="empty", file=path)
        used = count * self.length
        return Data(tokens[:used].reshape(count, -1), tokens[1 : used + 1].reshape(count, -1), classes=vocabulary)


class Parquet(Csv):
    """A parquet file, as `csv`: columns of numbers as features, one column as the target; needs pyarrow."""

    word: ClassVar[str] = "parquet"

    def cells(self, path: Path) -> tuple[list[str], Rows]:
        """Return the names of the columns, and the rows, counted from 1."""
        try:
            from pyarrow import ArrowInvalid, parquet
        except ImportError:
            raise UserError.of(
                "a parquet file is read with pyarrow; `pip install pyarrow`", kind="missing-package", file=path
            ) from None
        with _reading(path, "a parquet file", ArrowInvalid):
            columns = parquet.read_table(path).to_pydict()
        rows = zip(*columns.values(), strict=True)
        return list(columns), [
            (place, ["" if each is None else str(each) for each in row]) for place, row in enumerate(rows, 1)
        ]


class ImageFolder(Source):
    """A folder with a folder of images for each class; all are brought to `size` x `size` pixels from 0 to 255."""

    word: ClassVar[str] = "image_folder"
    shorthand: ClassVar[str | None] = "path"
    path: Text
    size: Count = 32
    colors: Literal["gray", "rgb"] = "rgb"

    @property
    def goal(self) -> Goal:
        """A classification."""
        return "classification"

    def load(self, folder: Path) -> Data:
        """Read the images, in the order of their names."""
        import numpy as np

        path = folder / self.path
        if not path.is_dir():
            raise UserError.of("is no folder of images", kind="missing-file", file=path)
        classes = tuple(sorted(each.name for each in path.iterdir() if each.is_dir() and list(_images(each))))
        if len(classes) < 2:
            message = f"has {len(classes)} folders with images; one for each class, two at least, are meant"
            raise UserError.of(message, kind="empty", file=path)
        pairs = [(file, number) for number, name in enumerate(classes) for file in _images(path / name)]
        pixels = np.stack([self._pixels(file) for file, _ in pairs])
        return Data(pixels, np.array([number for _, number in pairs], dtype=np.int64), classes=classes)

    def _pixels(self, file: Path) -> "NDArray[Any]":
        """Return an image as float32 (channels, size, size)."""
        import numpy as np
        from PIL import Image, UnidentifiedImageError

        with _reading(file, "an image", UnidentifiedImageError, OSError), Image.open(file) as image:
            resized = image.convert("L" if self.colors == "gray" else "RGB").resize((self.size, self.size))
            pixels = np.asarray(resized, dtype=np.float32)
        return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _images(folder: Path) -> Iterator[Path]:
    return (each for each in sorted(folder.iterdir()) if each.suffix.lower() in IMAGES)


def _array(path: Path, stored: Any, name: str) -> "NDArray[Any]":
    """Return an array of numbers that has samples."""
    if name not in stored.files:
        message = f"there is no array '{name}'{did_you_mean(name, stored.files)}; there are: {', '.join(stored.files)}"
        raise UserError.of(message, kind="missing-column", file=path)
    array: NDArray[Any] = stored[name]
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise UserError.of(f"'{name}' holds {array.dtype}; an array of numbers is meant", kind="data", file=path)
    return array


def _numbered(targets: "NDArray[Any]") -> "tuple[NDArray[Any], tuple[str, ...], tuple[str, ...]]":
    """Return class numbers from 0 (n,), no features, and the classes by their values."""
    import numpy as np

    values, numbers = np.unique(targets.reshape(len(targets)), return_inverse=True)
    return numbers.astype(np.int64), (), tuple(f"{each:g}" for each in values.tolist())


class _reading:  # noqa: N801 - it is used like the word
    """Say of a file that cannot be read what it should have been."""

    def __init__(self, path: Path, meant: str, *faults: type[Exception]) -> None:
        self.path, self.meant, self.faults = path, meant, faults

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, bad: BaseException | None, _trace: object) -> None:
        if isinstance(bad, FileNotFoundError | IsADirectoryError | PermissionError):
            why = bad.strerror or "No such file"  # pyarrow's has no reason of its own
            raise UserError.of(f"cannot be read: {why}", kind="missing-file", file=self.path) from None
        if isinstance(bad, ValueError) and "Object arrays" in str(bad):
            message = "holds pickled objects, which are code and never run here; store arrays of numbers"
            raise UserError.of(message, kind="unreadable", file=self.path) from None
        if isinstance(bad, self.faults):
            why = "" if "pickle" in str(bad) else f": {bad}"  # numpy takes whatever it does not know for a pickle
            raise UserError.of(f"is not {self.meant}{why}", kind="unreadable", file=self.path) from None
