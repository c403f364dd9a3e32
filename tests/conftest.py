"""Fixtures that many tests share: goldens with one flag to rewrite them, torch on one thread, the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: two workers, and what they start, share two cores

HERE = Path(__file__).parent
PROJECT = HERE.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--overwrite", action="store_true", help="rewrite the goldens; read the difference before you commit")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the one kept under goldens/NAME, or rewrite that one."""
    overwrite = bool(request.config.getoption("--overwrite"))

    def compare(name: str, text: str) -> None:
        kept = HERE / "goldens" / name
        if overwrite:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(text, encoding="utf-8")
        assert kept.exists(), f"no golden {name}: run pytest --overwrite and look at what it writes"
        assert text == kept.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def no_pyplot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever imports pyplot, and with it windows and global state, fail; a trainer's package may have it loaded."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delattr("matplotlib.pyplot", raising=False)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lossdoc(tmp_path: Path) -> Run:
    """Run the command line in a process of its own, as a user does, in an empty folder unless told."""

    def run(
        *words: object, stdin: str | None = None, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
        return subprocess.run(
            [sys.executable, "-m", "lossdoc", *map(str, words)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            input=stdin,
            timeout=240,
            check=False,
            cwd=cwd or tmp_path,
            env={**kept, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT), **env},
        )

    return run
