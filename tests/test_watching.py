"""Following a log: what is told, when, and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossdoc import watching
from lossdoc.answering import Found
from lossdoc.curve import Curve
from lossdoc.findings import Report
from lossdoc.surveying import Asked
from lossdoc.verdicts import Verdicts
from lossdoc.watching import Following, watch
from tests.conftest import PROJECT

HEAD = "step,train_loss\n"
ROWS = [f"{n},{2.3 * 0.9**n + 0.01 * (n * 7919 % 13 / 13):.6f}\n" for n in range(60)]


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ([("healthy", 10), ("healthy", 14), ("healthy", 15), ("healthy", 40)], [15]),
        ([("non-finite", 3)], [3]),
        ([("overfitting", 10)], []),
        ([("slow-learning", 7), ("slow-learning", 20), ("healthy", 30), ("healthy", 45)], [45]),
        ([("not-learning", 10), ("not-learning", 39), ("not-learning", 40)], [40]),
        ([("inconclusive", 2), ("inconclusive", 5)], []),
        ([("healthy", 10), ("healthy", 20), ("overfitting", 30), ("healthy", 40), ("healthy", 90)], [20]),
        ([("healthy", 10), ("healthy", 20), ("healthy", 5), ("healthy", 30)], [20]),  # read while it was written anew
        ([("healthy", 10), ("healthy", 20), ("healthy", 5), ("healthy", 6), ("healthy", 9)], [20, 9]),  # another run
    ],
)
def test_a_verdict_is_told_once_it_has_lasted(heard: list[tuple[str, int]], told: list[int]) -> None:
    verdicts = Verdicts()
    assert [points for verdict, points in heard if verdicts.hear(verdict, points)] == told


class Script:
    """Stands in for the clock: each look at the log is preceded by the next change of the file."""

    def __init__(self, path: Path, texts: list[str | None], monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.texts, self.now = path, texts, 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if not self.texts:
            return
        text = self.texts.pop(0)
        if text is None:
            self.path.unlink(missing_ok=True)
        else:
            self.path.write_text(text)


def followed(
    path: Path, texts: list[str | None], monkeypatch: pytest.MonkeyPatch, until: str | None = None
) -> tuple[Found, list[str]]:
    found, lines = Found(), []
    Script(path, texts, monkeypatch)
    watch([str(path)], Asked(), Following(1.0, idle=3.5, until=until), found, lambda text: lines.append(text[9:]))
    return found, lines


def grown(*lengths: int) -> list[str | None]:
    return [HEAD + "".join(ROWS[:length]) for length in lengths]


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    found, lines = followed(path, [None, *grown(0, 5, 20, 40, 60)], monkeypatch)
    assert lines == [f"waiting for {path}", "step 39 healthy so far"]
    assert found.reports[0].primary == "healthy"
    assert found.problems == []


def test_a_half_written_line_is_no_entry_until_nothing_more_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    seen: list[int] = []

    def told(reports: list[Report], *_: object) -> bool:
        assert isinstance(reports[0].matter, Curve)
        seen.append(reports[0].matter.length)
        return False

    monkeypatch.setattr(watching, "_told", told)
    followed(path, [HEAD + "".join(ROWS[:20]) + "20,0", HEAD + "".join(ROWS[:30]) + "30,0.1"], monkeypatch)
    assert seen == [20, 30, 31]


def test_a_log_that_never_comes_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, lines = followed(tmp_path / "log.csv", [], monkeypatch)
    assert [problem.kind for problem in found.problems] == ["missing-file"]
    assert len(lines) == 1


@pytest.mark.parametrize(("until", "ends"), [("error", True), ("warning", True), (None, False)])
def test_a_failure_ends_it_at_once_where_that_is_wanted(
    until: str | None, ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.csv"
    texts = [*grown(20, 40), HEAD + "".join(ROWS[:50]) + "50,nan\n", HEAD + "".join(ROWS[:50]) + "50,nan\n51,nan\n"]
    found, lines = followed(path, texts, monkeypatch, until)
    assert lines[-1].startswith("step 50 non-finite, 100 % sure: 'train_loss' is NaN at step 50")
    assert (len(texts) == 1) == ends
    assert found.reports[0].primary == "non-finite"


def test_a_log_that_is_gone_or_broken_keeps_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    found, _ = followed(path, [*grown(20, 40), None], monkeypatch)
    assert found.reports[0].primary == "healthy"
    found, lines = followed(tmp_path / "new.csv", ["what is no log\n"], monkeypatch)
    assert found.reports == []
    assert [problem.kind for problem in found.problems] != []
    assert len(lines) == 1


def test_several_logs_are_followed_each_with_a_verdict_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("nothing to see here")
    now = 0.0
    changes: list[dict[str, str]] = [
        {"runs/a.csv": HEAD + "".join(ROWS[:20]), "good.csv": HEAD + "".join(ROWS[:20])},
        {"runs/a.csv": HEAD + "".join(ROWS[:40])},
        {"runs/b.csv": HEAD + "".join(ROWS[:9]) + "9,nan\n", "good.csv": HEAD + "".join(ROWS[:60])},
        {"runs/c.csv": HEAD + "".join(ROWS[:9])},
    ]

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        for name, text in (changes.pop(0) if changes else {}).items():
            (tmp_path / name).write_text(text)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    found, lines = Found(), []
    paths = [str(tmp_path / "good.csv"), str(tmp_path / "runs")]
    watch(paths, Asked(), Following(1.0, idle=3.5, until="error"), found, lambda text: lines.append(text[9:]))
    assert lines == [
        f"waiting for {paths[0]}",
        f"following {paths[1]}",
        "a.csv: step 39 healthy so far",
        "good.csv: step 59 healthy so far",
        "b.csv: step 9 non-finite, 100 % sure: 'train_loss' is NaN at step 9",
    ]
    assert [(report.title, report.primary) for report in found.reports] == [
        ("good.csv", "healthy"),
        ("a.csv", "healthy"),
        ("b.csv", "non-finite"),
    ]
    assert found.problems == []
    assert len(changes) == 1  # the failure ended it


def test_a_folder_that_never_holds_a_log_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Script(tmp_path / "notes.txt", ["no log"], monkeypatch)
    found = Found()
    watch([str(tmp_path)], Asked(), Following(1.0, idle=3.5, globs=["*.csv"]), found, lambda _: None)
    assert [problem.kind for problem in found.problems] == ["no-log"]


def test_an_interrupt_ends_with_the_report(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEAD + "".join(ROWS))
    words = ["diagnose", "--watch", "--interval", "0.05", "--quiet", "log.csv"]
    child = subprocess.Popen(
        [sys.executable, "-m", "lossdoc", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "utf-8"},
    )
    assert child.stdout is not None
    first = child.stdout.readline()  # it comes at once, into a pipe too
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "following log.csv" in first
    assert out == "✓ log.csv: healthy\n"
    assert err == "interrupted\n"
