"""The adapters to torchvision and to Hugging Face datasets: what lies on the disk; `download: true` fetches it."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from lossdoc.datasets.source import Data, Goal, Source, Table, refuse_numbers
from lossdoc.errors import UserError, did_you_mean, user_code
from lossdoc.word import Text

BROUGHT = ", or `pip install -c constraints.txt -e '.[data]'` in lossdoc's folder, which brings versions that fit each other"


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

        dataset = self._made(folder / self.root)
        with user_code(f"torchvision.datasets.{self.name}"):
            pairs = [dataset[place] for place in range(len(dataset))]
            images = _stacked([np.asarray(image, dtype=np.float32) for image, _ in pairs], self.name)
            targets = np.array([int(label) for _, label in pairs], dtype=np.int64)
        names = getattr(dataset, "classes", None) or range(int(targets.max()) + 1)
        return Data(_channels_first(images), targets, classes=tuple(map(str, names)))

    def _made(self, root: Path) -> Any:
        """Return the data set's training split; some call it `train`, others `split`."""
        kind = self._kind()
        known = inspect.signature(kind).parameters
        chosen: dict[str, Any] = {"train": True} if "train" in known else {"split": "train"} if "split" in known else {}
        if "root" not in known or not chosen:
            message = f"torchvision's {self.name} has no training split below a root; load it in code of your own (`call:`)"
            raise UserError.of(message, kind="missing-data")
        if "download" in known:
            chosen["download"] = self.download
        try:
            return kind(str(root), **chosen)
        except (RuntimeError, OSError, ValueError, TypeError) as bad:  # the files are not there, or it wants to be told more
            hint = "; 'download: true' fetches it" if "download" in known and not self.download else ""
            raise UserError.of(f"torchvision finds no {self.name}: {bad}{hint}", kind="missing-data", file=root) from None

    def _kind(self) -> Any:
        try:
            from torchvision import datasets
        except ImportError:
            raise _missing("torchvision") from None
        except RuntimeError as bad:  # compiled for another torch, it lacks its operators
            import torch

            message = (
                f"torchvision cannot be imported: {bad}; it must be the one made for torch {torch.__version__}{BROUGHT}"
            )
            raise UserError.of(message, kind="missing-package") from None
        made = getattr(datasets, self.name, None)
        if made is None:
            known = [each for each in dir(datasets) if each[:1].isupper()]
            raise UserError.of(f"torchvision has no '{self.name}'{did_you_mean(self.name, known)}", kind="missing-data")
        return made


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
            inputs = _stacked([np.asarray(each, dtype=np.float32) for each in rows[self.inputs]], self.path)
            targets = np.asarray(rows[self.targets])
        inputs = inputs[:, None] if inputs.ndim == 1 else inputs
        features = getattr(rows, "features", {})
        if inputs.ndim > 2 and type(features.get(self.inputs)).__name__ == "Image":
            inputs = _channels_first(inputs)
        if self.task == "regression":
            return Data(inputs, targets.astype(np.float32))
        names = getattr(features.get(self.targets), "names", None)
        if names is not None:  # a ClassLabel: numbers with names
            return Data(inputs, targets.astype(np.int64), classes=tuple(names))
        values, numbers = np.unique(targets, return_inverse=True)
        refuse_numbers(targets, values, self.targets, self.path)
        return Data(inputs, numbers.astype(np.int64), classes=tuple(map(str, values.tolist())))

    def _rows(self, folder: Path) -> Any:
        try:
            import datasets
        except ImportError:
            raise _missing("datasets") from None
        here = folder / self.path
        if here.is_dir():
            try:
                return self._chosen(datasets.load_from_disk(str(here)), here)
            except FileNotFoundError:  # not written by save_to_disk: files that it can read, perhaps
                return self._loaded(datasets, str(here), "the folder cannot be read as a data set")
        return self._loaded(datasets, self.path, f"'{self.path}' is no folder here, and cannot be loaded")

    def _chosen(self, stored: Any, here: Path) -> Any:
        if isinstance(stored, dict) and self.split not in stored:
            message = f"there is no split '{self.split}'{did_you_mean(self.split, stored)}; there are: {', '.join(stored)}"
            raise UserError.of(message, kind="missing-data", file=here)
        return stored[self.split] if isinstance(stored, dict) else stored

    def _loaded(self, datasets: Any, path: str, failed: str) -> Any:
        before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, not self.download
        try:
            return datasets.load_dataset(path, split=self.split)
        except (OSError, ValueError) as bad:  # what it raises for what is neither in the cache nor reachable
            hint = "" if self.download or Path(path).is_dir() else "; 'download: true' fetches it"
            raise UserError.of(f"{failed}: {_first(str(bad).splitlines())}{hint}", kind="missing-data") from None
        finally:
            datasets.config.HF_HUB_OFFLINE = before


def _stacked(samples: Sequence[Any], name: str) -> Any:
    """Return samples of one shape as one array."""
    import numpy as np

    shapes = sorted({each.shape for each in samples})
    if len(shapes) != 1:
        got = f"samples of different shapes ({', '.join(map(str, shapes[:3]))}, ...)" if shapes else "no samples"
        raise UserError.of(f"'{name}' has {got}; bring them to one in code of your own (`call:`)", kind="data")
    return np.stack(samples)


def _channels_first(images: Any) -> Any:
    """Return images (n, h, w) or (n, h, w, channels) as (n, channels, h, w)."""
    import numpy as np

    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _first(lines: Sequence[str]) -> str:
    return lines[0] if lines else "no reason given"


def _missing(package: str) -> UserError:
    return UserError.of(f"this source is read with {package}; `pip install {package}`{BROUGHT}", kind="missing-package")
