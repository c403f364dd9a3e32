"""From options to the plan of a sweep, and from its recommendation to a changed copy of the file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc import applying, build, confirming, outcome, planning, ranging, spec, sweeping
from lossdoc.curve import Curve, Series
from lossdoc.errors import UserError
from lossdoc.planning import Asked
from lossdoc.ranking import RATE, finished, flat_rates, no_worse, recommended
from lossdoc.runner import Budget
from lossdoc.search import Choices, Range
from lossdoc.spec.document import scalar
from lossdoc.spec.edits import edited, written
from lossdoc.spec.ranges import split_range
from lossdoc.subject import Point, Trial, Trials

IRIS = """\
version: 1
# flowers
data: {source: iris, preprocess: [standardize], batch_size: 16}
model:
  layers:
    - linear: {out: 8}
    - relu    # or tanh
    - dropout: 0.1
    - linear: {out: classes}
optimizer: {adam: {lr: 1e-3}}
"""
L2 = ranging.L2


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.lr=1e-4..1e-1", {"low": 1e-4, "high": 0.1, "scale": "log"}),
        ("optimizer.lr = log:1e-4 .. 1", {"low": 1e-4, "high": 1.0, "scale": "log"}),
        ("optimizer.beta1=lin:0.8..0.99", {"low": 0.8, "high": 0.99, "scale": "linear"}),
        ("a.b=linear:-1..1", {"low": -1.0, "high": 1.0, "scale": "linear"}),
        ("a=.5..1.", {"low": 0.5, "high": 1.0, "scale": "log"}),
        ("model.layers.1=[relu, tanh]", {"values": ["relu", "tanh"]}),
        ("data.batch_size=[16,64]", {"values": [16, 64]}),
        ("optimizer=[{sgd: {lr: 0.1}}, adam]", {"values": [{"sgd": {"lr": 0.1}}, "adam"]}),
    ],
)
def test_ranges_of_the_command_line(text: str, expected: dict[str, Any]) -> None:
    assert split_range(text)[1] == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optimizer.lr", "PATH=LOW..HIGH"),
        ("=1..2", "PATH=LOW..HIGH"),
        ("optimizer.lr=0.1", "PATH=LOW..HIGH"),
        ("optimizer.lr=low..high", "number is meant"),
        ("optimizer.lr=ln:1..2", "no scale 'ln'"),
        ("optimizer.lr=[]", "list of values"),
        ("optimizer.lr=[1, 2", "--param"),
        ("optimizer.lrr=1e-4..1", "did you mean 'lr'"),
        ("optimizer.lr=1..0.1", "lower end comes first"),
        ("optimizer.lr=lin:-1..1", "above 0"),
    ],
)
def test_a_range_that_is_none_is_told(text: str, says: str) -> None:
    with pytest.raises(UserError) as told:
        spec.loads(IRIS, swept=[text])
    assert says in str(told.value)
    assert "--param" in str(told.value)


def test_ranges_of_the_command_line_replace_those_of_the_file() -> None:
    described = spec.loads(IRIS + "sweep: {parameters: {regularization.l2: [1e-6, 1e-2]}}\n", swept=["optimizer.lr=1e-4..1"])
    assert list(described.sweep.parameters) == [RATE]


@pytest.mark.parametrize(
    ("path", "warned"),
    [("model.layers.0.out=4..16", True), ("model.layers.1=[relu,tanh]", True), ("model.layers.2.rate=lin:0..0.5", False)],
)
def test_sweeping_the_architecture_is_warned_of(path: str, warned: bool) -> None:
    kinds = [problem.kind for problem in spec.loads(IRIS, swept=[path]).warnings]
    assert ("architecture" in kinds) == warned


# edits --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ("adam: {lr: 1e-3}", "adam: {lr: 0.01}", {"optimizer.lr": 0.01}),
        ("{adam: {lr: 1e-3}}", "{adam: {lr: 1e-3, weight_decay: 1e-5}}", {"optimizer.weight_decay": 1e-5}),
        ("{adam: {lr: 1e-3}}", "{momentum: {lr: 0.1}}", {"optimizer": {"momentum": {"lr": 0.1}}}),
        ("dropout: 0.1", "{dropout: 0.25}", {"model.layers.2": {"dropout": 0.25}}),
        ("dropout: 0.1", "dropout: {rate: 0.25}", {"model.layers.2.rate": 0.25}),
        ("- relu    # or tanh", "- tanh    # or tanh", {"model.layers.1": "tanh"}),
        ("batch_size: 16", "batch_size: 33", {"data.batch_size": 32.7}),
        ("lr: 1e-3}}\n", "lr: 1e-3}}\nregularization: {l2: 0.0001}\n", {"regularization.l2": 1e-4}),
        ("    - linear: {out: classes}\n", "    - linear: {out: classes}\n  init: he\n", {"model.init": "he"}),
    ],
)
def test_an_edit_changes_one_place(old: str, new: str, values: dict[str, Any]) -> None:
    assert old in IRIS
    assert edited(IRIS, values) == IRIS.replace(old, new)


@pytest.mark.parametrize("text", [IRIS.replace("{adam: {lr: 1e-3}}", "adam"), IRIS.rstrip("\n"), IRIS + "# the end\n"])
def test_an_edit_keeps_all_else(text: str) -> None:
    values = {RATE: 0.02, L2: 3e-4, "data.split.validation": 0.25, "train.epochs": 7}
    made = edited(text, values)
    assert spec.loads(made).resolved() == spec.loads(text).with_values(values).resolved()
    assert "# flowers" in made
    assert "# or tanh" in made
    assert ("# the end" in made) == ("# the end" in text)


def test_a_value_that_several_places_share_is_not_edited() -> None:
    text = IRIS.replace("{lr: 1e-3}", "{lr: &rate 1e-3, weight_decay: *rate}")
    with pytest.raises(UserError, match="--set"):
        edited(text, {RATE: 0.5})
    described = spec.loads(text)
    assert applying.diff(described, {RATE: 0.5}) == "--set 'optimizer.lr=0.5'"


@settings(max_examples=200, deadline=None)
@given(
    value=st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8) | st.booleans() | st.none() | st.integers()
)
def test_what_is_written_reads_the_same(value: Any) -> None:
    text = written({"a": [value]})
    node = yaml.compose(text, Loader=yaml.BaseLoader)
    inner = node.value[0][1].value[0]  # type: ignore[union-attr]
    read = inner.value if inner.style else scalar(inner.value)
    assert read == (pytest.approx(value, rel=1e-11) if isinstance(value, float) else value)


def test_a_copy_is_written_and_nothing_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(IRIS)
    described = spec.load(file)
    copy = tmp_path / "copy.yaml"
    applying.writable(copy, described, force=False)
    applying.write(copy, described, {RATE: 0.02})
    assert copy.read_text() == IRIS.replace("1e-3", "0.02")
    for path, force, says in (
        (copy, False, "--force"),
        (file, True, "never over the file itself"),
        (tmp_path, True, "is a folder"),
        (tmp_path / "no" / "where.yaml", True, "no folder"),
    ):
        with pytest.raises(UserError, match=says):
            applying.writable(path, described, force=force)
    applying.writable(copy, described, force=True)


# the plan -----------------------------------------------------------------------------------------------------------------


def planned(text: str = IRIS, swept: tuple[str, ...] = (), **asked: Any) -> tuple[sweeping.Plan, list[str]]:
    told: list[str] = []
    described = spec.loads(text, swept=swept)
    return planning.plan(described, build.subject(described), Asked(**asked), say=told.append), told


def test_with_nothing_said_a_range_test_finds_the_range_of_rates() -> None:
    plan, told = planned()
    axis = plan.space.axes[RATE]
    assert isinstance(axis, Range)
    assert 1e-4 < axis.low < 1e-2 < axis.high < 10
    assert set(plan.space.axes) == {RATE, L2}
    assert "range test" in told[0]
    assert any("are searched" in line for line in told)
    assert plan.budget == Budget(
        epochs=10
    )  # 120 flowers are 8 batches: for 200 steps 25 epochs, but no more than are configured


def test_without_an_answer_two_decades_to_either_side_are_searched() -> None:
    plan, told = planned(IRIS.replace("adam: {lr: 1e-3}", "sgd: {lr: 1e-3}") + "train: {gradient_clip: 1e-9}\n")
    axis = plan.space.axes[RATE]
    assert axis == Range(1e-5, 1e-1)
    assert "no answer, the loss of 3 of 3 runs never fell" in told[-1]


def test_what_was_asked_comes_first_then_the_file_then_the_default() -> None:
    text = IRIS + "sweep: {points: 5, epochs: 4, seeds: 2, search: grid, halving: true}\n"
    swept = ("optimizer.lr=1e-4..1e-1", "model.layers.1=[relu,tanh]", "data.batch_size=8..32")
    plan, told = planned(text, swept)
    assert told == []
    assert (plan.search, plan.points, plan.budget, plan.seeds, plan.halving) == ("grid", 5, Budget(epochs=4), (0, 1), 4)
    assert plan.space.axes["model.layers.1"] == Choices(("relu", "tanh"))
    assert plan.space.origin == {RATE: 1e-3, "model.layers.1": "relu", "data.batch_size": 16}
    plan, _ = planned(text, swept, search="qmc", points=7, steps=20, seeds=1, halving=False, refine=True)
    assert (plan.search, plan.points, plan.budget, plan.seeds, plan.halving) == ("qmc", 7, Budget(steps=20), (0,), 0)
    assert sweeping.planned(plan) == 7 + 4


@pytest.mark.parametrize("parameters", ["", "sweep: {parameters: {optimizer.args.lr: [1e-4, 1e-1]}}\n"])
def test_the_rate_of_ones_own_optimizer_is_swept_like_any_other(parameters: str) -> None:
    text = IRIS.replace("{adam: {lr: 1e-3}}", "{call: 'torch.optim:AdamW', args: {lr: 1e-3}}")
    plan, _ = planned(text + parameters)
    assert RATE in plan.space.axes
    assert plan.make(Point(0, {RATE: 0.05})).recipe.hyper["lr"] == 0.05
    assert edited(text, {RATE: 0.05}) == text.replace("1e-3", "0.05")


@pytest.mark.parametrize(
    ("more", "asked", "says"),
    [
        ("", {"steps": 5}, "no third to stop at"),
        ("", {"epochs": 2}, "no third to stop at"),
        ("data: {source: iris, split: 0}\n", {"epochs": 9}, "no validation split"),
    ],
)
def test_halving_that_cannot_be_is_told(more: str, asked: dict[str, Any], says: str) -> None:
    text = IRIS if not more else more + "model: {layers: [{linear: {out: classes}}]}\n"
    plan, told = planned(text, ("optimizer.lr=1e-4..1e-1",), halving=True, **asked)
    assert plan.halving == 0
    assert says in told[0]


@pytest.mark.parametrize(
    ("asked", "swept", "says"),
    [
        ({"search": "gird"}, (), "did you mean 'grid'"),
        ({"runner": "serail"}, (), "did you mean 'serial'"),
        ({"search": "range-test", "epochs": 3}, (), "--steps"),
        ({"search": "range-test"}, ("optimizer.lr=[0.1,0.2]",), "log scale"),
        ({"search": "range-test"}, ("optimizer.lr=lin:0.1..0.2",), "log scale"),
    ],
)
def test_what_cannot_be_planned_is_told(asked: dict[str, Any], swept: tuple[str, ...], says: str) -> None:
    with pytest.raises(UserError, match=says):
        planned(swept=swept, **asked)


def test_a_range_test_of_its_own(tmp_path: Path) -> None:
    plan, _ = planned(search="range-test")
    assert len(plan.seeds) == ranging.SEEDS
    trials = sweeping.sweep(plan, root=tmp_path)
    report = outcome.report(trials)
    assert isinstance(report.matter, Trials)
    assert 1e-3 < recommended(report.matter)[RATE] < 1
    assert report.findings == ()
    assert {path.name for path in Path(trials.folder or "").glob("*.png")} == {"rates.png"}
    hopeless, _ = planned(swept=("optimizer.lr=1e-12..1e-11",), search="range-test")
    assert outcome.report(sweeping.sweep(hopeless, root=None)).primary == "inconclusive"


def test_halving_ends_points_early_and_gives_other_seeds_to_the_rest() -> None:
    plan, _ = planned(swept=("optimizer.lr=1e-6..1e-1",), epochs=9, points=9, seeds=2, halving=True, search="qmc")
    trials = sweeping.sweep(plan, root=None)
    by_seed = {seed: {trial.point.index: trial for trial in trials.trials if trial.point.seed == seed} for seed in (0, 1)}
    stopped = {index for index, trial in by_seed[0].items() if trial.stopped_at is not None}
    assert len(by_seed[0]) == 9
    assert 3 <= len(stopped) <= 8
    assert set(by_seed[1]) == set(by_seed[0]) - stopped
    assert {by_seed[0][index].stopped_at for index in stopped} <= {8, 24}  # the ends of the first and the third epoch
    assert trials.best is not None
    assert trials.best.point.index not in stopped
    places = [trial.stopped_at is None for trial in trials.ranked]
    assert places == sorted(places, reverse=True)


# what is recommended ------------------------------------------------------------------------------------------------------


def swept(losses: Mapping[float, tuple[float, ...]], configured: float = 1e-3) -> Trials:
    trials = [
        Trial(Point(index, {RATE: rate}, seed), Curve(Series.of([2.3, loss])), loss, math.nan, None if loss < 9 else 2)
        for index, (rate, of_rate) in enumerate(losses.items())
        for seed, loss in enumerate(of_rate)
    ]
    return Trials(tuple(trials), {RATE: (min(losses), max(losses))}, {RATE: configured}, frozenset({RATE}))


@pytest.mark.parametrize(
    ("losses", "good"),
    [
        ({1e-3: (0.5, 0.6, 0.7), 1e-2: (0.4, 0.5, 0.6)}, [1]),  # worse by the same with every seed: that is no noise
        ({1e-3: (0.5, 0.4, 0.8), 1e-2: (0.4, 0.5, 0.6)}, [1, 0]),
        ({1e-3: (0.5, 0.5, 0.5), 1e-2: (0.5, 0.5, 0.5)}, [0, 1]),
        ({1e-3: (0.5, 0.4, math.nan), 1e-2: (0.6, 0.6, 0.7)}, [1]),
        ({1e-3: (0.41,), 1e-2: (0.40,), 1e-1: (0.5,)}, [1, 0]),
        ({1e-1: (math.nan,)}, []),
    ],
)
def test_what_is_no_worse_than_the_best(losses: dict[float, tuple[float, ...]], good: list[int]) -> None:
    assert [point.trial.point.index for point in no_worse(swept(losses))] == good


def test_points_that_are_the_same_but_for_noise_are_mostly_no_worse() -> None:
    generator = torch.Generator().manual_seed(0)
    worse = 0
    for _ in range(200):
        draws = torch.randn(2, 4, generator=generator)
        trials = swept({1e-3: tuple((1 + 0.1 * draws[0]).tolist()), 1e-2: tuple((1 + 0.1 * draws[1]).tolist())})
        worse += len(no_worse(trials)) < 2
    assert worse < 200 * 0.16  # 5 % each way, since the better of both is the best: 10 %, and three standard errors


@pytest.mark.parametrize(
    ("losses", "configured", "values"),
    [
        ({1e-3: (2.0,), 1.234e-2: (0.4,)}, 1e-3, {RATE: 0.012}),
        ({1e-3: (0.4,), 1e-2: (0.401,)}, 1e-2, {}),
        ({1e-3: (0.4,), 1e-2: (2.0,)}, 1e-3, {}),
        ({1e-3: (math.nan,), 1e-2: (math.nan,)}, 1e-3, {}),
    ],
)
def test_only_what_is_better_is_recommended(
    losses: dict[float, tuple[float, ...]], configured: float, values: dict[str, float]
) -> None:
    assert recommended(swept(losses, configured)) == values


@pytest.mark.parametrize(
    ("slope", "configured", "changed"),
    [
        (-0.1, 0.0, True),
        (0.1, 1e-1, True),
        (0.0, 0.0, False),
        (0.1, 0.0, False),  # the less the better, and there is none
        (-0.1, 1e-1, False),
    ],
)
def test_a_strength_changes_only_where_that_pays(slope: float, configured: float, changed: bool) -> None:
    trials = []
    for index in range(8):
        wobble = 0.02 * (-1) ** index * (index % 3)
        loss = 0.5 + slope * index / 8 + wobble * (slope == 0)
        params = {RATE: 1e-2 * (1 + index / 100), L2: 10.0 ** (index - 8)}
        trials.append(Trial(Point(index, params), Curve(Series.of([2.3, loss])), loss, math.nan))
    ranges = {RATE: (1e-3, 1e-1), L2: (1e-8, 1e-1)}
    found = recommended(Trials(tuple(trials), ranges, {RATE: 1e-3, L2: configured}, frozenset(ranges)))
    assert found[RATE] == pytest.approx(1e-2, rel=0.1)
    assert (L2 in found) == changed


def test_what_could_be_recommended() -> None:
    """It is the configured value and the three best that are not nearly the same."""
    losses = {1e-3: (2.0,), 1e-2: (0.40,), 1.05e-2: (0.41,), 3e-2: (0.42,), 2e-2: (0.43,), 5e-2: (0.44,), 9e-1: (math.nan,)}
    trials = swept(losses)
    assert confirming.candidates(trials) == [{RATE: 1e-3}, {RATE: 1e-2}, {RATE: 3e-2}, {RATE: 2e-2}]
    assert [params[RATE] for params in confirming.candidates(replace(trials, configured={}))] == [1e-2, 3e-2, 2e-2]
    assert [(point.index, point.seed) for point in confirming.points(trials, 7)][:4] == [(0, 7), (0, 8), (0, 9), (1, 7)]
    assert confirming.points(swept({1e-3: (0.4,), 1.01e-3: (0.3,)}), 1) == []


@pytest.mark.parametrize(
    ("again", "values", "says"),
    [
        ({1e-3: (2.0, 2.1), 1e-2: (0.7, 0.8), 3e-2: (0.5, 0.6)}, {RATE: 3e-2}, "at 0.55 ± 0.071, as configured at 2.05 ± "),
        ({1e-3: (0.5, 0.9), 1e-2: (0.6, 0.7), 3e-2: (1.5, 1.6)}, {}, "ends at 0.65 ± 0.071, as configured at 0.7 ± 0.28"),
        ({1e-3: (0.5, 0.6), 1e-2: (0.7, 0.8)}, {}, "as configured, the other candidates above it"),
        ({1e-3: (2.0, math.nan), 1e-2: (0.7, 0.8)}, {RATE: 1e-2}, "and as configured it diverges"),
        ({1e-3: (math.nan, 1.0), 1e-2: (math.nan, 1.0)}, {}, "none of what could be recommended"),
        ({1e-2: (0.7, 0.8), 3e-2: (0.5, 0.6)}, {RATE: 3e-2}, "the loss ends at 0.55 ± 0.071"),
    ],
)
def test_what_is_recommended_was_confirmed(
    again: dict[float, tuple[float, ...]], values: dict[str, float], says: str
) -> None:
    searched = swept({1e-3: (2.0,), 1e-2: (0.4,), 3e-2: (0.5,)})
    trials = replace(searched, confirmed=swept(again).trials)
    assert recommended(trials) == values
    told = next(line for line in applying.told(spec.loads(IRIS), trials, values) if line.startswith("confirmed"))
    assert told.startswith("confirmed from 2 new seeds: ")
    assert says in told


def test_a_sweep_confirms_with_new_seeds(tmp_path: Path) -> None:
    plan, _ = planned(swept=("optimizer.lr=1e-4..1e-1",), points=5, epochs=2, seeds=2)
    seen: list[sweeping.Progress] = []
    told: list[str] = []
    trials = sweeping.sweep(plan, root=tmp_path, watch=seen.append, say=told.append)
    assert {trial.point.seed for trial in trials.trials} == {0, 1}
    assert [trial.point.seed for trial in trials.confirmed] == [2, 3, 4] * (len(trials.confirmed) // 3)
    assert trials.confirmed[0].point.params == trials.configured
    assert any(line.startswith("confirming: the configured values") for line in told)
    assert seen[-1].done == seen[-1].planned == len(trials.confirmed)
    assert len((Path(trials.folder or "") / "trials.jsonl").read_text().splitlines()) == len(trials.trials)
    without, _ = planned(swept=("optimizer.lr=1e-4..1e-1",), points=5, epochs=2, confirm=False)
    assert sweeping.sweep(without, root=None).confirmed == ()


def test_the_spread_between_seeds_and_the_flat_region() -> None:
    trials = swept({1e-4: (2.0, 2.1), 1e-3: (0.5, 0.4), 3e-3: (0.4, 0.5), 1e-2: (0.48, 0.44), 1e-1: (0.4, math.nan)})
    assert flat_rates(trials) == (1e-3, 1e-2)
    assert finished(trials)[-1].sd == pytest.approx(0.1 / math.sqrt(2))
    told = list(applying.told(spec.loads(IRIS), trials, recommended(trials)))
    assert "nothing to change" in told[0]
    assert "from 0.001 to 0.01 are within noise of the best (2 seeds)" in told[1]


@pytest.mark.parametrize(("call", "takes"), [("torch.optim:Adam", True), ("own:fast", True), ("own:fixed", False)])
def test_the_rate_of_an_own_optimizer_is_varied_without_being_written(tmp_path: Path, call: str, takes: bool) -> None:
    (tmp_path / "own.py").write_text(
        "from torch.optim import SGD\n"
        "def fast(model, lr=0.1): return SGD(model.parameters(), lr=lr)\n"
        "def fixed(model): return SGD(model.parameters(), lr=0.1)\n",
        encoding="utf-8",
    )
    text = IRIS.replace("{adam: {lr: 1e-3}}", f"{{call: {call}}}\npython_path: ['{tmp_path}']")
    described = spec.loads(text)
    subject = build.subject(described)
    asked = Asked(search="range-test")
    if takes:
        plan = planning.plan(described, subject, asked)
        assert plan.make(Point(0, {RATE: 0.03})).recipe.hyper["lr"] == 0.03
        return
    with pytest.raises(UserError, match="own:fixed takes no argument 'lr'; give it one, or say what to vary"):
        planning.plan(described, subject, asked)
    written = text + "sweep: {parameters: {regularization.l2: {low: 1e-4, high: 1e-2}}}\n"
    assert set(planning.plan(spec.loads(written), subject, Asked()).space.axes) == {L2}
