"""What is released: a small wheel that holds all that a checkup needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import PROJECT

LIMIT = 1_000_000  # bytes


def test_the_wheel_is_small_and_checks_up_by_itself(tmp_path: Path) -> None:
    made = tmp_path / "made"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made)], cwd=PROJECT, check=True)
    (wheel,) = made.glob("*.whl")
    assert wheel.stat().st_size < LIMIT
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as packed:
        assert "lossdoc/py.typed" in packed.namelist()
        packed.extractall(site)
    env = {**os.environ, "PYTHONPATH": str(site)}
    where = "import lossdoc; print(lossdoc.__file__)"
    for words, says in (
        (["-c", where], str(site)),
        (["-m", "lossdoc", "init"], "is written"),
        (["-m", "lossdoc", "checkup", "--budget", "60", "--out", "report"], "Checkup:"),
    ):
        ended = subprocess.run([sys.executable, *words], cwd=work, env=env, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert says in ended.stdout + ended.stderr
    assert (work / "report" / "report.html").exists()
