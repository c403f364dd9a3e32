"""One JSON document: Hugging Face's trainer_state.json, a Keras history, CatBoost's log, evals_result, records in a list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lossdoc.columns.naming import is_loss
from lossdoc.curve import Table
from lossdoc.errors import UserError
from lossdoc.reader import Reader
from lossdoc.readers._records import Record, flat, number, sided, table
from lossdoc.readers._text import utf8

DEEPEST = 40  # brackets within brackets: far beyond any log
HINTS = re.compile(rb'"log_history"|"iterations"\s*:|"[^"\n]{0,60}(?:loss|nll|rmse|mse|error)[^"\n]{0,60}"\s*:')
CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")  # the folders of Hugging Face's trainer
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]')
SUMMARY = ("train_runtime", "total_flos")  # names that only Hugging Face's last record has; its train_loss is a mean
OWN = "is a report of lossdoc's own: its curves are in curves.csv"
NO_CURVE = "holds last values only and no curve: give the log itself, for Hugging Face trainer_state.json"


def sniff(head: bytes) -> float:
    """Tell how surely this is a JSON document with a loss in it, on one line or on many."""
    text = (utf8(head) or b"").lstrip()
    if text[:1] not in (b"{", b"[") or not HINTS.search(text):
        return 0.0
    if re.match(rb"\[\s*[-+\d]", text) or re.match(rb"\[[^\]\n{]{1,80}\]\s*[^,\s]", text):
        return 0.0  # "[0] train-rmse: ..." and "[11/17 15:16] ..." are lines of text
    return 0.95 if b'"log_history"' in text else 0.7


def read(data: bytes, source: str) -> list[Table]:
    """Read a document; one that was cut off is read as far as it goes."""
    text = utf8(data)
    if text is None:
        raise UserError.of("is no text but binary data", kind="unknown-format", file=source)
    found, notes = _parsed(text.decode("utf-8", errors="replace"), source)
    records = list(_records(found))
    if not records:
        own = isinstance(found, dict) and str(found.get("schema", "")).startswith("lossdoc.")
        raise UserError.of(OWN if own else NO_CURVE, kind="no-curve" if own else "no-log", file=source)
    return [table(source, [sided(record) for record in records], notes)]


def _parsed(text: str, source: str) -> tuple[Any, list[str]]:
    try:
        return json.loads(text, parse_int=float), []
    except RecursionError:
        raise UserError.of("is nested too deeply for a log", kind="unknown-format", file=source) from None
    except ValueError as bad:
        for end, closing in reversed(_ends(text, source)):
            try:
                note = "the document is cut off: it is read as far as it goes"
                return json.loads(text[:end] + closing, parse_int=float), [note]
            except ValueError:
                continue
        raise UserError.of(f"is no JSON: {bad}", kind="unknown-format", file=source) from None


def _ends(text: str, source: str) -> list[tuple[int, str]]:
    """Return the last places after which a document can be closed, and what closes it there.

    Raises:
        UserError: when it is nested too deeply.
    """
    stack: list[str] = []
    ends: list[tuple[int, str]] = []
    for token in TOKENS.finditer(text):
        sign = token.group()
        if sign in "[{":
            stack.append("]" if sign == "[" else "}")
        elif sign in "]}" and stack:
            stack.pop()
        if len(stack) > DEEPEST:
            raise UserError.of(f"is nested more than {DEEPEST} levels deep", kind="unknown-format", file=source)
        if sign in ",]}":
            ends.append((token.start() if sign == "," else token.end(), "".join(reversed(stack))))
            if len(ends) > 64:
                del ends[:32]
    return ends


def _records(found: Any) -> Iterator[Record]:
    """Yield the records of a document, whatever its layout."""
    if isinstance(found, list):
        yield from (flat(each) for each in found if isinstance(each, dict) and not any(name in each for name in SUMMARY))
    elif not isinstance(found, dict):
        return
    elif isinstance(found.get("log_history"), list):
        yield from _records(found["log_history"])
    elif isinstance(found.get("iterations"), list):
        yield from _catboost(found)
    else:
        series = dict(_series(found))
        if any(is_loss(name) for name in series):
            yield from _transposed(series)
        else:
            yield from _inner(found)


def _inner(found: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the records of the first list of objects in a document that holds a loss: {"history": [{"loss": 1}, ...]}."""
    for value in found.values():
        if isinstance(value, list) and any(isinstance(each, dict) and any(map(is_loss, each)) for each in value):
            yield from _records(value)
            return


def _series(found: Mapping[str, Any], above: str = "", depth: int = 0) -> Iterator[tuple[str, list[float | None]]]:
    """Yield the lists of numbers with their names; evals_result of XGBoost and LightGBM holds one level more."""
    for key, value in found.items():
        name = f"{above} loss ({key})" if above and not is_loss(str(key)) else f"{above} {key}".strip()
        if isinstance(value, dict) and depth < 2:
            yield from _series(value, str(key) if key not in {"history", "log", "logs"} else "", depth + 1)
        elif isinstance(value, list) and value:
            numbers = [number(each[0] if isinstance(each, list) and len(each) == 1 else each) for each in value]
            if any(each is not None for each in numbers):
                yield name, numbers


def _transposed(series: Mapping[str, list[float | None]]) -> Iterator[Record]:
    longest = max(len(values) for values in series.values())
    for row in range(longest):
        yield {name: value for name, values in series.items() if row < len(values) and (value := values[row]) is not None}


def _catboost(found: Mapping[str, Any]) -> Iterator[Record]:
    """Yield CatBoost's iterations: one list of metrics for each side, whose names and directions stand in "meta"."""
    meta = found.get("meta") if isinstance(found.get("meta"), dict) else {}
    names = {side: _metrics(meta.get(f"{side}_metrics") if meta else None) for side in ("learn", "test")}
    for each in found["iterations"]:
        if not isinstance(each, dict):
            continue
        record: Record = {"iteration": step} if (step := number(each.get("iteration"))) is not None else {}
        for side, metrics in names.items():
            values = each.get(side)
            for place, value in enumerate(values if isinstance(values, list) else []):
                value = value[0] if isinstance(value, list) and value else value  # noqa: PLW2901 - one set of several
                metric = metrics[place] if place < len(metrics) else f"metric {place}"
                if (parsed := number(value)) is not None:
                    record[f"{side} {metric}"] = parsed
        yield record


def _metrics(found: Any) -> list[str]:
    """Return the names of the metrics: "loss" is in those that are to fall."""
    known = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [f"loss ({each.get('name')})" if each.get("best_value") == "Min" else str(each.get("name")) for each in known]


def _together(path: Path) -> list[Path]:
    """Return the file itself; none where a later checkpoint's trainer_state.json begins with all that this one holds."""
    if CHECKPOINT.fullmatch(path.parent.name) is None:
        return [path]
    run = path.parent.parent
    last = max((each for each in run.glob(f"checkpoint-*/{path.name}")), key=_steps, default=path)
    return [path] if last == path and not (run / path.name).is_file() else []


def _steps(path: Path) -> int:
    found = CHECKPOINT.fullmatch(path.parent.name)
    return int(found[1]) if found is not None else -1


reader = Reader((".json",), sniff, read, _together)
