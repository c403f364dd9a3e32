"""Decimal numbers parsed many at a time: three to ten times as fast as one after another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Floats

Indices = NDArray[np.intp]
Bytes = NDArray[np.uint8]
ZERO, MINUS, POINT = 48, 253, 254  # "0"; "-" and "." less "0", in eight bits
EXACT = 2.0**53  # whole numbers up to here, and powers of ten up to 10^22, are floats without error
LONGEST = 18  # characters
CHUNK = 1 << 16  # cells at a time: what a processor's cache holds


def decimals(text: bytes, starts: Indices, lengths: Indices) -> Floats:
    """Parse the cells of a text that begin at `starts` and are `lengths` bytes long, both (n,); empty cells are NaN.

    Plain decimals are a whole number divided by a power of ten, both exact: rounded once, they are what `float` returns.
    Everything else is left to `float`.

    Raises:
        ValueError: when a cell is neither empty nor a number.
    """
    raw = np.frombuffer(text, np.uint8)
    values = np.full(len(starts), np.nan)
    for first in range(0, len(starts), CHUNK):
        part = slice(first, first + CHUNK)
        odd = _plain(raw, starts[part], lengths[part], values[part])
        for place, start, length in zip((odd + first).tolist(), starts[part][odd], lengths[part][odd], strict=True):
            values[place] = float(text[start : start + length])
    return values


def _plain(raw: Bytes, starts: Indices, lengths: Indices, values: Floats) -> Indices:
    """Fill in the plain decimals and return where the other cells are; cells of one length are one table of characters."""
    odd = [np.flatnonzero(lengths > LONGEST)]
    for length in np.flatnonzero(np.bincount(np.minimum(lengths, LONGEST + 1)))[:LONGEST].tolist():
        if not 0 < length <= LONGEST:
            continue
        rows = np.flatnonzero(lengths == length)
        signs = raw[starts[rows] + np.arange(length)[:, None]] - np.uint8(ZERO)  # (length, cells)
        places = np.full(len(rows), length)
        for place in reversed(range(length)):
            places[signs[place] == POINT] = place
        kinds = np.flatnonzero(np.bincount(places)).tolist()
        for place in kinds:
            here = np.flatnonzero(places == place)
            sound, found = _aligned(signs if len(kinds) == 1 else signs[:, here], place)
            at = rows[here]
            values[at[sound]] = found[sound]
            odd.append(at[~sound])
    return np.concatenate(odd)


def _aligned(signs: Bytes, point: int) -> tuple[NDArray[np.bool_], Floats]:
    """Return the values of cells whose points stand in one column, and which of them are plain decimals."""
    negative = signs[0] == MINUS
    length, cells = signs.shape
    digits = np.delete(signs, point, axis=0) if point < length else signs.copy()
    if not len(digits):
        return np.zeros(cells, np.bool_), np.zeros(cells)
    digits[0, negative] = 0
    sound = (digits < 10).all(axis=0) & (len(digits) > negative)
    whole = np.zeros(cells)
    for digit in digits:
        whole = whole * 10 + digit
    sound &= whole < EXACT
    values = whole / 10.0 ** max(0, length - 1 - point)
    return sound, np.where(negative, -values, values)
