"""Tables of numbers as text: comma, semicolon, tab, bar or blanks between the cells, with or without a header."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from lossdoc.columns.naming import is_loss
from lossdoc.curve import Column, Table
from lossdoc.errors import UserError
from lossdoc.reader import HEAD, SURE, Reader
from lossdoc.readers._decimals import decimals
from lossdoc.readers._text import utf8

DELIMITERS = "\t;|,"  # a comma comes last: it may be the decimal sign in a table with another delimiter
BLANK = frozenset(("", "-", "na", "n/a", "none", "null", "no log"))  # words for "not logged"
CATBOOST = {"learn_error.tsv": "learn ", "test_error.tsv": "test "}  # the names of its files are fixed, and what they hold
SUMMED = "'train/loss' and 'val/loss' are the sums of their parts, which YOLO weighs alike on both sides"
LOOK = 50  # lines looked at to find the delimiter


@dataclass(frozen=True)
class Layout:
    """How a table is written: its delimiter (" " for blanks), the names of its columns, the line of its first row from 1."""

    delimiter: str
    names: tuple[str, ...]
    first: int
    headless: bool


THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


def sniff(head: bytes) -> float:
    """Tell how surely these first bytes are a table: all of one width, a number somewhere, and text throughout."""
    text = utf8(head)
    if text is None:
        return 0.0
    rows = [line for _, line in _first_rows(text, whole=len(head) >= HEAD)]
    if not rows or rows[0].lstrip()[:1] in "{[<":
        return 0.0
    delimiter = _delimiter(rows)
    if delimiter is None:
        lone = [_is_number(line) for line in rows[1:]]
        return 0.3 if lone and all(lone) else 0.0
    body = [cell for row in rows[1:11] for cell in _cells(row, delimiter)]
    numbers = sum(map(_is_number, body))
    if _plain_header(rows[0], delimiter) and 2 * numbers > len(body):
        return SURE
    return 0.6 if numbers or len(rows) == 1 else 0.0


def _plain_header(line: str, delimiter: str) -> bool:
    """Tell whether a line can only be the header of a table of one's own: it names a loss, and no runs."""
    names = _cells(line, delimiter)
    return delimiter != "|" and any(map(is_loss, names)) and not any(" - " in name for name in names)


def read(data: bytes, source: str) -> list[Table]:
    """Read a table; cells that are neither blank nor a number are counted, and told in the notes with the first of them."""
    text = utf8(data)
    if text is None:
        raise UserError.of("is no text but binary data", kind="unknown-format", file=source)
    layout = _layout(text, source)
    notes = ["the file has no header: its columns are called 1, 2, ... from the left"] if layout.headless else []
    columns = _bulk(text, layout)
    if columns is None:
        columns, more = _cellwise(text, layout)
        notes += more
    if not columns or not len(columns[0].values):
        raise UserError.of("holds a header and not one row below it", kind="no-rows", file=source)
    names, more = _distinct(layout.names)
    side = CATBOOST.get(Path(source).name, "")
    named = {side + name if name != "iter" else name: column for name, column in zip(names, columns, strict=True)}
    totals = _totals(named)
    told = [SUMMED] if totals else []
    if not any(map(is_loss, (*named, *totals))):
        totals, told = _logarithms(named)
    return [Table(source, {**named, **totals}, (*notes, *more, *told))]


def _totals(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Return the sums of the parts of the loss that YOLO writes without their total: train/box_loss, train/cls_loss, ..."""
    totals = {}
    for side in ("train", "val"):
        parts = [column for name, column in columns.items() if name.startswith(f"{side}/") and name.endswith("_loss")]
        if f"{side}/box_loss" in columns and f"{side}/loss" not in columns and len(parts) > 1:
            logged = np.logical_or.reduce([part.logged for part in parts])
            values = np.sum([np.where(part.logged, part.values, 0.0) for part in parts], axis=0)
            totals[f"{side}/loss"] = Column(np.where(logged, values, np.nan), logged)
    return totals


def _logarithms(columns: Mapping[str, Column]) -> tuple[dict[str, Column], list[str]]:
    """Return the losses of a table that holds but their exponentials, and what is to be told of them."""
    from lossdoc.readers._records import OF_PERPLEXITY, is_perplexity, loss_of

    found = {name: column for name, column in columns.items() if is_perplexity(name) and column.logged.any()}
    with np.errstate(all="ignore"):
        logs = {loss_of(name): Column(np.log(column.values), column.logged) for name, column in found.items()}
    return logs, [OF_PERPLEXITY] if logs else []


@lru_cache(maxsize=1)  # of a small file both `sniff` and `read` ask for them
def _first_rows(text: bytes, *, whole: bool) -> Sequence[tuple[int, str]]:
    return tuple(islice(_content(_lines(text, whole=whole)), LOOK))


def _lines(text: bytes, *, whole: bool) -> Iterator[str]:
    """Yield the lines one by one, as few are looked at; of several, the last one only if it need not be `whole`."""
    start = 0
    while (end := text.find(b"\n", start)) >= 0:
        yield text[start:end].decode("utf-8", errors="replace")
        start = end + 1
    if not (whole and start):
        yield text[start:].decode("utf-8", errors="replace")


def _content(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor a comment, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#"))


def _cells(line: str, delimiter: str) -> list[str]:
    if '"' in line:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
    return line.split() if delimiter == " " else [cell.strip() for cell in line.split(delimiter)]


def _delimiter(rows: Sequence[str]) -> str | None:
    """Return what separates the cells: it stands in the first line, and equally often in at least half of the others."""
    bare = ["".join(row.split('"')[::2]) if '"' in row else row for row in rows]  # delimiters within quotes do not count
    for each in DELIMITERS:
        if each not in bare[0]:
            continue
        counts = [row.count(each) for row in bare]
        if 2 * (counts.count(counts[0]) - 1) >= len(counts) - 1:
            return each
    widths = [len(row.split()) for row in bare]
    if widths[0] < 2 or len(rows) < 2 or len(set(widths)) > 1:
        return None
    names, *body = (row.split() for row in rows)
    losses = [place for place, name in enumerate(names) if is_loss(name)]
    if len(losses) > 1 and all(len(cells) == len(names) for cells in body):  # a time may stand beside, as fastai prints it
        body = [[cells[place] for place in losses] for cells in body]
    return " " if all(_is_number(cell) for cells in body for cell in cells) else None


def _layout(text: bytes, source: str) -> Layout:
    rows = _first_rows(text[:HEAD], whole=False)
    if not rows:
        raise UserError.of("holds comments only", kind="no-rows", file=source)
    delimiter = _delimiter([line for _, line in rows]) or ","
    number, line = rows[0]
    cells = _cells(line, delimiter)
    if not all(_is_number(cell) for cell in cells):
        return Layout(delimiter, tuple(cells), number + 1, headless=False)
    before = text.split(b"\n", number - 1)[number - 2].decode("utf-8", errors="replace") if number > 1 else ""
    above = before.lstrip("# ")  # numpy.savetxt writes the header as a comment
    named = _cells(above, delimiter) if above else []
    if len(named) == len(cells):
        return Layout(delimiter, tuple(named), number, headless=False)
    return Layout(delimiter, tuple(str(place) for place in range(1, len(cells) + 1)), number, headless=True)


def _distinct(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Give every column a name of its own: an unnamed first one is the index of pandas, a repeated one gets a number."""
    seen: dict[str, int] = {}
    result, notes = [], []
    for place, raw in enumerate(names, 1):
        name = raw or ("index" if place == 1 else f"column {place}")
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            notes.append(f"several columns are called '{name}': the one in place {place} is '{name} ({seen[name]})' here")
            name = f"{name} ({seen[name]})"
        result.append(name)
    return result, notes


def _bulk(text: bytes, layout: Layout) -> list[Column] | None:
    """Parse a table of nothing but numbers and blank cells at once; None where it holds anything else."""
    start = 0
    for _ in range(layout.first - 1):
        start = text.find(b"\n", start) + 1
        if not start:
            return None
    if layout.delimiter == " " or b'"' in text[start:HEAD]:
        return None
    try:
        return decimals(text, start, len(layout.names), ord(layout.delimiter), _other)
    except ValueError:
        return None


def _other(cell: bytes) -> float | None:
    """Return the number that a cell is which is no plain decimal, None where it is blank.

    Raises:
        ValueError: when it is neither; what it is then shows in the other cells of its column.
    """
    text = cell.decode("utf-8", errors="replace").strip()
    number = _number(text)
    if number is None and text.lower() not in BLANK:
        raise ValueError
    return number


def _cellwise(text: bytes, layout: Layout) -> tuple[list[Column], list[str]]:
    """Parse cell by cell whatever `_bulk` refuses."""
    width, notes = len(layout.names), []
    numbers: list[int] = []
    rows: list[list[str]] = []
    wide = short = 0
    for number, cells in _rows(text.decode("utf-8", errors="replace"), layout):
        if tuple(cells) == layout.names:  # a run that was appended with its header
            notes.append(f"line {number} repeats the header")
            continue
        wide += any(cells[width:])
        short += len(cells) < width
        numbers.append(number)
        rows.append((cells + [""] * width)[:width])
    if wide:
        notes.append(f"{_many(wide, 'row has', 'rows have')} more cells than the header; what is too much is left out")
    if short:
        notes.append(f"{_many(short, 'row has', 'rows have')} fewer cells than the header: what lacks counts as blank")
    if not rows:
        return [], notes
    columns = [_column(list(cells), comma=layout.delimiter != ",") for cells in zip(*rows, strict=True)]
    for name, column in zip(layout.names, columns, strict=True):
        notes += _unreadable(name, column, numbers)
    return columns, notes


def _rows(text: str, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with the numbers of their lines."""
    lines = text.split("\n")
    if '"' in text:  # a cell in quotes may hold delimiters
        body = csv.reader(
            io.StringIO("\n".join(lines[layout.first - 1 :])), delimiter=layout.delimiter, skipinitialspace=True
        )
        for cells in body:
            if any(cells) and not cells[0].lstrip().startswith("#"):
                yield body.line_num + layout.first - 1, [cell.strip() for cell in cells]
        return
    for number, line in _content(lines):
        if number >= layout.first:
            yield number, _cells(line, layout.delimiter)


def _column(cells: list[str], *, comma: bool) -> Column:
    """Make a column of its cells; `comma` says that a decimal comma is possible, which all fractions must then use."""
    cells = _without_thousands(cells, comma=comma)
    comma = comma and any("," in cell for cell in cells) and not any("." in cell for cell in cells)
    values = np.full(len(cells), np.nan)
    logged = np.zeros(len(cells), np.bool_)
    unreadable = 0
    for place, cell in enumerate(cells):
        if cell.lower() in BLANK:
            continue
        number = _number(cell.replace(",", ".") if comma else cell)
        if number is None:
            unreadable += 1
        else:
            values[place], logged[place] = number, True
    return Column(values, logged, tuple(cells) if unreadable else None, unreadable)


def _without_thousands(cells: list[str], *, comma: bool) -> list[str]:
    """Take out the commas that part thousands, `1,234.5`: where all commas can, and a decimal comma cannot be meant."""
    parted = [cell for cell in cells if "," in cell]
    if not parted or not all(THOUSANDS.fullmatch(cell) for cell in parted):
        return cells
    if comma and not any("." in cell or cell.count(",") > 1 for cell in parted):
        return cells
    return [cell.replace(",", "") for cell in cells]


def _number(cell: str) -> float | None:
    """Return the number that a cell is, a percentage as a fraction, None where it is none."""
    try:
        if cell.endswith("%"):
            return float(cell[:-1]) / 100
        return float(cell) if "_" not in cell else None
    except ValueError:
        return math.nan if cell.lower() in {"-nan", "nan(ind)", "-nan(ind)"} else None


def _is_number(cell: str) -> bool:
    text = cell.strip().strip('"')
    return text.lower() in BLANK or _number(text.replace(",", ".", 1)) is not None


def _unreadable(name: str, column: Column, lines: Sequence[int]) -> list[str]:
    """Tell of the cells that are no numbers in a column that also holds numbers; a column of words lacks none."""
    if column.labels is None or not column.logged.any():
        return []
    missing = ((line, cell) for line, cell, there in zip(lines, column.labels, column.logged, strict=True) if not there)
    line, cell = next((line, cell) for line, cell in missing if cell.lower() not in BLANK)
    many = _many(column.unreadable, f"cell of '{name}' is not a number", f"cells of '{name}' are not numbers")
    return [f"{many} (first: line {line}: '{cell[:40]}') and left out"]


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _together(path: Path) -> list[Path]:
    """Return CatBoost's two files, of which each holds one side; any other table stands alone."""
    if path.name not in CATBOOST:
        return [path]
    return [each for name in CATBOOST if (each := path.with_name(name)).is_file()]


reader = Reader((".csv", ".tsv", ".txt"), sniff, read, _together)
