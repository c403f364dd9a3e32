"""TensorBoard's event files, read without TensorBoard: records of protocol buffers with the scalars in them.

A record is its length (8 bytes), a checksum (4), the event, a checksum (4). The fields are those of event.proto,
summary.proto and tensor.proto in TensorFlow's repository; what is unknown is passed over, as protocol buffers ask for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from lossdoc.columns.naming import TRAIN, VAL, is_loss, words
from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import Record, has_side, no_loss, table

HEADER, FOOTER = 12, 4  # bytes around an event: length and checksum, checksum
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FLOAT, DOUBLE = 1, 2  # types of a tensor
VERSION = b"brain.Event:"
BEGUN = re.compile(r"events\.out\.tfevents\.(\d{1,18})")

Field = tuple[int, int, int, bytes]  # number, kind, whole number, bytes


class BrokenError(Exception):
    """The bytes are no protocol buffer."""


def sniff(head: bytes) -> float:
    """Tell whether the first record is the one that says the version."""
    if len(head) < HEADER + len(VERSION):
        return 0.0
    return 1.0 if struct.unpack_from("<Q", head)[0] < 100 and VERSION in head[:100] else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read the scalars, a column for each tag; a record that was cut off at the end, or broken within, is passed over."""
    records: list[Record] = []
    side = next((part.lower() for part in reversed(Path(source).parts[:-1]) if part), "")
    broken = 0
    for event in _events(data):
        try:
            step, scalars = _scalars(event)
        except (BrokenError, struct.error):
            broken += 1
            continue
        named = {_tag(tag, side): value for tag, value in scalars.items()}
        if records and records[-1]["step"] == step and not named.keys() & records[-1].keys():
            records[-1].update(named)
        elif named:
            records.append({"step": float(step), **named})
    if not any(is_loss(name) for record in records for name in record):
        tags = ", ".join(dict.fromkeys(f"'{name}'" for record in records for name in record if name != "step"))
        raise no_loss(source, f"it is an event file without the scalars of a loss; its tags are: {tags[:300] or 'none'}")
    if len(records) > 1 and len({record["step"] for record in records}) == 1:
        records = [{name: value for name, value in record.items() if name != "step"} for record in records]
    notes = [f"{broken} broken {'event is' if broken == 1 else 'events are'} passed over"] if broken else []
    return [table(source, records, notes)]


def _tag(tag: str, side: str) -> str:
    """Put "val_" before a loss whose side only the folder tells: Keras writes `epoch_loss` to train/ and to validation/."""
    return f"val_{tag}" if is_loss(tag) and not has_side(tag) and any(word in VAL for word in words(side)) else tag


def _events(data: bytes) -> Iterator[bytes]:
    """Yield the events; checksums are not asked, for what they would refuse is seen when an event is parsed."""
    place = 0
    while place + HEADER <= len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        if length > len(data) - place - HEADER:
            return  # a killed job: the last record was cut off
        yield data[place + HEADER : place + HEADER + length]
        place += HEADER + length + FOOTER


def _scalars(event: bytes) -> tuple[int, dict[str, float]]:
    """Return the step and the scalars of an event: field 2 is the step, field 5 the summary."""
    step, found = 0, {}
    for number, kind, whole, content in _fields(event):
        if number == 2 and kind == VARINT:
            step = whole - (1 << 64) if whole >> 63 else whole
        elif number == 5 and kind == BYTES:
            for inner, how, _, value in _fields(content):
                if inner == 1 and how == BYTES:
                    tag, scalar = _value(value)
                    if tag and scalar is not None:
                        found[tag] = scalar
    return step, found


def _value(content: bytes) -> tuple[str, float | None]:
    """Return tag and value of a summary's value: field 1 is the tag, 2 a plain scalar, 8 a tensor."""
    tag, scalar = "", None
    for number, kind, _, inner in _fields(content):
        if number == 1 and kind == BYTES:
            tag = inner.decode("utf-8", errors="replace")
        elif number == 2 and kind == FIXED32:
            scalar = float(struct.unpack("<f", inner)[0])
        elif number == 8 and kind == BYTES:
            scalar = _tensor(inner)
    return tag, scalar


def _tensor(content: bytes) -> float | None:
    """Return a tensor of one number: field 1 is its type, 4 its bytes, 5 a list of floats, 6 of doubles."""
    form, found = FLOAT, b""
    for number, kind, whole, inner in _fields(content):
        if number == 1 and kind == VARINT:
            form = whole
        elif number in {4, 5, 6} and kind in {BYTES, FIXED32, FIXED64}:
            found = inner
    sign = {FLOAT: "<f", DOUBLE: "<d"}.get(form)
    if sign is None or len(found) != struct.calcsize(sign):
        return None
    return float(struct.unpack(sign, found)[0])


def _fields(content: bytes) -> Iterator[Field]:
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, kind = key >> 3, key & 7
        whole, size = 0, {FIXED64: 8, FIXED32: 4}.get(kind, 0)
        if kind == VARINT:
            whole, place = _varint(content, place)
        elif kind == BYTES:
            size, place = _varint(content, place)
        elif not size:
            raise BrokenError
        if place + size > len(content):
            raise BrokenError
        yield number, kind, whole, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    whole = shift = 0
    while place < len(content) and shift < 70:
        byte = content[place]
        whole |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return whole & ((1 << 64) - 1), place
    raise BrokenError


def _together(path: Path) -> list[Path]:
    """Return the event files of one run: those of both sides, where folders called train and validation part them.

    Those of one folder, named by the second in which they were begun, are of a run that was resumed, in that order.
    """
    folders = [path.parent]
    if _is_side(path.parent.name):
        folders = [each for each in sorted(path.parent.parent.iterdir()) if each.is_dir() and _is_side(each.name)]
    elif BEGUN.match(path.name) is None:
        return [path]
    files = [each for folder in folders for each in folder.glob("*tfevents*") if each.is_file() and not _is_other(each)]
    return sorted(files, key=lambda each: (each.parent, _begun(each), each.name)) if path in files else [path]


def _is_other(path: Path) -> bool:
    """Tell whether a file stands in a folder of no side and has a name of one's own: it may be of any run."""
    return BEGUN.match(path.name) is None and not _is_side(path.parent.name)


def _begun(path: Path) -> int:
    found = BEGUN.match(path.name)
    return int(found[1]) if found is not None else 0


def _is_side(name: str) -> bool:
    parts = words(name)
    return bool(parts) and all(part in TRAIN + VAL for part in parts)


reader = Reader((), sniff, read, _together)
