"""Reading a log: what a reader is, and the choice among the readers by what the file holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lossdoc.curve import Table
from lossdoc.errors import Problem, UserError, did_you_mean
from lossdoc.members import Members

HEAD = 1 << 16  # bytes shown to `sniff`
STDIN = "standard input"
NOTHING = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"  # blanks, and the marks of encodings


@dataclass(frozen=True)
class Reader:
    """One format of logs.

    `sniff` says from the first 64 KiB how surely a file is of this format (0 = it is not, 1 = it cannot be another);
    `read` takes the whole file and its name, which is for messages only. `suffixes` (".csv") decide between equals.
    """

    suffixes: tuple[str, ...]
    sniff: Callable[[bytes], float]
    read: Callable[[bytes, str], list[Table]]


readers: Members[Reader] = Members("lossdoc.readers", Reader)


def read(path: str | Path, name: str | None = None) -> list[Table]:
    """Read the log at `path`, or every log in the folder `path`; "-" is standard input.

    The reader is chosen by content, or is the one called `name`.

    Raises:
        UserError: when there is nothing that can be read; every message names the file.
    """
    if str(path) == "-":
        return _tables(sys.stdin.buffer.read(), STDIN, name)
    place = Path(path)
    try:
        if place.is_dir():
            return _folder(place, name)
        return _tables(place.read_bytes(), str(path), name)
    except FileNotFoundError:
        near = did_you_mean(place.name, _siblings(place))
        raise UserError.of(f"there is no such file{near}", kind="missing-file", file=path) from None
    except OSError as bad:
        raise UserError.of(f"cannot be read: {bad.strerror or bad}", kind="unreadable", file=path) from None


def _siblings(place: Path) -> list[str]:
    return [each.name for each in place.parent.iterdir()] if place.parent.is_dir() else []


def _folder(folder: Path, name: str | None) -> list[Table]:
    """Read all logs below a folder; files that are no logs are passed over, faulty logs only if another one is sound."""
    tables: list[Table] = []
    problems: list[Problem] = []
    for path in _files(folder):
        with path.open("rb") as file:
            head = file.read(HEAD)
        if name is None and _chosen(head, path.suffix) is None:
            continue
        try:
            tables += _tables(path.read_bytes(), str(path), name)
        except UserError as bad:
            problems += bad.problems
    if tables:
        return tables
    empty = f"the folder holds no log; lossdoc reads: {', '.join(readers.names())}"
    raise UserError(*problems) if problems else UserError.of(empty, kind="no-log", file=folder)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in order of their names, without hidden ones."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _chosen(head: bytes, suffix: str) -> Reader | None:
    """Return the reader that is surest of a file's first bytes, None where none knows them."""
    scored = [(each.sniff(head), suffix.lower() in each.suffixes, each) for each in readers.all()]
    score, _, best = max(scored, key=lambda item: item[:2])
    return best if score > 0 else None


def _tables(data: bytes, source: str, name: str | None) -> list[Table]:
    if not (data[:HEAD].strip(NOTHING) or data.strip(NOTHING)):
        raise UserError.of("is empty", kind="empty-file", file=source)
    if data.startswith(b"version https://git-lfs.github.com/spec/"):
        hint = "is not the log but a Git-LFS pointer to it: fetch it with `git lfs pull`"
        raise UserError.of(hint, kind="lfs-pointer", file=source)
    chosen = readers.get(name) if name is not None else _chosen(data[:HEAD], Path(source).suffix)
    if chosen is None:
        what = "binary data" if b"\0" in data[:HEAD] else "text, but no table of numbers"
        known = ", ".join(readers.names())
        raise UserError.of(
            f"is no log that can be read: it is {what}; lossdoc reads: {known}", kind="unknown-format", file=source
        )
    return chosen.read(data, source)
