"""Reading a log: what a reader is, and the choice among the readers by what the file holds."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lossdoc.columns.naming import choose
from lossdoc.curve import Column, Table
from lossdoc.errors import Problem, UserError, did_you_mean, harmless
from lossdoc.members import Members

HEAD = 1 << 16  # bytes shown to `sniff`
SURE = 0.9  # a score from which on no other reader is asked
WEAK = 0.2  # a score up to which a reader in a folder may find that a file is no log, and nothing is said of it
FIRST = "csv"  # asked before the others: most logs are tables, and the others need not be imported then
LARGEST = 4 << 30  # bytes that a compressed log may become
STDIN = "standard input"
NOTHING = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"  # blanks, and the marks of encodings
OTHERWISE = r": --pattern '(?P<step>\d+).*loss (?P<loss>\S+)' reads lines of any form, each named group a column"
GZIP = b"\x1f\x8b"
LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Reader:
    """One format of logs.

    `sniff` says from the first 64 KiB how surely a file is of this format (0 = it is not, 1 = it cannot be another);
    `read` takes the whole file and its name, which is for messages and for formats that name a quantity by its file.
    `suffixes` (".csv") decide between equals. `together` returns the files that hold one log with a file, itself among them:
    formats that write every quantity, or every side, to a file of its own have several.
    """

    suffixes: tuple[str, ...]
    sniff: Callable[[bytes], float]
    read: Callable[[bytes, str], list[Table]]
    together: Callable[[Path], list[Path]] = lambda path: [path]


readers: Members[Reader] = Members("lossdoc.readers", Reader)


def read(path: str | Path, name: str | Reader | None = None, *, growing: bool = False) -> list[Table]:
    """Read the log at `path`, or every log in the folder `path`; "-" is standard input.

    The reader is chosen by content, or is the one given or called `name`. What was compressed with gzip is unpacked first.
    A `growing` log may end in the middle of a line: that line is left out.

    Raises:
        UserError: when there is nothing that can be read; every message names the file.
    """
    if not str(path):
        raise UserError.of("a log has a name: what was given is empty", kind="missing-file")
    return [_visible(table) for table in _read(path, name, growing=growing)]


def _visible(table: Table) -> Table:
    """Return the table with what is anyone's choice in it, the names of columns and runs, without commands to a terminal."""
    columns = {harmless(name): column for name, column in table.columns.items()}
    for name, column in columns.items():
        if column.labels is not None:
            columns[name] = replace(column, labels=tuple(map(harmless, column.labels)))
    return replace(table, columns=columns, notes=tuple(map(harmless, table.notes)))


def _read(path: str | Path, name: str | Reader | None, *, growing: bool) -> list[Table]:
    if str(path) == "-":
        return _tables(sys.stdin.buffer.read(), STDIN, name)
    place = Path(path)
    try:
        if place.is_dir():
            return _folder(place, name)
        return _log(place, name, growing=growing)[0]
    except FileNotFoundError:
        near = did_you_mean(place.name, _siblings(place))
        raise UserError.of(f"there is no such file{near}", kind="missing-file", file=path) from None
    except OSError as bad:
        raise UserError.of(f"cannot be read: {bad.strerror or bad}", kind="unreadable", file=path) from None


def _siblings(place: Path) -> list[str]:
    return [each.name for each in place.parent.iterdir()] if place.parent.is_dir() else []


def _folder(folder: Path, name: str | Reader | None) -> list[Table]:
    """Read all logs below a folder; faulty ones are passed over only if another one is sound."""
    tables: list[Table] = []
    problems: list[Problem] = []
    for path in _logs(folder, name, every=True):
        try:
            tables += _log(path, name)[0]
        except UserError as bad:
            problems += bad.problems
    if tables:
        return tables
    empty = f"the folder holds no log; lossdoc reads: {', '.join(readers.names())}"
    raise UserError(*problems) if problems else UserError.of(empty, kind="no-log", file=folder)


def _logs(folder: Path, name: str | Reader | None, *, every: bool) -> list[Path]:
    """Return one file of each log below a folder, sound or not; what is no log is passed over."""
    found: list[Path] = []
    known: set[Path] = set()
    for path in files_below(folder):
        group = [] if path in known else claimed(path, name, every=every)
        if group:
            found.append(path)
            known.update(group)
    return found


def claimed(path: Path, name: str | Reader | None = None, *, every: bool = False) -> Sequence[Path]:
    """Return the files of the log that a file in a folder is of, none where it is no log.

    With `every`, tables in which no column is called like a loss count as logs too.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    return _group(path, head, name) if name is not None or _is_log(path, head, every=every) else []


def _is_log(path: Path, head: bytes, *, every: bool) -> bool:
    """Tell whether a file is a log, sound or not; one whose first bytes leave it open is read to find out.

    A table without a loss is data of another kind, unless `every` table may be a log: the loss's column has been told.
    """
    if head.startswith(LFS):
        return path.suffix.lower() in {suffix for name in readers.names() for suffix in readers.get(name).suffixes}
    score = 0.0
    try:
        score = _chosen(_unpacked(head, str(path), HEAD), path.name)[0]
        if score >= SURE or (every and score > WEAK):
            return True
        return score > 0 and any(map(_has_loss, _log(path, None)[0]))
    except UserError:
        return score > WEAK


def _has_loss(table: Table) -> bool:
    try:
        choose(table)
    except UserError:
        return False
    return True


def _group(path: Path, head: bytes, name: str | Reader | None) -> Sequence[Path]:
    if head.startswith(LFS):
        return [path]
    reader = _named(name) if name is not None else _chosen(_unpacked(head, str(path), HEAD), path.name)[1]
    return [path] if reader is None else reader.together(path)


def _named(name: str | Reader) -> Reader:
    return readers.get(name) if isinstance(name, str) else name


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in order of their names, without hidden ones; links to folders are not followed."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def is_open(path: Path, folder: Path) -> bool:
    """Tell whether a path below a folder is a file, and neither it nor a folder that it lies in is hidden."""
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _chosen(head: bytes, source: str) -> tuple[float, Reader | None]:
    """Return the reader that is surest of a file's first bytes and its score, None where none knows them."""
    return _surest(head, os.path.splitext(source.removesuffix(".gz"))[1].lower())  # noqa: PTH122 - of thousands of files


@lru_cache(maxsize=2)  # a file in a folder is asked about three times: is it a log, of which files, and how is it read
def _surest(head: bytes, suffix: str) -> tuple[float, Reader | None]:
    scored: list[tuple[float, bool, Reader]] = []
    for name in _order(suffix):
        reader = readers.get(name)
        score = reader.sniff(head)
        if score >= SURE:
            return score, reader
        scored.append((score, suffix in reader.suffixes, reader))
    score, _, best = max(scored, key=lambda item: item[:2])
    return (score, best) if score > 0 else (0.0, None)


def _order(suffix: str) -> Sequence[str]:
    return sorted(readers.names(), key=lambda name: (name != FIRST, name != suffix[1:]))


def _unpacked(data: bytes, source: str, most: int = LARGEST) -> bytes:
    """Return what gzip packed, as far as it goes: a log that is still written has no end."""
    if not data.startswith(GZIP):
        return data
    parts = []
    try:
        while data.startswith(GZIP) and most > 0:  # several members, one behind another, are one file
            packer = zlib.decompressobj(wbits=31)
            parts.append(packer.decompress(data, most))
            most -= len(parts[-1])
            data = packer.unused_data
    except zlib.error as bad:
        if not parts:
            raise UserError.of(f"is compressed, and broken: {bad}", kind="unreadable", file=source) from None
    return b"".join(parts)


def _log(place: Path, name: str | Reader | None, *, growing: bool = False) -> tuple[list[Table], Sequence[Path]]:
    """Return what the log holds that a file is of, and the files of the log."""
    data = _unpacked(place.read_bytes(), str(place))
    data = _whole_lines(data) if growing else data
    reader = _reader(data, str(place), name)
    group = reader.together(place)
    if len(group) < 2:
        return reader.read(data, str(place)), [place]
    tables: list[Table] = []
    problems: list[Problem] = []
    for path in group:
        try:
            tables += reader.read(_unpacked(path.read_bytes(), str(path)), str(path))
        except UserError as bad:
            problems += bad.problems
    if not tables:
        raise UserError(*problems)
    return [_joined(tables, str(place))], group


def _whole_lines(data: bytes) -> bytes:
    """Return text without a last line that has no end; a JSON document and binary data have no lines that could lack it."""
    if b"\0" in data[:HEAD] or data.lstrip(NOTHING)[:1] in (b"{", b"["):
        return data
    return data[: data.rfind(b"\n") + 1] or data


def _joined(tables: Sequence[Table], source: str) -> Table:
    """Return tables one below another; a column that one of them lacks is blank there."""
    lengths = [len(next(iter(table.columns.values())).values) for table in tables]
    columns = {}
    for name in dict.fromkeys(name for table in tables for name in table.columns):
        parts = [table.columns.get(name) or _blank(length) for table, length in zip(tables, lengths, strict=True)]
        values, logged = (np.concatenate([getattr(part, what) for part in parts]) for what in ("values", "logged"))
        columns[name] = Column(values, logged, unreadable=sum(part.unreadable for part in parts))
    others = [Path(table.source).name for table in tables if table.source != source]
    note = f"read together with {', '.join(others)}"
    return Table(source, columns, tuple(dict.fromkeys((*(note for table in tables for note in table.notes), note))))


def _blank(length: int) -> Column:
    return Column(np.full(length, np.nan), np.zeros(length, np.bool_))


def _tables(data: bytes, source: str, name: str | Reader | None) -> list[Table]:
    data = _unpacked(data, source)
    return _reader(data, source, name).read(data, source)


def _reader(data: bytes, source: str, name: str | Reader | None) -> Reader:
    """Return the reader of a log, the one called `name` or the one that its content asks for."""
    if not (data[:HEAD].strip(NOTHING) or data.strip(NOTHING)):
        raise UserError.of("is empty", kind="empty-file", file=source)
    if data.startswith(LFS):
        hint = "is not the log but a Git-LFS pointer to it: fetch it with `git lfs pull`"
        raise UserError.of(hint, kind="lfs-pointer", file=source)
    chosen = _named(name) if name is not None else _chosen(data[:HEAD], source)[1]
    if chosen is None:
        binary = b"\0" in data[:HEAD]
        what = "binary data" if binary else "text, but no table of numbers"
        otherwise = "" if binary else OTHERWISE
        known = ", ".join(readers.names())
        raise UserError.of(
            f"is no log that can be read: it is {what}; lossdoc reads: {known}{otherwise}",
            kind="unknown-format",
            file=source,
        )
    return chosen
