"""The runner for Ray: the same curves, a cluster that loses a machine, and what goes along to other machines."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from lossdoc import build, spec
from lossdoc.errors import UserCodeError, UserError
from lossdoc.loop import Tick
from lossdoc.runner import Budget, Work, runners
from lossdoc.runners import ray as rays
from lossdoc.subject import Point
from tests.conftest import PROJECT
from tests.making import POINTS, faulty, made_up, slow

installed = pytest.mark.skipif(
    not any((Path(folder) / "ray").is_dir() for folder in sys.path),
    reason="Ray is not installed: pip install 'lossdoc[ray]'",
)
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves its files to the end of the process
    pytest.mark.filterwarnings("ignore:.*RAY_ACCEL_ENV_VAR:FutureWarning"),
]


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Begin a cluster of two raylets of two cores each on this machine; the second can be killed."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 2, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
    cluster.second = cluster.add_node(**options)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@installed
def test_the_curves_and_the_watch_are_those_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    torch.set_num_threads(1)

    def watch(seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
        return [
            place for place, (point, tick) in enumerate(seen) if point.index == 2 and tick.epoch == 1 and tick.validation
        ]

    work = Work(made_up, POINTS, Budget(epochs=3), watch, jobs=2)
    trials = sorted(rays.run(work), key=lambda trial: trial.point.index)
    assert repr(trials) == repr(list(runners.get("serial").run(work)))
    assert len(trials[2].curve.train) == 6
    with pytest.raises(UserCodeError, match="no more of this") as told:
        list(rays.run(replace(work, make=partial(faulty, False), points=POINTS[:2])))
    assert "making.py" in told.value.tail()


@installed
def test_all_points_finish_when_one_of_two_machines_dies(two_machines: Any, tmp_path: Path) -> None:
    points = [Point(index, POINTS[index % 5].params, seed=index) for index in range(32)]
    work = Work(partial(slow, tmp_path), points, Budget(epochs=2), address=two_machines.address)
    trials = []
    for trial in rays.run(work):
        trials.append(trial)
        if len(trials) == 8:
            two_machines.remove_node(two_machines.second, allow_graceful=False)
    assert sorted(trial.point.index for trial in trials) == list(range(32))
    began = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert len(began) > 32  # some were in training on the machine that died, and began again
    torch.set_num_threads(1)
    again = list(runners.get("serial").run(Work(made_up, points[:3], Budget(epochs=2))))
    assert repr(sorted(trials, key=lambda trial: trial.point.index)[:3]) == repr(again)


@installed
def test_a_cluster_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match=r"the Ray cluster at 127.0.0.1:1 cannot be used: .*refused"):
        list(rays.run(Work(made_up, POINTS, Budget(epochs=1), address="127.0.0.1:1")))


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'lossdoc\[ray\]'"):
        list(rays.run(Work(made_up, POINTS, Budget(epochs=1))))


def test_code_and_data_of_the_config_are_found_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, outside, there = tmp_path / "here", tmp_path / "outside", tmp_path / "there"
    for folder in (here / "own", outside / "package"):
        folder.mkdir(parents=True)
    (outside / "package" / "__init__.py").write_text("")
    (outside / "alone.py").write_text("")
    (outside / "notes.txt").write_text("")
    (here / "own" / "nets.py").write_text("from torch import nn\ndef net():\n    return nn.Linear(2, 1)\n")
    (here / "data.csv").write_text("a,b,y\n" + "".join(f"{n},{n % 7},{n % 5}\n" for n in range(40)))
    (here / "model.yaml").write_text(
        "python_path: [own, ../outside]\n"
        "data: {source: {csv: {path: data.csv, target: y, task: regression}}, batch_size: 8}\n"
        "model: {call: 'nets:net'}\nloss: mse\noptimizer: {sgd: {lr: 1e-3}}\n"
    )
    monkeypatch.chdir(tmp_path)
    make = build.Variants(spec.load(Path("here/model.yaml")))
    along = rays.environment(make)
    assert along["working_dir"] == str(here)
    assert along["py_modules"][1:] == [str(outside / "alone.py"), str(outside / "package")]
    grounded = rays._grounded(make)
    here.rename(there)  # the copy on the other machine
    monkeypatch.chdir(there)
    point = Point(0, {"optimizer.lr": 1e-3})
    (trial,) = runners.get("serial").run(Work(rays._settled(grounded, "elsewhere"), [point], Budget(steps=3)))
    assert len(trial.curve.train) == 3
