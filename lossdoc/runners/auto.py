"""The runner that suits the points: a few steps each way are timed, and the fastest way is taken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch

from lossdoc import loop, randomness, train
from lossdoc.runner import Runner, Work, runners
from lossdoc.runners import vmapped
from lossdoc.stack import UnstackableError, must_be_stackable
from lossdoc.stacking.choice import stack_of
from lossdoc.stacking.feed import Feed
from lossdoc.stacking.memory import fitting
from lossdoc.subject import Batch, Point, Subject, Trial
from lossdoc.threads import cores, threads

TRIED = (2, 8)  # points in the stack that is timed, fewest and most
STEPS = 3  # steps that are timed, behind a first one that finds its memory; the fastest counts
PASSES = 5  # what a point in the stack costs in steps: those, and those that make sure of it
SHARE = 0.02  # of the time that the whole work would take, that may go into timing a stack ...
SURELY = 0.3  # ... and seconds that may in any case; also those after which slow steps are not repeated
STARTING = 4.0  # seconds until a worker process has loaded torch and the data
CLEARLY = 0.9  # the share of the other way's time below which a way that costs more to set up is taken


@dataclass(frozen=True)
class Times:
    """Seconds a step of one point by the number of threads: alone, and in a stack (empty where `why` says it cannot be)."""

    alone: Mapping[int, float]
    stacked: Mapping[int, float]
    why: str = ""


def run(work: Work) -> Iterator[Trial]:
    """Train the points of each architecture in the way that was the fastest for it."""
    for points in vmapped.alike(work.points):
        name, count, why = chosen(work, points)
        work.say(f"{len(points)} points by the runner {name}: {why}")
        with threads(count):
            yield from runners.get(name).run(replace(work, points=points))


def chosen(work: Work, points: Sequence[Point]) -> tuple[str, int, str]:
    """Return the name of the runner for points of one architecture, the number of threads for it, and why."""
    if len(points) == 1:
        return "serial", cores(), "there is but one"
    planned = loop.planned_steps(work.make(points[0]), work.budget.steps, work.budget.epochs)
    some = points[: TRIED[1]]
    times = timed([work.make(point) for point in some], [point.seed for point in some], planned * len(points))
    alone, count = min((seconds, count) for count, seconds in times.alone.items())
    stacked, many = min(((seconds, count) for count, seconds in times.stacked.items()), default=(math.inf, 1))
    if stacked < CLEARLY * alone:
        return "vmapped", many, f"a step of a point takes {_told(stacked)} in a stack, {_told(alone)} alone"
    why = times.why or f"a step of a point takes {_told(alone)} alone, {_told(stacked)} in a stack"
    jobs = min(work.jobs or cores(), len(points))
    steps = len(points) * planned
    if jobs > 1 and STARTING + steps * times.alone[1] / jobs < CLEARLY * steps * alone:
        return "processes", cores(), f"{why}; {jobs} at a time are faster"
    return "serial", count, why


def timed(subjects: Sequence[Subject], seeds: Sequence[int], steps: int) -> Times:
    """Take a few steps of the first subject alone and of all in a stack, and time them; nothing of it is kept.

    `steps` is how many all points together will take: where they are few or slow, fewer are tried.
    """
    alone, stacked, why = {}, {}, ""
    counts = list(dict.fromkeys((1, cores())))
    for count in counts:
        with threads(count):
            alone[count] = _alone(subjects[0], seeds[0])
    step, best = min((seconds, count) for count, seconds in alone.items())
    left = max(SURELY, SHARE * steps * step) / step / PASSES  # points that can be tried
    counts = counts if left >= TRIED[0] * len(counts) else [best]
    try:
        most = _fitting(subjects, seeds)
        tried = max(TRIED[0], min(most, int(left / len(counts))))
        for count in counts:
            with threads(count):
                stacked[count] = _stacked(subjects[:tried], seeds[:tried]) / tried
    except UnstackableError as bad:
        why = str(bad)
    return Times(alone, stacked, why)


def _fitting(subjects: Sequence[Subject], seeds: Sequence[int]) -> int:
    """Return how many of the subjects fit into a stack.

    Raises:
        UnstackableError: when it is fewer than two, or they cannot be trained as one.
    """
    must_be_stackable(subjects)
    most = min(len(subjects), fitting(subjects[0], seeds[0]))
    if most < TRIED[0]:
        raise UnstackableError("two in a stack would take too much memory")
    return most


def _alone(subject: Subject, seed: int) -> float:
    training = train.begin(subject, seed)

    def take(step: int, batch: Batch, epoch: int) -> None:
        with randomness.seeded(seed, step):
            training.step(batch, subject.recipe.schedule(step, 0), epoch)

    feed = enumerate(islice(loop.epochs_of(subject, seed), STEPS + 1))
    return _fastest(partial(take, step, batch, epoch) for step, (epoch, batch, _) in feed)


def _stacked(subjects: Sequence[Subject], seeds: Sequence[int]) -> float:
    batches = [batch for _, batch, _ in islice(Feed(subjects, seeds), STEPS + 1)]
    stack, factors = stack_of(subjects, seeds, batches[0]), torch.ones(len(seeds), dtype=torch.float64)
    return _fastest(
        partial(stack.step, batch, factors, [randomness.mixed(seed, step) for seed in seeds])
        for step, batch in enumerate(batches)
    )


def _fastest(steps: Iterable[Callable[[], object]]) -> float:
    """Return the seconds of the fastest step behind the first; where they are slow, of the second."""
    times: list[float] = []
    for step in steps:
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
        if len(times) > 1 and sum(times) > SURELY:
            break
    return min(times[1:])


def _told(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


AUTO = Runner(run)
