"""spaCy's table: `E  #  LOSS TOK2VEC  LOSS NER  ENTS_F  SCORE`, dashes, rows; the losses are sums since the row above."""

from __future__ import annotations

import re

from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import Record, found_in, no_loss, number, table
from lossdoc.readers._text import lines, whole

HEADER = re.compile(r"^\W{0,10}E\s+#\s+.{0,200}LOSS ")
ROW = re.compile(r"^\W{0,10}\d+\s{2,}\d+\s{2,}")
SUMS = "the losses are sums since the row above, and the first row, of one batch only, is left out"


def sniff(head: bytes) -> float:
    """Tell how surely this is a table of spaCy's."""
    return 0.9 if found_in(whole(head), HEADER) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read the rows below the header; `LOSS TOK2VEC` counts beside the component's own loss only where it stands alone."""
    names: list[str] = []
    records: list[Record] = []
    for line in lines(data):
        cells = re.split(r"\s{2,}", line.strip(" #\t"))
        if HEADER.match(line):
            names = [
                "epoch",
                "step",
                *(name.lower().replace("loss ", "loss_") for name in re.split(r"\s{2,}", line.strip())),
            ]
            del names[2:4]
        elif names and ROW.match(line) and len(cells) >= len(names) - 1:
            record: Record = {
                name: value for name, cell in zip(names, cells, strict=False) if (value := number(cell)) is not None
            }
            records.append(record)
    own = [name for name in names if name.startswith("loss_") and name != "loss_tok2vec"]
    if not [name for name in names if name.startswith("loss_")] or len(records) < 2:
        raise no_loss(source, "spaCy wrote it, and there are not two rows of losses in it")
    for record in records:
        if own and "loss_tok2vec" in record:
            record["tok2vec (a sum)"] = record.pop("loss_tok2vec")
    kept = [record for record in records if record.get("step") != 0]
    return [table(source, kept or records, [SUMS])]


reader = Reader((".log", ".txt"), sniff, read)
