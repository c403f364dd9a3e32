"""Tables for the eye in a text: with frames, with rules below the header, with a line above, of pandas, of MATLAB.

skorch, nolearn, tabulate, prettytable, rich and the tables that Hugging Face shows in notebooks are of this kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lossdoc.columns.naming import is_loss
from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import barred, no_loss, number, tabled
from lossdoc.readers._text import lines, whole

FRAME = re.compile(r"[\s|+\-=_:*·.\u2500-\u257f]*")  # a line of nothing but the signs that frames are drawn with
BARS = re.compile(r"[\u2502\u2503\u2551\u254e\u2506\u250a]")
WIDE = re.compile(r"\t|\s{2,}")
LONGEST = 40  # characters of a column's name
FEWEST = 2  # rows; prose may hold one that looks like it

Cells = list[str]


def sniff(head: bytes) -> float:
    """Tell how surely a table with a loss stands in this text; what is a table and nothing else is left to other readers."""
    return 0.85 if any(len(rows) >= FEWEST for _, rows in _tables(whole(head))) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read every table that has a column of losses."""
    result = [tabled(source, names, rows) for names, rows in _tables(lines(data)) if len(rows) >= FEWEST]
    if not result:
        raise no_loss(source, "no table with a loss is drawn in it")
    return result


def _tables(found: Sequence[str]) -> Iterator[tuple[Cells, list[Cells]]]:
    """Yield the names and the rows of every table; what stands above the first numbers is the header, in one line or two."""
    header: list[Cells] = []
    names: Cells = []
    rows: list[Cells] = []
    for line in found:
        if FRAME.fullmatch(line):
            if rows and not line.strip():  # a blank line ends a table
                yield names, rows
                header, names, rows = [], [], []
            continue
        cells = _cells(line)
        if rows and len(cells) == len(rows[0]):
            rows.append(cells)
            continue
        if rows:
            yield names, rows
            header, names, rows = [], [], []
        if _is_row(cells) and (names := _names(header, len(cells), indexed="\t" not in line)):
            rows.append(cells)
        else:
            header = [*header[-1:], cells]
    if rows:
        yield names, rows


def _cells(line: str) -> Cells:
    line = BARS.sub("|", line)
    if "|" in line:
        return barred(line)
    return WIDE.split(line.strip())


def _is_row(cells: Cells) -> bool:
    """Tell whether half of the cells that are filled are numbers, the first or, behind an index of words, the second."""
    filled = [number(cell.rstrip("%")) is not None for cell in cells if cell]
    return len(filled) > 1 and 2 * sum(filled) >= len(filled) and (filled[0] or (filled[1] and len(filled) > 2))


def _names(header: Sequence[Cells], width: int, *, indexed: bool) -> Cells:
    """Return the names of the columns, none where the lines above are no header: of two lines, each name is in both.

    Rows may be `indexed`: pandas prints an index without a name before the columns.
    """
    if not header:
        return []
    last = header[-1]
    if indexed and len(last) == width - 1 and not (len(header) > 1 and len(header[0]) == width):
        last = ["", *last]
    if len(header) > 1 and len(header[0]) == len(last):
        last = [" ".join(filter(None, parts)) for parts in zip(header[0], last, strict=True)]
    fits = len(last) == width and all(len(name) <= LONGEST and number(name) is None for name in last)
    return last if fits and any(map(is_loss, last)) else []


reader = Reader((), sniff, read)
