"""Points of one architecture trained as one, chunk by chunk; what cannot be stacked is trained one after another."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lossdoc import loop, measuring, randomness
from lossdoc.measuring import Losses
from lossdoc.randomness import mixed
from lossdoc.runner import SHOWN, Runner, Work, in_chunks
from lossdoc.runners import serial
from lossdoc.stack import Joined, Measured, Stack, UnstackableError
from lossdoc.stacking.choice import stack_of
from lossdoc.stacking.feed import Feed, whole
from lossdoc.stacking.memory import fitting
from lossdoc.subject import Point, Subject, Trial
from lossdoc.threads import ThreadTrial, threads

VECTORS = re.compile(  # values that may differ between the points of a stack: they change numbers, not the computation
    r"optimizer\.(lr|momentum|weight_decay|beta1|beta2|alpha|eps)|regularization\.(l1|l2)|schedule\b.*|(model\.)?init\b.*"
    r"|model\.layers\.\d+\.(dropout(\.rate)?|\w+\.init\b.*)"
)
CHUNK = 64  # points: more gain little, and beyond the caches they lose again
WORTH = 0.1  # the share of points that must have ended before the others go on without them

Rows = NDArray[np.float64]


def run(work: Work) -> Iterator[Trial]:
    """Train the points in stacks of one architecture each and yield each trial as it ends."""
    for points in alike(work.points):
        size = chunk_size(work, points)
        for chunk in in_chunks(points, size):
            yield from run_chunk(work, chunk)


def chunk_size(work: Work, points: Sequence[Point]) -> int:
    """Return how many of these points one stack may hold."""
    return max(1, min(CHUNK, fitting(work.make(points[0]), points[0].seed), len(points)))


def run_chunk(work: Work, points: Sequence[Point]) -> Iterator[Trial]:
    """Train points of one architecture as one, or one after another where that cannot be."""
    try:
        chunk = Chunk(work, points)
    except UnstackableError as why:
        work.say(f"{len(points)} points are trained one after another: {why}")
        for point in points:
            yield serial.run_point(work, point)
    else:
        with threads(torch.get_num_threads()):  # which the chunk may change
            yield from chunk.run()


def alike(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points grouped by all the values that change the computation itself."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        fixed = sorted((path, repr(value)) for path, value in point.params.items() if not VECTORS.fullmatch(path))
        groups.setdefault(repr(fixed), []).append(point)
    return list(groups.values())


class Chunk:
    """Points in training as one. `places` are those that still train, as places in `points`.

    Raises:
        UnstackableError: when they cannot be trained as one.
    """

    def __init__(self, work: Work, points: Sequence[Point]) -> None:
        self.work = work
        self.points = points
        self.subjects = [work.make(point) for point in points]
        self.first = self.subjects[0]
        seeds = [point.seed for point in points]
        self.feed = Feed(self.subjects, seeds)
        batches = iter(self.feed)
        first = next(batches)
        self.batches = itertools.chain([first], batches)
        planned = loop.planned_steps(self.first, work.budget.steps, work.budget.epochs)
        self.stack: Stack = stack_of(self.subjects, seeds, first[1], planned)
        self.schedules = _Schedules(self.subjects, planned)
        self.places = list(range(len(points)))
        self.ended: set[int] = set()
        self.losses: list[Rows] = []  # a row a step, NaN for the points that are gone
        self.accuracies: list[Rows] = []
        self.validation: list[tuple[int, Rows, Rows]] = []
        self.has_validation = "validation" in self.first.sizes
        self.looked = time.monotonic()
        self.began = time.monotonic()

    def run(self) -> Iterator[Trial]:
        """Train until the budget is spent or no point is left, and yield each trial as it ends."""
        budget, turns = self.work.budget, ThreadTrial()
        batches = loop.within(self.first, self.batches, budget.steps, budget.epochs)
        for step, (epoch, batch, last) in enumerate(batches):
            turns.step(partial(self._step, step, batch))
            if self.has_validation and last:
                self._validate()
            yield from self._end(self._diverged(), diverged=True)
            yield from self._end(self._watched(epoch, validated=last), diverged=False)
            if len(self.ended) == len(self.points):
                return
            self._compact(step + 1)
        if self.has_validation and not self._validated:
            self._validate()
        yield from self._end(self._diverged(), diverged=True)
        yield from self._end(self._alive, diverged=False)

    @property
    def _alive(self) -> list[int]:
        """The places of the points that still train."""
        return [place for place in self.places if place not in self.ended]

    @property
    def _validated(self) -> bool:
        """Whether the validation split was measured after the last step."""
        return bool(self.validation) and self.validation[-1][0] == len(self.losses)

    def _step(self, step: int, batch: Joined) -> None:
        keys = {seed: mixed(seed, step) for seed in self.feed.streams}
        measured = self.stack.step(batch, self.schedules.factors(step), [keys[seed] for seed in self.feed.seeds])
        self.losses.append(self._row(measured.loss))
        self.accuracies.append(self._row(measured.accuracy))

    def _row(self, values: torch.Tensor) -> Rows:
        found: Rows = values.detach().cpu().double().numpy()
        if len(found) == len(self.points):
            return found
        row = np.full(len(self.points), np.nan)
        row[self.places] = found
        return row

    def _validate(self) -> None:
        """Measure the validation split, as `measuring.evaluate` does for one point."""
        losses, sizes, accuracies = [], [], []
        for batch in whole(self.first, "validation"):
            measured: Measured = self.stack.evaluate(batch)
            sizes.append(float(len(batch.targets)))
            losses.append(self._row(measured.loss))
            accuracies.append(self._row(measured.accuracy))
        loss = np.average(losses, axis=0, weights=measuring.batch_weights(sizes, self.first.loss.reduction))
        self.validation.append((len(self.losses), loss, np.average(accuracies, axis=0, weights=sizes)))

    def _diverged(self) -> list[int]:
        """Return the places whose last losses are not all finite numbers."""
        finite = np.isfinite(self.losses[-1])
        if self._validated:
            finite &= np.isfinite(self.validation[-1][1])
        return [] if finite.all() else [place for place in self._alive if not finite[place]]

    def _watched(self, epoch: int, *, validated: bool) -> list[int]:
        """Show the points in training to the watch, at each validation and now and then; return those to end."""
        if not validated and time.monotonic() - self.looked < SHOWN:
            return []
        self.looked = time.monotonic()
        alive = self._alive
        seen = [(self.points[place], self._tick(place, epoch)) for place in alive]
        return [alive[at] for at in self.work.watch(seen)] if seen else []

    def _tick(self, place: int, epoch: int) -> loop.Tick:
        step = len(self.losses)
        loss, accuracy = float(self.losses[-1][place]), float(self.accuracies[-1][place])
        validation = None
        if self._validated:
            _, losses, accuracies = self.validation[-1]
            validation = Losses(float(losses[place]), float(losses[place]), float(accuracies[place]))
        return loop.Tick(step, epoch, Losses(loss, loss, accuracy), validation)

    def _end(self, places: Sequence[int], *, diverged: bool) -> Iterator[Trial]:
        """Yield the trials of the points that end here."""
        if not places:
            return
        steps = len(self.losses)
        if self.has_validation and not diverged and not self._validated:
            self._validate()
        self.ended.update(places)
        losses, accuracies = np.array(self.losses)[:, places], np.array(self.accuracies)[:, places]
        for at, place in enumerate(places):
            measured = [(step, float(loss[place]), float(share[place])) for step, loss, share in self.validation]
            curve = loop.curve_of(loop.context(self.subjects[place]), losses[:, at], accuracies[:, at], measured)
            model = self._model(place) if self.work.models else None
            yield replace(serial.trial_of(self.points[place], curve, steps if diverged else None), model=model)

    def _model(self, place: int) -> nn.Module:
        """Return a point's model as it is now."""
        values = self.stack.parameters(self.places.index(place))
        with randomness.seeded(self.points[place].seed):
            model = self.subjects[place].build(self.points[place].seed)
        with torch.no_grad():
            for name, tensor in (*model.named_parameters(), *model.named_buffers()):
                tensor.copy_(values.get(name, tensor))
        return model

    def _compact(self, steps: int) -> None:
        """Leave the points that have ended behind, where that saves more time than it takes."""
        gone = len(self.ended) - (len(self.points) - len(self.places))
        if gone < max(1, WORTH * len(self.places)):
            return
        left = self.schedules.total - steps
        per_step = (time.monotonic() - self.began) / steps
        if left > 0 and gone / len(self.places) * per_step * left < self.stack.rebuilding:
            return
        kept = [at for at, place in enumerate(self.places) if place not in self.ended]
        self.stack.keep(kept)
        self.feed.keep(kept)
        self.schedules.keep(kept)
        self.places = [self.places[at] for at in kept]


class _Schedules:
    """The factors on the learning rates of K points; a schedule that several share is asked once a step."""

    def __init__(self, subjects: Sequence[Subject], total: int) -> None:
        self.total = total
        self.last: tuple[list[float], torch.Tensor] = ([], torch.empty(0))  # of the last step: most often they stay the same
        self.distinct: list[Any] = []
        self.which: list[int] = []
        for subject in subjects:
            schedule = subject.recipe.schedule
            if schedule not in self.distinct:
                self.distinct.append(schedule)
            self.which.append(self.distinct.index(schedule))

    def keep(self, places: Sequence[int]) -> None:
        self.which = [self.which[place] for place in places]
        self.last = ([], torch.empty(0))

    def factors(self, step: int) -> torch.Tensor:
        """Return the factors (K,) at a step counted from 0."""
        values = [float(schedule(step, self.total)) for schedule in self.distinct]
        if values != self.last[0]:
            self.last = values, torch.tensor([values[which] for which in self.which], dtype=torch.float64)
        return self.last[1]


VMAPPED = Runner(run)
