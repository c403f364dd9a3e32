"""The diagnosis of a log: from the file to a report on every run in it."""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lossdoc import columns, reader
from lossdoc.curve import Context, Curve, Runs, Table, network_of
from lossdoc.errors import NotApplicable, Problem, UserError, did_you_mean
from lossdoc.features import series
from lossdoc.features.certainty import certainty
from lossdoc.features.shape import STILL, Shape, shape
from lossdoc.findings import Evidence, Report, Severity
from lossdoc.rule import Rule, comparisons, examine, patterns, resolve

FEWEST = 7
"""Below this many points no rank test can prove anything: the least two-sided p of Kendall's is 2/n!, 0.0028 at six and
0.0004 at seven points, and with 15 patterns a test at 1 % asks for 0.01/15 = 0.0007 (Bonferroni)."""

EARLY, HIGH = 0.1, 1.1
"""Of a run the part in which a loss that was higher by a tenth may fall "at once"."""
MANY, NEAR, SAME = 10, 0.03, 0.02
"""Classes up to which the costs of guesses, log n, lie further apart than 4 %, how far above one of them a loss is still
taken for it (a network that answers the same for all inputs pays for its steps), and how much it may have moved since."""

STAGED = re.compile(r"(sweep, trial )?\d+/\d+|overfit, rate .*|training|causes, .*: (before|after)")
"""Names of runs in the curves.csv of a sweep or a checkup."""


def examine_curve(
    curve: Curve,
    *,
    title: str = "curve",
    source: str | None = None,
    notes: Sequence[str] = (),
    select: Collection[str] = (),
    ignore: Collection[str] = (),
) -> Report:
    """Put every pattern to one curve; below seven points the verdict is inconclusive unless a logged value is non-finite.

    Raises:
        UserError: when `select` or `ignore` names a pattern that does not exist.
    """
    rules = [rule for rule in chosen(select, ignore) if rule.matter != "Runs"]
    report = _examined(title, curve, rules, _too_little(curve), source=source, run=curve.run, notes=notes)
    if select or report.primary != "healthy":
        return report
    with np.errstate(all="ignore"):  # as for the rules
        why = _unearned(curve)
        return replace(report, inconclusive=why, confidence=None if why else _sure(curve))


def examine_runs(
    runs: Runs,
    *,
    title: str = "runs",
    source: str | None = None,
    notes: Sequence[str] = (),
    select: Collection[str] = (),
    ignore: Collection[str] = (),
) -> Report:
    """Put the patterns to several runs of one network: a pattern of single curves holds where more than half show it.

    Raises:
        UserError: when `select` or `ignore` names a pattern that does not exist.
    """
    rules = [rule if "Runs" in rule.matter else _voted(rule) for rule in chosen(select, ignore)]
    short = [why for why in map(_too_little, runs.curves) if why is not None]
    why = short[0] if 2 * len(short) > len(runs.curves) else None
    return _examined(title, runs, rules, why, source=source, run="*", notes=notes)


def _examined(title: str, thing: Curve | Runs, rules: Sequence[Rule[Any]], why: str | None, **told: Any) -> Report:
    """Put the rules to one thing; where nothing can be told of it, for the reason `why`, all rest but `non-finite`."""
    if why is not None:
        rules = [_resting(rule, why) if rule.name != "non-finite" else rule for rule in rules]
    with np.errstate(all="ignore"):
        return examine(title, thing, rules, decisive=Severity.WARNING, inconclusive=why, **told)


def diagnose(
    path: str | Path,
    *,
    train: str | None = None,
    val: str | None = None,
    step: str | None = None,
    run_column: str | None = None,
    context: Context = columns.UNKNOWN,
    reader_name: str | reader.Reader | None = None,
    run: str | None = None,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    growing: bool = False,
) -> list[Report]:
    """Read a log and report on every run in it; a file with several runs gets one more report, on the group, with run "*".

    `train`, `val`, `step` and `run_column` name columns; `run` names the one run to report on. A `growing` log may end in
    the middle of a line, which is left out.

    Raises:
        UserError: when there is nothing to read, a name does not exist, or no table holds a loss.
    """
    chosen(select, ignore)
    asked = {"train": train, "val": val, "step": step, "run": run_column}
    reports: list[Report] = []
    problems: list[Problem] = []
    for table in map(columns.spread, reader.read(path, reader_name, growing=growing)):
        try:
            roles = columns.choose(table, **asked)
            reports += _reports(table, roles, context, run, {"select": select, "ignore": ignore})
        except UserError as bad:
            problems += bad.problems
    if not reports:
        raise UserError(*problems)
    if not problems:
        return reports
    passed_over = tuple(f"passed over: {problem.place} {problem.message}" for problem in problems)
    return [replace(reports[0], notes=(*reports[0].notes, *passed_over)), *reports[1:]]


def chosen(select: Collection[str] = (), ignore: Collection[str] = ()) -> list[Rule[Any]]:
    """Return the patterns with the names in `select` (all, when it is empty) but not in `ignore`."""
    rules = patterns.all()
    if not select and not ignore:
        return rules
    for name in comparisons.names():
        if name in select:
            raise UserError.of(f"'{name}' is no pattern: --compare asks it, beside the patterns", kind="unknown-name")
    ignore = [name for name in ignore if name not in comparisons.names()]
    wanted, unwanted = resolve(select, rules), resolve(ignore, rules)
    left = [rule for rule in rules if (not wanted or rule.name in wanted) and rule.name not in unwanted]
    if not left:
        raise UserError.of("no pattern is left to judge by: all that are selected are ignored as well", kind="unknown-name")
    return left


def _reports(
    table: Table, roles: columns.Roles, context: Context, run: str | None, rules: dict[str, Collection[str]]
) -> list[Report]:
    parts = {} if run is None else columns.parts(table, roles)
    if run in parts:
        table = parts[run]
    curves = [replace(curve, run=run) if run in parts else curve for curve in columns.curves(table, roles, context)]
    notes = (*table.notes, *columns.remarks(table, roles))
    source = None if table.source == reader.STDIN else table.source
    title = os.path.basename(table.source)  # noqa: PTH119 - of thousands of logs
    if run is not None:
        names = [*parts, *(curve.run for curve in curves if curve.run is not None and curve.run not in parts)]
        if run not in names:
            message = f"has no run '{run}'{did_you_mean(run, names)}; its runs are: {', '.join(names) or 'not named'}"
            raise UserError.of(message, kind="unknown-run", file=table.source)
        curves = [curve for curve in curves if curve.run == run]
    reports = [examine_curve(curve, title=title, source=source, notes=notes, **rules) for curve in curves]
    for name, alike in _of_one_network(curves).items():
        together = examine_runs(Runs(tuple(alike)), title=title, source=source, notes=notes, **rules)
        reports.append(replace(together, run=name))
    return reports


def _of_one_network(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Return the runs that differ in their seed only, two or more, by a name for them together.

    They are all of a file's, but for those called `point/seed`, as in the curves of a sweep, and those called like files or
    like stages, as in what `--out` writes of many logs and of a checkup.
    """
    names = [curve.run or "" for curve in curves]
    staged = all(map(STAGED.fullmatch, names))
    files = all(re.search(r"\w\.[a-z]\w*\b", name) for name in names)
    groups: dict[str, list[Curve]] = {}
    for curve, name in zip(curves, names, strict=True):
        common = re.sub(r"(\d+)/\d+$", r"\1/*", name) if staged else network_of(name) if files else "*"
        groups.setdefault(common, []).append(curve)
    return {common: alike for common, alike in groups.items() if len(alike) > 1}


def _too_little(curve: Curve) -> str | None:
    """Say why nothing can be told of a curve, None where it can."""
    points = max(len(curve.train.finite), 0 if curve.val is None else len(curve.val.finite))
    if points < FEWEST:
        return f"{points} point{' is' if points == 1 else 's are'} too few: no test can prove anything below {FEWEST}"
    return _broken_log(curve)


def _unearned(curve: Curve) -> str | None:
    """Say why a curve without a finding is not healthy either: it shows no learning; None where it does.

    It ends no lower than it began, or by less than untrained networks of several seeds differ. Or it looks like noise, its
    first losses too: beyond 2.58 deviations lies one in a hundred.
    """
    s = shape(curve)
    if not s.end < s.start:
        return f"no pattern explains it, but the loss ends at {s.end:.4g}, no lower than it began ({s.start:.4g})"
    if s.flat and not s.start - s.end > 2.58 * s.noise:
        return f"the loss stays about {s.end:.4g}, and is too short or too noisy to show whether it falls"
    both = [(s.start, s.end)] if s.val is None else [(s.start, s.end), (float(s.val.value[0]), s.val_end)]
    fallen = max(1 - end / max(start, 1e-300) for start, end in both)
    stuck = _at_a_guess(s)
    if stuck is not None:
        return stuck
    if s.y.min() > 0 and fallen < STILL:
        far = f"by {100 * fallen:.1f} % only, from {s.start:.4g} to {s.end:.4g}"
        return f"no pattern explains it, but the loss has fallen {far}"
    return None


def _at_a_guess(s: Shape) -> str | None:
    """Say that a loss fell to what a uniform guess costs and has stayed there since, where nobody told the classes.

    So looks a network that a learning rate far too high has broken in its first steps; and by chance one that learned fast.
    """
    early = max(1, math.ceil(EARLY * s.n))
    late, part = s.y[early:], (s.n - early) // 3
    if s.uniform is not None or part < FEWEST // 2 or not s.y.min() > 0:
        return None
    level, change = series.median(late), series.median(late[-part:]) / series.median(late[:part]) - 1
    if not math.log(2) <= level < math.log(MANY + 1) or abs(change) > SAME:
        return None
    classes = math.floor(math.exp(level))  # the most whose guess costs no more
    if level > (1 + NEAR) * math.log(classes):
        return None
    if not float(s.y[:early].max()) > HIGH * level:
        return None
    return (
        f"the loss fell to {level:.4g} at once and has stayed there: about what guessing among {classes} classes costs (log "
        f"{classes} = {math.log(classes):.4g}); --classes tells whether it has learned anything"
    )


def _sure(curve: Curve) -> float:
    """Return how sure "healthy" is: by the losses over the fewest that tell anything, and by whether log n is known."""
    s = shape(curve)
    return certainty("healthy" if s.uniform is not None else "healthy, no classes", s.n / FEWEST)


def _broken_log(curve: Curve) -> str | None:
    """Say that the training loss is one number over and over while another series shows that the model learns."""
    train = curve.train.finite.value
    if len(train) < FEWEST or train.min() != train.max() or curve.diverged:
        return None
    watched = [] if curve.val is None else [curve.val]
    watched += [curve.others[name] for name in ("train_accuracy", "val_accuracy") if name in curve.others]
    for each in watched:
        if abs(series.kendall(series.blocks(each.finite.value, 20)).z) > 2.58:  # 1 %
            return f"'{curve.train.name}' is {train[0]:.4g} throughout while '{each.name}' moves: a fault of the log"
    return None


def _judged(rule: Rule[Any], judge: Callable[[Any], Evidence | None]) -> Rule[Any]:
    """Return the rule with another judge of the same name and page."""
    return replace(rule, judge=functools.wraps(rule.judge)(judge))


def _resting(rule: Rule[Any], why: str) -> Rule[Any]:
    def judge(_: object) -> Evidence | None:
        raise NotApplicable(why)

    return _judged(rule, judge)


def _voted(rule: Rule[Curve]) -> Rule[Any]:
    """Return the rule as a question to several runs: it fires where it does on more than half of them."""

    def judge(runs: Runs) -> Evidence | None:
        seen: list[Evidence] = []
        why: list[str] = []
        for curve in runs.curves:
            try:
                evidence = rule.fires(curve)
            except NotApplicable as bad:
                why.append(str(bad))
            else:
                seen += [evidence] if evidence is not None else []
        many = len(runs.curves)
        if len(why) == many:
            raise NotApplicable(why[0])
        if 2 * len(seen) <= many:
            return None
        best = max(seen, key=lambda each: each.confidence)
        return replace(
            best, summary=f"{len(seen)} of {many} runs: {best.summary}", facts={**best.facts, "runs": float(len(seen))}
        )

    return _judged(rule, judge)
