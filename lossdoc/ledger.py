"""The ledger of a sweep: a folder into which every trial goes the moment it ends."""

from __future__ import annotations

import csv
import json
import math
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossdoc.curve import Series
from lossdoc.errors import UserError
from lossdoc.search import Choices, Space
from lossdoc.subject import Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

JOURNAL = "study.journal"
TRIALS = "trials.jsonl"
CURVES = "curves.csv"


class Ledger:
    """A folder with an Optuna study (`study.journal`), one line a trial (`trials.jsonl`) and all losses (`curves.csv`).

    The journal is a file to which lines are only added, so that a trial that was written stays written. A trial whose loss
    left the range is PRUNED in the study, with the step in `diverged_at`: Optuna would take an infinite loss for a result
    and a NaN for a failure of the program.
    """

    def __init__(self, folder: Path, space: Space, facts: Mapping[str, Any]) -> None:
        self.folder = folder
        self.space = space
        self._study = _study(folder, facts)
        (folder / TRIALS).touch()
        _append_rows(folder / CURVES, [["trial", "step", "train_loss", "val_loss"]])

    @classmethod
    def open(cls, root: Path, name: str, space: Space, facts: Mapping[str, Any]) -> Ledger:
        """Begin a ledger in a new folder `root/name/<UTC time>-<id>`; `facts` say how the points were chosen.

        Raises:
            UserError: when the folder cannot be made.
        """
        folder = root / name / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        try:
            folder.mkdir(parents=True)
        except OSError as bad:
            message = f"cannot make the folder for the sweep's trials: {bad.strerror}"
            raise UserError.of(message, kind="output", file=folder) from bad
        return cls(folder, space, facts)

    def add(self, trial: Trial) -> None:
        """Write one trial down: its curve and its line first, then the study, which thus knows none that is not there."""
        _append_rows(self.folder / CURVES, _rows(trial))
        with (self.folder / TRIALS).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(plain(trial), ensure_ascii=False, allow_nan=False, default=str) + "\n")
        self._study.add_trial(self._frozen(trial))

    def _frozen(self, trial: Trial) -> Any:
        from optuna.trial import TrialState, create_trial

        finite = trial.curve.train.finite
        values = {path: _storable(value) for path, value in trial.point.params.items()}
        kinds = {
            path: kind for path, axis in self.space.axes.items() for kind in [_distribution(axis, values.get(path))] if kind
        }
        alive = trial.diverged_at is None and math.isfinite(trial.loss)
        return create_trial(
            state=TrialState.COMPLETE if alive else TrialState.PRUNED,
            value=trial.loss if alive else None,
            params={path: values[path] for path in kinds},
            distributions=kinds,
            user_attrs=plain(trial),
            intermediate_values={} if alive or not len(finite) else {int(finite.step[-1]): float(finite.value[-1])},
        )


def plain(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain data; None in the place of NaN and infinity."""
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
    }


def _study(folder: Path, facts: Mapping[str, Any]) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = str(folder / JOURNAL)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce the study in the middle of our own progress
    try:
        storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
        study = optuna.create_study(storage=storage, study_name=folder.name, direction="minimize")
    finally:
        optuna.logging.set_verbosity(before)
    for name, value in facts.items():
        study.set_user_attr(name, value)
    return study


def _distribution(axis: Any, value: Any) -> BaseDistribution | None:
    """Return Optuna's word for an axis; None where the value lies outside, as a configured 0 does on a logarithmic one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(axis, Choices):
        return CategoricalDistribution([_storable(each) for each in axis.values])
    if not isinstance(value, (int, float)) or not axis.low <= value <= axis.high:
        return None
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _storable(value: Any) -> Any:
    """Return a value as what Optuna can store; lists and mappings become text."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str)


def _rows(trial: Trial) -> list[list[Any]]:
    """Return the losses of a trial by step; a cell is blank where nothing was measured."""
    name = f"{trial.point.index}/{trial.point.seed}"
    by_step: dict[float, list[Any]] = {}
    for column, series in enumerate((trial.curve.train, trial.curve.val or Series.of([]))):
        for step, value in zip(series.step.tolist(), series.value.tolist(), strict=True):
            by_step.setdefault(step, ["", ""])[column] = value
    return [[name, f"{step:g}", *by_step[step]] for step in sorted(by_step)]


def _append_rows(path: Path, rows: list[list[Any]]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
