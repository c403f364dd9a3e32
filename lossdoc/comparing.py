"""A run beside one that is known to be good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lossdoc import columns, reader
from lossdoc.curve import Context, Curve, Pair
from lossdoc.errors import UserError
from lossdoc.findings import Report
from lossdoc.rule import comparisons, examine


def good_run(path: str, context: Context = columns.UNKNOWN, **told: str | None) -> Curve:
    """Read the one run of a log; `told` are columns, as `columns.choose` takes them.

    Raises:
        UserError: when it cannot be read or holds several runs.
    """
    tables = [columns.spread(table) for table in reader.read(path)]
    found: list[Curve] = []
    for table in tables:
        usable = {role: name for role, name in told.items() if name in table.columns}
        found += columns.curves(table, columns.choose(table, **usable), context)
    if len(found) > 1:
        raise UserError.of(f"--compare wants a log of one run, and this holds {len(found)}", kind="unknown-run", file=path)
    return replace(found[0], run=Path(path).name)


def compared(report: Report, good: Curve, ignore: Sequence[str] = ()) -> Report:
    """Return the report on a run with what the comparisons say added; one that is on no single run comes back as it is."""
    if not isinstance(report.matter, Curve):
        return report
    rules = [one for one in comparisons.all() if one.name not in ignore]
    more = examine(report.title, Pair(report.matter, good, good.run or "the good run"), rules)
    findings = sorted((*report.findings, *more.findings), key=lambda one: (one.severity.rank, -one.evidence.confidence))
    return replace(
        report,
        findings=tuple(findings),
        passed=(*report.passed, *more.passed),
        skipped={**report.skipped, **more.skipped},
        measured={**report.measured, **more.measured},
    )
