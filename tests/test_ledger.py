"""The ledger: a study that gives back what it was given, whoever works on it and whatever kills them."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc import presence, records
from lossdoc.curve import Context, Curve, Series
from lossdoc.errors import UserError
from lossdoc.ledger import Ledger, differences, study_name
from lossdoc.ranking import RATE
from lossdoc.search import Choices, Range, Space
from lossdoc.subject import Point, Trial
from tests.conftest import PROJECT

SPACE = Space({RATE: Range(1e-4, 1e-1), "loss": Choices(("a", "b"))})
FACTS = {"points": 12, "space": {RATE: [1e-4, 1e-1]}, "model": {"data": {"batch_size": 32}}}
POINTS = [Point(index, {RATE: 10.0 ** (-4 + index / 4), "loss": "ab"[index % 2]}, seed=index % 3) for index in range(12)]


def trial(point: Point = POINTS[0], **known: Any) -> Trial:
    curve = Curve(
        Series.of([2.3, 1.1, 0.1], name="train_loss"),
        Series.of([1.5], [3], "val_loss"),
        {"val_accuracy": Series.of([0.7], [3], "val_accuracy")},
        Context(axis="step", classes=10, loss="cross_entropy", steps_per_epoch=3.0, lr=1e-3),
    )
    return replace(Trial(point, curve, 1.5, 0.7, pattern="healthy"), **known)


def same(one: Trial, other: Trial) -> bool:
    """Tell whether two trials are equal to the last bit, NaN being equal to itself."""
    return repr(stored(one)) == repr(stored(other))


def stored(one: Trial) -> list[Any]:
    series = [one.curve.train, one.curve.val, *one.curve.others.values()]
    numbers = [None if each is None else (each.name, each.step.tolist(), each.value.tolist()) for each in series]
    return [replace(one, curve=Curve(Series.of([]))), numbers, list(one.curve.others), one.curve.context]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path, "digits", SPACE, FACTS)
    yield opened
    opened.close()


# records ------------------------------------------------------------------------------------------------------------------

numbers = st.lists(st.floats(), max_size=20) | st.lists(st.floats(width=32), max_size=20)


@settings(max_examples=150, deadline=None)
@given(train=numbers, val=st.none() | numbers, steps=st.sampled_from(["even", "odd"]), run=st.none() | st.text())
def test_a_curve_comes_back_to_the_last_bit(
    train: list[float], val: list[float] | None, steps: str, run: str | None
) -> None:
    at = [5 * n + 3 if steps == "even" else n * n + 0.1 for n in range(len(train))]
    curve = Curve(Series.of(train, at), None if val is None else Series.of(val), {"lr": Series.of(train)}, run=run)
    back = records.unpacked(json.loads(json.dumps(records.packed(curve), allow_nan=False)))
    assert repr(stored(trial(curve=back))) == repr(stored(trial(curve=curve)))
    assert back.run == run


def test_a_curve_is_stored_in_little_room() -> None:
    losses = np.float32(np.exp(-np.arange(10_000) / 3_000)) + np.float32(np.random.default_rng(0).normal(size=10_000) / 50)
    text = json.dumps(records.packed(Curve(Series.of(losses))))
    assert len(text) < 6 * 10_000  # 4 bytes a number make 5.3 characters of base64; digits would be 19


# what a study holds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"loss": math.nan, "metric": math.nan, "diverged_at": 3, "pattern": "non-finite"},
        {"stopped_at": 3, "pattern": None},
        {"curve": Curve(Series.of([1.0, math.inf, math.nan])), "loss": math.nan, "diverged_at": 2},
        {"point": Point(3, {RATE: 0.0, "loss": {"mse": {}}, "layers": [1, 2]}, seed=7)},
    ],
)
def test_a_trial_comes_back_in_full(tmp_path: Path, known: dict[str, Any]) -> None:
    space = Space({**SPACE.axes, "loss": Choices(("a", "b", {"mse": {}}))})
    opened = Ledger.open(tmp_path, "digits", space, FACTS)
    given = trial(**known)
    assert opened.add(given)
    opened.close()
    again = Ledger.resume(tmp_path, "digits", space, FACTS)
    again.close()
    (found,) = again.finished()
    assert same(found, given)


def test_optuna_knows_the_states_the_values_and_the_parameters(ledger: Ledger) -> None:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    ledger.claim(POINTS[:5])
    ledger.add(trial(POINTS[0]))
    ledger.add(trial(POINTS[1], loss=math.nan, diverged_at=2))
    ledger.add(trial(POINTS[2], loss=0.9, stopped_at=3))
    ledger.close()
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(ledger.folder / "study.journal")))  # as a dashboard does
    study = optuna.load_study(study_name=ledger.folder.name, storage=storage)
    assert [each.state.name for each in study.trials] == ["COMPLETE", "PRUNED", "PRUNED", "FAIL", "FAIL"]
    assert [each.value for each in study.trials[:3]] == [1.5, None, 0.9]
    assert [each.params for each in study.trials] == [point.params for point in POINTS[:5]]
    assert study.trials[1].intermediate_values == {3: 0.1}
    assert study.best_value == 1.5
    assert study.user_attrs["plan"] == FACTS


# sharing ------------------------------------------------------------------------------------------------------------------


def test_two_at_work_never_get_the_same_point(ledger: Ledger) -> None:
    other = Ledger.resume(ledger.folder.parent.parent, "digits", SPACE, FACTS)
    mine, others = ledger.claim(POINTS[:8]), other.claim(POINTS[4:])
    assert mine == POINTS[:8]
    assert others == POINTS[8:]
    other.close()  # what it has not finished is free again
    assert ledger.claim(POINTS[8:]) == POINTS[8:]


def test_of_two_claims_at_once_the_first_counts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Ledger.resume(ledger.folder.parent.parent, "digits", SPACE, FACTS)
    seen = ledger._first()
    looks = iter([seen, None])  # it looks, the other claims, it claims
    real = ledger._first
    monkeypatch.setattr(ledger, "_first", lambda: found if (found := next(looks)) is not None else real())
    assert other.claim(POINTS[:3]) == POINTS[:3]
    assert ledger.claim(POINTS[:4]) == [POINTS[3]]
    other.close()


def test_what_others_finish_is_met_and_the_rest_is_shared(ledger: Ledger) -> None:
    other = Ledger.resume(ledger.folder.parent.parent, "digits", SPACE, FACTS)
    ledger.add(trial(POINTS[0]))
    other.claim(POINTS[1:3])
    other.add(trial(POINTS[1], metric=0.1))
    met: list[Trial] = []
    said: list[str] = []
    for portion in ledger.share(POINTS[:5], None, met.append, said.append):
        assert portion == POINTS[3:5]
        for point in portion:
            ledger.add(trial(point))
        other.add(trial(POINTS[2], metric=0.2))
        other.close()
    assert [(each.point, each.metric) for each in met] == [(POINTS[0], 0.7), (POINTS[1], 0.1), (POINTS[2], 0.2)]
    assert not said
    ledger.close()
    rows = [json.loads(line) for line in (ledger.folder / "trials.jsonl").read_text().splitlines()]
    assert sorted(row["index"] for row in rows) == list(range(5))


def test_a_shared_study_is_claimed_in_shrinking_portions(tmp_path: Path) -> None:
    opened = Ledger.open(tmp_path, "digits", SPACE, FACTS, str(tmp_path / "shared.journal"))
    points = [Point(index, {RATE: 1e-3}) for index in range(64)]
    portions = []
    for portion in opened.share(points, 2, lambda _: None, lambda _: None):
        portions.append(len(portion))
        for point in portion:
            opened.add(trial(point))
    opened.close()
    assert sum(portions) == 64
    assert portions == sorted(portions, reverse=True)
    assert portions[0] == 16
    assert portions[-1] <= 2


def test_a_trial_that_was_taken_over_does_not_count_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Ledger.resume(ledger.folder.parent.parent, "digits", SPACE, FACTS)
    assert other.claim(POINTS[:1]) == POINTS[:1]
    monkeypatch.setattr(
        ledger._presence, "alive", lambda name, _beats: name == ledger._presence.name
    )  # a machine that slept
    assert ledger.claim(POINTS[:1]) == POINTS[:1]
    assert ledger.add(trial(POINTS[0]))
    assert not other.add(trial(POINTS[0], metric=0.0))
    assert [each.metric for each in other.finished()] == [0.7]
    other.close()


def test_many_processes_on_one_journal_share_it_out(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from lossdoc.ledger import Ledger
from tests.test_ledger import FACTS, SPACE, Point, RATE, trial
points = [Point(index, {{RATE: 1e-3}}) for index in range(24)]
root = Path({str(tmp_path)!r})
ledger = Ledger.open(root / sys.argv[1], "d", SPACE, FACTS, str(root / "shared"))
portions = ledger.share(points, 1, lambda t: None, lambda t: None)
mine = [point.index for portion in portions for point in portion if ledger.add(trial(point))]
print(*mine)
ledger.close()
"""
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], stdout=subprocess.PIPE, text=True, env=env) for n in range(3)
    ]
    trained = [int(index) for run in runs for index in run.communicate(timeout=120)[0].split()]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sorted(trained) == list(range(24))


# deaths -------------------------------------------------------------------------------------------------------------------


def test_half_a_line_is_cut_off_before_the_next(ledger: Ledger) -> None:
    ledger.add(trial(POINTS[0]))
    journal = ledger.folder / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker_id": "' + b"x" * 200_000)  # killed while it wrote
    assert len(ledger.finished()) == 1
    ledger.add(trial(POINTS[1]))
    assert all(json.loads(line) for line in journal.read_text().splitlines())
    again = Ledger.resume(ledger.folder.parent.parent, "digits", SPACE, FACTS)
    assert [each.point.index for each in again.finished()] == [0, 1]
    again.close()


def test_the_trials_of_the_dead_are_free_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from lossdoc.ledger import Ledger
from tests.test_ledger import FACTS, POINTS, SPACE, trial
ledger = Ledger.open(Path({str(tmp_path)!r}), "digits", SPACE, FACTS)
ledger.claim(POINTS[:4])
ledger.add(trial(POINTS[0]))
print("ready", flush=True)
import time; time.sleep(60)
"""
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        again = Ledger.resume(tmp_path, "digits", SPACE, FACTS)
        assert again.claim(POINTS[:5]) == [POINTS[4]]
        assert f"process {run.pid}" in again._awaited(again._first(), {(1, 1): POINTS[1]})
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert again.claim(POINTS[:5]) == POINTS[1:5]
    again.close()


def test_a_process_elsewhere_is_gone_when_its_beat_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    here = presence.Presence(lambda _name, _count: None)
    clock = iter([0.0, 30.0, 60.0, 100.0, 119.0, 121.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    told = [here.alive("elsewhere/1/2 17 99 abcd", {"elsewhere/1/2 17 99 abcd": count}) for count in (1, 1, 2, 2, 2, 2)]
    monkeypatch.undo()
    here.leave()
    assert told == [True, True, True, True, True, False]


@pytest.mark.parametrize(
    "name", ["{host} 1 0 abcd", "{host} {pid} 0 abcd", "{host} {pid} {start} abcd", "{host} 999999999 5 a"]
)
def test_a_process_of_this_machine_is_known_by_its_number_and_its_start(name: str) -> None:
    here = presence.Presence(lambda _name, _count: None)
    host, pid, start, _ = here.name.rsplit(" ", 3)
    assert here.alive(here.name, {})
    assert not here.alive(name.format(host=host, pid=pid, start=start), {})
    here.leave()
    assert not here.alive(here.name, {})


# taking up again ----------------------------------------------------------------------------------------------------------


def test_the_newest_sweep_is_the_last(tmp_path: Path) -> None:
    older = Ledger.open(tmp_path, "digits", SPACE, FACTS)
    older.close()
    newer = tmp_path / "digits" / "99990101T000000Z-aaaaaa"
    older.folder.rename(newer)
    Ledger.open(tmp_path, "digits", SPACE, FACTS).close()
    again = Ledger.resume(tmp_path, "digits", SPACE, FACTS)
    again.close()
    assert again.folder == newer


def test_the_files_for_people_are_written_anew_without_doubles(ledger: Ledger) -> None:
    for point in POINTS[:3]:
        ledger.add(trial(point))
    with (ledger.folder / "trials.jsonl").open("a") as lines:
        lines.write('{"half of a li')  # killed while it wrote, and before the study knew
    ledger.close()
    again = Ledger.resume(ledger.folder.parent.parent, "digits", SPACE, FACTS)
    again.add(trial(POINTS[3]))
    again.close()
    told = [json.loads(line) for line in (ledger.folder / "trials.jsonl").read_text().splitlines()]
    assert [each["index"] for each in told] == [0, 1, 2, 3]
    with (ledger.folder / "curves.csv").open(newline="") as file:
        rows = [(row["trial"], row["step"], row["val_loss"]) for row in csv.DictReader(file)]
    assert rows == [(f"{p.index}/{p.seed}", str(step), "1.5" if step == 3 else "") for p in POINTS[:4] for step in (1, 2, 3)]


@pytest.mark.parametrize(
    ("folder", "facts", "says"),
    [
        ("last", {**FACTS, "points": 24}, "points was 12 and is 24"),
        ("last", {**FACTS, "model": {"data": {"batch_size": 16}}}, "model.data.batch_size was 32 and is 16"),
        ("last", {**FACTS, "more": [1]}, "more was null and is .1."),
        ("nowhere", FACTS, "no study.journal"),
    ],
)
def test_what_cannot_be_taken_up_is_told(ledger: Ledger, folder: str, facts: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Ledger.resume(ledger.folder.parent.parent, "digits", SPACE, facts, Path(folder))


def test_nothing_to_take_up_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sweep to resume"):
        Ledger.resume(tmp_path, "digits", SPACE, FACTS)


def test_the_same_facts_have_the_same_study() -> None:
    assert study_name("d", FACTS) == study_name("d", dict(reversed(FACTS.items())))
    assert study_name("d", FACTS) != study_name("d", {**FACTS, "points": 13})
    assert differences(FACTS, FACTS) == []
