"""What TensorBoard lets one download: `Wall time,Step,Value`, one tag a file, named after it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lossdoc.columns.naming import TRAIN, VAL, is_loss, words
from lossdoc.curve import Table
from lossdoc.errors import UserError
from lossdoc.reader import Reader
from lossdoc.readers import csv
from lossdoc.readers._records import has_side
from lossdoc.readers._text import utf8

HEADER = re.compile(rb"^(?:Wall time,)?Step,Value\s*(?:\n|$)")
TAG = re.compile(r"-tag-(.+)$")


def sniff(head: bytes) -> float:
    """Tell how surely the header is TensorBoard's."""
    return 1.0 if HEADER.match((utf8(head) or b"").lstrip()) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read a tag as one column, named by the file; a side that only the run's name tells goes into the column's name."""
    (found,) = csv.read(data, source)
    stem = Path(source).name.removesuffix(".gz").removesuffix(".csv")
    tag = TAG.search(stem)
    name = tag[1] if tag else "loss"
    if any(word in VAL for word in words(stem)) and not has_side(name):
        name = f"val_{name}"
    if "Value" not in found.columns:
        raise UserError.of("has no column 'Value', as TensorBoard's tables have", kind="no-loss", file=source)
    columns = {name if key == "Value" else key: column for key, column in found.columns.items() if key != "Wall time"}
    return [replace(found, columns=columns)]


def _together(path: Path) -> list[Path]:
    """Return the losses of the run: "run-train-tag-epoch_loss.csv", "run-validation-tag-epoch_loss.csv" and the like."""
    own = _key(path)
    if own is None:
        return [path]
    return [each for each in sorted(path.parent.glob("*-tag-*.csv")) if each.is_file() and _key(each) == own] or [path]


def _key(path: Path) -> tuple[str, str] | None:
    """Return run and tag without the words for a side, None where the file holds no loss."""
    run, mark, tag = path.stem.partition("-tag-")
    if not mark or not is_loss(tag):
        return None
    bare = ("_".join(part for part in words(text) if part not in TRAIN + VAL) for text in (run, tag))
    return next(bare), next(bare)


reader = Reader((".csv",), sniff, read, _together)
