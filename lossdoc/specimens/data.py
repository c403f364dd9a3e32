"""Made-up data, the same at every call; torch is imported where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lossdoc.subject import Batch, Split

if TYPE_CHECKING:
    from torch import Tensor

FEATURES, CLASSES, SAMPLES, BATCH = 8, 4, 320, 32
Source = Callable[[Split], "tuple[Tensor, Tensor]"]


def blobs(split: Split = "train", samples: int = SAMPLES, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Return inputs (N, 8) around one center for each class, standardized by the training data, and the labels (N,)."""
    known, _ = _raw_blobs("train", samples, classes)
    inputs, labels = _raw_blobs(split, samples, classes)
    return (inputs - known.mean(0)) / known.std(0), labels


def _raw_blobs(split: Split, samples: int, classes: int) -> tuple[Tensor, Tensor]:
    import torch

    centers = torch.randn(classes, FEATURES, generator=torch.Generator().manual_seed(1))
    luck = torch.Generator().manual_seed(2 if split == "train" else 3)
    labels = torch.randint(classes, (samples,), generator=luck)
    return centers[labels] + torch.randn(samples, FEATURES, generator=luck), labels


def numbers(split: Split = "train") -> tuple[Tensor, Tensor]:
    """Return inputs (N, 8) and targets (N, 1) of mean 0 and variance 1."""
    import torch

    inputs, _ = blobs(split)
    noise = torch.randn(len(inputs), 1, generator=torch.Generator().manual_seed(4))
    targets = inputs[:, :1] * inputs[:, 1:2] + 0.3 * noise
    return inputs, (targets - targets.mean()) / targets.std()


def yes_no(split: Split = "train") -> tuple[Tensor, Tensor]:
    """Return inputs (N, 8) and targets (N,) of 0 and 1, whole numbers as a file of labels has them."""
    inputs, labels = blobs(split)
    return inputs, labels % 2


def fed(source: Source, *, shuffle: bool = True, batch: int = BATCH) -> Callable[[Split, int], Iterable[Batch]]:
    """Return batches of what `source` makes for a split, in a new order in each epoch of the training split."""

    def batches(split: Split, epoch: int) -> Iterable[Batch]:
        import torch

        inputs, targets = source(split)
        order = torch.arange(len(inputs))
        if shuffle and split == "train":
            order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(100 + epoch))
        for at in torch.split(order, batch):
            yield Batch(inputs[at], targets[at])

    return batches


def words(length: int, *, alike: bool = False) -> Source:
    """Return the source of windows of `length` letters, drawn one by one, or `alike`: each window repeats one letter."""

    def source(split: Split) -> tuple[Tensor, Tensor]:
        import torch

        generator = torch.Generator().manual_seed(1 if split == "train" else 2)
        drawn = torch.randint(0, 8, (64, 1 if alike else length), generator=generator).expand(64, length)
        return drawn, drawn.roll(-1, 1)

    return source


def sorted_by_class(split: Split) -> tuple[Tensor, Tensor]:
    """Return the blobs one class after another."""
    inputs, labels = blobs(split)
    order = labels.argsort(stable=True)
    return inputs[order], labels[order]


def partly_leaked(split: Split) -> tuple[Tensor, Tensor]:
    """Return blobs of which 16 validation samples are in the training data as well."""
    inputs, labels = blobs(split)
    if split == "validation":
        inputs[:16], labels[:16] = blobs("train")[0][:16], blobs("train")[1][:16]
    return inputs, labels


def one_left_over(split: Split) -> tuple[Tensor, Tensor]:
    """Return so many blobs that the last batch is one of them."""
    inputs, labels = blobs(split)
    return inputs[: SAMPLES - BATCH + 1], labels[: SAMPLES - BATCH + 1]


def in_dollars(split: Split) -> tuple[Tensor, Tensor]:
    """Return targets as they come, 200,000 ± 125,000."""
    inputs, targets = numbers(split)
    return inputs, 200_000 + 125_000 * targets


def in_years(split: Split) -> tuple[Tensor, Tensor]:
    """Return targets some way from 0: 50 ± 10."""
    inputs, targets = numbers(split)
    return inputs, 50 + 10 * targets


def in_shares(split: Split) -> tuple[Tensor, Tensor]:
    """Return targets between 0 and 1."""
    inputs, targets = numbers(split)
    return inputs, targets.sigmoid()


def one_hot(split: Split, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Return the blobs with a row of zeros and a single 1 for each label."""
    import torch

    inputs, labels = blobs(split)
    return inputs, torch.nn.functional.one_hot(labels, classes).float()


def ten_hot(split: Split) -> tuple[Tensor, Tensor]:
    """Return ten blobs with a row of ten numbers for each label."""
    import torch

    inputs, labels = blobs(split, classes=10)
    return inputs, torch.nn.functional.one_hot(labels, 10).float()


def column(split: Split) -> tuple[Tensor, Tensor]:
    """Return the blobs with their class numbers as a column (N, 1)."""
    inputs, labels = blobs(split)
    return inputs, labels[:, None]


def as_numbers(split: Split) -> tuple[Tensor, Tensor]:
    """Return the blobs with their class numbers as a column of floating point."""
    inputs, labels = blobs(split)
    return inputs, labels[:, None].float()


def plus_minus(split: Split) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of −1 and 1."""
    inputs, labels = yes_no(split)
    return inputs, 2 * labels - 1


def flat_numbers() -> Callable[[Split, int], Iterable[Batch]]:
    """Return batches of numbers whose targets are (B,), not (B, 1)."""

    def flat(split: Split) -> tuple[Tensor, Tensor]:
        inputs, targets = numbers(split)
        return inputs, targets[:, 0]

    return fed(flat)


def doubled_then_split(split: Split) -> tuple[Tensor, Tensor]:
    """Return a part of blobs that were all there twice before they were split at random."""
    import torch

    inputs, labels = (torch.cat([both, both]) for both in blobs("train"))
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(5))
    part = order[: len(order) // 2] if split == "train" else order[len(order) // 2 :]
    return inputs[part], labels[part]


def with_nan(values: Tensor) -> Tensor:
    """Return the values with a NaN among them."""
    values[7] = float("nan")
    return values


def first_constant(inputs: Tensor) -> Tensor:
    """Return inputs whose first feature is always 1."""
    inputs[:, 0] = 1.0
    return inputs


def with_validation(change: Callable[[Tensor], Tensor]) -> Source:
    """Return the blobs with the inputs of the validation split put through `change`."""

    def source(split: Split) -> tuple[Tensor, Tensor]:
        inputs, labels = blobs(split)
        if split == "validation":
            inputs = change(inputs)
        return inputs, labels[: len(inputs)]

    return source


def standardized(inputs: Tensor) -> Tensor:
    """Return inputs scaled by their own mean and deviation."""
    return (inputs - inputs.mean(0)) / inputs.std(0)


def jittered(inputs: Tensor) -> Tensor:
    """Return inputs with fresh noise at every call, as augmentation adds it."""
    import torch

    return inputs + 0.1 * torch.randn(inputs.shape)


def first_faint(inputs: Tensor) -> Tensor:
    """Return inputs whose first three features were divided by their range once too often."""
    inputs[:, :3] /= 5_000
    return inputs


def noise_faint(inputs: Tensor) -> Tensor:
    """Return inputs with two tiny features more, which hold nothing."""
    import torch

    noise = torch.randn(len(inputs), 2, generator=torch.Generator().manual_seed(6))
    return torch.cat([inputs[:, 2:], 1e-4 * noise], dim=1)


def pixels(inputs: Tensor) -> Tensor:
    """Return inputs as whole numbers from 0 to 255."""
    return (128 + 40 * inputs).round().clamp(0, 255)


def every(step: int, values: Tensor) -> Tensor:
    """Return 1 at every step-th place and 0 at the others, as many as there are values."""
    import torch

    return (torch.arange(len(values)) % step == 0).to(values.dtype)
