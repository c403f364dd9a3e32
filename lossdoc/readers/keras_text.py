"""What Keras prints: `Epoch 3/10`, bars that redraw themselves, and a line of losses at the end of every epoch."""

from __future__ import annotations

import re

from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import NUMBER, Record, found_in, no_loss, table
from lossdoc.readers._text import lines, whole

EPOCH = re.compile(r"^\W{0,20}Epoch (\d{1,9})(?:/\d{1,9})?\s*$")
PAIR = re.compile(rf"(?:^|[\s\-━])([A-Za-z_]\w{{0,60}}):\s{{0,4}}({NUMBER})(?![\w.:])")
LOSS = re.compile(r" - (?:val_)?\w{0,40}loss: ")
PARTIAL = re.compile(r"ETA:|\]\s*-?\s*ETA|^\s*(\d+)/(?!\1\D)\d+\s")  # a bar that is not at its end


def sniff(head: bytes) -> float:
    """Tell how surely this is what Keras prints."""
    found = whole(head)
    return 0.9 if found_in(found, EPOCH) and found_in(found, LOSS) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read the last line with a loss of every epoch; means of half an epoch count only where the log ends in them."""
    records: list[Record] = []
    epoch: float | None = None
    final = partial = None
    for line in lines(data):
        if (start := EPOCH.match(line)) is not None:
            _end(records, epoch, final or partial)
            epoch, final, partial = float(start[1]), None, None
        elif LOSS.search(line):
            values: Record = {match[1]: float(match[2]) for match in PAIR.finditer(line)}
            if not values:
                continue
            if PARTIAL.search(line):
                partial = values
            elif epoch is None:  # verbose=2 without its epochs
                records.append(values)
            else:
                final = {**(final or {}), **values}
    _end(records, epoch, final)
    notes = [] if final or not partial else ["the last epoch is not at its end and is left out"]
    if not records:
        raise no_loss(source, "no epoch in it came to its end")
    return [table(source, records, notes)]


def _end(records: list[Record], epoch: float | None, values: Record | None) -> None:
    if values and epoch is not None:
        records.append({"epoch": epoch, **values})


reader = Reader((".log", ".txt", ".out"), sniff, read)
