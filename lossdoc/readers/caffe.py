"""Caffe's log: glog's prefix, `Iteration 20, loss = 6.9`, and test losses under `Testing net`."""

from __future__ import annotations

import re

from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import NUMBER, Record, found_in, no_loss, table
from lossdoc.readers._text import lines, whole

GLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ (?:solver|sgd_solver|net|caffe|layer_factory|upgrade_proto)\.")
TRAIN = re.compile(rf"\] Iteration (\d{{1,12}})(?: \([^)]{{1,60}}\))?, loss = ({NUMBER})")
TEST = re.compile(r"\] Iteration (\d{1,12}), Testing net")
OUTPUT = re.compile(rf"\]\s+Test net output #\d+: ([^\s=]{{1,80}}) = ({NUMBER})(\s*\(\*)?")
RATE = re.compile(rf"\] Iteration (\d{{1,12}}), lr = ({NUMBER})")


def sniff(head: bytes) -> float:
    """Tell how surely this is a log of Caffe."""
    return 0.9 if found_in(whole(head), GLOG) > 1 else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read the smoothed training loss, the rate, and the test net's outputs, of the iteration announced above."""
    records: list[Record] = []
    tested: Record | None = None
    for line in lines(data):
        if (found := TRAIN.search(line)) is not None:
            records.append({"iteration": float(found[1]), "loss": float(found[2])})
        elif (found := RATE.search(line)) is not None:
            records.append({"iteration": float(found[1]), "lr": float(found[2])})
        elif (found := TEST.search(line)) is not None:
            tested = {"iteration": float(found[1])}
            records.append(tested)
        elif tested is not None and (found := OUTPUT.search(line)) is not None:
            loss = found[3] is not None and "val_loss" not in tested  # weighted outputs are losses, the main one first
            tested["val_loss" if loss else f"val_{found[1]}"] = float(found[2])
    if not any("loss" in record or "val_loss" in record for record in records):
        raise no_loss(source, "Caffe wrote it, and no iteration with a loss is in it")
    return [table(source, records)]


reader = Reader((".log", ".txt"), sniff, read)
