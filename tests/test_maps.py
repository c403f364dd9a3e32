"""What one sees of a sweep: the map of its patterns, the table, the pictures, and how far it is."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lossdoc import pictures, ranging, sweeping
from lossdoc.curve import Curve, Series
from lossdoc.findings import Report
from lossdoc.following import Followed, spoken
from lossdoc.format import Document, Screen
from lossdoc.formats.text import render
from lossdoc.loop import Tick
from lossdoc.maps import LETTERS, grid, plane, short_names
from lossdoc.measuring import Losses
from lossdoc.progress import Progress
from lossdoc.ranking import RATE
from lossdoc.rule import patterns
from lossdoc.search import Range
from lossdoc.subject import Point, Trial, Trials

L2 = ranging.L2
PNG = b"\x89PNG"
pytestmark = pytest.mark.usefixtures("no_pyplot")


def trial(index: int, params: dict[str, Any], loss: float, pattern: str = "healthy", seed: int = 0) -> Trial:
    died = None if math.isfinite(loss) else 2
    curve = Curve(Series.of([2.3, 1.5, loss]), Series.of([loss], [3]) if died is None else None)
    return Trial(Point(index, params, seed), curve, loss, math.nan, died, "non-finite" if died else pattern)


def swept(seeds: int = 1) -> Trials:
    """Make a sweep of four rates and three strengths of L2, best at the second rate with none."""
    trials, index = [], 0
    for place, rate in enumerate([1e-4, 1e-3, 1e-2, 1e-1]):
        for strength in (0.0, 1e-4, 1e-2):
            loss = math.nan if rate == 1e-1 else 0.3 + abs(place - 1) + 10 * strength
            pattern = "slow-learning" if rate == 1e-4 else "healthy"
            params = {RATE: rate, L2: strength}
            trials += [trial(index, params, loss + 0.02 * seed, pattern, seed) for seed in range(seeds)]
            index += 1
    ranges = {RATE: (1e-4, 1e-1), L2: (1e-4, 1e-2)}
    return Trials(tuple(trials), ranges, {RATE: 1e-2, L2: 0.0}, frozenset(ranges))


def test_every_pattern_has_a_letter_of_its_own() -> None:
    assert set(patterns.names()) <= set(LETTERS)
    assert len(set(LETTERS.values())) == len(LETTERS)


def test_the_plane_has_the_best_point_and_the_pattern_of_each() -> None:
    of = plane(swept())
    assert of is not None
    assert (of.x, of.y) == (RATE, L2)
    assert [(place.x, place.y) for place in of.places if place.best] == [(1e-3, 0.0)]
    assert of.patterns == {"h": "healthy", "s": "slow-learning", "x": "non-finite"}


def test_a_grid_puts_each_point_where_it_belongs() -> None:
    of = plane(swept())
    assert of is not None
    cells = grid(of, 4, 2)
    letters = ["".join("." if cell is None else cell.letter for cell in row) for _, row in cells.rows]
    assert letters == ["shhx", "shhx", "sHhx"]
    assert [label for label, _ in cells.rows][-1] == "0"


@pytest.mark.parametrize(
    ("params", "y"),
    [
        ([{RATE: 1e-3}, {RATE: 1e-2}], None),
        ([{RATE: 1e-3, "loss": "mse"}, {RATE: 1e-2, "loss": "l1"}], "loss"),
        ([{RATE: 1e-3, "optimizer.beta1": 0.8}, {RATE: 1e-2, "optimizer.beta1": 0.9}], "optimizer.beta1"),
    ],
)
def test_the_second_axis_may_lack_or_be_a_choice(params: list[dict[str, Any]], y: str | None) -> None:
    trials = Trials(tuple(trial(index, each, 1.0 - index / 9) for index, each in enumerate(params)),
                    dict.fromkeys(params[0], (1.0, 2.0)), {}, frozenset({RATE}))  # fmt: skip
    of = plane(trials)
    assert of is not None
    assert of.y == y
    assert sum(cell is not None for _, row in grid(of, 8, 3).rows for cell in row) == 2


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["optimizer.lr", "regularization.l2"], ["lr", "l2"]),
        (["model.layers.2", "optimizer.lr"], ["layers.2", "lr"]),
        (["model.layers.0.out", "model.layers.2.out"], ["layers.0.out", "layers.2.out"]),
        (["lr", "optimizer.lr"], ["lr", "optimizer.lr"]),
    ],
)
def test_names_are_as_short_as_can_be(paths: list[str], names: list[str]) -> None:
    assert list(short_names(paths).values()) == names


def test_without_a_number_there_is_no_plane() -> None:
    trials = [trial(index, {"loss": word}, 1.0) for index, word in enumerate(["mse", "l1"])]
    assert plane(Trials(tuple(trials), {"loss": (math.nan, math.nan)})) is None


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_the_map_fits_the_screen(width: int, unicode: bool) -> None:
    text = render(Document("sweep", (Report("sweep", matter=swept()),)), Screen(width=width, unicode=unicode))
    assert all(len(line) <= width for line in text.splitlines())
    assert "H" in text
    assert "capital: the best" in " ".join(text.split())
    assert unicode or text.replace("…", "").isascii()  # rich shortens a column's title with it


def test_seeds_are_one_line_with_mean_and_spread() -> None:
    text = render(Document("sweep", (Report("sweep", matter=swept(seeds=3)),)), Screen())
    assert "0.32 ± 0.02" in text
    assert "diverged at step 2" in text
    assert sum(line.split()[:1] == ["1"] for line in text.splitlines()) == 1


def test_what_is_within_the_noise_of_the_best_is_marked() -> None:
    losses = {0: (0.5, 0.6, 0.4), 1: (0.55, 0.52, 0.5), 2: (2.0, 2.1, 2.2)}
    trials = [
        trial(index, {RATE: 10.0 ** (index - 3)}, loss, seed=seed)
        for index, of in losses.items()
        for seed, loss in enumerate(of)
    ]
    text = render(Document("sweep", (Report("sweep", matter=Trials(tuple(trials), {RATE: (1e-3, 0.1)})),)), Screen())
    ranks = [line.split()[0] for line in text.splitlines() if "healthy" in line and "±" in line]
    assert ranks == ["1", "=2", "3"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_pictures_of_a_sweep_are_drawn(seeds: int, tmp_path: Path) -> None:
    pictures.draw(swept(seeds), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"map.png", "rates.png", "parallel.png"}
    assert all(path.read_bytes().startswith(PNG) for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        lambda trials: replace(trials, trials=tuple(each for each in trials.trials if each.diverged_at is None)),
        lambda trials: replace(trials, trials=tuple(each for each in trials.trials if each.diverged_at is not None)),
        lambda trials: replace(trials, trials=tuple(replace(each, metric=0.1 * each.point.index) for each in trials.trials)),
        lambda trials: replace(trials, trials=tuple(replace(each, loss=-each.loss, stopped_at=1) for each in trials.trials)),
        lambda trials: replace(trials, trials=trials.trials[:1]),
    ],
    ids=["alive", "dead", "metric", "negative", "one"],
)
def test_whatever_became_of_a_sweep_can_be_drawn(change: Any, tmp_path: Path) -> None:
    pictures.draw(change(swept()), tmp_path)
    assert all(path.read_bytes().startswith(PNG) for path in tmp_path.iterdir())


def test_a_range_test_is_drawn_with_and_without_an_answer(tmp_path: Path) -> None:
    point = Point(0, ranging.rising(Range(1e-6, 1.0), 50))
    alive = Trial(point, Curve(Series.of([2.3 - 0.04 * step for step in range(50)])), 0.3, math.nan)
    dead = Trial(point, Curve(Series.of([math.nan])), math.nan, math.nan, 1)
    trials = Trials((alive, dead, alive))
    pictures.draw_range_test(trials, ranging.read(trials.trials), tmp_path / "rates.png")
    pictures.draw_range_test(Trials((dead,)), None, tmp_path / "none.png")
    assert (tmp_path / "none.png").read_bytes().startswith(PNG)


# how far it is ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59.5, "1 min"), (59.0, "59 s"), (61, "2 min"), (3600, "1 h 0 min"), (5000, "1 h 24 min")],
)
def test_times_are_spoken(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def followed(stream: io.StringIO) -> Followed:
    """Follow a sweep of three trials, of which the last diverges, on a stream."""
    follow = Followed(Progress(stream=stream), 10)
    trials = [trial(index, {RATE: 10.0**-index}, loss) for index, loss in enumerate([0.5, 0.25, math.nan])]
    best = None
    for done, each in enumerate(trials):
        tick = Tick(5, 0, Losses(1.0, 1.0))
        follow(sweeping.Progress(done, 3, each.point, tick=tick, best=best))
        best = each if math.isfinite(each.loss) else best
        follow(sweeping.Progress(done + 1, 3, each.point, trial=each, best=best))
    return follow


def test_in_a_pipe_lines_say_how_far_it_is() -> None:
    stream = io.StringIO()
    followed(stream)
    *_, last = stream.getvalue().splitlines()
    assert last == "  3 of 3 trials, 1 diverged, best loss 0.25 at lr 0.1"
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_a_table_is_rewritten_and_a_line_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossdoc.progress.TERMINAL_EVERY", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    followed(stream)
    shown = stream.getvalue()
    assert "best so far" in shown
    assert "\x1b[" in shown
    assert re.sub(r"\x1b\[\w*", "", shown.splitlines()[-1]).strip() == "3 of 3 trials, 1 diverged, best loss 0.25 at lr 0.1"


def test_trials_that_confirm_are_counted_by_themselves() -> None:
    stream = io.StringIO()
    follow = followed(stream)
    again = trial(0, {RATE: 0.5}, 0.75)
    follow(sweeping.Progress(1, 1, again.point, trial=again, best=again))
    assert stream.getvalue().splitlines()[-1] == "  1 of 1 trials, best loss 0.75 at lr 0.5"
    assert follow.trials == [again]


def test_what_is_said_meanwhile_stays_above_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossdoc.progress.TERMINAL_EVERY", 0.0)
    stream = Terminal()
    progress = Progress(stream=stream)
    progress.table(lambda: "a table", lambda: "a line")
    progress.say("fell back to [serial]")
    progress.table(lambda: "a table", lambda: "a line", last=True)
    shown = re.sub(r"\x1b\[[?\d;]*\w", "", stream.getvalue())
    assert "fell back to [serial]" in shown
    assert shown.splitlines()[-1] == "  a line"


def test_parts_of_trials_count_in_the_time_that_is_left() -> None:
    follow = Followed(Progress(quiet=True), 10)
    now = sweeping.Progress(1, 4, Point(1, {RATE: 0.1}), tick=Tick(5, 0, Losses(1.0, 1.0)))
    follow(now)
    assert follow.share(now) == pytest.approx(1.5 / 4)
    follow.begun -= 3.0
    assert follow.left(now) == pytest.approx(5.0, rel=0.1)
    assert Followed(Progress(quiet=True), 0).left(replace(now, done=0)) is None
