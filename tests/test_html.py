"""The HTML report: nothing from a file becomes markup, extremes survive, and the same reports give the same bytes."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoc.chart import Scale
from lossdoc.curve import Curve, Series
from lossdoc.findings import Report
from lossdoc.format import Document
from lossdoc.html import views
from lossdoc.html.lines import HEIGHT, WIDTH, kept, number, padded, path, ticks
from lossdoc.html.page import render
from lossdoc.html.plots import gauge
from tests.pages import DOCUMENTS, FIX, NAMES, Tags, diagnosed, falling, hostile, sanity, swept, turning

ALLOWED = set(
    "html head meta title style body a main header p h1 h2 h3 h4 span bdi section div ul ol li i b em code pre nav article "
    "dl dt dd table thead tbody tr th td figure figcaption svg path rect use footer details summary".split()
)
values = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=400)


@given(values, st.integers(2, 40))
def test_extremes_survive_decimation(losses: list[float], columns: int) -> None:
    series = Series.of(losses)
    x = Scale.of(series.step, log=False)
    chosen = kept(series, x, columns)
    finite = series.finite.value
    assert len(chosen) <= max(2 * columns, 2) + 2
    assert np.all(np.diff(chosen) > 0)
    assert np.isfinite(series.value[chosen]).all()
    if len(finite):
        shown = series.value[chosen]
        assert (shown.min(), shown.max()) == (finite.min(), finite.max())
        assert (shown[0], shown[-1]) == (finite[0], finite[-1])


def test_every_column_keeps_its_least_and_largest() -> None:
    series = Series.of(np.random.default_rng(0).standard_normal(5000))
    x = Scale.of(series.step, log=False)
    chosen = kept(series, x, 50)
    column = np.minimum((x.share(series.step) * 50).astype(int), 49)
    for one in range(50):
        inside = series.value[column == one]
        drawn = series.value[chosen[column[chosen] == one]]
        assert (drawn.min(), drawn.max()) == (inside.min(), inside.max())


def walked(drawn: str) -> list[list[tuple[int, int]]]:
    """Return the points of a path, a list for each unbroken stretch."""
    stretches: list[list[tuple[int, int]]] = []
    for letter, numbers in re.findall(r"([Mlhv])([-\d ]+)", drawn):
        one, *rest = map(int, re.findall(r"-?\d+", numbers))
        if letter == "M":
            stretches.append([(one, rest[0])])
            continue
        left, top = stretches[-1][-1]
        step = {"l": (one, rest[0] if rest else 0), "h": (one, 0), "v": (0, one)}[letter]
        stretches[-1].append((left + step[0], top + step[1]))
    return stretches


def test_a_path_goes_through_its_points_and_breaks_where_no_number_was_logged() -> None:
    series = Series.of([4.0, 0.0, math.nan, 2.0, math.inf, 4.0, 4.0])
    drawn = path(series, Scale(1, 7), Scale(0, 4))
    assert walked(drawn) == [
        [(0, 0), (round(WIDTH / 6), HEIGHT)],
        [(WIDTH // 2, HEIGHT // 2)] * 2,
        [(round(WIDTH * 4 / 6) + round(WIDTH / 6) - round(WIDTH / 6) + 166, 0), (WIDTH, 0)],
    ]


@pytest.mark.parametrize(
    ("scale", "texts"),
    [
        (Scale(0.0, 4.0), ["0", "1", "2", "3", "4"]),
        (Scale(1e-3, 10.0, log=True), ["0.001", "0.01", "0.1", "1", "10"]),
        (Scale(1e-30, 1e30, log=True), ["1e−30", "1e−17", "0.0001", "1e+09", "1e+22"]),
        (Scale(-0.2, 0.25), ["−0.2", "−0.1", "0", "0.1", "0.2"]),
        (Scale(1e300, 1.5e300), ["1e+300", "1.1e+300", "1.2e+300", "1.3e+300", "1.4e+300", "1.5e+300"]),
    ],
)
def test_ticks_are_round(scale: Scale, texts: list[str]) -> None:
    assert [tick.text for tick in ticks(scale)] == texts


@given(st.floats(-1e300, 1e300), st.floats(1e-3, 1e300))
def test_ticks_lie_inside_any_scale(low: float, reach: float) -> None:
    scale = Scale(low, low + reach) if low + reach > low else Scale.of(np.array([low]), log=False)
    found = ticks(padded(scale))
    assert len(found) <= 7
    assert all(0 <= tick.at <= 100 for tick in found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "0.25"),
        (12000.0, "12,000"),
        (1e-6, "1e−06"),
        (1234.56, "1,235"),
        (-3.0, "−3"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
    ],
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_page_holds_nothing_foreign_and_every_link_leads_somewhere(name: str) -> None:
    page = render(DOCUMENTS[name])
    tags = Tags(page)
    assert {tag for tag, _ in tags.elements} <= ALLOWED
    assert not [one for _, found in tags.elements for one in found if one.startswith("on") or one in {"src", "srcset"}]
    ids = tags.all("id")
    assert len(ids) == len(set(ids))
    assert {link[0] for link in tags.all("href")} <= {"#"}
    assert {link[1:] for link in tags.all("href")} <= set(ids)
    assert not re.search(r"url\(|@import", page)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_same_reports_give_the_same_bytes(name: str) -> None:
    assert render(DOCUMENTS[name]) == render(DOCUMENTS[name])


@pytest.mark.parametrize("name", [one for one in NAMES if len(one) < 100 and "\u202e" not in one])
def test_a_hostile_name_is_shown_as_it_is(name: str) -> None:
    shown = name.replace("`", "") if name.startswith("`") else name
    assert Tags(render(Document("diagnose", (hostile(name),)))).text.count(shown) > 5


def test_a_mark_that_turns_writing_around_is_shown_as_a_code() -> None:
    page = render(Document("diagnose", (hostile(NAMES[5]),)))
    assert "\u202e" not in page
    assert "\\u202e" in page


def test_a_long_name_does_not_make_the_page_long() -> None:
    page = render(Document("diagnose", (hostile("x" * 10_000),)))
    assert "x" * 1000 not in page
    assert "x" * 100 + "" in page


def test_five_hundred_curves_fit_two_megabytes() -> None:
    found = diagnosed()
    many = [replace(found, title=f"runs/seed{seed}/log.csv", matter=_long(seed)) for seed in range(500)]
    page = render(Document("diagnose", tuple(many)))
    assert len(page.encode()) < 2_000_000
    assert page.count('<section class="report"') == 500


def _long(seed: int) -> Curve:
    curve = turning(400)
    return replace(curve, train=falling(3000, seed=seed), val=falling(3000, 0.3, seed + 500))


def test_a_checkup_is_a_path_of_stages_with_their_states() -> None:
    tags = Tags(render(DOCUMENTS["checkup"]))
    inside = re.search(r"sanity initial-loss .*overfit skipped .*sweep skipped .*training skipped", tags.text)
    assert inside is not None
    assert tags.text.count("sanity found initial-loss; it would measure that fault") == 1, "said once, of all three"
    steps = [found["class"] for tag, found in tags.elements if tag == "li" and "class" in found]
    assert steps == ["error", "skipped", "skipped", "skipped"]


def test_proofs_say_what_was_tried_and_what_came_of_it() -> None:
    text = Tags(render(Document("sanity", (sanity(),)))).text
    assert "confirmed drop the softmax accuracy: 0.31 → 0.94 +0.63 ± 0.021 over 3 seeds" in text
    assert "ruled out a rate ten times as high accuracy: 0.31 → 0.32 +0.01 ± 0.02 over 3 seeds" in text
    assert "suspected your own training step cannot be changed from outside" in text
    assert "Confirmed by experiment: drop the softmax (accuracy: 0.31 → 0.94, +0.63 ± 0.021 over 3 seeds)" in text
    assert "measured 2.9" in text
    assert "expected 2.304 ± 0.01" in text


def test_what_is_tried_against_a_finding_is_told_without_telling_of_it_again() -> None:
    found = sanity()
    bare = replace(found, findings=tuple(replace(one, proof=None) for one in found.findings))
    text = Tags(render(Document("checkup", (bare, replace(found, title="causes"))))).text
    assert text.count("confirmed drop the softmax") == 1
    assert text.count("a remedy") == len(found.findings)
    assert text.count("the first loss is 2.9, and 2.304 is expected") == 1 + len(found.findings)  # the first in the head


def test_what_was_measured_and_what_was_not_judged_is_told() -> None:
    text = Tags(render(Document("sanity", (sanity(),)))).text
    assert "the inputs have root mean square 0.485" in text
    assert "no images" in text


def test_the_page_of_each_rule_that_fired_is_there_once() -> None:
    page = render(DOCUMENTS["many"])
    for _, rule in views.pages(DOCUMENTS["many"].reports):
        assert page.count(f'id="{views.anchor_of(rule.code)}"') == 1
        assert rule.page.bullets("Try")[0].split("`")[0] in Tags(page).text


def test_a_sweep_has_its_table_its_map_and_no_time_of_day() -> None:
    page = render(Document("sweep", (swept(),)))
    tags = Tags(page)
    assert "20260101" not in page
    assert tags.text.count("diverged at step 40") == 2
    assert sum(found.get("class", "").startswith("spot ") for _, found in tags.elements) == 8
    assert "recommended: optimizer.lr 0.01" in tags.text


@pytest.mark.parametrize(
    ("text", "kinds"),
    [(FIX, ["head", "head", "head", "same", "remove", "add"]), ("optimizer.lr: 0.02", ["same"]), ("", [])],
)
def test_a_diff_is_read_by_lines(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in views.diff_lines(text)] == kinds


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        ({"measured": 3.0, "expected": 1.0, "tolerance": 0.5}, True),
        ({"measured": 1e6, "expected": 1.0, "tolerance": 2.0}, True),
        ({"measured": 1.0, "expected": 1.0}, False),
        ({"measured": 1.0, "expected": 1.0001, "tolerance": 0.001}, False),
        ({"measured": math.nan, "expected": 1.0}, False),
        ({"measured": "all", "expected": 1.0}, False),
        ({}, False),
    ],
)
def test_a_gauge_is_drawn_where_both_numbers_are_known(facts: dict[str, object], *, seen: bool) -> None:
    drawn = gauge(facts)
    assert (drawn is not None) == seen
    if drawn is not None:
        places = [drawn.measured.at, drawn.expected.at, drawn.band.left, drawn.band.left + drawn.band.width]
        assert all(0 <= place <= 100.5 for place in places)
        assert drawn.measured.at > drawn.expected.at


def test_a_fault_of_the_input_is_told_where_nothing_could_be_examined() -> None:
    text = Tags(render(DOCUMENTS["nothing"])).text
    assert "no report" in text
    assert "there is no such file" in text


@pytest.mark.parametrize(
    "curve", [Curve(Series.of([math.nan] * 9)), Curve(Series.of([5.0])), Curve(Series.of([-1.0, 0.0] * 9))]
)
def test_any_curve_has_a_page(curve: Curve) -> None:
    assert "odd.csv" in Tags(render(Document("diagnose", (Report("odd.csv", matter=curve),)))).text
