"""JSON lines, one record a line: Hugging Face, LLaMA-Factory, mmcv, mmengine, detectron2, torchtune, and one's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lossdoc.columns.naming import VAL, is_loss
from lossdoc.curve import Table
from lossdoc.errors import UserError
from lossdoc.reader import Reader
from lossdoc.readers._records import Record, counted_on, flat, no_loss, number, sided, table
from lossdoc.readers._text import lines, whole

OF_A_SWEEP = "holds results of many trainings and no curve; those of a lossdoc sweep are in the curves.csv beside it"
LONGEST = 1 << 20  # characters of one line


def sniff(head: bytes) -> float:
    """Tell how surely these are JSON objects, one a line, with a loss in one of them."""
    rows = [line.strip() for line in whole(head) if line.strip()][:200]
    if not rows or not rows[0].startswith("{"):
        return 0.0
    records = [_object(row) for row in rows]
    if sum(record is None for record in records) > 1 + len(records) // 10 or records[0] is None:
        return 0.0
    if _of_a_sweep(records):
        return 0.95
    losses = any(is_loss(name) for record in records for name in flat(record or {}))
    return (0.9 if len(rows) > 1 else 0.65) if losses else 0.1


def read(data: bytes, source: str) -> list[Table]:
    """Read the records; lines that are none are counted and told of."""
    rows = [(place, line) for place, line in enumerate(lines(data), 1) if line.strip()]
    records: list[Record] = []
    raw: list[dict[str, Any] | None] = []
    bad: list[int] = []
    for place, line in rows:
        found = _object(line)
        raw.append(found)
        if found is None:
            bad.append(place)
        elif "train_runtime" not in found:  # Hugging Face's last record, whose train_loss is a mean
            records.append(flat(found))
    if _of_a_sweep(raw):
        raise UserError.of(OF_A_SWEEP, kind="no-curve", file=source)
    if not records:
        raise no_loss(source, "it holds no JSON object on a line of its own")
    many = f"{len(bad)} {'line is' if len(bad) == 1 else 'lines are'}"
    notes = [f"{many} no JSON (first: line {bad[0]}) and left out"] if bad else []
    records, more = _stops(_sides(records))
    records, some = counted_on(records, "iter")
    return [table(source, records, [*notes, *more, *some])]


def _of_a_sweep(records: Sequence[dict[str, Any] | None]) -> bool:
    """Tell whether each line belongs to another training: the journal of an Optuna study, or results of trials."""
    found = [record for record in records if record is not None]
    return bool(found) and all("op_code" in each or isinstance(each.get("params"), dict) for each in found)


def _object(line: str) -> dict[str, Any] | None:
    if len(line) > LONGEST:
        return None
    try:
        found = json.loads(line, parse_int=float)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _sides(records: Sequence[Record]) -> list[Record]:
    """Name the losses of validation records; mmcv's `iter` is another thing there, and is carried instead."""
    if any("mode" in record for record in records):  # the others are mmcv's words on the machine
        records = [record for record in records if "mode" in record]
    result: list[Record] = []
    last: float | str = ""
    for record in records:
        if "iter" in record and "mode" in record and str(record["mode"]) in VAL:
            record["iter"] = last
        last = record.get("iter", last)
        result.append(sided(record))
    return result


def _stops(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Leave out what detectron2 writes when it is stopped: the last raw loss, out of step with the medians before it."""
    places = [place for place, each in enumerate(records) if "iteration" in each and "total_loss" in each]
    steps = [number(records[place]["iteration"]) or 0.0 for place in places]
    gaps = Counter(after - before for before, after in pairwise(steps) if after > before).most_common(1)
    if len(steps) < 4 or not gaps or not 1 < gaps[0][0] < float("inf"):
        return records, []
    period = gaps[0][0]
    phase = Counter(step % period for step in steps).most_common(1)[0][0]
    after = [*steps[1:], float("-inf")]
    drop = {
        place
        for place, step, then in zip(places, steps, after, strict=True)
        if then < step + period and step % period != phase
    }
    many = "1 value written when a run was stopped is" if len(drop) == 1 else f"{len(drop)} values written at stops are"
    note = f"{many} left out: no medians as the others are"
    return [each for place, each in enumerate(records) if place not in drop], [note] if drop else []


reader = Reader((".jsonl", ".ndjson", ".json"), sniff, read)
