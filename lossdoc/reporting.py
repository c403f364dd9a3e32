"""What `--out` writes into a folder: the report as one page, its figures, its curves as a table, and all of it as JSON."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lossdoc.curve import Curve, Runs, Series
from lossdoc.destination import writing
from lossdoc.errors import UserError, harmless
from lossdoc.findings import Report
from lossdoc.format import Document, Screen, formats, heading, trials_in
from lossdoc.memorization import Memorization

PAGE, RESULT, CURVES, FIGURES = "report.html", "result.json", "curves.csv", "figures"
PICTURES = ("curves.png", "curves.svg", "trials.png", "map.png", "rates.png", "parallel.png")


def prepare(folder: Path, *, force: bool) -> None:
    """Make the folder before the work, so that the work is not in vain.

    Raises:
        UserError: when it cannot be made or written to, or holds anything and nobody said `force`.
    """
    if folder.is_file():
        raise UserError.of(f"--out {folder} is a file; a folder is meant", kind="output")
    with writing(f"--out {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        full = any(folder.iterdir())
    if full and not force:
        raise UserError.of(f"--out {folder} is not empty; --force replaces the report in it", kind="output")
    if not os.access(folder, os.W_OK):
        raise UserError.of(f"--out {folder} cannot be written: permission denied", kind="output")


def write(folder: Path, document: Document) -> None:
    """Write everything that there is to say of a document into a folder that `prepare` made.

    The table of the curves has the columns run, step (epoch, where all count these), train_loss, val_loss and whatever else
    was logged, a blank cell where nothing was; figures are drawn of what holds a finite loss.

    Raises:
        UserError: when it cannot be written.
    """
    from lossdoc.html.page import render  # brings jinja2

    document = replace(document, reports=tuple(replace(one, title=_text(one.title)) for one in document.reports))
    with writing(f"--out {folder}"):
        for name in (CURVES, *(f"{FIGURES}/{each}" for each in PICTURES)):
            (folder / name).unlink(missing_ok=True)  # what is left of an earlier run would lie beside a new report
        result = harmless(formats.get("json").render(document, Screen()))
        (folder / RESULT).write_text(result, encoding="utf-8", errors="replace")
        curves = list(_curves(document.reports))
        if curves:
            (folder / CURVES).write_text(_table(curves), encoding="utf-8", errors="replace", newline="")
        _pictures(folder / FIGURES, document.reports)
        (folder / PAGE).write_text(render(document), encoding="utf-8", errors="replace")


def _text(name: str) -> str:
    """Return a name without what is no text: a file may be called anything."""
    return name.encode(errors="replace").decode()


def _curves(reports: Iterable[Report]) -> Iterator[tuple[str, Curve]]:
    """Yield every curve once, with what it is called: a group's runs have reports of their own, unless it came alone."""
    seen: set[int] = set()
    for report in sorted(reports, key=lambda one: isinstance(one.matter, Runs)):
        for name, curve in (*_named(report), *_tried(report)):
            if id(curve) not in seen:
                seen.add(id(curve))
                yield name, curve


def _named(report: Report) -> Iterator[tuple[str, Curve]]:
    matter = report.matter
    if isinstance(matter, Curve):
        yield heading(report), matter
    elif isinstance(matter, Runs):
        for place, curve in enumerate(matter.curves, 1):
            yield f"{heading(report)}, {curve.run or place}", curve
    elif isinstance(matter, Memorization):
        for attempt in matter.attempts:
            yield f"{heading(report)}, rate {attempt.lr:g}", attempt.curve
    elif (trials := trials_in(report)) is not None:
        for trial in trials.trials:
            yield f"{heading(report)}, trial {trial.point.index}/{trial.point.seed}", trial.curve


def _tried(report: Report) -> Iterator[tuple[str, Curve]]:
    """Yield the training losses before and after each change that experiments made."""
    for proof in (finding.proof for finding in report.findings if finding.proof is not None):
        for when, curve in zip(("before", "after"), proof.curves or (), strict=False):
            if isinstance(curve, Curve):
                yield f"{heading(report)}, {proof.change}: {when}", curve


def _table(curves: Sequence[tuple[str, Curve]]) -> str:
    others = sorted({name for _, curve in curves for name in curve.others})
    made = io.StringIO()
    rows = csv.writer(made, lineterminator="\n")
    counted = "epoch" if all(curve.context.axis == "epoch" for _, curve in curves) else "step"
    rows.writerow(["run", counted, "train_loss", "val_loss", *map(harmless, others)])
    for name, curve in curves:
        columns = [_by_step(each) for each in (curve.train, curve.val, *(curve.others.get(other) for other in others))]
        run = harmless(name)
        for step in sorted({step for column in columns for step in column}):
            rows.writerow([run, f"{step:.15g}", *(column.get(step, "") for column in columns)])
    return made.getvalue()


def _by_step(series: Series | None) -> dict[float, float]:
    if series is None:
        return {}
    pairs = zip(series.step.tolist(), series.value.tolist(), strict=True)
    return {step: value for step, value in pairs if math.isfinite(step)}


def _pictures(folder: Path, reports: Sequence[Report]) -> None:
    """Draw the runs with their verdicts as PNG and SVG, and of a sweep what `lossdoc sweep` draws of it."""
    drawn = [shown for report in reports if (shown := _drawable(report)) is not None]
    sweeps = [trials for report in reports if (trials := trials_in(report)) is not None and trials.trials]
    if not drawn and not sweeps:
        return
    from lossdoc import figures  # brings matplotlib as soon as it draws

    folder.mkdir(exist_ok=True)
    if drawn:
        for kind in ("png", "svg"):
            figures.diagnosed(drawn, folder / f"curves.{kind}")
    for trials in sweeps[-1:]:
        from lossdoc import pictures

        figures.curves(trials, folder / "trials.png")
        pictures.draw(trials, folder)


def _drawable(report: Report) -> Report | None:
    """Return a report on a single curve that can be drawn, None where it is on none."""
    matter = report.matter.curve if isinstance(report.matter, Memorization) else report.matter
    return replace(report, matter=matter) if isinstance(matter, Curve) and len(matter.train.finite) else None
