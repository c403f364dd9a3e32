"""The table of many runs: worst first, as wide as the screen, and the worst few whole below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lossdoc import synthetic
from lossdoc.curve import Curve, Runs, Series
from lossdoc.diagnosis import examine_curve
from lossdoc.findings import Evidence, Finding, Report, Severity, worst_first
from lossdoc.format import Document, Screen, formats

BAD = {"not-learning": Severity.ERROR, "spikes": Severity.WARNING}


def report(title: str, verdict: str, sure: float = 0.9, end: float = 0.25) -> Report:
    found = tuple(
        Finding("LC1", verdict, severity, Evidence("so", confidence=sure), (), (), ())
        for name, severity in BAD.items()
        if name == verdict
    )
    why = "too few" if verdict == "inconclusive" else None
    curve = Curve(Series.of(np.append(np.linspace(2, 1, 9), end)))
    return Report(title, findings=found, matter=curve, decisive=Severity.WARNING, inconclusive=why)


MANY = [
    report("fine.csv", "healthy"),
    report("short.csv", "inconclusive"),
    report("jumpy.csv", "spikes", 0.7),
    report("a/very/deep/folder/with/a/name/that/is/longer/than/the/screen/is/wide/seed1.csv", "not-learning", 0.8),
    report("flat.csv", "not-learning", 0.99, end=np.nan),
    replace(report("seed*.csv", "healthy"), run="*", matter=Runs(())),
]


def test_worst_comes_first() -> None:
    order = [(each.primary, each.title[-9:]) for each in worst_first(MANY)]
    assert order == [
        ("not-learning", "flat.csv"),
        ("not-learning", "seed1.csv"),
        ("spikes", "jumpy.csv"),
        ("inconclusive", "short.csv"),
        ("healthy", "fine.csv"),
        ("healthy", "seed*.csv"),
    ]


@pytest.mark.parametrize(("name", "screen"), [("unicode", Screen(80)), ("ascii", Screen(60, unicode=False))])
def test_many_runs_are_a_table_first(name: str, screen: Screen, golden: Callable[[str, str], None]) -> None:
    text = formats.get("text").render(Document("diagnose", tuple(MANY)), screen)
    assert max(map(len, text.splitlines())) <= screen.width
    golden(f"formats/many-{name}.txt", text)


def test_few_runs_are_shown_whole_and_all_on_demand() -> None:
    render = formats.get("text").render
    assert "verdict" not in render(Document("diagnose", tuple(MANY[:4])), Screen())
    assert "verdict" not in render(Document("sweep", tuple(MANY)), Screen())
    assert len(render(Document("diagnose", tuple(MANY)), Screen(verbosity=-1)).splitlines()) == len(MANY)
    crowd = Document("diagnose", tuple(report(f"run {n}.csv", "healthy") for n in range(50)))
    assert "and 30 more: -v shows all" in render(crowd, Screen())
    assert ": healthy" not in render(crowd, Screen())  # there is nothing to tell of them
    assert render(Document("diagnose", tuple(MANY)), Screen()).count(": not-learning\n") == 2
    whole = render(crowd, Screen(verbosity=1))
    assert "more: -v" not in whole
    assert whole.count("run 49.csv") == 2


def test_the_table_of_real_reports_tells_their_numbers() -> None:
    reports = [examine_curve(make(), title=make.__name__) for make in (synthetic.flat, synthetic.healthy, synthetic.short)]
    text = formats.get("text").render(Document("diagnose", (*reports, *reports)), Screen())
    (row,) = {line for line in text.splitlines() if line.startswith("healthy ")}
    assert row.split()[1:] == [str(len(synthetic.healthy().train)), f"{synthetic.healthy().train.value[-1]:.4g}", "healthy"]
