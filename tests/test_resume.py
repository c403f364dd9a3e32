"""Sweeps that are killed or interrupted at any moment and resumed: the same points, none lost, none twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lossdoc import sweeping
from lossdoc.errors import UserError
from tests.conftest import PROJECT, Run
from tests.test_sweep import plan

KILLS = 10


def ended(folder: Path) -> list[Any]:
    """Return Optuna's trials that have ended, as anybody reads the journal."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    study = optuna.load_study(study_name=folder.name, storage=storage)
    assert not [each for each in study.trials if each.state.name == "RUNNING"]
    return [each for each in study.trials if each.state.name in ("COMPLETE", "PRUNED")]


def outcome(folder: Path) -> dict[tuple[int, int], Any]:
    """Return what each point came to, by index and seed; no point may have ended twice."""
    found = {(each.user_attrs["index"], each.user_attrs["seed"]): each for each in ended(folder)}
    assert len(found) == len(ended(folder))
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert Counter((line["index"], line["seed"]) for line in lines) == Counter(list(found))
    return {key: (each.params, each.value, each.user_attrs["curve"]) for key, each in found.items()}


@pytest.mark.parametrize(("search", "halving"), [("grid", 0), ("random", 0), ("tpe", 0), ("random", 9)])
def test_killed_at_ten_random_moments_and_resumed(tmp_path: Path, search: str, halving: int) -> None:
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.killing", str(tmp_path), search, str(halving), str(KILLS)]
    done = subprocess.run(words, capture_output=True, text=True, env=env, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "whole" / "killed").iterdir()
    whole = outcome(folder)
    rounds = json.loads(done.stdout)
    assert len(rounds) == KILLS
    assert sum(each["killed"] for each in rounds) >= KILLS // 2  # killed in the middle, not after the end
    for each in rounds:
        folders = list(Path(each["root"], "killed").iterdir())
        found = outcome(max(folders, key=lambda path: path.name))
        if halving:  # what is stopped depends on who came before; every point was begun, and none is there twice
            assert {index for index, _ in found} == {index for index, _ in whole}
        else:
            assert found == whole


def test_an_interrupted_sweep_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_draw", lambda *_: None)
    made = plan(points=5, seeds=(0, 1))

    def interrupt(progress: sweeping.Progress) -> None:
        if progress.done == 3 and progress.tick is not None and progress.tick.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeping.sweep(made, root=tmp_path, watch=interrupt)
    told: list[int] = []
    again = sweeping.sweep(
        replace(made, resume=Path("last")), root=tmp_path, watch=lambda now: told.append(now.tick.step) if now.tick else None
    )
    whole = sweeping.sweep(made, root=None)
    assert [repr(trial) for trial in again.trials] == [repr(trial) for trial in whole.trials]
    assert len(told) == 7 * 15  # three of the ten were not trained again
    assert len(outcome(Path(again.folder or ""))) == 10


def test_the_command_resumes_what_is_there(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(
        "name: moons\ndata: {source: {synthetic: moons}}\nmodel: {layers: [{linear: 8}, relu, {linear: classes}]}\n"
        "sweep: {points: 2, epochs: 2, parameters: {optimizer.lr: [1e-3, 1e-1]}}\n"
    )
    words = ["sweep", "--fail-on", "never", "--format", "json"]
    first, again = lossdoc(*words), lossdoc(*words, "--resume", "last")
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert json.loads(again.stdout)["reports"][0]["trials"] == json.loads(first.stdout)["reports"][0]["trials"]
    (folder,) = (tmp_path / "lossdoc_runs" / "moons").iterdir()
    assert len(outcome(folder)) == 2
    other = lossdoc(*words, "--resume", "last", "--points", "3")
    assert other.returncode == 2
    assert "points was 2 and is 3" in other.stderr


def test_the_range_test_of_the_beginning_counts(lossdoc: Run, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(
        "name: moons\ndata: {source: {synthetic: moons}}\nmodel: {layers: [{linear: 8}, relu, {linear: classes}]}\n"
        "sweep: {points: 2, epochs: 2}\n"
    )
    words = ["sweep", "--fail-on", "never", "--runner", "serial", "--format", "json"]
    first, again = lossdoc(*words), lossdoc(*words, "--resume", "last")
    assert "no ranges are given" in first.stderr
    assert "no ranges are given" not in again.stderr
    assert "made when the sweep began" in again.stderr
    assert json.loads(again.stdout)["reports"][0]["trials"] == json.loads(first.stdout)["reports"][0]["trials"]
    other = lossdoc(*words, "--resume", "last", "--points", "3")
    assert other.returncode == 2
    assert "points was 2 and is 3" in other.stderr
    assert "no ranges are given" not in other.stderr


def test_another_plan_is_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_draw", lambda *_: None)
    sweeping.sweep(plan(points=2), root=tmp_path)
    with pytest.raises(UserError, match="points was 2 and is 3"):
        sweeping.sweep(plan(points=3, resume=Path("last")), root=tmp_path)
    with pytest.raises(UserError, match="leave --resume out"):
        sweeping.sweep(plan(points=2, resume=Path("last"), storage="redis://nowhere"), root=tmp_path)
