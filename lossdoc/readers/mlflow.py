"""MLflow's files, one metric each, named like it and without a header: `timestamp value step`."""

from __future__ import annotations

import re
from pathlib import Path

from lossdoc.columns.naming import is_loss
from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import NUMBER, no_loss, table
from lossdoc.readers._text import lines, whole

LINE = re.compile(rf"^\d{{13}} ({NUMBER}) (-?\d{{1,15}})\s*$")


def sniff(head: bytes) -> float:
    """Tell how surely each line is a time in milliseconds, a value and a step."""
    rows = [line for line in whole(head) if line.strip()]
    return 0.95 if rows and all(map(LINE.match, rows[:50])) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read one metric; its name is that of the file."""
    found = [match for match in map(LINE.match, lines(data)) if match is not None]
    if not found:
        raise no_loss(source, "no line of it is a time, a value and a step")
    name = Path(source).name.removesuffix(".gz")
    if not is_loss(name):
        raise no_loss(source, f"it is MLflow's file of '{name}', which is no loss")
    records = sorted(found, key=lambda each: int(each[2]))  # the lines stand in the order of arrival
    return [table(source, [{"step": float(each[2]), name: float(each[1])} for each in records])]


def _together(path: Path) -> list[Path]:
    """Return all losses of the run: MLflow keeps the metrics of one run in one folder of that name."""
    if path.parent.name != "metrics":
        return [path]
    losses = [each for each in sorted(path.parent.iterdir()) if each.is_file() and is_loss(each.name)]
    return losses if path in losses else [path]


reader = Reader((), sniff, read, _together)
