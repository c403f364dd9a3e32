"""A trial as plain data, and back: what a study stores of it, a line of trials.jsonl, rows of curves.csv."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lossdoc.curve import Context, Curve, Floats, Series
from lossdoc.subject import Point, Trial

HEADER = "trial,step,train_loss,val_loss\n"


def write(path: Path, data: Any) -> None:
    """Write plain data as JSON."""
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def plain(trial: Trial) -> dict[str, Any]:
    """Return a trial without its curve as plain data; None in the place of NaN and infinity."""
    return {
        "index": trial.point.index,
        "seed": trial.point.seed,
        "params": dict(trial.point.params),
        "loss": _finite(trial.loss),
        "metric": _finite(trial.metric),
        "train_loss": _finite(trial.train_loss),
        "train_accuracy": _finite(trial.train_accuracy),
        "pattern": trial.pattern,
        "diverged_at": trial.diverged_at,
        "stopped_at": trial.stopped_at,
    }


def result(trial: Trial) -> dict[str, Any]:
    """Return what a study stores of a trial that has ended, beside its point; `trial_of` makes a trial of it again."""
    told = {"loss": trial.loss, "metric": trial.metric}
    return {
        "pattern": trial.pattern,
        "diverged_at": trial.diverged_at,
        "stopped_at": trial.stopped_at,
        "measured": {name: _finite(value) for name, value in told.items()},
        "curve": packed(trial.curve),
    }


def trial_of(stored: Mapping[str, Any]) -> Trial:
    """Return the trial of a point and a result as they are stored; what was not a finite number comes back as NaN."""
    measured = {name: math.nan if value is None else float(value) for name, value in stored["measured"].items()}
    return Trial(
        Point(int(stored["index"]), dict(stored["params"]), int(stored["seed"])),
        unpacked(stored["curve"]),
        measured["loss"],
        measured["metric"],
        stored["diverged_at"],
        stored["pattern"],
        stored["stopped_at"],
    )


def packed(curve: Curve) -> dict[str, Any]:
    """Return a curve as data for JSON, every number to its last bit, in a tenth of the room that digits would take."""
    series = {"train": curve.train, **({} if curve.val is None else {"val": curve.val})}
    return {
        "series": {name: _packed_series(each) for name, each in series.items()},
        "others": {name: _packed_series(each) for name, each in curve.others.items()},
        "context": {name: value for name, value in asdict(curve.context).items() if value is not None},
        "run": curve.run,
    }


def unpacked(data: Mapping[str, Any]) -> Curve:
    """Return the curve that `packed` was given."""
    series = {name: _unpacked_series(each) for name, each in data["series"].items()}
    others = {name: _unpacked_series(each) for name, each in data["others"].items()}
    return Curve(series["train"], series.get("val"), others, Context(**data["context"]), data["run"])


def append_rows(path: Path, trials: Iterable[Trial]) -> None:
    """Add the losses of some trials by step to a table; a cell is blank where nothing was measured."""
    with path.open("a", newline="", encoding="utf-8") as file:
        if not file.tell():
            file.write(HEADER)
        for trial in trials:
            file.writelines(_rows(trial))


def append_lines(path: Path, trials: Iterable[Trial]) -> None:
    """Add a line of JSON for each of some trials to a file."""
    with path.open("a", encoding="utf-8") as lines:
        for trial in trials:
            lines.write(json.dumps(plain(trial), ensure_ascii=False, allow_nan=False, default=str) + "\n")


def _rows(trial: Trial) -> Iterator[str]:
    name = f"{trial.point.index}/{trial.point.seed}"
    train, val = ({} if each is None else _by_step(each) for each in (trial.curve.train, trial.curve.val))
    for step in sorted({**train, **val}):
        yield f"{name},{step:g},{train.get(step, '')},{val.get(step, '')}\n"


def _by_step(series: Series) -> dict[float, float]:
    return dict(zip(series.step.tolist(), series.value.tolist(), strict=True))


def _packed_series(series: Series) -> dict[str, Any]:
    return {"name": series.name, "step": _packed_steps(series.step), "value": _packed_array(series.value)}


def _unpacked_series(data: Mapping[str, Any]) -> Series:
    return Series(_unpacked_steps(data["step"]), _unpacked_array(data["value"]), data["name"])


def _packed_steps(steps: Floats) -> Any:
    """Return steps at even distances, as nearly all are, as first, distance and count."""
    first, apart = (float(steps[0]), float(steps[1] - steps[0])) if len(steps) > 1 else (float(steps.sum()), 1.0)
    even = np.array_equal(first + apart * np.arange(len(steps)), steps)
    return [first, apart, len(steps)] if even else _packed_array(steps)


def _unpacked_steps(data: Any) -> Floats:
    return _unpacked_array(data) if isinstance(data, str) else data[0] + data[1] * np.arange(int(data[2]), dtype=np.float64)


def _packed_array(values: Floats) -> str:
    """Return numbers as text: in single precision, which torch's losses have, where that loses nothing."""
    with np.errstate(over="ignore"):
        single = values.astype("<f4")
    kind, numbers = ("f4", single) if np.array_equal(single, values, equal_nan=True) else ("f8", values.astype("<f8"))
    return f"{kind}:{base64.b64encode(zlib.compress(numbers.tobytes(), 1)).decode('ascii')}"


def _unpacked_array(text: str) -> Floats:
    kind, _, data = text.partition(":")
    return np.frombuffer(zlib.decompress(base64.b64decode(data)), dtype=f"<{kind}").astype(np.float64)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
