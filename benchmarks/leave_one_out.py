"""What is left when no threshold has seen the task: `python benchmarks/leave_one_out.py FOLDER [--context none]`.

The thresholds of the patterns are the keyword-only defaults of their functions, so they can all be fitted in one way: for
each task they are scaled at random (0.4 to 2.5), then moved one by one as long as macro-F1 on all other tasks grows, and
the task that was held out is judged with what was found. The structure of the rules is not fitted, and has seen all tasks
of FOLDER if those who wrote them have. Also tells how often the verdict on half of the points is another.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from labelled import Labelled, load, macro_f1

from lossdoc.curve import Curve, Runs, Series
from lossdoc.errors import NotApplicable
from lossdoc.rule import Rule, patterns

FACTORS = (0.7, 1.4)
Said = list[tuple[Labelled, str]]


class Remembered:
    """A pattern's judge that remembers its answers, by curve and thresholds: a search asks anew only what has changed."""

    def __init__(self, rule: Rule[Any]) -> None:
        self.judge = rule.judge
        self.thresholds: dict[str, Any] = self.judge.__kwdefaults__ or {}  # type: ignore[attr-defined]
        self.answers: dict[tuple[Any, ...], Any] = {}
        for name in ("__name__", "__doc__", "__annotations__"):
            setattr(self, name, getattr(self.judge, name))

    def __call__(self, thing: Any) -> Any:
        """Answer as the judge did before, or ask it."""
        key = (id(thing), *self.thresholds.values())
        if key not in self.answers:
            try:
                self.answers[key] = self.judge(thing)
            except NotApplicable as why:
                self.answers[key] = why
        if isinstance(self.answers[key], NotApplicable):
            raise self.answers[key]
        return self.answers[key]


def remember() -> dict[tuple[str, str], dict[str, Any]]:
    """Let all patterns remember their answers; return where each threshold is kept."""
    held = {}
    for rule in patterns.all():
        memory = Remembered(rule)
        object.__setattr__(rule, "judge", memory)
        held |= {(rule.name, name): memory.thresholds for name in memory.thresholds}
    return held


def judged(runs: Sequence[Labelled], context: str) -> Said:
    """Return the verdicts with the thresholds as they are."""
    return [(run, run.report(context).primary) for run in runs]


def fit(runs: Sequence[Labelled], context: str, seed: int, passes: int) -> None:
    """Scale all thresholds at random, then move each to where the macro-F1 is best, from the most harmful on."""
    held, draw = remember(), random.Random(seed)
    for (_, name), where in held.items():
        where[name] *= float(np.exp(draw.uniform(np.log(0.4), np.log(2.5))))
    best = macro_f1(judged(runs, context))[0]
    for _ in range(passes):
        order = list(held.items())
        draw.shuffle(order)
        for (_, name), where in order:
            was = where[name]
            for factor in FACTORS:
                where[name] = was * factor
                reached = macro_f1(judged(runs, context))[0]
                best, was = (reached, where[name]) if reached > best else (best, was)
            where[name] = was


def held_out(job: tuple[Path, str, str, int, int]) -> list[tuple[str, str]]:
    """Fit on all tasks but one; return the verdicts on that one as (file, verdict)."""
    folder, task, context, seed, passes = job
    runs = load(folder)
    fit([run for run in runs if run.entry["task"] != task], context, seed, passes)
    return [(run.entry["file"], said) for run, said in judged([r for r in runs if r.entry["task"] == task], context)]


def thinned(thing: Curve | Runs) -> Curve | Runs:
    """Keep every second training loss, and every second validation loss where there are as many."""
    if isinstance(thing, Runs):
        return Runs(tuple(thinned(curve) for curve in thing.curves if isinstance(curve, Curve)))
    val = thing.val
    if val is not None and len(val) == len(thing.train):
        val = Series(val.step[::2], val.value[::2], val.name)
    return replace(thing, train=Series(thing.train.step[::2], thing.train.value[::2], thing.train.name), val=val)


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("folder", type=Path)
    parse.add_argument("--context", choices=("light", "none"), default="light")
    parse.add_argument("--starts", type=int, default=2)
    parse.add_argument("--passes", type=int, default=1)
    parse.add_argument("--jobs", type=int, default=2)
    args = parse.parse_args()
    runs = load(args.folder)
    f1, alarms, healthy = macro_f1(judged(runs, args.context))
    print(f"as they are: macro-F1 {f1:.3f}, false alarms {alarms}/{healthy}")
    wide = [run for run in runs if run.label != "spikes"]
    half = [replace(run, things={name: thinned(thing) for name, thing in run.things.items()}) for run in wide]
    pairs = zip(judged(wide, args.context), judged(half, args.context), strict=True)
    same = [after in {before, "inconclusive"} for (_, before), (_, after) in pairs if before != "spikes"]
    print(f"half of the points: the same verdict on {np.mean(same):.3f} of {len(same)}")
    tasks = sorted({run.entry["task"] for run in runs})
    with ProcessPoolExecutor(args.jobs, max_tasks_per_child=1) as pool:  # patterns remember for a process's life
        for start in range(args.starts):
            jobs = [(args.folder, task, args.context, start, args.passes) for task in tasks]
            said = dict(pair for pairs in pool.map(held_out, jobs, chunksize=1) for pair in pairs)
            f1, alarms, healthy = macro_f1((run, said[run.entry["file"]]) for run in runs)
            print(f"each task held out, start {start}: macro-F1 {f1:.3f}, false alarms {alarms}/{healthy}", flush=True)


if __name__ == "__main__":
    main()
