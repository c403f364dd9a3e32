"""Logs of any form, by the user's own regular expression: its named groups are the columns."""

from __future__ import annotations

import re

import numpy as np

from lossdoc.curve import Column, Table
from lossdoc.errors import UserError
from lossdoc.reader import Reader
from lossdoc.readers._records import number
from lossdoc.readers._text import lines


def matching(pattern: str) -> Reader:
    """Return the reader of the lines that a regular expression is found in; each of its named groups is a column.

    Raises:
        UserError: when it is no regular expression, or has no named group.
    """
    try:
        found = re.compile(pattern)
    except re.error as bad:
        raise UserError.of(f"--pattern is no regular expression: {bad}", kind="pattern") from None
    if not found.groupindex:
        example = r"(?P<step>\d+).*loss (?P<loss>\S+)"
        raise UserError.of(f"--pattern has no named group; each is a column, as in '{example}'", kind="pattern")
    return Reader((), lambda _: 1.0, lambda data, source: [_read(found, data, source)])


def _read(pattern: re.Pattern[str], data: bytes, source: str) -> Table:
    rows = [match for line in lines(data) for match in pattern.finditer(line)]
    if not rows:
        raise UserError.of("no line of it is matched by --pattern", kind="no-rows", file=source)
    return Table(source, {name: _column([match[name] for match in rows]) for name in pattern.groupindex})


def _column(cells: list[str | None]) -> Column:
    """Make a column; a group that took no part in a match is blank, and what is no number is counted."""
    numbers = [None if cell is None else number(cell.rstrip(",;%")) for cell in cells]
    bad = sum(cell is not None and value is None for cell, value in zip(cells, numbers, strict=True))
    values = np.array([np.nan if value is None else value for value in numbers])
    logged = np.array([value is not None for value in numbers])
    return Column(values, logged, tuple(cell or "" for cell in cells) if bad else None, bad)
