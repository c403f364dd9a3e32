"""Every config in configs/sick is named as its first line says; the healthy ones are called healthy, whatever the seed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lossdoc import checkup
from lossdoc.findings import Report
from lossdoc.threads import threads

CONFIGS = Path(__file__).parents[1] / "configs"
SICK = sorted((CONFIGS / "sick").glob("*.yaml"))
HEALTHY = sorted(CONFIGS.glob("*.yaml"))
HEAD = re.compile(r"# lossdoc (sanity|overfit|checkup) must name: ([a-z-]+(?:, [a-z-]+)*)\n# .")
GALLERY = {
    "not-learning",
    "overfitting",
    "slow-learning",
    "slow-start",
    "rising",
    "periodic",
    "non-finite",
    "noisy-validation",
    "double-softmax",
    "wrong-class-count",
    "sum-reduced",
    "own-penalty-wrong-sign",
    "unscaled-inputs",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threads(1):
        yield


def reports(command: str, path: Path) -> list[Report]:
    case = checkup.Case.load(path)
    if command == "checkup":
        return list(checkup.checkup(case))
    return [{"sanity": checkup.sanity, "overfit": checkup.memorize}[command](case)]


def test_there_is_a_config_for_every_failure_of_the_gallery() -> None:
    assert {path.stem for path in SICK} >= GALLERY


@pytest.mark.parametrize("path", SICK, ids=lambda path: path.stem)
def test_sick_configs_are_named(path: Path) -> None:
    head = HEAD.match(path.read_text(encoding="utf-8"))
    assert head is not None, "the first line says what must be named, the second what is wrong"
    found = reports(head[1], path)
    names = {finding.name for report in found for finding in report.findings}
    assert set(head[2].split(", ")) <= names
    if head[1] == "sanity":
        errors = [finding.name for report in found for finding in report.findings if finding.severity == "error"]
        assert errors == head[2].split(", "), "one mistake is one error"


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.stem)
def test_healthy_configs_are_healthy_at_any_seed(path: Path) -> None:
    case = checkup.Case.load(path)
    for seed in range(20):
        report = checkup.sanity(replace(case, subject=replace(case.subject, seed=seed)))
        loud = [f"{finding.name}: {finding.evidence.summary}" for finding in report.findings if finding.severity != "note"]
        assert loud == []
        assert report.primary == "healthy"
