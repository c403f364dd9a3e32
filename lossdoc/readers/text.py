"""What programs print while they train: names and numbers, as in `epoch 3 step 100: train loss 0.12`.

nanoGPT and its children, llm.c, detectron2, Megatron, fairseq, DeepSpeed, Hugging Face's dictionaries, PyTorch's examples,
TensorFlow 1, OpenNMT, ESPnet, torchtune and most loops written by hand are of this kind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from lossdoc.columns.naming import FEW, TIMED, TRAIN, VAL, is_bare, is_loss, words
from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._counters import counters, says_how_many
from lossdoc.readers._phrases import plain, without_progress
from lossdoc.readers._records import (
    NUMBER,
    REPEATED,
    Record,
    counted_on,
    has_side,
    in_nats,
    is_perplexity,
    logarithm,
    loss_of,
    no_loss,
    table,
    unrepeat,
)
from lossdoc.readers._text import lines, whole

WORD = r"(?!(?i:nan|inf|infinity)\b)[^\W\d][\w/.\-@']{0,60}"
PAIR = re.compile(
    rf"""(?<![\w./])["']?({WORD}(?:\ {WORD}){{0,3}})(?:\ \([a-z ]{{1,20}}\))?["']?"""
    rf"""\s{{0,8}}[:=(\[]{{0,2}}\s{{0,12}}\[{{0,2}}["']?((?>{NUMBER}))"""
    r"""(?:f([-+]?\d{1,2})|nats|bits)?(?![\w:])(?:,(\d{1,20})(?![\d.,]))?"""  # 2.3f-1 is Julia's 0.23
)
TUTORIAL = re.compile(rf"^\d+ (train|val) ({NUMBER})$")
SIDE = re.compile(
    r"(?i)(?:^|[\s\[(|:\-_])(train(?:ing)?|val(?:id?|idation|idating)?|eval(?:uat(?:ion|ing))?|test(?:ing)?|dev|saving dict)"
    r"(?=[\s\]|:,>)]|$)"
)
HEADING = re.compile(r"(?i)^\W{0,8}(val|eval|test|dev)[a-z]{0,10}\b[^\d\n]{0,40}:\s*$")  # of what the lines below measure
UNSEEN = ("val", "eval", "test", "dev", "saving")  # what the words begin with that name the validation
RIGHT = ("acc", "accuracy")
KEPT = ("lr", "learning_rate", "acc", "accuracy", "grad_norm", "norm", "ppl", "perplexity")
NO_VALUE = ("best", "lowest", "min", "minimum", "final", "from", "target")  # before a loss that is not of now
ASIDE = ("value", "is", "was")
SAYS_NOTHING = ("the", "current", "this", "its", "a", "and", "with", "info", "debug", "warning", "root")  # of what a loss is
MARK = "\xa0"  # between what a loss is of and its name
JOINED = (*TRAIN, *VAL, "total", "lm", "mean", "avg", "average", "running", "cross", "entropy")
SUMMARY = "train_runtime"
SHORT = {"tel": "val_loss", "trl": "train_loss"}  # llm.c


def sniff(head: bytes) -> float:
    """Tell how surely lines of this text are a log; a text without any may still have one behind what stands in front."""
    found = whole(head)
    if not found or head.lstrip()[:9].lower() == b"<!doctype":  # a page about a log, such as lossdoc's own report
        return 0.0
    losses = sum(1 for _ in _records(found[:2000]))
    return 0.8 if losses > 2 else 0.4 if losses else 0.05


def read(data: bytes, source: str) -> list[Table]:
    """Read the lines that hold a loss."""
    kept, notes = _usual(_told_apart(list(_records(without_progress(lines(data))))))
    kept, some = counted_on(kept, "step")
    kept, more = _without_summaries(kept)
    kept, means = _without_means(kept)
    kept, held = _without_repeats(kept)
    kept, bits = in_nats(kept)
    kept, logs = _with_validation(kept)
    if not kept:
        raise no_loss(source, "no line of it holds a loss that is called so, and it is no table of numbers")
    return [table(source, kept, [*notes, *some, *more, *means, *held, *bits, *logs])]


@lru_cache(maxsize=4096)
def _holds(name: str) -> bool:
    return is_loss(name) or name.endswith(("ppl", "perplexity"))


def _records(found: Sequence[str]) -> Iterator[Record]:
    """Yield what the lines hold, one record for each that has a name and a number; counters hold until the next.

    A heading, as "Test Error:" in PyTorch's quickstart, holds until a blank line, another one, or a line that counts.
    """
    now: dict[str, float] = {}
    above = ""
    for line in found:
        if not any(sign.isdigit() for sign in line) and "nan" not in line.lower():
            heading = HEADING.match(line)
            above = heading[1].lower() if heading else "" if line.rstrip().endswith(":") or not line.strip() else above
            continue
        counted = counters(line)
        above = "" if counted else above
        if counted.get("epoch", 0) % 1 or "'epoch': " in line:  # Hugging Face's line; a step is that of the bar beside it
            now.pop("step", None)
            counted.pop("step", None)
        values = {} if SUMMARY in line else _values(plain(line), above)
        if not values and says_how_many(line):
            continue
        now.update(counted)
        if values:
            yield {**now, **values}


def _values(line: str, above: str) -> dict[str, float]:
    """Return the numbers of a line that are losses, rates, accuracies or perplexities, by their names.

    What none of them says is said by the heading `above`, if there is one.
    """
    if (plain := TUTORIAL.match(line)) is not None:
        return {f"{plain[1]}_loss": float(plain[2])}
    values: dict[str, float] = {}
    sides: list[tuple[int, str]] | None = None
    for match in PAIR.finditer(line):
        name, of = _name(match[1])
        if name is None and is_bare(match[1]) and line[match.end(1)] in "=:":
            name = match[1]
        if name is None:
            continue
        if not has_side(name) and (is_loss(name) or _holds(name) or name in RIGHT):
            if sides is None:
                sides = [(side.start(1), side[1].lower()) for side in SIDE.finditer(line)]
            near = next((side for place, side in reversed(sides) if place < match.end(1)), above)
            name = f"val_{name}" if near.startswith(UNSEEN) else name
        values.setdefault(f"{of}{MARK}{name}" if of else name, _number(match[2], match[3], match[4]))
    return values if any(map(_holds, values)) else {}


def _number(text: str, power: str | None, decimals: str | None) -> float:
    """Return a number as it is printed, with Julia's power of ten behind "f", or with the decimals behind a comma."""
    if power is not None:
        return float(f"{text}e{power}")
    return float(f"{text}.{decimals}" if decimals is not None and text.lstrip("+-").isdecimal() else text)


@lru_cache(maxsize=4096)
def _name(text: str) -> tuple[str | None, str]:
    """Return the quantity that the words before a number name, None where it is none that is read, and what it is of.

    "KL loss" is the "loss" of "KL".
    """
    tokens = text.split()
    while len(tokens) > 1 and tokens[-1].lower() in ASIDE:
        tokens.pop()
    last = tokens.pop().strip("'-.")
    if last.lower() in SHORT:
        return SHORT[last.lower()], ""
    if last.lower() in (*TRAIN, *VAL) and tokens and is_loss(tokens[-1]):  # "loss train: 2.1", as litgpt has it
        return f"{last}_{tokens[-1]}", ""
    if is_loss(last):
        before: list[str] = []
        while tokens and tokens[-1].lower().strip("'-.[]()") in JOINED:
            before.insert(0, tokens.pop())
        of = tokens[-1].strip("'-.[]()") if tokens else ""
        if of.lower() in NO_VALUE or (last.lower() == "cost" and of.lower() in TIMED):
            return None, ""
        return " ".join([*before, last]), "" if of.lower() in SAYS_NOTHING or re.search(r"\d", of) else of
    parts = words(" ".join([*tokens[-1:], last]))
    name = "_".join(parts)
    found = next((known for known in KEPT if name == known or name.endswith(f"_{known}")), None)
    return f"val_{found}" if found in RIGHT and any(part in VAL for part in parts) else found, ""


def _told_apart(found: list[Record]) -> list[Record]:
    """Return the records with names that say what a loss is of where there are several; else the name says enough."""
    counts = Counter(name for record in found for name in record)
    of: dict[str, list[str]] = {}
    for name in counts:
        of.setdefault(name.rpartition(MARK)[2], []).append(name)
    called = {}
    for name, own in of.items():
        least = max(3, max(counts[each] for each in own) / FEW)
        usual = [each for each in own if counts[each] >= least]
        called.update({each: each.replace(MARK, " ") if len(usual) > 1 else name for each in own})
    result: list[Record] = []
    for record in found:
        result.append({})
        for name, value in record.items():
            result[-1].setdefault(called[name], value)
    return result


def _usual(found: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Leave out lines that are made like no others in a text with many: they are of code, of settings, of prose."""
    counted = [record for record in found if "step" in record or "epoch" in record]
    if 2 * len(counted) > len(found):
        found = counted
    if not counted and len(found) < 3:  # a sentence about a loss
        return [], []
    shapes = Counter(frozenset(filter(_holds, record)) for record in found)
    most = max(shapes.values(), default=0)
    rare = {shape for shape, count in shapes.items() if count < 3 and 10 * count <= most}
    kept = [record for record in found if frozenset(filter(_holds, record)) not in rare]
    lost = len(found) - len(kept)
    return kept, [f"{lost} lines with a loss are made like no others and left out"] if lost else []


def _without_summaries(found: list[Record]) -> tuple[list[Record], list[str]]:
    """Leave out training losses of few points beside one of many: means over an epoch or over the run."""
    counts = Counter(name for record in found for name in record if is_loss(name))
    if max((count for name, count in counts.items() if name.lower() == "loss"), default=0) < FEW:
        return found, []
    few = {name for name, count in counts.items() if count < FEW and any(word in TRAIN for word in words(name))}
    kept = [{name: value for name, value in record.items() if name not in few} for record in found]
    return kept, [f"'{name}' has {counts[name]} points only and is left out" for name in sorted(few)]


def _without_means(found: list[Record]) -> tuple[list[Record], list[str]]:
    """Leave out the loss that stands beside a validation loss where its step has a loss already: the mean over an epoch."""
    kept: list[Record] = []
    seen: set[tuple[float | str | None, float | str]] = set()
    for record in found:
        at = (record.get("epoch"), record["step"]) if "step" in record else None
        mean = at in seen and "loss" in record and any(is_loss(name) and loss_of(name) == "val_loss" for name in record)
        kept.append({name: value for name, value in record.items() if name != "loss"} if mean else record)
        if at is not None and "loss" in record:
            seen.add(at)
    lost = sum("loss" in record for record in found) - sum("loss" in record for record in kept)
    return kept, [f"{lost} means over an epoch, beside the validation loss, are left out of 'loss'"] if lost else []


def _without_repeats(found: list[Record]) -> tuple[list[Record], list[str]]:
    """Leave out what a bar shows again at every step until the next epoch: losses of validation, and means over an epoch."""
    notes = []
    for name in dict.fromkeys(name for record in found for name in record if is_loss(name)):
        if not ({*words(name)} & {*VAL, "epoch"}):
            continue
        values = [record[name] for record in found if name in record]
        if 3 * (1 + sum(before != after for before, after in pairwise(values))) <= len(values) >= FEW:
            unrepeat(found, name)
            notes.append(REPEATED.format(name=name))
    return found, notes


def _with_validation(found: list[Record]) -> tuple[list[Record], list[str]]:
    """Take the logarithm of the validation's perplexity for its loss where that is printed alone, as OpenNMT does."""
    names = {name for record in found for name in record}
    own = {name for name in names if is_perplexity(name) and loss_of(name) == "val_loss"}
    if not own or not any(map(is_loss, names)) or any(is_loss(name) and loss_of(name) == "val_loss" for name in names):
        return found, []
    kept = [
        {"val_loss" if name in own else name: logarithm(value) if name in own else value for name, value in record.items()}
        for record in found
    ]
    return kept, ["the logarithm of the validation's perplexity stands in for its loss"]


reader = Reader((".log", ".txt", ".out", ".err"), sniff, read)
