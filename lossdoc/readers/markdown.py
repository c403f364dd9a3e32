"""Markdown tables, as on Hugging Face's model cards: `| Training Loss | Epoch | Step | Validation Loss |`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lossdoc.columns.naming import is_loss
from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import barred, no_loss, tabled
from lossdoc.readers._text import lines, whole

RULE = re.compile(r"^\s*+\|?(?:\s*+:?-{2,}+:?\s*+\|)+\s*+:?-*+:?\s*+\|?\s*+$")  # possessive: it never goes back


def sniff(head: bytes) -> float:
    """Tell how surely a table with a loss stands in this text."""
    return 0.95 if any(any(map(is_loss, names)) for names, _ in _tables(whole(head))) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read every table that has a column of losses."""
    result = [tabled(source, names, rows) for names, rows in _tables(lines(data)) if rows and any(map(is_loss, names))]
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
                rows.append(barred(line))
            yield barred(found[place - 1]), rows


reader = Reader((".md",), sniff, read)
