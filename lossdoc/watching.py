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
from lossdoc.verdicts import Verdicts

SHARE = 10.0  # a log is read again after ten times as long as reading it took: a tenth of a core is what watching may cost


@dataclass(frozen=True)
class Following:
    """How a log is followed: seconds between looks, seconds without a change that end it, the severity that does."""

    interval: float = 5.0
    idle: float | None = None
    until: str | None = None


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
