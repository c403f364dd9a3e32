"""Records, one a logged line, made into a table: names given to the sides, numbers taken out of text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from lossdoc.columns.naming import TRAIN, VAL, is_loss, words
from lossdoc.curve import Column, Table
from lossdoc.errors import UserError
from lossdoc.reader import OTHERWISE

Record = dict[str, float | str]
DEEPEST = 4  # levels of nested names that are read
WIDEST = 1000  # columns; detectron2 writes some hundreds
MODES = ("mode", "split", "phase", "stage", "subset", "event", "type", "kind")
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?))"
OF_PERPLEXITY = "there is no loss: the logarithm of the perplexity stands in for it"
REPEATED = "'{name}' repeats its last value where nothing new was logged: repeats count as blank"
ZEROS = (
    "{count} logged {losses} exactly 0, which is no success: trainers that filter nan "
    "(Hugging Face's logging_nan_inf_filter) log 0 after an overflow"
)


def number(value: object) -> float | None:
    """Return a number, also one that is written as text, None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and "_" in value:
        return None
    try:
        return float(value)
    except ValueError:
        return math.nan if str(value).strip().lower() in {"-nan", "nan(ind)", "-nan(ind)"} else None
    except OverflowError:
        return math.inf


def flat(found: Mapping[str, object], above: str = "", depth: int = 0) -> Record:
    """Return a nested mapping's numbers and words, the names of the levels joined by "/"; lists and blanks are left out."""
    record: Record = {}
    for key, value in found.items():
        name = f"{above}/{key}" if above else str(key)
        if isinstance(value, Mapping):
            if depth < DEEPEST:
                record.update(flat(value, name, depth + 1))
            continue
        parsed = number(value)
        if parsed is not None:
            record[name] = parsed
        elif isinstance(value, str):
            record[name] = value
    return record


@lru_cache(maxsize=4096)
def has_side(name: str) -> bool:
    """Tell whether a name says that it belongs to training or to validation."""
    return any(part in TRAIN + VAL for part in words(name))


def sided(record: Record) -> Record:
    """Put "val_" before the names of no side where the record itself says that it is of the validation."""
    mode = next((words(str(record[key])) for key in MODES if key in record), ())
    if not any(word in VAL for word in mode) or any(word in TRAIN for word in mode):
        return record
    return {f"val_{name}" if is_loss(name) and not has_side(name) else name: value for name, value in record.items()}


def counted_on(records: list[Record], name: str) -> tuple[list[Record], list[str]]:
    """Make a counter that starts again in every epoch one of all steps, so that both sides stand on one axis.

    The length of an epoch is in no log: the largest count stands in for it, and one step more where it starts from 0.
    """
    at = [(float(record["epoch"]), float(record[name])) for record in records if _whole(record, "epoch", name)]
    turns = [(before, after) for (old, before), (new, after) in pairwise(at) if new > old]
    if not turns or any(after > before for before, after in turns) or all(after == before for before, after in turns):
        return records, []
    counts = sorted({count for _, count in at})
    length = counts[-1] + (counts[1] - counts[0] if counts[0] == 0 else 0)
    first = min(epoch for epoch, _ in at)
    result = [
        {**record, name: (float(record["epoch"]) - first) * length + float(record[name])}
        if _whole(record, "epoch", name)
        else record
        for record in records
    ]
    return result, [f"'{name}' starts again in every epoch: it is counted on, {length:g} an epoch"]


def _whole(record: Record, *names: str) -> bool:
    return all(isinstance(value := record.get(name), float) and value.is_integer() for name in names)


def table(source: str, records: Sequence[Record], notes: Iterable[str] = ()) -> Table:
    """Make a table of records, with a column for each name; what a record lacks is blank.

    Raises:
        UserError: when no record holds a loss.
    """
    counts = Counter(name for record in records for name in record)
    losses = [name for name in counts if is_loss(name)]
    told = list(notes)
    if not losses and any(map(is_perplexity, counts)):
        return table(source, [_logarithms(record) for record in records], [*told, OF_PERPLEXITY])
    names = list(counts)
    if not losses:
        have = ", ".join(f"'{name}'" for name in names[:12]) or "none"
        raise UserError.of(f"holds no loss; the names in it are: {have}", kind="no-loss", file=source)
    if len(names) > WIDEST:
        names = [name for name, _ in counts.most_common(WIDEST)]
        told.append(f"{len(counts) - WIDEST} of {len(counts)} columns are left out")
    zeros = sum(record.get("loss") == 0 for record in records)
    if zeros:
        told.append(ZEROS.format(count=zeros, losses="loss is" if zeros == 1 else "losses are"))
    return Table(source, {name: _column([record.get(name, "") for record in records]) for name in names}, tuple(told))


def barred(line: str) -> list[str]:
    """Return the cells of a line with bars between them."""
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def tabled(source: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table of the cells of one that was written for people, in which a training loss stands again until the next."""
    cells = [cell for row in rows for cell in row]
    comma = any("," in cell for cell in cells) and not any(re.fullmatch(r"-?\d+\.\d+", cell) for cell in cells)
    records: list[Record] = [
        {
            name: value
            for name, cell in zip(names, row, strict=False)
            if (value := number(cell.replace(",", ".") if comma else cell)) is not None
        }
        for row in rows
    ]
    trained = [name for name in names if is_loss(name) and "rain" in name]
    notes = [REPEATED.format(name=name) for name in trained if unrepeat(records, name)]
    return table(source, records, notes)


def unrepeat(records: Sequence[Record], name: str) -> int:
    """Take out a loss that is the one of the record above, to the last digit; return how many were."""
    last: float | str | None = None
    count = 0
    for record in records:
        value = record.get(name)
        if value is not None and value == last:
            del record[name]
            count += 1
        last = last if value is None else value
    return count


@lru_cache(maxsize=4096)
def is_perplexity(name: str) -> bool:
    """Tell whether a name is that of a perplexity: the exponential of a loss."""
    return (parts := words(name))[-1:] in (("ppl",), ("perplexity",)) and "log" not in parts


def loss_of(name: str) -> str:
    """Return the name of the loss whose exponential a perplexity is."""
    return "val_loss" if any(part in VAL for part in words(name)) else "loss"


def _logarithms(record: Record) -> Record:
    return {
        loss_of(name) if is_perplexity(name) else name: logarithm(value) if is_perplexity(name) else value
        for name, value in record.items()
    }


def logarithm(value: float | str) -> float | str:
    """Return the logarithm of a number, NaN where there is none."""
    if isinstance(value, str):
        return value
    return math.log(value) if value > 0 else math.nan


def in_nats(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Turn losses in bits, as fairseq logs them, into nats: where each perplexity is 2, not e, to the loss beside it."""
    off = []
    for record in records:
        for key, value in record.items():
            beside = [float(record[name]) for name in record if is_loss(name) and loss_of(name) == loss_of(key)]
            if is_perplexity(key) and beside and isinstance(value, float) and 1.1 < value < math.inf:  # log2(1) is log(1)
                off.append(min(abs(loss - math.log2(value)) for loss in beside))
    if len(off) < 2 or not max(off) < 0.02:  # both are rounded
        return records, []
    turned = [
        {
            name: value * math.log(2) if isinstance(value, float) and is_loss(name) else value
            for name, value in record.items()
        }
        for record in records
    ]
    return turned, [
        "the losses are in bits, as the perplexities beside them are 2 to their power: they were turned into nats"
    ]


def _column(cells: Sequence[float | str]) -> Column:
    values = np.array([math.nan if isinstance(cell, str) else cell for cell in cells], dtype=np.float64)
    logged = np.array([not isinstance(cell, str) for cell in cells])
    text = [str(cell) for cell in cells] if any(isinstance(cell, str) and cell for cell in cells) else None
    unreadable = 0 if text is None else sum(isinstance(cell, str) and bool(cell) for cell in cells)
    return Column(values, logged, None if text is None else tuple(text), unreadable)


def no_loss(source: str, what: str) -> UserError:
    """Make the error of a text in which no line of a log was found."""
    return UserError.of(f"is no log that can be read: {what}{OTHERWISE}", kind="no-log", file=source)


def found_in(lines: Iterable[str], pattern: re.Pattern[str]) -> int:
    """Count the lines that a pattern is found in."""
    return sum(pattern.search(line) is not None for line in lines)
