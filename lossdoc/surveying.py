"""Many logs at once: each is read and judged by itself, several of one network together too; on all cores where it pays."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from lossdoc import columns, diagnosis, reader
from lossdoc.comparing import compared
from lossdoc.curve import Context, Curve, Outline, Runs, Series
from lossdoc.errors import Problem, UserError
from lossdoc.findings import Report
from lossdoc.folders import Network, Place

FEW = 32  # networks that one process is done with before another one has started
BUNDLE = 32  # networks handed to a process at a time, at most: handing over costs about a tenth of reading one
BINS = 256  # an outline keeps of each bin its first, least, largest and last value: more than any drawing has columns
FORKS = sys.platform == "linux"  # elsewhere a forked process may not use the system's own libraries


@dataclass(frozen=True)
class Asked:
    """What the user wants to know, of every log alike; `good` is the run that each is compared with.

    `run` is the one run wanted: its name in its log, or the title of a log.
    """

    train: str | None = None
    val: str | None = None
    step: str | None = None
    run_column: str | None = None
    context: Context = columns.UNKNOWN
    reader_name: str | reader.Reader | None = None
    select: Sequence[str] = ()
    ignore: Sequence[str] = ()
    good: Curve | None = None
    run: str | None = None

    def reports(self, path: str, title: str | None = None, *, growing: bool = False) -> list[Report]:
        """Diagnose one log, which is called `title`, and compare its runs; see `diagnosis.diagnose`."""
        told = {name: value for name, value in vars(self).items() if name not in {"good", "run"}}
        run = None if self.run == title else self.run
        reports = diagnosis.diagnose(path, growing=growing, run=run, **told)
        return reports if self.good is None else [compared(each, self.good, self.ignore) for each in reports]


@dataclass
class Answer:
    """The reports on the logs of one network, the faults of those that could not be read, and the paths of all of them."""

    logs: list[str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def survey(networks: Sequence[Network], asked: Asked) -> Iterator[Answer]:
    """Yield the answer on each network, in their order; files below a folder that are no logs are passed over.

    Where there are many, all cores take part, and of each curve no more is kept than a drawing needs.
    """
    given = frozenset(place.path for network in networks for place in network.places)
    work = partial(_answer, asked=asked, given=given, light=len(networks) > FEW)
    cores = len(os.sched_getaffinity(0)) if FORKS else os.cpu_count() or 1
    if len(networks) <= FEW or cores < 2 or not (FORKS or isinstance(asked.reader_name, str | None)):
        yield from map(work, networks)
        return
    diagnosis.chosen(asked.select, asked.ignore)  # what was asked wrongly is told once, and rules are loaded before the fork
    yield from _shared_out(work, networks, cores)


def _shared_out(work: Callable[[Network], Answer], networks: Sequence[Network], cores: int) -> Iterator[Answer]:
    """Do work in as many processes as there are cores; the answers come in order.

    Each process is given the work once, where it begins: with every bundle, it would take as long as to read a log.
    """
    from concurrent.futures import ProcessPoolExecutor  # 30 ms, with the next: a tenth of what a single log takes
    from multiprocessing import get_context

    start = get_context("fork" if FORKS else "spawn")
    pool = ProcessPoolExecutor(cores, mp_context=start, initializer=_begin, initargs=(work,))
    gc.freeze()  # what was imported is no garbage: as it is not looked at again, the processes share its memory
    with pool, warnings.catch_warnings():
        # from 3.12 on, Python warns of threads beside a fork; numpy's are made for it, and none of ours runs
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield from pool.map(_do, networks, chunksize=min(BUNDLE, len(networks) // (4 * cores) + 1))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            gc.unfreeze()


_given: list[Callable[[Network], Answer]] = []  # the work of this process


def _begin(work: Callable[[Network], Answer]) -> None:
    """Take the work, and leave Ctrl-C to the process that asked: it stops the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _given[:] = [work]


def _do(network: Network) -> Answer:
    return _given[0](network)


def _answer(network: Network, asked: Asked, given: frozenset[str], *, light: bool) -> Answer:
    answer = Answer()
    alone: list[Report] = []
    for place in network.places:
        try:
            if place.found and not _first_of_a_log(place, asked, given):
                continue
            reports = [replace(each, title=place.title) for each in asked.reports(place.path, place.title)]
        except UserError as bad:
            if place.found and all(problem.kind == "no-curve" for problem in bad.problems):
                continue
            answer.logs.append(place.path)
            if len(given) < 2 or any(problem.kind != "unknown-run" for problem in bad.problems):
                answer.problems += bad.problems
            continue
        except OSError as bad:
            message = f"cannot be read: {bad.strerror or bad}"
            answer.problems.append(Problem(message, kind="unreadable", file=place.path))
            continue
        answer.logs.append(place.path)
        answer.reports += reports
        alone += reports if len(reports) == 1 else []
    together = _together(network, alone, asked)
    answer.reports += together
    if light:
        answer.reports = [_light(report) for report in answer.reports]
    return answer


def _first_of_a_log(place: Place, asked: Asked, given: frozenset[str]) -> bool:
    """Tell whether a file is a log, and the first of those that it consists of: the others are read with it."""
    group = reader.claimed(Path(place.path), asked.reader_name, every=asked.train is not None)
    return next((str(path) for path in group if str(path) in given), None) == place.path


def _together(network: Network, alone: Sequence[Report], asked: Asked) -> list[Report]:
    """Return the report on several logs as runs of one network: those with the same columns, where these are most."""
    curves = [report.matter for report in alone if isinstance(report.matter, Curve)]  # with all of their points
    if network.name is None or len(curves) < 2:
        return []
    names = [(curve.train.name, curve.val and curve.val.name) for curve in curves]
    usual = max(names, key=names.count)
    alike = [curve for curve, name in zip(curves, names, strict=True) if name == usual]
    if len(alike) < 2:
        return []
    note = "taken for runs of one network, as their paths differ in one number only: --no-group parts them"
    source = os.path.commonpath([place.path for place in network.places]) or None
    rules = {"select": asked.select, "ignore": asked.ignore}
    return [diagnosis.examine_runs(Runs(tuple(alike)), title=network.name, source=source, notes=(note,), **rules)]


def _light(report: Report) -> Report:
    """Return a report that keeps of its curve no more than a drawing needs."""
    curve = report.matter
    if isinstance(curve, Runs):
        return replace(report, matter=Runs(tuple(map(_outline, curve.curves))))
    return replace(report, matter=_outline(curve)) if isinstance(curve, Curve) else report


def _outline(curve: Curve) -> Outline:
    val = None if curve.val is None else outlined(curve.val)
    return Outline(outlined(curve.train), val, {}, curve.context, curve.run, points=len(curve.train))


def outlined(series: Series) -> Series:
    """Return the first, least, largest and last entry of each of some hundred bins, and the first that is no number."""
    many = len(series)
    if many <= 4 * BINS:
        return series
    kept = {0, many - 1, *np.flatnonzero(~np.isfinite(series.value))[:1].tolist()}
    values = np.where(np.isfinite(series.value), series.value, 0.0)
    for start, end in zip(edges := np.linspace(0, many, BINS + 1).astype(int), edges[1:], strict=False):
        bin_ = values[start:end]
        kept |= {int(start), int(start + bin_.argmin()), int(start + bin_.argmax()), int(end) - 1}
    places = np.array(sorted(kept))
    return Series(series.step[places], series.value[places], series.name)
