"""The ledger of a sweep: an Optuna study that knows who trains what, and what became of it."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossdoc import records
from lossdoc.errors import UserError
from lossdoc.presence import Presence, spoken
from lossdoc.search import Axis, Choices, Range, Space
from lossdoc.subject import Point, Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

JOURNAL = "study.journal"
TRIALS = "trials.jsonl"
CURVES = "curves.csv"
POLL = 1.0  # seconds between two looks at what others are doing
LATEST = Path("last")
BEATS = "beat "

Key = tuple[int, int]


class Ledger:
    """The study of a sweep, and a folder with what people read of it: lines (`trials.jsonl`) and all losses (`curves.csv`).

    A point is claimed before it is trained: a RUNNING trial that names this process. Of several claims on the same index and
    seed the first counts; the others become FAIL, and so do those of processes that are gone. A trial that has ended is
    COMPLETE, with its curve; PRUNED where it did not live to the end: with `diverged_at` where its loss left the range, for
    Optuna takes infinity for a result and NaN for a failure of the program; with `stopped_at` where halving ended it.
    """

    def __init__(self, storage: BaseStorage, study: int, folder: Path, space: Space, *, shared: bool = False) -> None:
        self.name = str(folder)  # of the study, for people
        self.folder = folder
        self.space = space
        self.shared = shared
        self._storage = storage
        self._study = study
        self._claims: dict[Key, int] = {}
        self._joined = False  # whether another process works on it too, which may have written the same files
        self._presence = Presence(lambda name, count: storage.set_study_user_attr(study, BEATS + name, count))
        self._written = {_key(trial.point) for trial in self._export()}

    @classmethod
    def open(cls, root: Path, name: str, space: Space, facts: Mapping[str, Any], storage: str | None = None) -> Ledger:
        """Begin a ledger in a new folder `root/name/<UTC time>-<id>`; `facts` say how the points were chosen.

        With `storage` the study is kept there, under a name that only depends on `name` and the facts: who begins the same
        sweep on another machine works on the same study.

        Raises:
            UserError: when the folder cannot be made, or the storage not be used.
        """
        from lossdoc import storage as storages

        kept = None if storage is None else storages.at(storage)
        folder = root / name / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        try:
            folder.mkdir(parents=True)
        except OSError as bad:
            message = f"cannot make the folder for the sweep's trials: {bad.strerror}"
            raise UserError.of(message, kind="output", file=folder) from bad
        study = folder.name if kept is None else study_name(name, facts)
        kept = storages.in_file(folder / JOURNAL) if kept is None else kept
        ledger = cls(kept, _study(kept, study, facts), folder, space, shared=storage is not None)
        ledger.name = str(folder) if storage is None else f"study {study} in {storages.hidden(storage)}"
        return ledger

    @classmethod
    def resume(cls, root: Path, name: str, space: Space, facts: Mapping[str, Any], folder: Path = LATEST) -> Ledger:
        """Take up the ledger of a folder again; `last` is the newest of those below `root/name`.

        Raises:
            UserError: when there is none, or its points were chosen otherwise than `facts` say.
        """
        from lossdoc import storage as storages

        folder = begun(root, name, folder)
        kept = storages.in_file(folder / JOURNAL)
        study = _study(kept, folder.resolve().name, facts)
        if differs := differences(kept.get_study_user_attrs(study)["plan"], _stored(facts)):
            hint = "repeat its options, or leave out --resume for a new one"
            message = f"the sweep in it is another one: {'; '.join(differs)}; {hint}"
            raise UserError.of(message, kind="resume", file=folder)
        return cls(kept, study, folder, space)

    def finished(self) -> list[Trial]:
        """Return every trial that has ended, in whichever process, each with its curve."""
        return [_trial(frozen) for frozen in self._first().values() if frozen.state.is_finished()]

    def share(
        self,
        points: Sequence[Point],
        jobs: int | None,
        met: Callable[[Trial], object],
        say: Callable[[str], object],
    ) -> Iterator[list[Point]]:
        """Yield points that are now this process's to train, some at a time, until all are finished, here or elsewhere.

        Those that are finished already or end elsewhere are given to `met`. When all that is left is in training elsewhere,
        it is waited for: what a process leaves behind when it dies is trained here.
        """
        left = {_key(point): point for point in points}
        waiting = False
        while True:
            first = self._first()
            for key in [key for key in left if key in first and first[key].state.is_finished()]:
                trial = _trial(first[key])
                del left[key]
                self._joined |= key not in self._written
                self._write([trial])
                met(trial)
            if not left:
                return
            free = [point for key, point in left.items() if key not in first]
            if mine := self.claim(free[: self._portion(len(free), jobs, first)]):
                yield mine
                if forgotten := [point for point in mine if _key(point) in self._claims]:
                    raise RuntimeError(f"the runner gave no trial of {forgotten}")
                left = {key: point for key, point in left.items() if key not in self._written}
            elif not free:
                if not waiting:
                    say(self._awaited(first, left))
                waiting = True
                time.sleep(POLL)

    def claim(self, points: Sequence[Point]) -> list[Point]:
        """Return those of the points that this process may train: nobody else will, as long as this one is at work."""
        if not points:
            return []
        taken = self._first()
        for point in points:
            if _key(point) not in taken:
                self._claims[_key(point)] = self._begin(point)
        taken = self._first()
        for point in points:  # another process may have claimed the same one a moment earlier
            holder, own = taken.get(_key(point)), self._claims.get(_key(point))
            if own is not None and (holder is None or holder.user_attrs["worker"] != self._presence.name):
                self._fail(self._claims.pop(_key(point)))
        return [point for point in points if _key(point) in self._claims]

    def add(self, trial: Trial) -> bool:
        """Write down a trial that has ended; return False where another process took its point over and its trial counts."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        key = _key(trial.point)
        number = self._claims.pop(key) if key in self._claims else self._begin(trial.point)
        alive = trial.diverged_at is None and math.isfinite(trial.loss)
        last = trial.curve.train.finite
        try:
            for name, value in records.result(trial).items():
                self._storage.set_trial_user_attr(number, name, value)
            if not alive and len(last):
                self._storage.set_trial_intermediate_value(number, int(last.step[-1]), float(last.value[-1]))
            state = TrialState.COMPLETE if alive and trial.stopped_at is None else TrialState.PRUNED
            self._storage.set_trial_state_values(number, state, [trial.loss] if alive else None)
        except UpdateFinishedTrialError:
            return False
        self._write([trial])
        return True

    def close(self) -> None:
        """Give back what was claimed and is not finished, and work no more."""
        from lossdoc import storage as storages

        self._presence.leave()
        while self._claims:
            self._fail(self._claims.popitem()[1])
        if self._joined:
            self._export()
        storages.leave(self._storage)

    def _first(self) -> dict[Key, FrozenTrial]:
        """Return, for each index and seed, the first trial that counts: finished, or held by somebody who is at work."""
        from optuna.trial import TrialState

        first: dict[Key, FrozenTrial] = {}
        beats: dict[str, int] | None = None
        for frozen in self._storage.get_all_trials(self._study, deepcopy=False):
            attrs = frozen.user_attrs
            if frozen.state in (TrialState.FAIL, TrialState.WAITING) or "worker" not in attrs:
                continue
            if frozen.state == TrialState.RUNNING:
                beats = self._beats() if beats is None else beats
                if not self._presence.alive(attrs["worker"], beats):
                    self._fail(self._storage.get_trial_id_from_study_id_trial_number(self._study, frozen.number))
                    continue
            first.setdefault((attrs["index"], attrs["seed"]), frozen)
        return first

    def _beats(self) -> dict[str, int]:
        attrs = self._storage.get_study_user_attrs(self._study)
        return {name.removeprefix(BEATS): count for name, count in attrs.items() if name.startswith(BEATS)}

    def _portion(self, free: int, jobs: int | None, first: Mapping[Key, FrozenTrial]) -> int:
        """Return how many of the free points to claim: all, or where others may come to share them, half of a fair share.

        So portions shrink as less is left, and all end at about the same time (guided self-scheduling: C. Polychronopoulos
        and D. Kuck, 1987).
        """
        if not self.shared:
            return free
        workers = {each.user_attrs["worker"] for each in first.values() if not each.state.is_finished()}
        return max(jobs or 1, math.ceil(free / (2 * max(2, len(workers | {self._presence.name})))))

    def _awaited(self, first: Mapping[Key, FrozenTrial], left: Mapping[Key, Point]) -> str:
        who = sorted({spoken(first[key].user_attrs["worker"]) for key in left if key in first})
        return f"waiting for {len(left)} trials that {', '.join(who)} has begun"

    def _begin(self, point: Point) -> int:
        """Write down that a point is in training here, and return the trial's id."""
        from optuna.trial import TrialState, create_trial

        values = {path: _storable(value) for path, value in point.params.items()}
        axes = self.space.axes
        kinds = {path: kind for path, value in values.items() if (kind := _distribution(axes.get(path), value)) is not None}
        template = create_trial(
            state=TrialState.RUNNING,
            params={path: values[path] for path in kinds},
            distributions=kinds,
            user_attrs={
                "index": point.index,
                "seed": point.seed,
                "params": dict(point.params),
                "worker": self._presence.name,
            },
        )
        return self._storage.create_new_trial(self._study, template)

    def _fail(self, number: int) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        try:
            self._storage.set_trial_state_values(number, TrialState.FAIL)
        except UpdateFinishedTrialError:  # its own process or another one was faster
            return

    def _export(self) -> list[Trial]:
        """Write the files for people anew, from the study."""
        trials = self.finished()
        for name, append in ((TRIALS, records.append_lines), (CURVES, records.append_rows)):
            fresh = self.folder / f".{name}.new"
            fresh.write_bytes(b"")
            append(fresh, trials)
            fresh.replace(self.folder / name)
        return trials

    def _write(self, trials: Sequence[Trial]) -> None:
        new = [trial for trial in trials if _key(trial.point) not in self._written]
        if new:
            records.append_rows(self.folder / CURVES, new)
            records.append_lines(self.folder / TRIALS, new)
            self._written |= {_key(trial.point) for trial in new}


def study_name(name: str, facts: Mapping[str, Any]) -> str:
    """Return the name of the study of these facts, the same wherever and whenever they are."""
    text = json.dumps(_stored(facts), sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """Return what differs between two facts, one sentence each: mappings by their keys, anything else as a whole."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        return [
            text for key in keys for text in differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if before == now else [f"{path} was {_short(before)} and is {_short(now)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _key(point: Point) -> Key:
    return point.index, point.seed


def _trial(frozen: FrozenTrial) -> Trial:
    return records.trial_of(frozen.user_attrs)


def _stored(facts: Mapping[str, Any]) -> Any:
    """Return facts as they come back from a storage."""
    return json.loads(json.dumps(facts, default=str))


def _study(storage: BaseStorage, name: str, facts: Mapping[str, Any]) -> int:
    """Return the id of the study of a name, with its facts; it is made where there is none."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce the study in the middle of our own progress
    try:
        optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
    finally:
        optuna.logging.set_verbosity(before)
    study = storage.get_study_id_from_name(name)
    if "plan" not in storage.get_study_user_attrs(study):
        storage.set_study_user_attr(study, "plan", _stored(facts))
    return study


def _distribution(axis: Axis | None, value: Any) -> BaseDistribution | None:
    """Return Optuna's word for an axis; None where the value lies outside, as a configured 0 does on a logarithmic one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(axis, Choices):
        return CategoricalDistribution([_storable(each) for each in axis.values])
    if not isinstance(axis, Range) or not isinstance(value, (int, float)) or not axis.low <= value <= axis.high:
        return None
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _storable(value: Any) -> Any:
    """Return a value as what Optuna can store; lists and mappings become text."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str)


def searched(root: Path, name: str, folder: Path, path: str) -> Range | None:
    """Return the range that a sweep to go on with searches at a path; None where it has none, or had not come so far.

    Raises:
        UserError: when there is no such sweep.
    """
    from lossdoc import storage as storages

    kept = storages.in_file(begun(root, name, folder) / JOURNAL)
    for study in kept.get_all_studies():
        match study.user_attrs.get("plan", {}).get("space", {}).get(path):
            case {"low": low, "high": high, "log": log}:
                return Range(low, high, log)
    return None


def begun(root: Path, name: str, folder: Path = LATEST) -> Path:
    """Return the folder of a sweep to go on with; `last` is the newest of those below `root/name`.

    Raises:
        UserError: when there is none.
    """
    if folder == LATEST and not folder.exists():
        folders = [path.parent for path in (root / name).glob(f"*/{JOURNAL}")]
        if not folders:
            raise UserError.of(f"there is no sweep to resume in {root / name}", kind="resume")
        folder = max(folders, key=lambda each: each.name)
    if not (folder / JOURNAL).exists():
        raise UserError.of(f"there is no {JOURNAL} in it, so no sweep to resume", kind="resume", file=folder)
    return folder
