"""Tables of decimal numbers parsed a block at a time: eight characters are one word, and all processors share the blocks.

Digits are added up within 64-bit words (D. Lemire, "Number parsing at a gigabyte per second", 2021, section 4), for all
cells of a column at once. A plain decimal is a whole number divided by a power of ten: where both are exact the quotient is
rounded once, and is what `float` returns. Everything else is left to the caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Column, Floats

Indices = NDArray[np.intp]
Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Other = Callable[[bytes], float | None]

BLOCK = 1 << 19  # bytes: enough that the calls of numpy do not count, little beside the columns
FEW = 1 << 14  # cells that are parsed sooner all at once than column by column
PAD = b"0" * 24  # stands before a block, that the words of its first cell begin in it
LINE, POINT, MINUS = 10, 46, 45
DIGITS = 19  # digits that always fit into 64 bits
EXACT = 1 << 53  # whole numbers up to here, and powers of ten up to 10^22, are floats without error
TENS = np.array([10**power for power in range(DIGITS + 1)], np.uint64)
WIDE = np.finfo(np.longdouble).nmant >= 63  # long doubles hold 64 bits: x86, not ARM
ZEROS, NINES, HIGH = (np.uint64(int(f"0x{byte}" * 1 + byte * 7, 16)) for byte in ("30", "76", "80"))
ADDED = tuple(  # neighbors become one number of twice as many digits: times 10, 100, 10000 and one place to the right
    (np.uint64(factor), np.uint64(shift), np.uint64(mask))
    for factor, shift, mask in (
        (10 * 2**8 + 1, 8, 0x00FF00FF00FF00FF),
        (100 * 2**16 + 1, 16, 0x0000FFFF0000FFFF),
        (10000 * 2**32 + 1, 32, 0xFFFFFFFF),
    )
)


class Cells(NamedTuple):
    """Where the cells of a column are in a block, each (n,): first byte, the byte behind the whole part, the byte behind."""

    starts: Indices
    points: Indices
    ends: Indices


def decimals(text: bytes, start: int, width: int, mark: int, other: Other) -> list[Column]:
    """Parse the table of `width` columns that begins at byte `start` and whose cells are parted by the byte `mark`.

    `other` is asked for the numbers of cells that are neither empty nor plain decimals; None means that nothing was logged.

    Raises:
        ValueError: when `other` does, or a row has more or fewer cells.
    """
    end = len(text)
    while end > start and text[end - 1] == LINE:
        end -= 1
    blocks = list(_blocks(text, start, end))
    rows = 1 + sum(np.count_nonzero(np.frombuffer(text, np.uint8, many, at) == LINE) for at, many in blocks) if blocks else 0
    values = [np.empty(rows) for _ in range(width)]
    logged = [np.ones(rows, np.bool_) for _ in range(width)]
    place = 0
    for found in _each(partial(_parsed, text, width=width, mark=mark, other=other), blocks):
        for column, (numbers, there) in enumerate(found):
            values[column][place : place + len(numbers)] = numbers
            logged[column][place : place + len(numbers)] = there
        place += len(found[0][0])
    return [Column(*pair) for pair in zip(values, logged, strict=True)]


def _blocks(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the first byte and the length of blocks of whole lines; the last one is without its line end."""
    while start < end:
        behind = text.find(b"\n", min(end, start + BLOCK), end) + 1 or end
        yield start, behind - start
        start = behind


def _each(parse: partial[list[tuple[Floats, Mask]]], blocks: list[tuple[int, int]]) -> Iterable[list[tuple[Floats, Mask]]]:
    """Parse the blocks in their order; from a handful on in several threads, for numpy works without Python's lock."""
    threads = min(len(blocks) // 4, os.cpu_count() or 1) if len(blocks) > 7 else 1  # counting takes as long as a small log
    if threads < 2:
        yield from map(parse, blocks)
        return
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    waiting: deque[Future[list[tuple[Floats, Mask]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            waiting.append(pool.submit(parse, block))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _parsed(text: bytes, block: tuple[int, int], width: int, mark: int, other: Other) -> list[tuple[Floats, Mask]]:
    """Return values and presence, each (rows,), for every column of a block."""
    first, many = block
    part = text[first : first + many]
    part += b"" if part.endswith(b"\n") else b"\n"
    data = b"".join((PAD, part, PAD[len(part) % 8 :]))
    raw = np.frombuffer(data, np.uint8)
    line = raw == LINE
    stops = np.flatnonzero(line | (raw == mark) | (raw == POINT))
    behind = np.flatnonzero(raw[stops] != POINT)
    ends = stops[behind]
    if len(ends) != width * np.count_nonzero(line) or not line[ends[width - 1 :: width]].all():
        raise ValueError
    starts = np.append(len(PAD), ends[:-1] + 1)
    points = stops[behind - 1]  # of the first cell it may be the block's last stop
    points = np.where((points >= starts) & (points < ends), points, ends)
    words = np.frombuffer(data, np.uint64)
    signed = b"-" in part
    if len(ends) < FEW:
        values, logged = _numbers(data, words, Cells(starts, points, ends), other, signed=signed)
        return [(values[each::width], logged[each::width]) for each in range(width)]
    columns = (Cells(starts[each::width], points[each::width], ends[each::width]) for each in range(width))
    return [_numbers(data, words, cells, other, signed=signed) for cells in columns]


def _numbers(data: bytes, words: Words, cells: Cells, other: Other, *, signed: bool) -> tuple[Floats, Mask]:
    """Return values and presence of the cells of a column; empty ones are NaN."""
    starts, points, ends = cells
    logged = starts < ends
    negative = np.frombuffer(data, np.uint8)[starts] == MINUS if signed else np.False_
    before, after = _even(points - starts - negative), _even(np.maximum(ends - points - 1, 0))
    odd = np.zeros(len(starts), np.bool_) | (before + after < 1) | (before + after > DIGITS)
    if odd.any():
        before, after = np.where(odd, 0, before), np.where(odd, 0, after)
    whole, bad = _whole(words, points, before)
    if after.any():
        fraction, worse = _whole(words, ends, after)
        whole, bad = whole * TENS[after] + fraction, bad | worse
    values = whole / TENS[after].astype(np.float64)
    odd = odd | bad
    large = np.flatnonzero((whole > EXACT) & ~odd)
    if len(large):
        values[large], unsure = _rounded(whole[large], np.broadcast_to(after, starts.shape)[large])
        odd[large[unsure]] = True
    if negative.any():
        values = np.where(negative, -values, values)
    if odd.any():
        values[~logged] = np.nan
        for place in np.flatnonzero(odd & logged).tolist():
            number = other(data[starts[place] : ends[place]])
            values[place] = np.nan if number is None else number
            logged[place] = number is not None
    return values, logged


def _even(lengths: Indices) -> Indices:
    """Return lengths that are all the same as one number: what is done with it is then done once."""
    return lengths[0] if lengths.min() == lengths.max() else lengths


def _whole(words: Words, ends: Indices, lengths: Indices) -> tuple[Words, Mask]:
    """Add up the digits that stand before `ends`, `lengths` of them; also tell which cells hold anything but digits."""
    odd = np.zeros(len(ends), np.bool_)
    total = np.zeros(len(ends), np.uint64)
    for word in range(-(-int(lengths.max()) // 8)):
        drop = np.minimum(np.maximum(8 - lengths + 8 * word, 0), 8).astype(np.uint64) * np.uint64(8)  # bits of other cells
        digits = _word(words, ends - 8 * (word + 1))
        digits ^= ZEROS
        digits >>= drop
        digits <<= drop
        large = digits + NINES
        large |= digits
        if np.bitwise_or.reduce(large) & HIGH:
            odd |= (large & HIGH) != 0
        for factor, shift, mask in ADDED:
            digits *= factor
            digits >>= shift
            digits &= mask
        total += digits * TENS[8 * word]
    return total, odd


def _word(words: Words, at: Indices) -> Words:
    """Return the eight bytes from each place on, put together of the two words that they stand in."""
    place = at >> 3
    shift = (at & 7).astype(np.uint64) << np.uint64(3)
    low, high = words.take(place), words.take(place + 1)
    low >>= shift
    high <<= np.uint64(64) - shift
    low |= high
    return low


def _rounded(whole: Words, places: Indices) -> tuple[Floats, Mask]:
    """Divide whole numbers of more than 53 bits by powers of ten; also tell which quotients may be rounded wrongly.

    The quotient is rounded to 64 bits and then to 53: wrongly only where the first result lies half way between two floats.
    """
    if not WIDE:
        return whole.astype(np.float64), np.ones(len(whole), np.bool_)
    quotients = whole.astype(np.longdouble) / TENS[places].astype(np.longdouble)
    values = quotients.astype(np.float64)
    return values, np.asarray(2 * np.abs(quotients - values) >= np.spacing(values))
