"""Labelled curves for the benchmarks: a folder as `runs.py` writes it, judged with what a user would know, or without."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lossdoc import columns, reader
from lossdoc.curve import Context, Curve, Runs
from lossdoc.diagnosis import examine_curve, examine_runs
from lossdoc.findings import Report

SYNONYMS = {"nan": "non-finite"}


@dataclass(frozen=True)
class Labelled:
    """A log with its true condition and others that a reader may rightly say; `things` are what is examined, by context."""

    entry: dict[str, Any]
    label: str
    good: frozenset[str]
    things: dict[str, Curve | Runs]

    def report(self, context: str) -> Report:
        """Examine it with the context called "light" (axis, classes, steps per epoch) or "none"."""
        thing = self.things[context]
        return examine_runs(thing) if isinstance(thing, Runs) else examine_curve(thing)


def load(folder: Path) -> list[Labelled]:
    """Read a folder of labelled curves; those called ambiguous are left out."""
    entries = json.loads((folder / "index.json").read_text())
    return [_labelled(folder, entry) for entry in entries if entry["label"] != "ambiguous"]


def _labelled(folder: Path, entry: dict[str, Any]) -> Labelled:
    known = Context(axis=entry["per"], classes=entry.get("n_classes"), steps_per_epoch=entry.get("steps_per_epoch"))
    (table,) = [columns.spread(each) for each in reader.read(folder / entry["file"])]
    roles = columns.choose(table, train=None, val=None, step=None, run=None)
    curves = columns.curves(table, roles, Context())
    things = {name: _thing([replace(each, context=what) for each in curves]) for name, what in _contexts(known, curves)}
    label = SYNONYMS.get(entry["label"], entry["label"])
    return Labelled(entry, label, frozenset({label, *(SYNONYMS.get(each, each) for each in entry["also"])}), things)


def _contexts(known: Context, curves: Sequence[Curve]) -> Iterable[tuple[str, Context]]:
    return ("light", known), ("none", curves[0].context)


def _thing(curves: Sequence[Curve]) -> Curve | Runs:
    return curves[0] if len(curves) == 1 else Runs(tuple(curves))


def macro_f1(said: Iterable[tuple[Labelled, str]]) -> tuple[float, int, int]:
    """Return the macro-F1 over the labels (a wrong verdict counts against both names), false alarms, and healthy runs."""
    right: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for run, verdict in said:
        if verdict in run.good:
            right[run.label] += 1
        else:
            missed[run.label] += 1
            wrong[verdict] += 1
    labels = set(right) | set(missed)
    f1 = [2 * right[each] / max(1, 2 * right[each] + missed[each] + wrong[each]) for each in labels]
    return sum(f1) / max(1, len(f1)), missed["healthy"], missed["healthy"] + right["healthy"]
