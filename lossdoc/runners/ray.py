"""Many points at a time, on the machines of a Ray cluster."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossdoc.build import Variants
from lossdoc.errors import UserError, packed, unpacked
from lossdoc.presence import host
from lossdoc.runner import Budget, Runner, Watch, Work, runners
from lossdoc.subject import Point, Subject, Trial
from lossdoc.threads import cores, threads
from lossdoc.workers import Seldom

if TYPE_CHECKING:
    from lossdoc.loop import Tick

RETRIES = 3  # workers or machines that a point may lose before it is given up
REACHED = 10.0  # seconds until a cluster must answer
STORE = 128 * 2**20  # bytes for objects on this machine: curves are small
LEFT = ["lossdoc_runs", ".git", ".venv", "venv", "__pycache__"]  # not for the other machines
MISSING = "the runner ray needs Ray, which is not installed here: pip install 'lossdoc[ray]'"

Asked = tuple[int, list[tuple[Point, "Tick"]]]


def run(work: Work, inner: str = "serial") -> Iterator[Trial]:
    """Train each point as a Ray task on one core, and yield trials as they end.

    To a cluster at an address go along: lossdoc, the folder of the model.yaml and what is in its `python_path`; what git
    ignores stays here. The points of a machine or worker that dies are trained again on another.

    Raises:
        UserError: when Ray is not installed, the cluster cannot be reached, or a point cannot be trained.
        UserCodeError: when the user's own code raises.
    """
    try:
        import ray
    except ImportError as bad:
        raise UserError.of(MISSING, kind="runner") from bad
    with _connected(work):
        desk = _desk()
        make = ray.put(ray.cloudpickle.dumps(_grounded(work.make)))
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(_train)
        todo = list(work.points)
        training: dict[Any, Point] = {}
        question = desk.next.remote()
        try:
            while todo or training:
                while todo and len(training) < (work.jobs or len(work.points)):
                    point = todo.pop(0)
                    training[task.remote(make, host(), point, work.budget, inner=inner, desk=desk)] = point
                (ready,), _ = ray.wait([question, *training], num_returns=1)
                if ready == question:
                    question = _answered(desk, question, work.watch)
                else:
                    yield _trial(ready, training.pop(ready))
        finally:
            for reference in training:
                ray.cancel(reference, force=True)


def _train(make: bytes, source: str, point: Point, budget: Budget, *, inner: str, desk: Any) -> tuple[str, Any]:
    """Train a point on whatever machine this is; what is raised is returned, for Ray would wrap it."""
    import ray

    watch = Seldom(lambda seen: ray.get(desk.ask.remote(seen)))
    try:
        with threads(1):
            work = Work(_settled(pickle.loads(make), source), [point], budget, watch)  # noqa: S301 - from the driver
            (trial,) = runners.get(inner).run(work)
    except Exception as bad:  # noqa: BLE001 - it is raised again where the sweep was begun
        return "failed", packed(bad)
    return "trial", trial


def _trial(reference: Any, point: Point) -> Trial:
    """Return the trial that a task came to."""
    import ray

    try:
        kind, what = ray.get(reference)
    except ray.exceptions.RayError as bad:
        message = f"Ray cannot train the point {point.index} (seed {point.seed}), not in {RETRIES + 1} tries: {_first(bad)}"
        raise UserError.of(message, kind="worker") from bad
    if kind == "failed":
        raise unpacked(what)
    trial: Trial = what
    return trial


# what goes along ----------------------------------------------------------------------------------------------------------


def _grounded(make: Callable[[Point], Subject]) -> Callable[[Point], Subject]:
    """Return what makes the subjects with its file named from the root, so that it does not matter where it is called."""
    if not isinstance(make, Variants):
        return make
    copy: Variants = pickle.loads(pickle.dumps(make))  # noqa: S301 - our own
    copy.spec.document.file = str(Path(make.spec.file).resolve())
    return copy


def _settled(make: Callable[[Point], Subject], source: str) -> Callable[[Point], Subject]:
    """Return what makes the subjects from the copies that came along, where this is not the machine that they came from."""
    if isinstance(make, Variants) and host() != source:
        make.spec.document.file = str(Path.cwd() / Path(make.spec.file).name)
    return make


def environment(make: Callable[[Point], Subject]) -> dict[str, Any]:
    """Return Ray's word for what goes along with the tasks."""
    import lossdoc

    modules = [str(Path(lossdoc.__file__).parent)]
    if not isinstance(make, Variants):
        return {"py_modules": modules}
    folder = Path(make.spec.file).resolve().parent
    for outside in (folder / each for each in make.spec.python_path or ()):
        if not outside.resolve().is_relative_to(folder):
            modules += [str(each.resolve()) for each in sorted(outside.glob("*")) if _is_module(each)]
    return {"working_dir": str(folder), "excludes": LEFT, "py_modules": modules}


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


@contextmanager
def _connected(work: Work) -> Iterator[None]:
    """Connect to the cluster at the work's address; without one use what is connected already, or begin one here."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if work.address is None:
            ray.init("local", num_cpus=work.jobs or cores(), object_store_memory=STORE, include_dashboard=False, **quiet)
        else:
            _knock(work.address)
            ray.init(work.address, runtime_env=environment(work.make), **quiet)
    except (OSError, RuntimeError, ValueError) as bad:
        where = f"the Ray cluster at {work.address}" if work.address else "Ray"
        raise UserError.of(f"{where} cannot be used: {_first(bad)}", kind="runner") from bad
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at an address: Ray itself would try for minutes, and then end the process."""
    where, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((where, int(port)), timeout=REACHED).close()


def _first(bad: Exception) -> str:
    return next(iter(str(bad).strip().splitlines()), type(bad).__name__)


# the watch ----------------------------------------------------------------------------------------------------------------


class Desk:
    """An actor at which tasks wait for the answers of the watch, which is only here, in the process of the caller."""

    def __init__(self) -> None:
        import asyncio

        self._questions: asyncio.Queue[Asked] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Collection[int]]] = {}
        self._count = 0

    async def ask(self, seen: list[tuple[Point, Tick]]) -> Collection[int]:
        """Return the watch's answer, when it is there."""
        import asyncio

        self._count += 1
        number = self._count
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._questions.put((number, seen))
        return await self._answers[number]

    async def next(self) -> Asked:
        """Return the next question, when there is one."""
        return await self._questions.get()

    async def answer(self, number: int, places: Collection[int]) -> None:
        """Answer a question."""
        self._answers.pop(number).set_result(places)


def _desk() -> Any:
    """Begin the desk beside the caller, where it dies with no other machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_concurrency=1_000, scheduling_strategy=here)(Desk).remote()


def _answered(desk: Any, question: Any, watch: Watch) -> Any:
    """Answer a question and return the promise of the next."""
    import ray

    number, seen = ray.get(question)
    desk.answer.remote(number, list(watch(seen)))
    return desk.next.remote()


RAY = Runner(run, needs="ray", missing=MISSING)
