"""Train small real runs, each with a known condition, as a folder of labelled curves: `python benchmarks/runs.py --out DIR`.

A run carries its label by injection (the fault is put in: no step, tiny weights, sorted data, ...) *and* by an objective
check that the condition took hold, made on every step's loss and on a large validation set that the log need not show: a
rate is too high only if the best rate found for the same task and optimizer learns clearly more. Where the check is
unclear the run is dropped. Nothing of lossdoc's patterns is used here. Half of the tasks are marked "dev", the others
"test": look at single curves of the first only. The folder has the form that scoring scripts for labelled curves read:
`index.json` (label, also, and what a user would know) and a CSV a run. Two processes train
some 1,500 runs; `--share 1.5` makes half as many again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conditions import PLANS, ROUNDS, also, control, holds
from tasks import Task, Values, tasks
from training import Best, Log, Setup, search, train

LOSSES = {"softmax": "cross_entropy", "binary": "bce", "multilabel": "bce"}


def shown(setup: Setup, log: Log) -> Values:
    """Return the training losses of a log by steps as a logger shows them: as they are, their running mean, a window's."""
    if setup.shown == "window":
        sums = np.cumsum(np.r_[0.0, log.train])
        ends = np.arange(1, len(log.train) + 1)
        return (sums[ends] - sums[np.maximum(0, ends - setup.every)]) / np.minimum(setup.every, ends)
    if setup.shown == "ema":
        weights = 0.9 ** np.arange(len(log.train))
        return np.convolve(log.train, weights)[: len(log.train)] / np.cumsum(weights)  # debiased, as TensorBoard does
    return log.train


def write(folder: Path, name: str, setup: Setup, log: Log) -> int:
    """Write a run's CSV as its axis and interval ask; return the number of points."""
    vals = dict(zip(log.at, log.val, strict=True)) if setup.with_val else {}
    if setup.axis == "epoch":
        ends = [0, *log.at]
        rows = [(i + 1, float(log.train[a:b].mean()), vals.get(b)) for i, (a, b) in enumerate(pairwise(ends))]
    else:
        losses, steps = shown(setup, log), range(1, len(log.train) + 1)
        logged = {step for step in steps if (step - 1) % setup.every == 0}
        kept = [step for step in steps if step in logged or step in vals]
        rows = [(step, float(losses[step - 1]) if step in logged else None, vals.get(step)) for step in kept]
    head = "step,train_loss" + ",val_loss" * setup.with_val
    cells = [",".join("" if cell is None else f"{cell:.6g}" for cell in row[: 2 + setup.with_val]) for row in rows]
    (folder / f"{name}.csv").write_text("\n".join([head, *cells]) + "\n")
    return sum(row[1] is not None for row in rows)


def plain(draw: random.Random, task: Task, name: str) -> Setup:
    """Draw what has nothing to do with the condition."""
    steps = draw.choice([300, 400, 600]) if task.net == "mlp" else 300
    axis = draw.choice(["step", "epoch"])
    batch = draw.choice([8, 16, 32, 32])
    every = draw.choice([1, 1, 5]) if steps >= 600 else 1
    return Setup(0.0, draw.randrange(10**6), name, batch, steps, axis=axis, every=every, with_val=draw.random() < 0.7)


def described(key: str, label: str, task: Task, setup: Setup, log: Log) -> dict[str, Any]:
    """Return a run's entry in the index."""
    return {
        "id": key,
        "file": f"{key}.csv",
        "label": label,
        "also": also(label, task, log),
        "variant": setup.variant,
        "split": task.split,
        "task": task.name,
        "framework": "torch",
        "loss": LOSSES.get(task.kind, task.kind),
        "optimizer": setup.optimizer,
        "lr": setup.lr,
        "batch_size": setup.batch,
        "n_classes": task.classes,
        "steps_per_epoch": log.per_epoch,
        "n_train": log.n_train,
        "n_val": log.n_val if setup.with_val else None,
        "per": setup.axis,
        "log_every": setup.every,
        "runs": 1,
        "baseline_loss": task.base,
        "notes": repr(setup),
    }


def work(job: tuple[str, str, float, int]) -> list[dict[str, Any]]:
    """Train all runs of one task, each round those that are still wanted; return their entries of the index."""
    name, out, share, seed = job
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(seed)
    task = next(each for each in tasks() if each.name == name)
    draw, found = random.Random(f"{name}{seed}"), []
    best = search(task, 300)
    wanted = {label: max(1, round(many * share)) for label, (_, many) in PLANS.items()}
    have: Counter[str] = Counter()
    for factor in ROUNDS:
        labels = [label for label, many in wanted.items() for _ in range(math.ceil(factor * (many - have[label])))]
        setups = [planned(draw, task, label, best) for label in labels]
        beside = [control(label, setup, best[setup.optimizer]) for label, setup in zip(labels, setups, strict=True)]
        logs = train(task, setups + [each for each in beside if each is not None])
        others = iter(logs[len(setups) :])
        for label, setup, log, other in zip(labels, setups, logs, beside, strict=False):
            known = None if other is None else next(others)
            with np.errstate(all="ignore"):
                if not holds(label, setup, log, best[setup.optimizer], known):
                    continue
            key = f"{name}-{label}-{len(found)}"
            points = write(Path(out), key, setup, log)
            if have[label] < wanted[label] and (points >= 7 or label in {"inconclusive", "nan"}):
                found.append(described(key, label, task, setup, log) | {"points": points})
                have[label] += 1
    return found


def planned(draw: random.Random, task: Task, label: str, best: dict[str, Best]) -> Setup:
    """Draw a run with a condition."""
    setup = plain(draw, task, draw.choice(list(best)))
    return PLANS[label][0](draw, best[setup.optimizer], setup)


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--out", type=Path, default=Path("/tmp/runs"))
    parse.add_argument("--share", type=float, default=1.0, help="of the runs of each label")
    parse.add_argument("--jobs", type=int, default=2)
    parse.add_argument("--seed", type=int, default=0)
    parse.add_argument("--tasks", nargs="*", help="only these")
    args = parse.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    names = args.tasks or [each.name for each in tasks()]
    jobs = [(name, str(args.out), args.share, args.seed) for name in names]
    index: list[dict[str, Any]] = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for done in as_completed(pool.submit(work, job) for job in jobs):
            entries = done.result()
            index += entries
            (args.out / "index.json").write_text(json.dumps(index, indent=0))
            print(f"{entries[0]['task']}: {len(entries)} runs, {time.perf_counter() - begun:.0f} s", flush=True)
    print(sorted(Counter(entry["label"] for entry in index).items()))


if __name__ == "__main__":
    main()
