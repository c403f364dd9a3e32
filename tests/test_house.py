"""The house itself: what is imported when, what the README promises, what lies at the top level."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lossdoc.members import Members
from lossdoc.rule import Rule, checks, patterns
from lossdoc.spec import loads
from tests.conftest import PROJECT, Run

HEAVY = ("torch", "matplotlib", "optuna", "pandas", "scipy", "sklearn", "jinja2")
SLOW = ("pydantic", "yaml")  # what a diagnosis has no use for
BLOCK = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy!r}:
            raise ImportError(f"{{name}} must not be imported here")
sys.meta_path.insert(0, Refuse())
sys.argv = ["lossdoc", *{words!r}]
from lossdoc.cli import main
main()
"""


@pytest.mark.parametrize(
    "words", [["--help"], ["explain"], ["explain", "overfitting"], ["validate", "m.yaml"], ["diagnose", "c.csv"], ["init"]]
)
def test_light_commands_need_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text((PROJECT / "configs" / "digits-mlp.yaml").read_text())
    (tmp_path / "c.csv").write_text("step,train_loss\n" + "".join(f"{n},{0.9**n}\n" for n in range(60)))
    heavy = HEAVY + SLOW if words[0] in ("--help", "diagnose") else HEAVY
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.format(heavy=heavy, words=words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or (tmp_path / "model.yaml").exists()


def test_the_readme_and_ci_run_the_same_command() -> None:
    readme = (PROJECT / "README.md").read_text()
    commands = re.findall(r"```(?:console|sh|bash)\n(python3 -m venv [^\n]+)\n```", readme)
    assert commands[0].endswith("lossdoc checkup configs/digits-mlp.yaml")
    assert (PROJECT / ".ci" / "run").read_text().rstrip().endswith("\n" + commands[1])
    assert all("-c constraints.txt" in command for command in commands)


def test_the_readme_shows_a_real_screen_and_a_valid_model(lossdoc: Run) -> None:
    readme = (PROJECT / "README.md").read_text()
    command, screen = re.findall(r"```console\n\$ lossdoc ([^\n]+)\n(.*?)\n```", readme, re.DOTALL)[0]
    assert lossdoc(*command.split(), cwd=PROJECT).stdout.rstrip() == screen
    for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL):
        assert loads(text).warnings == ()


def test_nothing_unforeseen_lies_at_the_top_level() -> None:
    known = set(
        "pyproject.toml README.md lossdoc configs tests benchmarks docs constraints.txt LICENSE CHANGELOG.md "
        "CONTRIBUTING.md .ci .github .gitignore .pre-commit-hooks.yaml".split()
    )
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=PROJECT).stdout.split()
    assert {name.split("/")[0] for name in tracked} <= known


def rules() -> list[Rule[object]]:
    return [*patterns.all(), *checks.all()]


@pytest.mark.parametrize(("folder", "code"), [(patterns, r"LC1\d\d"), (checks, r"LS[1-8]\d\d")], ids=["patterns", "checks"])
def test_names_are_the_files_and_codes_are_unique(folder: Members[Rule[object]], code: str) -> None:
    assert [one.name for one in folder.all()] == folder.names()
    assert len({one.code for one in folder.all()}) == len(folder.names())
    assert all(re.fullmatch(code, one.code) for one in folder.all())


@pytest.mark.parametrize("rule", rules(), ids=lambda one: one.name)
def test_every_rule_has_a_page_examples_and_true_references(rule: Rule[object]) -> None:
    known = {one.name for one in rules()}
    assert rule.page.summary.endswith(".")
    assert len(rule.page.bullets("Causes")) >= 1
    assert len(rule.page.bullets("Try")) >= 1
    assert rule.fires_on
    assert rule.quiet_on
    assert set(rule.mutes) <= known
    page = rule.judge.__doc__ or ""
    assert "--thorough" not in page
    for name in re.findall(r"--select ([a-z-]+)", page):
        assert checks.get(name).matter == "Subject", f"{rule.name} sends one to sanity for {name}"
    for name in re.findall(r"lossdoc explain ([a-z-]+)", page):
        assert name in known, f"{rule.name} speaks of {name}"


@pytest.mark.parametrize("folder", [patterns, checks], ids=["patterns", "checks"])
def test_mutes_have_no_cycle(folder: Members[Rule[object]]) -> None:
    mutes = {one.name: set(one.mutes) for one in folder.all()}
    while mutes:
        free = [name for name, others in mutes.items() if not others & set(mutes)]
        assert free, f"a cycle among {sorted(mutes)}"
        for name in free:
            del mutes[name]


CONTRACT = """not-learning overfitting rising non-finite lr-too-high double-softmax underfitting run-to-run-variance
slow-learning
slow-start periodic noisy-validation spikes initial-loss-off validation-below-train""".split()


def test_the_patterns_are_the_contracts() -> None:
    assert sorted(CONTRACT) == patterns.names()


def test_version_and_unknown_words(lossdoc: Run) -> None:
    assert re.fullmatch(r"lossdoc \d+\.\d+\.\d+\n", lossdoc("--version").stdout)
    for words in (["frobnicate"], ["sanity", "--frobnicate"], ["diagnose"], ["diagnose", "x.csv", "--classes", "one"]):
        done = lossdoc(*words)
        assert done.returncode == 2
        assert done.stderr
        assert "Traceback" not in done.stderr
