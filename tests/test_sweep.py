"""Sweeps: the points of a search, the curves of a runner, the ledger, and what the trials say together."""

from __future__ import annotations

import csv
import itertools
import json
import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc import outcome, ranging, sweeping
from lossdoc.checks.lr_too_low import _swept
from lossdoc.curve import Curve, Series
from lossdoc.errors import NotApplicable, UserError
from lossdoc.findings import Severity
from lossdoc.parts.optimizers import Adam, Sgd
from lossdoc.parts.regularizers import L2
from lossdoc.ranking import RATE, edges, p_rising, rate_gap
from lossdoc.runner import Budget, Runner, Work, runners
from lossdoc.search import Choices, Range, Search, Space, draw, searches
from lossdoc.subject import Point, Subject, Trial, Trials
from tests.subjects import digits_pairs, mlp, subject

DECAY = ranging.L2
SPACE = Space({RATE: Range(1e-4, 1e-1), DECAY: Range(1e-5, 1e-2)}, {RATE: 1e-2, DECAY: 0.0})


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def variant(base: Subject, point: Point) -> Subject:
    """Return the subject with a point's learning rate and L2 strength."""
    recipe = replace(base.recipe, changed={"lr": point.params[RATE]}, penalties=(L2(point.params.get(DECAY, 0.0)),))
    return replace(base, recipe=recipe, seed=point.seed)


def small(optimizer: Any = None, *, validation: bool = True) -> Subject:
    return subject(digits_pairs(validation=validation), mlp(64, 10, 16), optimizer or Adam(lr=1e-2))


def plan(base: Subject | None = None, **given: Any) -> sweeping.Plan:
    base = base or small()
    settled = {"space": SPACE, "budget": Budget(steps=15), "points": 4, **given}
    return sweeping.Plan(partial(variant, base), **settled)


# searches -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(low=st.floats(1e-8, 1.0), decades=st.floats(0.1, 9), seed=st.integers(0, 2**31), index=st.integers(0, 10**6))
def test_a_random_point_depends_on_seed_and_index_alone_and_lies_in_the_range(
    low: float, decades: float, seed: int, index: int
) -> None:
    space = Space({RATE: Range(low, low * 10**decades), "optimizer.momentum": Range(0.0, 0.99, log=False)})
    point = draw(space, seed, index)
    assert point == draw(space, seed, index)
    assert low <= point.params[RATE] <= low * 10**decades
    assert 0 <= point.params["optimizer.momentum"] <= 0.99
    alone = draw(Space({RATE: space.axes[RATE]}), seed, index)
    assert alone.params[RATE] == point.params[RATE]  # another axis changes nothing


def test_random_points_are_uniform_in_the_logarithm() -> None:
    space = Space({RATE: Range(1e-5, 1e-1)})
    shares = sorted((math.log10(draw(space, 0, index).params[RATE]) + 5) / 4 for index in range(2_000))
    distance = max(abs(share - (index + 0.5) / 2_000) for index, share in enumerate(shares))
    assert distance < 1.63 / math.sqrt(2_000)  # Kolmogorov's bound at 1 %


@pytest.mark.parametrize(("name", "points"), [("random", 5), ("grid", 5), ("grid", 12), ("random", 1), ("grid", 1)])
def test_a_search_asks_for_no_more_points_than_allowed_and_ends(name: str, points: int) -> None:
    asker = searches.get(name).start(SPACE, points, 7)
    first = asker.ask()
    assert 1 <= len(first) <= points
    assert [point.index for point in first] == list(range(len(first)))
    assert len({tuple(point.params.values()) for point in first}) == len(first)
    assert asker.ask() == []
    more = searches.get(name).start(SPACE, points, 7).ask()
    assert first == more


def test_random_begins_with_the_configured_point() -> None:
    assert searches.get("random").start(SPACE, 3, 0).ask()[0].params == {RATE: 1e-2, DECAY: 0.0}
    unknown = replace(SPACE, start={RATE: 1e-2})
    assert searches.get("random").start(unknown, 3, 0).ask()[0] == draw(unknown, 0, 0)


def test_a_grid_is_every_combination_of_even_levels_through_the_configured_value() -> None:
    space = Space({RATE: Range(1e-5, 1e-1), "loss": Choices(("a", "b"))}, {RATE: 1e-3})
    points = searches.get("grid").start(space, 10, 0).ask()
    rates = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert [tuple(point.params.values()) for point in points] == list(itertools.product(rates, ["a", "b"]))


@settings(max_examples=50, deadline=None)
@given(points=st.integers(1, 60), choices=st.integers(1, 5), start=st.floats(1e-5, 1e-1))
def test_a_grid_keeps_to_the_number_of_points(points: int, choices: int, start: float) -> None:
    space = Space({RATE: Range(1e-5, 1e-1), "a": Choices(tuple(range(choices))), "b": Range(0, 1, log=False)}, {RATE: start})
    grid = searches.get("grid").start(space, points, 0).ask()
    levels = [len({point.params[path] for point in grid}) for path in space.axes]
    assert len(grid) == math.prod(levels) <= points
    assert max(levels) * 2 * math.prod(levels) // max(levels) >= points or levels[1] == choices or points < 8
    assert start in {point.params[RATE] for point in grid}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Range(1.0, 1.0), "low < high"),
        (lambda: Range(2.0, 1.0), "low < high"),
        (lambda: Range(0.0, 1.0), "above 0"),
        (lambda: Range(0.1, math.inf), "finite"),
        (lambda: Choices(()), "nothing to choose"),
    ],
)
def test_a_range_that_is_none_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make()


def test_unknown_members_are_told_with_what_exists() -> None:
    with pytest.raises(UserError, match=r"did you mean 'grid'.*grid, qmc, random"):
        sweeping.sweep(plan(search="gird"), root=None)
    with pytest.raises(UserError, match=r"no runner is called 'ray9'.*serial"):
        sweeping.sweep(plan(runner="ray9"), root=None)


# the serial runner --------------------------------------------------------------------------------------------------------


def torch_loop(base: Subject, point: Point, epochs: int) -> list[float]:
    """Train with torch.optim and return the loss of every step: the oracle."""
    model = base.build(point.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=point.params[RATE], weight_decay=0.0)
    losses = []
    for epoch in range(epochs):
        for x, y in base.batches("train", point.seed * 1_000 + epoch):
            loss = torch.nn.functional.cross_entropy(model(x), y)
            penalty = sum(p.square().sum() for p in model.parameters() if p.ndim > 1) * point.params[DECAY] / 2
            optimizer.zero_grad()
            (loss + penalty).backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_the_serial_runner_is_a_plain_loop_of_torch() -> None:
    base = small()
    points = [Point(0, {RATE: 1e-3, DECAY: 1e-3}, 0), Point(1, {RATE: 1e-2, DECAY: 0.0}, 3)]
    trials = list(runners.get("serial").run(Work(partial(variant, base), points, Budget(epochs=1))))
    assert [trial.point for trial in trials] == points
    for trial in trials:
        assert trial.curve.train.value == pytest.approx(torch_loop(base, trial.point, 1), abs=1e-6)
        assert trial.curve.val is not None
        assert trial.loss == trial.val_loss == trial.curve.val.value[-1]
        assert trial.curve.context.lr == trial.point.params[RATE]


def test_a_run_that_ends_inside_an_epoch_is_validated_there() -> None:
    work = Work(partial(variant, small()), [Point(0, {RATE: 1e-2})], Budget(steps=10))
    (trial,) = runners.get("serial").run(work)
    assert trial.curve.val is not None
    assert trial.curve.val.step.tolist() == [10]
    assert 0 <= trial.metric <= 1


def test_without_validation_the_last_epoch_of_training_counts() -> None:
    base = small(validation=False)
    (trial,) = runners.get("serial").run(Work(partial(variant, base), [Point(0, {RATE: 1e-2})], Budget(epochs=2)))
    per_epoch = math.ceil(1437 / 32)
    assert trial.loss == pytest.approx(trial.curve.train.value[-per_epoch:].mean())
    assert math.isnan(trial.val_loss)


def test_a_diverged_trial_is_kept_with_the_step_it_died_at() -> None:
    base = small(Sgd(lr=1e-2))
    points = [Point(0, {RATE: 1e-2}), Point(1, {RATE: 1e18}), Point(2, {RATE: 1e-1})]
    first, dead, last = runners.get("serial").run(Work(partial(variant, base), points, Budget(steps=40)))
    assert first.diverged_at is None
    assert dead.diverged_at is not None
    assert dead.diverged_at == len(dead.curve.train) == dead.curve.train.step[-1] < 40
    assert not math.isfinite(dead.curve.train.value[-1])
    assert math.isnan(dead.loss)
    assert len(last.curve.train) == 40


def test_a_watch_can_end_a_trial() -> None:
    work = Work(
        partial(variant, small()),
        [Point(0, {RATE: 1e-2})],
        Budget(steps=40),
        watch=lambda seen: [0] if seen[0][1].step == 7 else [],
    )
    (trial,) = runners.get("serial").run(work)
    assert len(trial.curve.train) == 7


# sweeping -----------------------------------------------------------------------------------------------------------------


def test_a_sweep_writes_down_every_trial_and_ranks_them(tmp_path: Path) -> None:
    told: list[sweeping.Progress] = []
    made = plan(small(Sgd(lr=1e-2)), space=Space({RATE: Range(1e-2, 1e18)}, {RATE: 1e-2}), search="grid", name="digits")
    trials = sweeping.sweep(made, root=tmp_path, watch=told.append)
    assert trials.folder is not None
    folder = Path(trials.folder)
    assert folder.parent == tmp_path / "digits"
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert [line["params"][RATE] for line in lines] == [trial.point.params[RATE] for trial in trials.trials]
    assert [line["diverged_at"] for line in lines] == [trial.diverged_at for trial in trials.trials]
    assert {line["loss"] is None for line in lines if line["diverged_at"]} == {True}
    with (folder / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(trial.curve.train) for trial in trials.trials)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [(update.done, update.planned) for update in told if update.trial is not None] == [(n, 4) for n in range(1, 5)]
    assert trials.best is not None
    assert trials.best.loss == min(trial.loss for trial in trials.trials if math.isfinite(trial.loss))
    assert all(trial.pattern for trial in trials.trials)
    assert trials.ranked[-1].diverged_at is not None


def test_the_study_knows_diverged_trials_as_pruned(tmp_path: Path) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    made = plan(
        small(Sgd(lr=1e-2)), space=Space({RATE: Range(1e-2, 1e18), DECAY: Range(1e-5, 1e-2)}, {RATE: 1e-2, DECAY: 0.0})
    )
    trials = sweeping.sweep(made, root=tmp_path)
    folder = Path(trials.folder or "")
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    study = optuna.load_study(storage=storage, study_name=folder.name)
    states = [trial.state.name for trial in study.trials]
    assert states == ["PRUNED" if trial.diverged_at else "COMPLETE" for trial in trials.trials]
    assert "PRUNED" in states
    assert [trial.user_attrs["diverged_at"] for trial in study.trials] == [trial.diverged_at for trial in trials.trials]
    assert [trial.user_attrs["params"] for trial in study.trials] == [dict(trial.point.params) for trial in trials.trials]
    assert study.best_value == pytest.approx(min(trial.loss for trial in trials.trials if math.isfinite(trial.loss)))


def test_an_interrupt_passes_through_and_loses_only_what_was_in_training(tmp_path: Path) -> None:
    def interrupt(progress: sweeping.Progress) -> None:
        if progress.done == 2 and progress.tick is not None and progress.tick.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeping.sweep(plan(), root=tmp_path, watch=interrupt)
    (lines,) = (path.read_text().splitlines() for path in tmp_path.glob("sweep/*/trials.jsonl"))
    assert [json.loads(line)["index"] for line in lines] == [0, 1]


def test_an_interrupt_behind_the_last_trial_names_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeping, "_draw", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^3 trials are finished; they are in .*--resume last goes on"):
        sweeping.sweep(plan(points=3), root=tmp_path)


def test_every_point_is_trained_with_every_seed_and_judged_by_their_mean() -> None:
    trials = sweeping.sweep(plan(seeds=(0, 1), points=3), root=None)
    assert [(trial.point.index, trial.point.seed) for trial in trials.trials] == [(i, s) for i in range(3) for s in (0, 1)]
    assert trials.best is not None
    means = [sum(trial.loss for trial in trials.trials if trial.point.index == index) / 2 for index in range(3)]
    assert means[trials.best.point.index] == min(means)


def test_a_search_is_told_what_became_of_its_points(monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice:
        def __init__(self) -> None:
            self.told: list[float] = []

        def ask(self) -> list[Point]:
            return [Point(len(self.told), {RATE: 1e-2})] if len(self.told) < 2 else []

        def tell(self, trials: Sequence[Trial]) -> None:
            self.told += [trial.loss for trial in trials]

    twice = Twice()
    monkeypatch.setattr(searches, "_loaded", {"twice": Search(lambda _space, _points, _seed: twice)})
    trials = sweeping.sweep(plan(search="twice", points=2), root=None)
    assert twice.told == [trial.loss for trial in trials.trials]


def test_a_runner_may_answer_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    serial = runners.get("serial")
    monkeypatch.setitem(runners._loaded, "backwards", Runner(lambda work: reversed(list(serial.run(work)))))
    trials = sweeping.sweep(plan(runner="backwards"), root=None)
    same = sweeping.sweep(plan(), root=None)
    assert [trial.point for trial in trials.trials] == [trial.point for trial in same.trials]
    assert [trial.loss for trial in trials.trials] == [trial.loss for trial in same.trials]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="cannot make the folder"):
        sweeping.sweep(plan(), root=tmp_path / "taken")


def test_what_a_worker_needs_can_be_pickled() -> None:
    made = Work(variant_of_digits, [Point(0, {RATE: 1e-2})], Budget(steps=3))
    copy = pickle.loads(pickle.dumps((made.make, made.points, made.budget)))  # noqa: S301 - our own
    (trial,) = runners.get("serial").run(Work(*copy))
    (same,) = runners.get("serial").run(made)
    assert trial.loss == same.loss


def variant_of_digits(point: Point) -> Subject:
    return variant(small(), point)


# defaults -----------------------------------------------------------------------------------------------------------------


def test_the_default_space_lies_around_what_is_configured() -> None:
    base = small(Adam(lr=1e-3))
    space = ranging.default_space(base)
    assert space.axes[RATE] == Range(1e-5, 1e-1)
    assert space.origin == {RATE: 1e-3, DECAY: 0.0}
    strong = replace(base, recipe=replace(base.recipe, penalties=(L2(1e-3),)))
    assert ranging.default_space(strong).axes[DECAY] == Range(1e-5, 1e-1)
    decayed = small(Adam(lr=1e-3, weight_decay=1e-2))
    assert ranging.default_space(decayed).axes[ranging.DECAY] == Range(1e-4, 1.0)


def test_an_unknown_strength_reaches_from_without_effect_to_as_large_as_the_loss() -> None:
    base = small()
    axis = ranging.default_space(base).axes[DECAY]
    assert isinstance(axis, Range)
    squares = sum(float(p.detach().square().sum()) for p in base.build(0).parameters() if p.ndim > 1)
    assert 10**-0.51 < axis.high * squares / 2 / math.log(10) < 10**0.51  # rounded to a power of ten
    assert axis.high / axis.low == pytest.approx(1_000)


def test_how_much_shorter_a_trial_is() -> None:
    base = small()
    longer = replace(base, recipe=replace(base.recipe, epochs=30))
    assert ranging.shortened(longer, Budget(epochs=3)) == pytest.approx(10)
    assert ranging.shortened(longer, Budget(steps=45)) == pytest.approx(30)
    assert ranging.shortened(longer, Budget(epochs=60)) == 1.0
    assert ranging.shortened(replace(longer, sizes={"train": None}), Budget(epochs=3)) == pytest.approx(10)


# what the trials say ------------------------------------------------------------------------------------------------------


def swept(losses: dict[float, float], **known: Any) -> Trials:
    trials = [
        Trial(
            Point(index, {RATE: rate}), Curve(Series.of([2.3, loss])), loss, math.nan, None, known.get("pattern", "healthy")
        )
        for index, (rate, loss) in enumerate(losses.items())
    ]
    return Trials(
        tuple(trials), {RATE: (min(losses), max(losses))}, {RATE: known.get("configured", 1e-3)}, frozenset({RATE})
    )


def test_a_rate_that_is_only_slower_in_a_short_training_is_no_finding() -> None:
    slow = _swept(1e-4)
    assert rate_gap(slow) is not None
    assert rate_gap(replace(slow, shortened=30.0)) is None


@pytest.mark.parametrize(
    ("trials", "why"),
    [
        (swept({1e-3: 2.3, 1e-2: 2.29}), "learned enough"),
        (swept({1e-1: 2.3, 1.0: 0.2}), "no trial was near"),
        (replace(swept({1e-3: 2.3, 1e-2: 0.1}), configured={}), "not known"),
    ],
)
def test_rates_that_cannot_be_compared(trials: Trials, why: str) -> None:
    with pytest.raises(NotApplicable, match=why):
        rate_gap(trials)


def test_a_rate_that_is_too_high_is_a_warning_on_the_page_of_its_pattern() -> None:
    losses = {1e-4: 0.3, 1e-3: 0.4, 1e-2: 2.2, 1e-1: math.nan}
    report = outcome.report(swept(losses, configured=1e-1))
    assert [(finding.name, finding.severity) for finding in report.findings] == [("lr-too-high", Severity.WARNING)]
    assert report.primary == "healthy"


@pytest.mark.parametrize("pattern", ["not-learning", "rising", "non-finite"])
def test_a_sweep_in_which_nothing_learns_is_an_error(pattern: str) -> None:
    losses = {1e-4: 2.3, 1e-3: 2.3, 1e-2: 2.31}
    assert outcome.report(swept(losses, pattern=pattern)).primary == pattern
    mixed = swept(losses, pattern=pattern)
    one_well = replace(mixed, trials=(replace(mixed.trials[0], pattern="healthy"), *mixed.trials[1:]))
    assert outcome.report(one_well).primary == "healthy"


def slowly(seed: int, slope: float, noise: float, epochs: int = 5) -> Trial:
    """Return a trial of ten steps an epoch whose pattern is called not-learning."""
    luck = np.random.default_rng(seed)
    train = 0.7 - slope * np.arange(10 * epochs) + noise * luck.normal(size=10 * epochs)
    val = 0.7 - slope * (10 * np.arange(epochs) + 10)
    curve = Curve(Series.of(train), Series.of(val, range(9, 10 * epochs, 10)))
    return Trial(Point(seed, {RATE: 1e-3}), curve, float(val[-1]), math.nan, None, "not-learning")


@pytest.mark.parametrize(("slope", "noise", "learned"), [(2e-4, 0.1, True), (5e-3, 0.02, True), (0.0, 0.1, False)])
def test_a_pattern_alone_is_no_proof_that_nothing_was_learned(slope: float, noise: float, learned: bool) -> None:
    trials = Trials(tuple(slowly(seed, slope, noise) for seed in range(4)), {RATE: (1e-4, 1e-2)}, {RATE: 1e-3})
    assert outcome.report(trials).primary == ("healthy" if learned else "not-learning")


def test_a_fall_after_an_explosion_is_nothing_learned() -> None:
    values = [2.3, 50.0, *(40.0 - step for step in range(30))]
    trial = Trial(Point(0, {RATE: 1.0}), Curve(Series.of(values)), 11.0, math.nan, None, "lr-too-high")
    assert outcome.report(Trials((trial,), {RATE: (0.1, 1.0)}, {RATE: 1.0})).primary == "lr-too-high"


def test_a_sweep_that_diverged_everywhere_has_no_best_point() -> None:
    trials = swept({1e-1: math.nan, 1.0: math.nan})
    dead = replace(trials, trials=tuple(replace(trial, diverged_at=3, pattern="non-finite") for trial in trials.trials))
    assert dead.best is None
    assert dead.at_edge == ()
    assert outcome.report(dead).primary == "non-finite"


@pytest.mark.parametrize(
    ("losses", "at_edge"),
    [
        ({1e-4: 2.0, 1e-3: 1.0, 1e-2: 0.5}, (RATE,)),
        ({1e-4: 2.0, 1e-3: 0.4, 1e-2: 0.5}, ()),
        ({1e-4: 2.0, 1e-3: 1.0, 1e-2: 0.5, 1e-1: math.nan}, ()),
        ({1e-3: 1.0}, ()),
    ],
)
def test_the_edge_is_where_no_trial_lies_beyond(losses: dict[float, float], at_edge: tuple[str, ...]) -> None:
    assert swept(losses).at_edge == at_edge


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(0, 5), min_size=2, max_size=6), data=st.data())
def test_the_rank_test_is_exact_for_few_pairs(values: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values)))

    def rising(y: Sequence[int]) -> int:
        pairs = itertools.combinations(range(len(y)), 2)
        return sum((values[j] - values[i]) * (y[j] - y[i]) > 0 for i, j in pairs) - sum(
            (values[j] - values[i]) * (y[j] - y[i]) < 0 for i, j in itertools.combinations(range(len(y)), 2)
        )

    orders = list(itertools.permutations(other))
    assert p_rising(values, other) == pytest.approx(sum(rising(order) >= rising(other) for order in orders) / len(orders))


def test_the_rank_test_of_many_pairs_is_near_the_exact_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x = [0, 0, 1, 1, 2, 2, 3, 4, 5, 6]
    y = [float(v) for v in torch.randn(10, generator=generator)]
    seen = sum((x[j] - x[i] > 0) * (1 if y[j] > y[i] else -1) for i, j in itertools.combinations(range(10), 2))
    draws = [torch.randperm(10, generator=generator).tolist() for _ in range(4_000)]
    as_far = sum(
        sum((x[j] - x[i] > 0) * (1 if o[j] > o[i] else -1) for i, j in itertools.combinations(range(10), 2)) >= seen
        for o in draws
    )
    assert p_rising(x, y) == pytest.approx(as_far / 4_000, abs=0.03)


@settings(max_examples=40, deadline=None)
@given(losses=st.lists(st.floats(0.1, 2.2), min_size=4, max_size=9), scale=st.floats(1e-3, 1e3))
def test_the_unit_of_the_loss_changes_no_verdict(losses: list[float], scale: float) -> None:
    def verdict(factor: float) -> list[str]:
        trials = swept({10.0 ** (index - 5): loss for index, loss in enumerate(losses)}, configured=1e-4)
        curves = [
            replace(t, curve=Curve(Series.of(factor * t.curve.train.value)), loss=factor * t.loss) for t in trials.trials
        ]
        scaled = replace(trials, trials=tuple(curves))
        return [edge.path for edge in edges(scaled) if edge.gain > 0.05 + 1e-9 and edge.p <= 0.05]

    assert verdict(1.0) == verdict(scale)
