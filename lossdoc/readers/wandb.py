"""Weights & Biases' CSV export: runs side by side, three columns for each metric, `run - loss`, and its __MIN and __MAX."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence

from lossdoc.columns.naming import is_loss
from lossdoc.curve import Table
from lossdoc.errors import UserError
from lossdoc.reader import Reader
from lossdoc.readers._records import Record, number, table
from lossdoc.readers._text import utf8

BETWEEN = " - "
WIDEST = 10_000  # columns
DROPPED = ("__MIN", "__MAX")


def sniff(head: bytes) -> float:
    """Tell how surely the header is one of Weights & Biases."""
    first = (utf8(head) or b"").lstrip().partition(b"\n")[0].decode("utf-8", errors="replace")
    names = first.split(",")
    metrics = [name for name in names[1:] if BETWEEN in name]
    if len(metrics) < len(names) - 1 or not metrics:
        return 0.0
    return 1.0 if any(mark in first for mark in DROPPED) else 0.95 if first.startswith('"') else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read the runs one below another, with a column for their names; a run has rows only where it logged something."""
    text = (utf8(data) or b"").decode("utf-8", errors="replace")
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as bad:
        raise UserError.of(f"is no CSV: {bad}", kind="unknown-format", file=source) from None
    if len(rows) < 2:
        raise UserError.of("holds a header and not one row below it", kind="no-rows", file=source)
    header = rows[0][:WIDEST]
    runs: dict[str, list[tuple[int, str]]] = {}
    for place, name in enumerate(header[1:], 1):
        run, _, metric = name.rpartition(BETWEEN)
        if metric and not metric.endswith(DROPPED):
            runs.setdefault(run, []).append((place, metric))
    several = len(runs) > 1
    found = [_run(rows[1:], header[0], name if several else "", columns) for name, columns in runs.items()]
    records = list(itertools.chain.from_iterable(found))
    if not any(is_loss(name) for record in records for name in record):
        raise UserError.of("holds no loss of any run", kind="no-loss", file=source)
    return [table(source, records)]


def _run(rows: Sequence[Sequence[str]], step: str, run: str, columns: Sequence[tuple[int, str]]) -> list[Record]:
    result: list[Record] = []
    for row in rows:
        values = {name: value for place, name in columns if place < len(row) and (value := number(row[place])) is not None}
        if not values:
            continue
        record: Record = {"run": run} if run else {}
        if (at := number(row[0])) is not None:
            record[_counter(step)] = at
        result.append({**record, **values})
    return result


def _counter(name: str) -> str:
    return "time" if "Time" in name else name or "step"


reader = Reader((".csv",), sniff, read)
