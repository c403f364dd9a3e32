"""What YOLOv5 and its successors print: a header `Epoch gpu_mem box obj cls ...` and bars below it."""

from __future__ import annotations

import re

from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import Record, found_in, no_loss, number, table
from lossdoc.readers._text import lines, whole

HEADER = re.compile(r"^\W{0,10}Epoch\s+(?:gpu_mem|GPU_mem)\s+(.{3,200})$")
ROW = re.compile(r"(\d{1,9})/(\d{1,9})\s+([\d.]{1,12}[GM]?)\s+((?:[-+.\deEnaif]{1,20}\s+){2,12})\S{0,12}:?\s*(\d{1,3})%\|")
PARTS = ("box", "obj", "cls", "dfl", "seg", "pose", "kobj", "theta", "giou", "rle")


def sniff(head: bytes) -> float:
    """Tell how surely this is what YOLO prints."""
    return 0.9 if found_in(whole(head), HEADER) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read the last bar of every epoch; the loss is the total where it is printed, else the sum of its parts."""
    names: list[str] = []
    epochs: list[tuple[float, Record]] = []
    for line in lines(data):
        if (header := HEADER.match(line)) is not None:
            names = [name.removesuffix("_loss") for name in header[1].split()]
        for row in ROW.finditer(line) if names else ():
            values = {
                name: value for name, cell in zip(names, row[4].split(), strict=False) if (value := number(cell)) is not None
            }
            record = _record(values)
            if not record:
                continue
            record["epoch"] = float(row[1])
            if epochs and epochs[-1][0] == record["epoch"]:
                epochs.pop()
            epochs.append((float(row[1]), record))
    if not epochs:
        raise no_loss(source, "YOLO wrote it, and no epoch is in it")
    summed = any("loss" in record and "total" not in names for _, record in epochs)
    notes = ["'loss' is the sum of the parts that are printed"] if summed else []
    return [table(source, [record for _, record in epochs], notes)]


def _record(values: dict[str, float]) -> Record:
    parts = {f"{name}_loss": value for name, value in values.items() if name in PARTS}
    if not parts:
        return {}
    return {"loss": values.get("total", sum(parts.values())), **parts}


reader = Reader((".log", ".txt", ".out"), sniff, read)
