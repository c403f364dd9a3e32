"""The documentation: its pages of rules are the rules' own, and every command in it does what it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lossdoc import pages
from lossdoc.rule import FOLDERS, Rule
from tests.conftest import PROJECT, Run

DOCS = PROJECT / "docs"
PAGES = DOCS / "rules"
RULES: list[Rule[Any]] = [rule for folder in FOLDERS.values() for rule in folder.all()]
TEXTS = [PROJECT / "README.md", *sorted(DOCS.glob("*.md"))]
BLOCKS = [
    pytest.param(path, block, id=f"{path.stem}-{number}")
    for path in TEXTS
    for number, block in enumerate(re.findall(r"```console\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
]
SCREENS = [each for each in BLOCKS if re.search(r"^\$ ", str(each.values[1]), re.MULTILINE)]
LINES = [
    pytest.param(line, id=f"{each.id}-{number}")
    for each in BLOCKS
    if each not in SCREENS
    for number, line in enumerate(str(each.values[1]).splitlines())
]
ELSEWHERE = {  # what runs these, with servers of their own
    "-m venv": ".ci/run is this very line",
    "postgresql://": "tests/test_storage.py",
    "redis://": "tests/test_storage.py",
    "--runner ray": "tests/test_ray.py",
}
SHORTER = {"--points 200": "--points 2", "--idle 600": "--idle 60 --interval 0.2", "/shared/": "./"}
TRAIN = """
import itertools, math, os, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid()))
with open("log.csv", "w") as log:
    print("step,loss", file=log)
    for step in itertools.count():
        print(f"{step},{2.3 * 0.99**step if step < 100 else math.nan}", file=log, flush=True)
        time.sleep(0.01)
"""


def test_the_pages_of_the_rules_are_up_to_date(request: pytest.FixtureRequest) -> None:
    meant = {"README.md": pages.index_in_markdown()}
    for rule in sorted(RULES, key=lambda one: one.code):
        page = pages.in_markdown(rule)
        name = f"{rule.name}.md"
        meant[name] = f"{meant[name]}\n{page}" if name in meant else page
    if request.config.getoption("--overwrite"):
        shutil.rmtree(PAGES, ignore_errors=True)
        PAGES.mkdir(parents=True)
        for name, text in meant.items():
            (PAGES / name).write_text(text, encoding="utf-8")
    there = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    assert there.keys() == meant.keys(), "pytest tests/test_docs.py --overwrite writes them anew"
    stale = [name for name, text in meant.items() if there[name] != text]
    assert not stale, "pytest tests/test_docs.py --overwrite writes them anew"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.stem))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        assert "://" in target or (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize(("path", "block"), SCREENS)
def test_every_command_does_what_the_text_shows(path: Path, block: str, lossdoc: Run, tmp_path: Path) -> None:
    """Run what begins with `$ `; the lines under it must come in that order, `...` stands for any others."""
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    shutil.copytree(PROJECT / "configs", tmp_path / "configs")
    shutil.copytree(DOCS / "logs", tmp_path / "docs" / "logs")
    for command in commands:
        line, _, screen = command.partition("\n")
        words = shlex.split(line, comments=True)
        if words[0] == "cat":
            shown = (tmp_path / words[1]).read_text(encoding="utf-8")
        elif words[0] == "echo":
            shown = words[1]
        else:
            assert words[0] == "lossdoc", f"{path.name}: {line}"
            done = lossdoc(*words[1:], cwd=tmp_path)
            assert done.returncode in (0, 1), f"{line}: {done.stderr}"
            shown = done.stdout + done.stderr
        _in_order(screen, shown, line)


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_the_shell_runs(line: str, tmp_path: Path) -> None:
    """Run what is shown without its answer in a folder that has what such a line takes for granted, only shorter."""
    elsewhere = next((by for mark, by in ELSEWHERE.items() if mark in line), None)
    if elsewhere is not None:
        pytest.skip(f"run by {elsewhere}")
    for name, program in {"lossdoc": '-m lossdoc "$@"', "python": '"$@"'}.items():
        _executable(tmp_path / "bin" / name, f"exec {shlex.quote(sys.executable)} {program}")
    _executable(tmp_path / "bin" / "srun", 'shift\nexec "$@"')  # on one machine, once
    iris = (PROJECT / "configs" / "iris.yaml").read_text(encoding="utf-8")
    (tmp_path / "model.yaml").write_text(iris, encoding="utf-8")
    shutil.copytree(DOCS / "logs", tmp_path / "runs")
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    paths = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    if re.search(r"\| jq\b", line) and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    env = {**os.environ, "PATH": paths, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout
    if "train.py" in line:
        assert "non-finite" in done.stdout
        with pytest.raises(ProcessLookupError):
            _until_gone(int((tmp_path / "pid").read_text()))


def _executable(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _until_gone(pid: int) -> None:
    """Wait for a process to end; raises ProcessLookupError when it has."""
    for _ in range(50):
        os.kill(pid, 0)
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def _in_order(screen: str, shown: str, command: str) -> None:
    rest = [line.rstrip() for line in shown.splitlines()]
    for wanted in (line.rstrip() for line in screen.splitlines()):
        if wanted.strip() in ("...", ""):
            continue
        assert wanted in rest, f"`{command}` does not show (here): {wanted}\n\nbut:\n{shown}"
        rest = rest[rest.index(wanted) + 1 :]
