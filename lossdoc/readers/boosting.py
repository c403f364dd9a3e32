r"""What XGBoost, LightGBM and CatBoost print: `[0]\ttrain-rmse:0.5\teval-rmse:0.6`, `0:\tlearn: 0.58\ttest: 0.58`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import NUMBER, Record, no_loss, table
from lossdoc.readers._text import lines, whole

LINE = re.compile(rf"^\W{{0,10}}\[?(\d{{1,9}})(?:\]|:)\s{{1,80}}(?=.{{0,40}}[:\s]\s{{0,80}}{NUMBER})")
PAIR = re.compile(rf"(?<!\S)((?:training|valid_\d+|[\w.]+)'s [\w@.\-]+|[\w.]+-[\w@.\-]+|learn|test):\s*({NUMBER})(?![\w.])")
RISING = ("auc", "aucpr", "map", "ndcg", "acc", "accuracy", "f1", "r2", "precision", "recall", "average_precision")
BOTH = "two sets are evaluated: validation_0 is taken for the training set, as XGBoost's users give it first"


def sniff(head: bytes) -> float:
    """Tell how surely these are the rounds of a boosting library."""
    found = whole(head)
    return 0.9 if sum(bool(LINE.match(line) and PAIR.search(line)) for line in found) > 1 else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read the rounds; the row that early stopping repeats at the end is left out."""
    records: list[Record] = []
    stopped = False
    for line in lines(data):
        stopped = (stopped or "best iteration is" in line) and not line.lstrip().startswith("[0]")
        match = LINE.match(line)
        if match is None or stopped:
            continue
        values = {name: float(value) for name, value in PAIR.findall(line)}
        if values:
            records.append({"iteration": float(match[1]), **values})
    if not records:
        raise no_loss(source, "no round of a boosting library is in it")
    names = dict(_names(list(dict.fromkeys(name for record in records for name in record))))
    notes = [BOTH] if any(name.startswith("validation_1-") for name in names) else []
    return [table(source, [{names[name]: value for name, value in record.items()} for record in records], notes)]


def _names(found: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each name with one that says the side, and "loss" for a metric that is to fall."""
    both = any(name.startswith("validation_1-") for name in found)
    for name in found:
        if name == "iteration":
            yield name, name
            continue
        side, _, metric = name.replace("'s ", "-").partition("-")
        role = "train" if side in {"train", "training", "learn"} or (both and side == "validation_0") else "val"
        number = side.rpartition("_")[2] if side not in {"validation_0", "valid_0"} and "_" in side and not both else ""
        suffix = f" {number}" if number not in {"", "1"} else ""
        if metric.split("@")[0] in RISING:
            yield name, f"{role} {metric}{suffix}"
        else:
            yield name, f"{role} loss{suffix}" + (f" ({metric})" if metric else "")


reader = Reader((".log", ".txt"), sniff, read)
