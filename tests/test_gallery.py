"""The gallery in docs is made of what is there now; `python docs/gallery.py` makes it anew."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT


def check(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "docs/gallery.py", "--check"], capture_output=True, text=True, check=False, cwd=project
    )


def test_the_gallery_is_not_stale() -> None:
    done = check(PROJECT)
    assert done.returncode == 0, done.stderr


def test_a_changed_config_and_a_lost_picture_make_it_stale(tmp_path: Path) -> None:
    for folder in ("docs", "configs", "lossdoc"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "configs" / "sick" / "rising.yaml").open("a") as config:
        config.write("# changed\n")
    (tmp_path / "docs" / "gallery" / "patterns-spikes.svg").unlink()
    done = check(tmp_path)
    assert done.returncode == 1
    assert re.findall(r"gallery\.md: (\S+) is stale", done.stderr) == ["notes/rising", "patterns/spikes"]


def test_every_picture_of_the_page_is_there() -> None:
    page = (PROJECT / "docs" / "gallery.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\((gallery/[^)]+)\)", page))
    assert len(linked) >= 48
    assert [name for name in sorted(linked) if not (PROJECT / "docs" / name).exists()] == []
