"""What slides over images and signals: convolutions as products of matrices, and pools by torch's own kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.stacking.known.layer import Layer, Mode, Room, Site, must
from lossdoc.stacking.known.linear import Affine
from lossdoc.stacking.known.store import Slot, parted

aten = torch.ops.aten
Pair = tuple[int, int]


def planes(x: Tensor) -> Tensor:
    """Return signals (K, C, L, B) as images of one row; images as they are."""
    return x if x.ndim == 5 else x.unsqueeze(2)


def pair(value: Any) -> Pair:
    """Return a setting for rows and columns; what is given for signals counts for the columns."""
    several = tuple(value) if isinstance(value, tuple | list) else (value,)
    return (several[0], several[-1])


class Conv(Layer):
    """nn.Conv1d, nn.Conv2d: the windows of the image as columns of a matrix, (K or 1, C·h·w, places·B)."""

    learns = True
    spare = True

    def __init__(self, site: Site) -> None:
        conv = site.module
        must(conv.groups == 1 and set(conv.dilation) == {1}, "a convolution has groups or a dilation")
        must(conv.padding_mode == "zeros", f"a convolution pads with '{conv.padding_mode}'")
        self.flat = isinstance(conv, nn.Conv1d)
        self.window, self.stride = self._rows_too(conv.kernel_size, 1), self._rows_too(conv.stride, 1)
        self.before, self.after = (self._rows_too(each, 0) for each in _frame(conv))
        self.affine = Affine(site.needed("weight"), site.slot("bias"))
        self.padded, self.columns, self.inner = Room(), Room(), Room()
        self.given: torch.Size  # the shape of the images

    def without_bias(self) -> Slot | None:
        """Leave the bias to another layer and return it."""
        bias, self.affine.bias = self.affine.bias, None
        return bias

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return (K, out, ..., B)."""
        x = planes(x)
        self.given = x.shape
        windows = self._windows(self._pad(x))  # (K, C, h, w, H, W, B)
        columns = self.columns(x, *windows.shape).copy_(windows)
        z = parted(self.affine.forward(columns.flatten(4).flatten(1, 3)), 2, windows.shape[4:])
        return z.squeeze(2) if self.flat else z

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient of the images: that of each window's cells, added where windows overlap."""
        places = planes(dy).shape[2:4]
        columns = self.affine.backward(planes(dy).flatten(2), wanted=wanted)
        if columns is None:
            return None
        cells = parted(parted(columns, 2, (*places, -1)), 1, (-1, *self.window))
        dx = self.inner(cells, len(cells), *self.given[1:]).zero_()
        for row in range(self.window[0]):
            for column in range(self.window[1]):
                own, its = zip(*(self._meet(axis, at, places[axis]) for axis, at in ((0, row), (1, column))), strict=True)
                dx[:, :, own[0], own[1]] += cells[:, :, row, column, its[0], its[1]]
        return dx.squeeze(2) if self.flat else dx

    def _meet(self, axis: int, at: int, many: int) -> tuple[slice, slice]:
        """Return which rows (or columns) of the image meet cell `at` of a window, and which of the many windows they are."""
        step, shift = self.stride[axis], at - self.before[axis]
        first = max(0, -(shift // step))  # the first window whose cell lies inside
        last = max(first - 1, min(many - 1, (self.given[2 + axis] - 1 - shift) // step))
        return slice(first * step + shift, max(0, last * step + shift + 1), step), slice(first, last + 1)

    def _pad(self, x: Tensor) -> Tensor:
        """Return the images inside a frame of zeros, where there is any."""
        if not any((*self.before, *self.after)):
            return x.contiguous()
        many, channels, high, wide, batch = x.shape
        (top, left), (bottom, right) = self.before, self.after
        padded = self.padded(x, many, channels, high + top + bottom, wide + left + right, batch)  # the frame stays 0
        padded[:, :, top : top + high, left : left + wide] = x
        return padded

    def _windows(self, x: Tensor) -> Tensor:
        (rows, columns), (down, right) = self.window, self.stride
        return x.unfold(2, rows, down).unfold(3, columns, right).permute(0, 1, 5, 6, 2, 3, 4)

    def _rows_too(self, setting: Any, neutral: int) -> Pair:
        """Return a setting for rows and columns, a neutral one for the rows of signals."""
        return (neutral, int(setting[0])) if self.flat else (int(setting[0]), int(setting[1]))


def _frame(conv: Any) -> tuple[Sequence[int], Sequence[int]]:
    """Return how many zeros a convolution puts before and after its images, in each dimension."""
    if conv.padding == "same":
        whole = [size - 1 for size in conv.kernel_size]
        return [each // 2 for each in whole], [each - each // 2 for each in whole]
    padding = [0] * len(conv.kernel_size) if conv.padding == "valid" else conv.padding
    return padding, padding


class Bias(Layer):
    """The bias of a convolution, where it is added behind a pool: there is less to add it to."""

    learns = True
    spare = True

    def __init__(self, bias: Slot) -> None:
        self.bias = bias

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Add the bias in place."""
        return x.add_(parted(self.bias.value, 1, (-1, *[1] * (x.ndim - 2))))

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it is the same for the inputs
        """Return the gradient as it came."""
        torch.sum(dy.flatten(2), 2, out=self.bias.gradient)
        return dy


class Pool(Layer):
    """Maximum and mean over windows, and over all there is.

    The batch goes through torch's kernels as channels that lie last, which they take several at a time.
    """

    spare = True

    def __init__(self, site: Site) -> None:
        pool = site.module
        self.largest = isinstance(pool, MAXIMA)
        self.whole = isinstance(pool, WHOLE)
        self.flat = isinstance(pool, FLAT)
        if self.whole:
            must(set(pair(site.same("output_size"))) == {1}, "an adaptive pool has an output larger than 1")
        else:
            must(not pool.ceil_mode and pair(pool.padding) == (0, 0), "a pool has padding or rounds up")
            must(pair(getattr(pool, "dilation", 1)) == (1, 1), "a pool has a dilation")
            must(getattr(pool, "divisor_override", None) is None, "a pool divides by a number of its own")
            must(not getattr(pool, "return_indices", False), "a pool returns its indices")
            self.window, self.stride = pair(site.same("kernel_size")), pair(site.same("stride"))
        self.out, self.places, self.inner = Room(), Room(), Room()
        self.x: Tensor
        self.chosen: Tensor
        self.settings: tuple[Pair, Pair]

    def forward(self, x: Tensor, mode: Mode) -> Tensor:  # noqa: ARG002 - see Layer
        """Return (K or 1, C, ..., B)."""
        images = planes(x)
        many, channels, high, wide, batch = images.shape
        window, stride = ((high, wide), (1, 1)) if self.whole else (self.window, self.stride)
        if self.flat:
            window, stride = (1, window[1]), (1, stride[1])
        self.settings = (window, stride)
        self.x = images.flatten(0, 1).permute(0, 3, 1, 2)  # (K·C, B, H, W)
        rows, columns = (high - window[0]) // stride[0] + 1, (wide - window[1]) // stride[1] + 1
        y = self.out(x, many, channels, rows, columns, batch)
        into = y.flatten(0, 1).permute(0, 3, 1, 2)
        if self.largest:
            self.chosen = self.places.like(into, torch.long)
            aten.max_pool2d_with_indices.out(self.x, window, stride, out=into, indices=self.chosen)
        else:
            aten.avg_pool2d.out(self.x, window, stride, out=into)
        return y.squeeze(2) if self.flat else y

    def backward(self, dy: Tensor, *, wanted: bool) -> Tensor | None:  # noqa: ARG002 - it has no parameters
        """Return the gradient of the images."""
        window, stride = self.settings
        settings: tuple[Any, ...]
        back = planes(dy).flatten(0, 1).permute(0, 3, 1, 2)
        into = self.inner.like(self.x)
        if self.largest:
            settings = (window, stride, (0, 0), (1, 1), False)
            aten.max_pool2d_with_indices_backward.grad_input(back, self.x, *settings, self.chosen, grad_input=into)
        else:
            settings = (window, stride, (0, 0), False, True)
            aten.avg_pool2d_backward.grad_input(back, self.x, *settings, None, grad_input=into)
        dx = parted(into.permute(0, 2, 3, 1), 0, (len(dy), -1))
        return dx.squeeze(2) if self.flat else dx


MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
WHOLE = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
FLAT = (nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveMaxPool1d, nn.AdaptiveAvgPool1d)
