"""Markdown tables, as on Hugging Face's model cards: `| Training Loss | Epoch | Step | Validation Loss |`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lossdoc.columns.naming import is_loss
from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import Record, no_loss, number, table
from lossdoc.readers._text import lines, whole

RULE = re.compile(r"^\s*+\|?(?:\s*+:?-{2,}+:?\s*+\|)+\s*+:?-*+:?\s*+\|?\s*+$")  # possessive: it never goes back
REPEATED = "'{name}' repeats its last value where nothing new was logged: repeats count as blank"


def sniff(head: bytes) -> float:
    """Tell how surely a table with a loss stands in this text."""
    return 0.95 if any(any(map(is_loss, names)) for names, _ in _tables(whole(head))) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read every table that has a column of losses."""
    result = [_table(source, names, rows) for names, rows in _tables(lines(data)) if rows and any(map(is_loss, names))]
    if not result:
        raise no_loss(source, "no table with a loss is in it")
    return result


def _tables(found: Sequence[str]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the header and the rows of every table; below the header stands a rule of dashes."""
    for place in range(1, len(found)):
        if "-" in found[place] and RULE.match(found[place]) and "|" in found[place - 1]:
            rows = []
            for line in found[place + 1 :]:
                if "|" not in line:
                    break
                rows.append(_cells(line))
            yield _cells(found[place - 1]), rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _table(source: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    cells = [cell for row in rows for cell in row]
    comma = any("," in cell for cell in cells) and not any(re.fullmatch(r"-?\d+\.\d+", cell) for cell in cells)
    records: list[Record] = [
        {
            name: value
            for name, cell in zip(names, row, strict=False)
            if (value := number(cell.replace(",", ".") if comma else cell)) is not None
        }
        for row in rows
    ]
    trained = [name for name in names if is_loss(name) and "rain" in name]
    notes = [REPEATED.format(name=name) for name in trained if _unrepeat(records, name)]
    return table(source, records, notes)


def _unrepeat(records: Sequence[Record], name: str) -> int:
    """Take out a training loss that is the one of the row above, to the last digit; return how many were."""
    last: float | str | None = None
    count = 0
    for record in records:
        value = record.get(name)
        if value is not None and value == last:
            del record[name]
            count += 1
        last = last if value is None else value
    return count


reader = Reader((".md",), sniff, read)
