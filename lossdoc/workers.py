"""Worker processes that train points: started anew, told what to do over a pipe, replaced when they die."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import sys
import time
import types
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from lossdoc.errors import UserError, packed, unpacked
from lossdoc.runner import SHOWN, Budget, Watch, Work, runners
from lossdoc.subject import Point, Trial

if TYPE_CHECKING:
    from types import TracebackType

    from lossdoc.loop import Tick

LOOK = 1.0  # seconds: a worker whose own children keep its pipe open is seen to be dead so late
TRIES = 2  # workers that a point may take along before it is given up


@dataclass(frozen=True)
class Order:
    """What a worker is told when it starts; `make` is pickled."""

    make: bytes
    budget: Budget
    inner: str
    threads: int


@dataclass
class Worker:
    """A worker process, the pipe to it, and the points that it has in training."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    points: list[Point] = field(default_factory=list)
    ready: bool = False


class Pool:
    """Worker processes for the points of some work; they are gone when it is left, however it is left."""

    def __init__(self, work: Work, inner: str, jobs: int, threads: int) -> None:
        self.work = work
        self.jobs = jobs
        self.order = Order(pickle.dumps(work.make), work.budget, inner, threads)
        self._workers: list[Worker] = []
        self._deaths: Counter[tuple[int, int]] = Counter()

    def __enter__(self) -> Pool:
        """Return itself; workers start with the first points."""
        atexit.register(self._kill)  # before multiprocessing would wait for them, should somebody keep this alive
        return self

    def __exit__(self, kind: type[BaseException] | None, bad: BaseException | None, trace: TracebackType | None) -> None:
        """Kill the workers and wait until they are gone."""
        atexit.unregister(self._kill)
        self._kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()

    def train(self, chunks: Sequence[list[Point]]) -> Iterator[Trial]:
        """Train the points, so many at a time in each worker, and yield each trial as it ends."""
        waiting = list(chunks)
        while waiting or any(worker.points for worker in self._workers):
            for worker in self._idle(len(waiting)):
                worker.points = waiting.pop(0)
                with suppress(OSError):  # it has died at once: that is seen below
                    worker.pipe.send(worker.points)
            busy = [worker for worker in self._workers if worker.points]
            heard = wait([worker.pipe for worker in busy], LOOK)
            for worker in busy:
                if worker.pipe in heard or not worker.process.is_alive():
                    yield from self._hear(worker, waiting)

    def _idle(self, wanted: int) -> list[Worker]:
        """Return workers without points, at most so many; new ones are started for those that are missing."""
        idle = [worker for worker in self._workers if not worker.points]
        missing = min(self.jobs - len(self._workers), wanted - len(idle))
        idle += [self._start() for _ in range(missing)]
        return idle[:wanted]

    def _start(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there,), name="lossdoc-worker")
        with _without_main(self.order.make), _interrupts_blocked():
            process.start()
        there.close()
        worker = Worker(process, here)
        self._workers.append(worker)
        with suppress(OSError):
            here.send(self.order)
        return worker

    def _hear(self, worker: Worker, waiting: list[list[Point]]) -> Iterator[Trial]:
        """Take one message of a worker, or note that it is dead."""
        try:
            if not worker.pipe.poll():
                raise EOFError
            kind, what = worker.pipe.recv()
        except (EOFError, OSError):
            waiting[:0] = self._buried(worker)
            return
        if kind == "ready":
            worker.ready = True
        elif kind == "seen":
            ended = set(self.work.watch(what))
            with suppress(OSError):
                worker.pipe.send(ended)
        elif kind == "said":
            self.work.say(what)
        elif kind == "failed":
            raise unpacked(what)
        elif kind == "trial":
            worker.points.remove(what.point)
            yield what

    def _buried(self, worker: Worker) -> list[list[Point]]:
        """Take a dead worker out, and return its points one by one, to be trained by others.

        Raises:
            UserError: when it died before it could train, or one of its points has taken another worker along before.
        """
        worker.process.kill()  # it may only have lost its pipe
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        how = _told(worker.process.exitcode)
        if not worker.ready:
            message = f"a worker process {how} before it could train; what it wrote on standard error may say why"
            raise UserError.of(message, kind="worker")
        for point in worker.points:
            self._deaths[point.index, point.seed] += 1
            if self._deaths[point.index, point.seed] >= TRIES:
                values = ", ".join(f"{path} {value}" for path, value in point.params.items())
                message = (
                    f"the point {point.index} ({values}, seed {point.seed}) cannot be trained: its worker process {how}"
                )
                raise UserError.of(f"{message}, and so did the one that tried it before", kind="worker")
        points = ", ".join(str(point.index) for point in worker.points)
        self.work.say(f"a worker process {how}: its points ({points}) are tried once more")
        return [[point] for point in worker.points]


def _told(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was killed by {name}{', perhaps for want of memory' if name == 'SIGKILL' else ''}"
    return f"ended with code {code}"


@contextmanager
def _without_main(make: bytes) -> Iterator[None]:
    """Hide the main program from a process that is started: it would run again there, which only one that expects it bears.

    Where what makes the subjects is defined in the main program itself, it has to be run again.
    """
    main = sys.modules["__main__"]
    if b"__main__" not in make:
        sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block interrupts, which a process started here inherits: of Ctrl-C only this process hears, and ends the others."""
    if sys.platform == "win32":  # has no such masks
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# in the worker ------------------------------------------------------------------------------------------------------------


class Orphaned(BaseException):
    """The process that started this one is gone; no error of the user's own code, and not to be taken for one."""


class Line:
    """The worker's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, kind: str, what: Any = None) -> None:
        """Send a message."""
        packet = ForkingPickler.dumps((kind, what))  # what cannot be pickled is an error of its own
        try:
            self._pipe.send_bytes(packet)
        except OSError:
            raise Orphaned from None

    def receive(self) -> Any:
        """Wait for a message."""
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            raise Orphaned from None

    def ask(self, seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
        """Tell of ticks and return the answer."""
        self.send("seen", seen)
        answer: Collection[int] = self.receive()
        return answer


def _work(pipe: Connection) -> None:
    """Train what comes over the pipe until it is closed."""
    os.dup2(2, 1)  # whatever the user's own code prints: on standard output it would stand in the middle of a report
    sys.stdout = sys.stderr
    with suppress(Orphaned):
        _obey(Line(pipe))


def _obey(line: Line) -> None:
    try:
        order: Order = line.receive()
        from lossdoc.threads import threads  # brings torch

        make = pickle.loads(order.make)  # noqa: S301 - from the process that started this one
        line.send("ready")
        with threads(order.threads):
            while True:
                say = partial(line.send, "said")
                work = Work(make, line.receive(), order.budget, Seldom(line.ask), say=say)
                for trial in runners.get(order.inner).run(work):
                    line.send("trial", trial)
    except Exception as bad:  # noqa: BLE001 - it is raised again by the process that started this one
        line.send("failed", packed(bad))


class Seldom:
    """A watch that costs something to ask: it is asked of every tick with a validation, of others a few times a second."""

    def __init__(self, ask: Watch) -> None:
        self._ask = ask
        self._asked = time.monotonic()

    def __call__(self, seen: Sequence[tuple[Point, Tick]]) -> Collection[int]:
        """Return the answer, or none where nothing was asked."""
        now = time.monotonic()
        if now - self._asked < SHOWN and all(tick.validation is None for _, tick in seen):
            return ()
        self._asked = now
        return self._ask(list(seen))
