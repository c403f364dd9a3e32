"""The adapters to torchvision and to Hugging Face datasets: what lies on the disk; `download: true` fetches it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from lossdoc.datasets.source import Data, Goal, Source, Table
from lossdoc.errors import UserError, did_you_mean, user_code
from lossdoc.word import Text


class Torchvision(Source):
    """A classification data set of torchvision by its class's name: images (channels, height, width) from 0 to 255."""

    word: ClassVar[str] = "torchvision"
    shorthand: ClassVar[str | None] = "name"
    name: Text
    root: Text = "data"
    download: bool = False

    @property
    def goal(self) -> Goal:
        """A classification."""
        return "classification"

    def load(self, folder: Path) -> Data:
        """Read the training split."""
        import numpy as np

        try:
            from torchvision import datasets
        except ImportError:
            raise _missing("torchvision") from None
        made = getattr(datasets, self.name, None)
        if made is None:
            known = [each for each in dir(datasets) if each[:1].isupper()]
            raise UserError.of(f"torchvision has no '{self.name}'{did_you_mean(self.name, known)}", kind="missing-data")
        root = folder / self.root
        try:
            dataset = made(str(root), train=True, download=self.download)
        except RuntimeError as bad:  # what torchvision raises where the files are not there
            message = f"torchvision finds no {self.name}: {bad}; 'download: true' fetches it"
            raise UserError.of(message, kind="missing-data", file=root) from None
        with user_code(f"torchvision.datasets.{self.name}"):
            pairs = [dataset[place] for place in range(len(dataset))]
            images = np.stack([np.asarray(image, dtype=np.float32) for image, _ in pairs])
            targets = np.array([int(label) for _, label in pairs], dtype=np.int64)
        names = getattr(dataset, "classes", None) or range(int(targets.max()) + 1)
        images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
        return Data(np.ascontiguousarray(images), targets, classes=tuple(map(str, names)))


class HuggingFace(Source):
    """Two columns of a Hugging Face data set: `path` is a folder written by save_to_disk, or a name in the cache."""

    word: ClassVar[str] = "huggingface"
    path: Text
    inputs: Text
    targets: Text
    split: Text = "train"
    task: Table = "classification"
    download: bool = False

    @property
    def goal(self) -> Goal:
        """What `task` says."""
        return self.task

    def load(self, folder: Path) -> Data:
        """Read both columns."""
        import numpy as np

        rows = self._rows(folder)
        known = list(rows.column_names)
        for name in (self.inputs, self.targets):
            if name not in known:
                message = f"there is no column '{name}'{did_you_mean(name, known)}; there are: {', '.join(known)}"
                raise UserError.of(message, kind="missing-column", file=self.path)
        with user_code(f"datasets: {self.path}"):
            inputs = np.stack([np.asarray(each, dtype=np.float32) for each in rows[self.inputs]])
            targets = np.asarray(rows[self.targets])
        if self.task == "regression":
            return Data(inputs, targets.astype(np.float32))
        values, numbers = np.unique(targets, return_inverse=True)
        return Data(inputs, numbers.astype(np.int64), classes=tuple(map(str, values.tolist())))

    def _rows(self, folder: Path) -> Any:
        try:
            import datasets
        except ImportError:
            raise _missing("datasets") from None
        here = folder / self.path
        if here.is_dir():
            with user_code(f"datasets.load_from_disk {here}"):
                stored = datasets.load_from_disk(str(here))
                return stored[self.split] if isinstance(stored, dict) else stored
        before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, not self.download
        try:
            return datasets.load_dataset(self.path, split=self.split)
        except (OSError, ValueError) as bad:  # what it raises for what is neither in the cache nor reachable
            message = f"'{self.path}' is no folder here, and cannot be loaded: {_first(str(bad).splitlines())}"
            hint = "" if self.download else "; 'download: true' fetches it"
            raise UserError.of(message + hint, kind="missing-data") from None
        finally:
            datasets.config.HF_HUB_OFFLINE = before


def _first(lines: Sequence[str]) -> str:
    return lines[0] if lines else "no reason given"


def _missing(package: str) -> UserError:
    return UserError.of(f"this source is read with {package}; `pip install {package}`", kind="missing-package")
