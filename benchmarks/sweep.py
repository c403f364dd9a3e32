"""Many short trials side by side: lossdoc against a plain loop, Optuna, Ray Tune and Lightning, as ratios of wall time.

`python benchmarks/sweep.py` trains the same points (learning rates of Adam), the same steps and the same data each way, each
in a process of its own, the ways in turn and several rounds. A time is that from the points to their validation losses:
models made, gradients recorded, everything that is not the import of packages. The plain loop is what people write:
`torch.optim.Adam` with its defaults, one point after another, at its best number of threads.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweep_cases import CASES, Case, rates
from sweep_rivals import NEEDS, RIVALS, Way

HERE = Path(__file__).resolve().parent


def described(case: Case, name: str, *, own: bool, folder: Path) -> Path:
    """Write the model.yaml of a case."""
    import numpy as np

    from lossdoc.datasets.builtin import Digits  # the same images everywhere

    data = Digits().load(folder)
    inputs = data.inputs.astype(np.float32) / 16
    flat = (-1, 8, 8) if name == "gru" else (-1, 64)
    shaped = inputs.reshape(-1, 1, 8, 8) if case.images else inputs.reshape(flat)
    np.savez(folder / "digits.npz", x=shaped, y=data.targets)
    model = f"{{call: sweep_models:{name}}}" if own else f"{{layers: {case.layers}}}"
    (folder / "model.yaml").write_text(
        f"version: 1\nname: {name}\npython_path: ['{HERE}']\n"
        f"data: {{source: {{npz: {{path: digits.npz, inputs: x, targets: y}}}}, batch_size: {case.batch}}}\n"
        f"model: {model}\nloss: cross_entropy\noptimizer: {{adam: {{lr: 1e-3}}}}\n",
        encoding="utf-8",
    )
    return folder / "model.yaml"


def by_lossdoc(name: str, case: Case, runner: str, *, own: bool) -> tuple[float, list[float], str]:
    """Return the seconds, the last validation losses, and what was said."""
    from lossdoc import build, spec
    from lossdoc.runner import Budget, Work, runners
    from lossdoc.subject import Point

    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        described_in = described(case, name, own=own, folder=Path(folder))
        make = build.Variants(spec.load(described_in))
        make(Point(0, {}))  # the data are read
        points = [Point(index, {"optimizer.lr": rate}) for index, rate in enumerate(rates(case.points))]
        run = runners.get(runner).run
        began = time.perf_counter()
        trials = list(run(Work(make, points, Budget(steps=case.steps), say=said.append)))
        seconds = time.perf_counter() - began
    return seconds, [trial.loss for trial in sorted(trials, key=lambda trial: trial.point.index)], " ".join(said)


def by_vmap(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train a module of one's own as one that lossdoc cannot follow to layers that it knows: by vmap over its gradients."""
    from lossdoc.runners import vmapped
    from lossdoc.stacking import generic

    vmapped.stack_of = generic.make  # type: ignore[assignment]  # a maker of stacks, too
    return by_lossdoc(name, case, "vmapped", own=True)


WAYS: dict[str, Way] = {
    **RIVALS,
    "vmap only": by_vmap,
    "layers": lambda name, case: by_lossdoc(name, case, "vmapped", own=False),
    "own module": lambda name, case: by_lossdoc(name, case, "vmapped", own=True),
    "auto": lambda name, case: by_lossdoc(name, case, "auto", own=True),
}


def one(way: str, name: str, threads: int, case: Case) -> None:
    """Run one way and print what came of it as JSON."""
    import torch

    torch.set_num_threads(threads)
    seconds, losses, said = WAYS[way](name, case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "loss": statistics.median(losses), "megabytes": peak, "said": said}))


def run_apart(way: str, name: str, threads: int, case: Case) -> dict[str, Any]:
    """Run one way in a process of its own."""
    given = [way, name, str(threads), str(case.points), str(case.steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}
    ended = subprocess.run(
        [sys.executable, __file__, "--one", *given], capture_output=True, text=True, env=environment, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{way} of {name} failed:\n{ended.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def peak_rate(threads: int) -> float:
    """Return the multiplications and additions a second of a large matrix product."""
    import torch

    torch.set_num_threads(threads)
    a = torch.randn(1024, 1024)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - began)
    return 2 * 1024**3 / min(times)


def compare(names: list[str], rounds: int, cores: int) -> bool:
    """Print the table of all ways; return whether lossdoc is as fast as promised everywhere."""
    good, peak = True, peak_rate(cores)
    print(f"{cores} cores; the largest matrix product reaches {peak / 1e9:.0f} GFLOP/s; MB are of the process itself")
    rivals = [way for way, need in NEEDS.items() if importlib.util.find_spec(need)]
    for way in NEEDS.keys() - set(rivals):
        print(f"NOT MEASURED: {way}, as {NEEDS[way]} is not installed here")
    ways = [("loop", threads) for threads in dict.fromkeys((1, cores))]
    print(f"{'network':<8} {'way':<12} {'threads':>7} {'seconds':>8} {'ratio':>6} {'asked':>6} {'peak':>6} {'MB':>6}  loss")
    for name in names:
        case = CASES[name]
        here = [*ways, *((way, 1 if way == "ray-tune" else cores) for way in rivals)]
        here += [("auto", cores)] if name == "wide" else [(way, cores) for way in ("layers", "own module", "vmap only")]
        found: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for _ in range(rounds):
            for way, threads in here:
                found.setdefault((way, threads), []).append(run_apart(way, name, threads, case))
        base = min(statistics.median(each["seconds"] for each in found["loop", threads]) for _, threads in ways)
        for (way, threads), runs in found.items():
            seconds = statistics.median(each["seconds"] for each in runs)
            ratio = base / seconds
            asked = {"layers": case.layered, "own module": case.own, "auto": case.own}.get(way)
            share = 3 * case.flops * case.batch * case.points * case.steps / seconds / peak
            good &= asked is None or ratio >= asked
            print(
                f"{name:<8} {way:<12} {threads:>7} {seconds:>8.2f} {ratio:>5.1f}x {asked or '':>6} {share:>5.0%} "
                f"{runs[0]['megabytes']:>6.0f}  {runs[0]['loss']:.4f}  {runs[0]['said']}",
                flush=1,
            )
    return good


def grow(names: list[str], cores: int) -> None:
    """Print how time and memory grow with the number of points."""
    print(f"{'network':<8} {'points':>6} {'seconds':>8} {'ms a step':>9} {'µs a point':>10} {'MB':>6}")
    for name in names:
        for points in (1, 8, 64, 512):
            found = run_apart("layers", name, cores, replace(CASES[name], points=points, steps=100))
            step = found["seconds"] * 10
            told = f"{name:<8} {points:>6} {found['seconds']:>8.2f} {step:>9.2f} {step / points * 1e3:>10.0f}"
            print(f"{told} {found['megabytes']:>6.0f}", flush=1)


def profile(way: str, name: str, case: Case) -> None:
    """Print where the time of a way goes: the operations that take most of it, on one thread."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    torch.set_num_threads(1)
    WAYS[way](name, case)
    with profiled(activities=[ProfilerActivity.CPU]) as found:
        WAYS[way](name, case)
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40))


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], help=f"some of {', '.join(CASES)}; all without")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is run; the median counts")
    parser.add_argument("--grow", action="store_true", help="instead, how time and memory grow with the points")
    parser.add_argument("--profile", metavar="WAY", choices=WAYS, help="instead, where the time of a way goes, in 50 steps")
    parser.add_argument("--one", nargs=5, metavar=("WAY", "NETWORK", "THREADS", "POINTS", "STEPS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        way, name, threads, points, steps = given.one
        one(way, name, int(threads), replace(CASES[name], points=int(points), steps=int(steps)))
        return
    cores = len(os.sched_getaffinity(0))
    names = given.networks or list(CASES)
    if given.profile:
        for name in names:
            profile(given.profile, name, replace(CASES[name], steps=50))
    elif given.grow:
        grow([name for name in names if name != "wide"], cores)
    elif not compare(names, given.rounds, cores):
        raise SystemExit("lossdoc is slower than promised")


if __name__ == "__main__":
    main()
