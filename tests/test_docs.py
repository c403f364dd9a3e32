"""The documentation: its pages of rules are the rules' own, and every command in it does what it says."""

from __future__ import annotations

import re
import shlex
import shutil
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
ELSEWHERE = re.compile(
    r"python3? -m venv|pip install|git clone|benchmarks/|docker|postgresql://|ray |--watch|train\.py|bash "
)


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


@pytest.mark.parametrize(("path", "block"), BLOCKS)
def test_every_command_does_what_the_text_shows(path: Path, block: str, lossdoc: Run, tmp_path: Path) -> None:
    """Run what begins with `$ `; the lines under it must come in that order, `...` stands for any others."""
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    if not commands or ELSEWHERE.search(block):
        assert commands or re.match(r"(lossdoc|python|\.venv|pip|git|bash|srun)", block), f"{path.name}: no command"
        pytest.skip("needs what a test has not: the network, a server, a cluster, or hours")
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


def _in_order(screen: str, shown: str, command: str) -> None:
    rest = [line.rstrip() for line in shown.splitlines()]
    for wanted in (line.rstrip() for line in screen.splitlines()):
        if wanted.strip() in ("...", ""):
            continue
        assert wanted in rest, f"`{command}` does not show (here): {wanted}\n\nbut:\n{shown}"
        rest = rest[rest.index(wanted) + 1 :]
