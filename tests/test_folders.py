"""Folders of logs: what is read of them, which files are runs of one network, and that many are as good as one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossdoc import reader, surveying, synthetic
from lossdoc.curve import Curve, Outline, Runs, Series
from lossdoc.errors import UserError
from lossdoc.findings import Report
from lossdoc.folders import Network, Place, networks, places
from lossdoc.surveying import Asked, outlined, survey

LOG = "step,train_loss\n" + "".join(f"{n},{2.3 * 0.9**n + 0.01:.6f}\n" for n in range(40))


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(LOG)
    return folder


@pytest.mark.parametrize(
    ("globs", "found"),
    [
        ((), ["a.csv", "deep/c.txt", "deep/er/b.csv"]),
        (("*.csv",), ["a.csv", "deep/er/b.csv"]),
        (("*.txt", "a.*"), ["a.csv", "deep/c.txt"]),
        (("deep/*",), ["deep/c.txt"]),
        (("deep/**/*.csv",), ["deep/er/b.csv"]),
    ],
)
def test_what_is_read_below_a_folder(globs: tuple[str, ...], found: list[str], tmp_path: Path) -> None:
    fill(tmp_path, "a.csv", "deep/er/b.csv", "deep/c.txt", ".hidden/d.csv")
    assert [place.title for place in places([str(tmp_path)], globs)] == found


@pytest.mark.parametrize(
    ("name", "globs", "says"),
    [
        (".", ("*.tsv",), r"no file below it fits --glob \*\.tsv"),
        ("a.csv", ("*",), "no folder was given"),
        (".", ("/*.csv",), "no pattern"),
    ],
)
def test_globs_that_choose_nothing(name: str, globs: tuple[str, ...], says: str, tmp_path: Path) -> None:
    fill(tmp_path, "a.csv")
    with pytest.raises(UserError, match=says):
        places([str(tmp_path / name)], globs)


def test_files_of_one_name_are_called_by_their_paths(tmp_path: Path) -> None:
    fill(tmp_path, "x/log.csv", "y/log.csv", "z.csv")
    given = [str(tmp_path / name) for name in ("x/log.csv", "y/log.csv", "z.csv", "z.csv")]
    assert [place.title for place in places(given)] == [*given[:2], "z.csv"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["seed0.csv", "seed1.csv", "seed23.csv"], ["seed*.csv"]),
        (["seed=1/m.csv", "seed=2/m.csv"], ["seed=*/m.csv"]),
        (["lr1/run_1/m.csv", "lr1/run_2/m.csv", "lr2/run_1/m.csv"], ["lr1/run_*/m.csv", None]),
        (["1.csv", "2.csv"], [None, None]),
        (["lr_0.1.csv", "lr_0.2.csv"], [None, None]),
        (["version_0/metrics.csv", "version_1/metrics.csv"], [None, None]),
        (["run-20260101_ab12/x.csv", "run-20260102_cd34/x.csv"], [None, None]),
        (["overrun1.csv", "overrun2.csv"], [None, None]),
        (["seed1.csv", "seed1.json"], [None, None]),
    ],
)
def test_runs_of_one_network_differ_in_the_number_behind_a_word_for_it(paths: list[str], names: list[str | None]) -> None:
    found = networks([Place(path, path) for path in paths])
    assert [network.name for network in found] == names
    assert sorted(place.path for network in found for place in network.places) == sorted(paths)


def test_the_user_may_say_what_is_one_network() -> None:
    found = [Place(path, path) for path in ("seed1.csv", "seed2.csv", "other.csv")]
    assert [len(network.places) for network in networks(found, group=True)] == [3]
    assert [network.name for network in networks(found, group=False)] == [None, None, None]


def test_seeds_are_judged_together_where_their_columns_agree(tmp_path: Path) -> None:
    fill(tmp_path, "seed1.csv", "seed2.csv", "seed3.csv")
    (tmp_path / "seed4.csv").write_text(LOG.replace("train_loss", "loss"))
    (tmp_path / "seed5.csv").write_text("step,train_loss\n")
    (answer,) = survey(networks(places([str(tmp_path)])), Asked())
    assert [(report.title, report.run) for report in answer.reports] == [
        *((f"seed{n}.csv", None) for n in (1, 2, 3, 4)),
        ("seed*.csv", "*"),
    ]
    assert isinstance(answer.reports[-1].matter, Runs)
    assert len(answer.reports[-1].matter.curves) == 3
    assert "--no-group" in answer.reports[-1].notes[0]
    assert [problem.kind for problem in answer.problems] == ["no-rows"]


def alone(answers: list[surveying.Answer]) -> list[Report]:
    return [replace(report, matter=None) for answer in answers for report in answer.reports]


def test_many_logs_are_read_in_several_processes_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, *(f"log{n:02}.csv" for n in range(12)), "words.md")
    (tmp_path / "log05.csv").write_text("step,train_loss\n")
    found = networks(places([str(tmp_path)]))
    serial = list(survey(found, Asked()))
    monkeypatch.setattr(surveying, "FEW", 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    shared = list(survey(found, Asked()))
    assert alone(shared) == alone(serial)
    assert [answer.problems for answer in shared] == [answer.problems for answer in serial]
    assert sum(len(answer.problems) for answer in shared) == 1
    assert all(isinstance(report.matter, Outline) for answer in shared for report in answer.reports)
    with pytest.raises(UserError, match="no rule is called"):
        list(survey(found, Asked(select=["nothing"])))


def test_an_outline_is_drawn_like_the_whole_and_knows_its_length() -> None:
    value = synthetic.noisy(synthetic.descent(50_000, 2.3, 0.2), 0.1, 0)
    value[[30_000, 31_000]] = np.nan, 9.0
    kept = outlined(Series.of(value))
    assert len(kept) <= 4 * surveying.BINS + 3
    assert (np.diff(kept.step) > 0).all()
    assert np.isnan(kept.value).sum() == 1
    assert np.nanmax(kept.value) == 9.0
    assert np.nanmin(kept.value) == np.nanmin(value)
    assert kept.step[[0, -1]].tolist() == [1, 50_000]
    assert Outline(kept, points=50_000).length == 50_000
    assert Curve(kept).length == len(kept)


def test_the_files_of_one_log_are_read_once(tmp_path: Path) -> None:
    fill(tmp_path, "plain.csv")
    for name in ("learn_error.tsv", "test_error.tsv"):
        (tmp_path / name).write_text("iter\tLogloss\n" + "".join(f"{n}\t{0.9**n}\n" for n in range(20)))
    titles = [report.title for answer in survey(networks(places([str(tmp_path)])), Asked()) for report in answer.reports]
    assert titles == ["learn_error.tsv", "plain.csv"]


def test_a_run_is_named_by_its_log_or_within_it(tmp_path: Path) -> None:
    fill(tmp_path, "a.csv", "b.csv")
    (tmp_path / "c.csv").write_text("run,loss\n" + "".join(f"{name},{0.9**n}\n" for name in "xy" for n in range(20)))
    found = networks(places([str(tmp_path)]))

    def names(run: str) -> list[tuple[str, str | None]]:
        return [(each.title, each.run) for answer in survey(found, Asked(run=run)) for each in answer.reports]

    assert names("b.csv") == [("b.csv", None)]
    assert names("y") == [("c.csv", "y")]
    assert names("z") == []


def test_a_file_that_may_not_be_read_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.csv")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reader, "claimed", refuse)
    (answer,) = survey([Network((Place(str(tmp_path / "a.csv"), "a.csv", found=True),))], Asked())
    assert [problem.message for problem in answer.problems] == ["cannot be read: Permission denied"]
