"""Rules, their pages, and the settling of findings that explain one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lossdoc.errors import NotApplicable, Undecided
from lossdoc.findings import Evidence, Passed, Report, Severity
from lossdoc.rule import HEADINGS, Page, Rule, examine, groups_in, rule

DOC = "A summary\nin two lines.\n\n" + "\n\n".join(f"{name}:\n    - one\n    - two\n      of it" for name in HEADINGS)


def made(
    name: str, code: str, answer: Evidence | str | None, mutes: tuple[str, ...] = (), severity: Severity = Severity.ERROR
) -> Rule[int]:
    """Make a rule that always answers so; a text is why it does not apply."""

    def judge(thing: int, *, limit: float = 0.5) -> Evidence | None:
        if isinstance(answer, str):
            raise NotApplicable(answer)
        return answer if thing > limit else None

    judge.__name__, judge.__doc__ = name, DOC
    decorate: Callable[[Callable[[int], Evidence | None]], Rule[int]] = rule(
        code=code, severity=severity, fires_on=[lambda: 1], quiet_on=[lambda: 0], mutes=mutes
    )
    return decorate(judge)


def evidence(confidence: float = 0.9) -> Evidence:
    """Return some evidence."""
    return Evidence("so it is", confidence=confidence)


def test_a_page_is_split_at_its_headings() -> None:
    page = Page.parse(DOC)
    assert page.summary == "A summary in two lines."
    assert page.bullets("Try") == ("one", "two of it")
    with pytest.raises(ValueError, match="lacks: Try, Sources"):
        Page.parse(DOC.replace("Try:", "").replace("Sources:", ""))


def test_a_rule_knows_its_name_thresholds_and_matter() -> None:
    one = made("some_rule", "T1", evidence())
    assert (one.name, one.thresholds, one.matter) == ("some-rule", {"limit": 0.5}, "int")
    assert one.finding(Evidence("x", causes=("two of it", "new"))).causes == ("two of it", "new", "one")


@pytest.mark.parametrize(
    ("rules", "found", "passed", "skipped"),
    [
        ([made("a", "T1", None)], [], ["T1"], {}),
        ([made("a", "T1", "no data")], [], [], {"T1": "no data"}),
        ([made("b", "T2", evidence(0.9)), made("a", "T1", evidence(0.8))], ["b", "a"], [], {}),
        ([made("a", "T1", evidence(), ("b",)), made("b", "T2", evidence())], ["a"], [], {"T2": "explained by a"}),
        ([made("a", "T1", None, ("b",)), made("b", "T2", evidence())], ["b"], ["T1"], {}),
        (  # what is itself explained explains nothing
            [made("a", "T1", evidence(), ("b",)), made("b", "T2", evidence(), ("c",)), made("c", "T3", evidence())],
            ["a", "c"],
            [],
            {"T2": "explained by a"},
        ),
        (  # a warning may explain an error
            [made("a", "T1", evidence(), ("b",), Severity.WARNING), made("b", "T2", evidence())],
            ["a"],
            [],
            {"T2": "explained by a"},
        ),
        ([made("w", "T1", evidence(1.0), severity=Severity.WARNING), made("e", "T2", evidence(0.5))], ["e", "w"], [], {}),
    ],
)
def test_examine_settles_findings(
    rules: list[Rule[int]], found: list[str], passed: list[str], skipped: dict[str, str]
) -> None:
    report = examine("title", 1, rules)
    assert [finding.name for finding in report.findings] == found
    assert list(report.passed) == passed
    assert dict(report.skipped) == skipped


@pytest.mark.parametrize(
    ("severity", "decisive", "inconclusive", "primary"),
    [
        (Severity.WARNING, Severity.WARNING, None, "a"),
        (Severity.WARNING, Severity.ERROR, None, "healthy"),
        (Severity.NOTE, Severity.WARNING, None, "healthy"),
        (Severity.WARNING, Severity.ERROR, "too short", "inconclusive"),
        (Severity.ERROR, Severity.ERROR, "too short", "a"),
    ],
)
def test_what_makes_a_verdict(severity: Severity, decisive: Severity, inconclusive: str | None, primary: str) -> None:
    report = examine(
        "title", 1, [made("a", "T1", evidence(), severity=severity)], decisive=decisive, inconclusive=inconclusive
    )
    assert report.primary == primary


@pytest.mark.parametrize(
    ("severity", "primary", "why"),
    [(None, "inconclusive", "too noisy"), (Severity.NOTE, "inconclusive", "too noisy"), (Severity.WARNING, "a", None)],
)
def test_what_a_rule_cannot_tell_from_chance_is_not_healthy(
    severity: Severity | None, primary: str, why: str | None
) -> None:
    def hidden(_: int) -> None:
        raise Undecided("too noisy")

    first = made("a", "T1", None if severity is None else evidence(), severity=severity or Severity.NOTE)
    second = replace(made("b", "T2", None), judge=hidden)
    report = examine("title", 1, [first, second], decisive=Severity.WARNING)
    assert (report.primary, report.inconclusive) == (primary, why)
    assert report.skipped == {"T2": "too noisy"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("divide the pixels by 255: `preprocess: [{scale: {divide_by: 255}}]`", ["standardize the inputs"]),
        ("standardize all inputs", ["divide pixels by 255, once"]),
        ("take a lower rate", ["standardize the inputs", "divide pixels by 255, once"]),
    ],
)
def test_a_remedy_for_this_very_case_takes_the_place_of_the_pages_own(said: str, kept: list[str]) -> None:
    one = made("a", "T1", evidence())
    page = Page.parse(
        DOC.replace(
            "Try:\n    - one\n    - two\n      of it", "Try:\n    - standardize the inputs\n    - divide pixels by 255, once"
        )
    )
    vars(one)["page"] = page  # where it is cached
    assert one.finding(Evidence("x", remedies=(said,))).remedies == (said, *kept)


def test_what_passed_is_told_by_groups_with_the_first_of_their_numbers() -> None:
    measured = {"LS302": Passed("sd 0.1"), "LS303": Passed("L2"), "LC101": Passed("a curve")}
    report = Report("x", passed=("LC101", "LS101", "LS301", "LS302", "LS303", "XY1"), measured=measured)
    assert groups_in(report) == {"curves": (1, "a curve"), "data": (1, ""), "first loss": (3, "sd 0.1"), "others": (1, "")}
