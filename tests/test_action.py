"""The GitHub Action and the pre-commit hook, run as GitHub and pre-commit run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import PROJECT

ACTION = PROJECT / ".github" / "actions" / "lossdoc"
SICK = "version: 1\ndata: {source: digits}\nmodel: {layers: [{linear: {out: 10}}, frob]}  # 5%\n"
ROWS = "step,train_loss\n" + "".join(f"{n},{0.9**n}\n" for n in range(60))


def run(folder: Path, command: str, targets: str, args: str = "") -> tuple[int, str, str]:
    """Return the exit code, what was printed and the summary."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "lossdoc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lossdoc "$@"\n')
    (tools / "lossdoc").chmod(0o755)
    files = {"GITHUB_STEP_SUMMARY": folder / "summary.md", "GITHUB_OUTPUT": folder / "output"}
    given = {"COMMAND": command, "TARGETS": targets, "ARGS": args, "FAIL_ON": "error", "PYTHONPATH": str(PROJECT)}
    path = f"{tools}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(ACTION / "run.sh")],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, **given, **{name: str(each) for name, each in files.items()}, "PATH": path},
    )
    assert files["GITHUB_OUTPUT"].read_text() == f"code={done.returncode}\n"
    return done.returncode, done.stdout, files["GITHUB_STEP_SUMMARY"].read_text()


def test_faults_of_several_files_are_annotations(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text((PROJECT / "configs" / "digits-mlp.yaml").read_text())
    (tmp_path / "b c.yaml").write_text(SICK)
    code, out, summary = run(tmp_path, "validate", "*.yaml\n\nmissing.yml\n")
    assert code == 2
    assert "::error file=b c.yaml,line=3,col=39,title=lossdoc unknown-word::model.layers.1: 'frob'" in out
    assert "::error file=missing.yml,title=lossdoc missing-file::" in out
    assert re.findall(r"^\|     model: .*5%25$", out, re.MULTILINE), "other lines are no commands"
    assert summary.startswith("### lossdoc validate\n\n- **error** lossdoc unknown-word: model.layers.1: 'frob'")


def test_a_line_of_a_file_is_no_command(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("version: 1\n::stop-commands::x\n")
    code, out, _ = run(tmp_path, "validate", "m.yaml")
    assert code == 2
    assert not [line for line in out.splitlines() if line.lstrip().startswith("::") and "title=lossdoc" not in line]


def test_logs_are_diagnosed_together(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(ROWS)
    (tmp_path / "two.csv").write_text(ROWS + "60,nan\n")
    code, out, summary = run(tmp_path, "diagnose", "*.csv", "--ignore slow-learning")
    assert code == 1
    assert "lossdoc one.csv: healthy" in out
    assert "::error file=two.csv,title=lossdoc non-finite::" in out
    assert summary.count("- **error** lossdoc non-finite: two.csv: ") == 1
    assert "<" not in summary.replace("&lt;", "")


@pytest.mark.parametrize(
    "file", [ACTION / "action.yml", PROJECT / ".pre-commit-hooks.yaml"], ids=lambda file: str(file.name)
)
def test_the_files_say_what_is_there(file: Path) -> None:
    held: Any = yaml.safe_load(file.read_text())
    if file.name == "action.yml":
        texts = [str(each) for step in held["runs"]["steps"] for each in step.values()]
        asked = {name for text in texts for name in re.findall(r"inputs\.([a-z-]+)", text)}
        assert asked == set(held["inputs"])
        assert all(step["shell"] == "bash" for step in held["runs"]["steps"])
        assert not any("${{" in step["run"] for step in held["runs"]["steps"]), "inputs are no parts of a script"
    else:
        (hook,) = held
        assert (hook["entry"], hook["language"]) == ("lossdoc validate", "python")
        names = {"model.yaml": True, "a/model.yml": True, "mymodel.yaml": False, "model.yaml.bak": False}
        assert {name: bool(re.search(hook["files"], name)) for name in names} == names
