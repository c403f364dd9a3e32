"""Following growing logs: what the verdict on each is so far, told when it changes and has lasted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossdoc import folders, reader
from lossdoc.answering import Found
from lossdoc.curve import Curve, Runs
from lossdoc.errors import Problem, UserError
from lossdoc.findings import Report, Severity
from lossdoc.folders import Place
from lossdoc.surveying import Asked
from lossdoc.verdicts import Verdicts

SHARE = 10.0  # logs are read again after ten times as long as reading them took: a tenth of a core is what watching may cost

Tell = Callable[[str], None]
Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Following:
    """How logs are followed: seconds between looks, seconds without a change that end it, the severity that does.

    Below a folder those files are followed whose paths fit one of the `globs`, all if there are none.
    """

    interval: float = 5.0
    idle: float | None = None
    until: str | None = None
    globs: Sequence[str] = ()


@dataclass
class Log:
    """A log that is followed: the files that it consists of, and what was read and told of it so far.

    `seen` is what tells whether it has changed since the last look, `tail` whether its last line may yet be read.
    """

    place: Place
    files: tuple[Path, ...]
    name: str | None = None
    verdicts: Verdicts = field(default_factory=Verdicts)
    seen: Signature | None = None
    tail: bool = False
    reports: list[Report] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def look(self, asked: Asked, tell: Tell) -> tuple[bool, bool]:
        """Read the log where it has changed; return whether it has, and whether a verdict that is new was told."""
        now = _signature(self.files)
        changed, self.seen = now != self.seen, now
        told = False
        if now is not None and (changed or self.tail):  # where nothing more came, the last line is read even without its end
            self._read(asked, growing=changed)
            self.tail = changed
            told = _told(self.reports, self.verdicts, tell, self.name)
        return changed, told

    def _read(self, asked: Asked, *, growing: bool) -> None:
        """Take in what the log says now; what cannot be read (yet) is its only fault, and what it said before stays."""
        try:
            reports = asked.reports(self.place.path, self.place.title, growing=growing)
            self.reports, self.problems = [replace(each, title=self.place.title) for each in reports], []
        except UserError as bad:
            none = self.place.found and all(problem.kind == "no-curve" for problem in bad.problems)  # as yet
            self.problems = [] if none else list(bad.problems)
        except OSError:  # it has just been taken away: the next look will tell
            return


def watch(paths: Sequence[str], asked: Asked, how: Following, found: Found, tell: Tell) -> None:
    """Read logs whenever they have changed, and tell of each verdict that is new and has lasted; `found` holds the last.

    A log may be not there yet, grow, be cut or be replaced, its last line may be half written, and in a folder others may
    come. Ends when nothing has changed for `how.idle` seconds, or at a told verdict that reaches `how.until`.
    """
    logs = _Logs(paths, how.globs, asked)
    last = time.monotonic()
    for path in paths:
        tell(_line("following" if Path(path).exists() else "waiting for", path))
    while True:
        start = time.monotonic()
        for log in logs.now():
            changed, told = log.look(asked, tell)
            last = start if changed else last
            logs.report(found)
            if told and how.until is not None and _reaches(log.reports, how.until):
                return
        if how.idle is not None and time.monotonic() - last >= how.idle:
            found.problems += logs.missing()
            return
        time.sleep(max(how.interval, SHARE * (time.monotonic() - start)))


class _Logs:
    """The logs that are followed: the files that were named, and those that are found below a folder at each look."""

    def __init__(self, paths: Sequence[str], globs: Sequence[str], asked: Asked) -> None:
        self.paths, self.globs, self.asked = paths, globs, asked
        self.known: dict[str, Log] = {}
        self.others: dict[str, Signature | None] = {}  # files below a folder that were no logs when last looked at

    def now(self) -> list[Log]:
        """Return the logs that there are now."""
        several = len(self.paths) > 1 or Path(self.paths[0]).is_dir()
        for place in self._places():
            if place.path in self.known or not self._is_log(place):
                continue
            files = self._files(place)
            self.known[place.path] = Log(place, files, place.title if several else None)
        return list(self.known.values())

    def _places(self) -> list[Place]:
        try:
            return folders.places(self.paths, self.globs)
        except UserError as bad:
            if not all(problem.kind == "no-log" for problem in bad.problems):
                raise
            return []  # no file of the folder fits yet

    def _is_log(self, place: Place) -> bool:
        """Tell whether a file is to be followed: it was named, or is the first of those that a log below a folder has."""
        if not place.found:
            return True
        now = _signature((Path(place.path),))
        if self.others.get(place.path) == now:
            return False
        self.others[place.path] = now
        return self._files(place)[:1] == (Path(place.path),)

    def _files(self, place: Place) -> tuple[Path, ...]:
        if not place.found:
            return (Path(place.path),)
        try:
            return tuple(reader.claimed(Path(place.path), self.asked.reader_name, every=self.asked.train is not None))
        except OSError:
            return ()

    def report(self, found: Found) -> None:
        """Put what is known of all logs into `found`."""
        found.reports = [report for log in self.known.values() for report in log.reports]
        found.problems = [problem for log in self.known.values() for problem in log.problems]

    def missing(self) -> list[Problem]:
        """Return a fault for each path that has never held a log."""
        read = {log.place.path for log in self.known.values() if log.seen is not None or log.reports}
        faults = []
        for path in self.paths:
            if Path(path).is_dir() and not any(Path(path) in Path(each).parents for each in read):
                faults.append(Problem("the folder still holds no log", kind="no-log", file=path))
            elif not Path(path).exists() and path not in read:
                faults.append(Problem("there is still no such file", kind="missing-file", file=path))
        return faults


def _signature(files: Sequence[Path]) -> Signature | None:
    """Return what changes when one of the files does: its number, its size or its time; None where there is none."""
    try:
        now = [path.stat() for path in files]
    except OSError:
        return None
    return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in now)


def _told(reports: list[Report], verdicts: Verdicts, tell: Tell, name: str | None = None) -> bool:
    """Tell of the log's verdict where it is new and has lasted, and say so."""
    if not reports:
        return False
    report = reports[-1]  # of several runs, the one on all of them
    curves = report.matter.curves if isinstance(report.matter, Runs) else [report.matter]
    lengths = [curve.length for curve in curves if isinstance(curve, Curve)]
    if not verdicts.hear(report.primary, sum(lengths)):
        return False
    last = max((float(curve.train.step[-1]) for curve in curves if isinstance(curve, Curve)), default=0.0)
    axis = next((curve.context.axis for curve in curves if isinstance(curve, Curve)), None) or "step"
    what = "healthy so far"
    if report.primary != "healthy":
        evidence = report.findings[0].evidence
        what = f"{report.primary}, {100 * evidence.confidence:.0f} % sure: {evidence.summary}"
    tell(_line(*([] if name is None else [f"{name}:"]), f"{axis} {last:.15g}", what))
    return True


def _reaches(reports: list[Report], until: str) -> bool:
    return until != "never" and any(
        finding.severity.reaches(Severity(until)) for finding in reports[-1].findings if finding.name == reports[-1].primary
    )


def _line(*words: str) -> str:
    return " ".join((time.strftime("%H:%M:%S"), *words))
