"""Following a growing log: what its verdict is so far, told when it changes and has lasted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lossdoc.answering import Found
from lossdoc.curve import Curve, Runs
from lossdoc.errors import Problem, UserError
from lossdoc.findings import Report, Severity
from lossdoc.surveying import Asked

LASTING = 1.5
"""A verdict is told when it has held at every reading while the log grew by half. Readings of a growing log are repeated
tests on nearly the same data: means over n and k·n points are correlated by 1/√k, so only readings whose lengths differ by a
factor are new evidence (Armitage, McPherson and Rowe, 1969)."""
WAITING = 4.0
"""So many times the log must grow before it is told that something has not happened yet (`NOT_YET`): by all that is known at
length t, a lull lasts to k·t with probability 1/k (Gott, 1993). Of the 26 single healthy runs in the project's open set,
read at every 3 % of growth, an error is told of 10 at once, of 4 at 1.5, of 1 at 1.5 and 4. Of the 58 runs that end with an
error one is told of 53, of half of them before 28 % of their length."""
NOT_YET = frozenset({"not-learning", "slow-learning", "slow-start", "underfitting"})
AT_ONCE = "non-finite"  # no more points can change what has been logged
SHARE = 10.0  # a log is read again after ten times as long as reading it took: a tenth of a core is what watching may cost


@dataclass(frozen=True)
class Following:
    """How a log is followed: seconds between looks, seconds without a change that end it, the severity that does."""

    interval: float = 5.0
    idle: float | None = None
    until: str | None = None


@dataclass
class Verdicts:
    """The verdict that was told last, the one that may follow it, and the length of the log at the last reading."""

    told: str | None = None
    coming: str | None = None
    since: int = 0
    readings: int = 0
    points: int = 0
    shorter: bool = False

    def hear(self, verdict: str, points: int) -> bool:
        """Take in the verdict on so many points; tell whether it is new and has lasted.

        A log that has become shorter was read while it was being written anew; one that stays so is another run.
        """
        if points < self.points and not self.shorter:
            self.shorter = True
            return False
        if points < self.points:
            vars(self).update(vars(Verdicts()))
        self.points, self.shorter = points, False
        if verdict != self.coming:
            self.coming, self.since, self.readings = verdict, points, 0
        self.readings += 1
        lasted = self.readings > 1 and points >= (WAITING if verdict in NOT_YET else LASTING) * self.since
        if verdict in {self.told, "inconclusive"} or not (lasted or verdict == AT_ONCE):
            return False
        self.told = verdict
        return True


Tell = Callable[[str], None]
Signature = tuple[int, int, int]


def watch(path: str, asked: Asked, how: Following, found: Found, tell: Tell) -> None:
    """Read a log whenever it has changed, and tell of each verdict that is new and has lasted; `found` holds the last one.

    It may be not there yet, grow, be cut or be replaced, and its last line may be half written. Ends when nothing has
    changed for `how.idle` seconds, or at a told verdict that reaches `how.until`.
    """
    verdicts, seen, last, tail = Verdicts(), None, time.monotonic(), False
    tell(_line("waiting for" if _signature(path) is None else "following", path))
    while True:
        now = _signature(path)
        start = time.monotonic()
        changed = now != seen
        if now is not None and (changed or tail):  # where nothing more came, the last line is read even without its end
            _read(path, asked, found, growing=changed)
            tail = changed
            if _told(found.reports, verdicts, tell) and how.until is not None and _reaches(found.reports, how.until):
                return
        seen, last = now, start if changed else last
        if how.idle is not None and time.monotonic() - last >= how.idle:
            if now is None and not found.reports:
                found.problems = [Problem("there is still no such file", kind="missing-file", file=path)]
            return
        time.sleep(max(how.interval, SHARE * (time.monotonic() - start)))


def _signature(path: str) -> Signature | None:
    """Return what changes when a file does: its number, its size or its time; None where there is none."""
    try:
        now = Path(path).stat()
    except OSError:
        return None
    return now.st_ino, now.st_size, now.st_mtime_ns


def _read(path: str, asked: Asked, found: Found, *, growing: bool) -> None:
    """Put what the log says now into `found`; what cannot be read (yet) is its only fault, and what it said before stays."""
    try:
        found.reports = asked.reports(path, growing=growing)
        found.problems = []
    except UserError as bad:
        found.problems = list(bad.problems)
    except OSError:  # it has just been taken away: the next look will tell
        return


def _told(reports: list[Report], verdicts: Verdicts, tell: Tell) -> bool:
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
    tell(_line(f"{axis} {last:.15g}", what))
    return True


def _reaches(reports: list[Report], until: str) -> bool:
    return until != "never" and any(
        finding.severity.reaches(Severity(until)) for finding in reports[-1].findings if finding.name == reports[-1].primary
    )


def _line(*words: str) -> str:
    return " ".join((time.strftime("%H:%M:%S"), *words))
