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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Case:
    """A network, how often and how long it is trained, and by how much lossdoc is to be faster than the loop."""

    layers: str
    images: int  # 1 where the samples are images, 0 where they are vectors
    batch: int
    points: int
    steps: int
    parameters: int
    flops: int  # of one sample, forward: multiplications and additions
    layered: float
    own: float


CASES = {
    "mlp128": Case("[{linear: 128}, relu, {linear: 64}, relu, {linear: classes}]", 0, 32, 64, 500, 17226, 34048, 15, 9),
    "mlp32": Case("[{linear: 32}, relu, {linear: classes}]", 0, 16, 64, 500, 2410, 4736, 60, 20),
    "cnn": Case(
        "[{conv: {out: 16, padding: 1}}, relu, {maxpool: 2}, {conv: {out: 32, padding: 1}}, relu, {maxpool: 2}, flatten,"
        " {linear: classes}]",
        1, 32, 32, 500, 6090, 168448, 6, 3.5,
    ),
    "gru": Case(
        "[{gru: 32}, {take: last}, {linear: classes}]", 0, 32, 32, 500, 4362, 62080, 10, 6,
    ),
    "wide": Case("", 1, 32, 8, 40, 465_000, 59_000_000, 0.95, 0.95),
}  # fmt: skip


def rates(count: int) -> list[float]:
    """Return the learning rates, 1e-4 to 1e-2, evenly over their logarithms."""
    return [10 ** (-4 + 2 * (index / max(1, count - 1))) for index in range(count)]


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


def loop_of(name: str, case: Case) -> Callable[[float], float]:
    """Return what trains one point as people do, and returns its validation loss."""
    import sweep_models
    import torch
    from torch.nn import functional

    from lossdoc.datasets.builtin import Digits

    data = Digits().load(Path())
    shape = (-1, 1, 8, 8) if case.images else (-1, 64)
    x, y = torch.from_numpy(data.inputs).float().div(16).reshape(shape), torch.from_numpy(data.targets)
    held = len(x) // 5
    x_val, y_val, x, y = x[:held], y[:held], x[held:], y[held:]

    def train(rate: float) -> float:
        torch.manual_seed(0)
        model = getattr(sweep_models, name)()
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        step = 0
        while step < case.steps:
            for chosen in torch.randperm(len(x)).split(case.batch):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x[chosen]), y[chosen])
                loss.backward()
                optimizer.step()
                step += 1
                if step == case.steps:
                    break
        model.eval()
        with torch.no_grad():
            return float(functional.cross_entropy(model(x_val), y_val))

    return train


def by_loop(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train one point after another."""
    train = loop_of(name, case)
    began = time.perf_counter()
    losses = [train(rate) for rate in rates(case.points)]
    return time.perf_counter() - began, losses, ""


def by_optuna(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train the points as trials of an Optuna study in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    train = loop_of(name, case)
    began = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"lr": rates(case.points)}))
    study.optimize(lambda trial: train(trial.suggest_float("lr", 1e-4, 1e-2, log=True)), n_trials=case.points)
    return time.perf_counter() - began, [float(trial.value or 0) for trial in study.trials], ""


def by_ray_tune(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train the points as trials of Ray Tune, one a core."""
    from ray import tune

    def objective(config: dict[str, Any]) -> dict[str, float]:
        import torch

        torch.set_num_threads(1)
        return {"loss": loop_of(name, case)(config["lr"])}

    began = time.perf_counter()
    tuner = tune.Tuner(objective, param_space={"lr": tune.grid_search(rates(case.points))})
    results = tuner.fit()
    return time.perf_counter() - began, [result.metrics["loss"] for result in results], ""


WAYS: dict[str, Callable[[str, Case], tuple[float, list[float], str]]] = {
    "loop": by_loop,
    "optuna": by_optuna,
    "ray-tune": by_ray_tune,
    "layers": lambda name, case: by_lossdoc(name, case, "vmapped", own=False),
    "own module": lambda name, case: by_lossdoc(name, case, "vmapped", own=True),
    "auto": lambda name, case: by_lossdoc(name, case, "auto", own=True),
}
NEEDS = {"optuna": "optuna", "ray-tune": "ray"}


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
    ways = [("loop", threads) for threads in dict.fromkeys((1, cores))]
    print(f"{'network':<8} {'way':<12} {'threads':>7} {'seconds':>8} {'ratio':>6} {'asked':>6} {'peak':>6} {'MB':>6}  loss")
    for name in names:
        case = CASES[name]
        here = [
            *ways,
            *((way, 1 if way == "ray-tune" else cores) for way, need in NEEDS.items() if importlib.util.find_spec(need)),
        ]
        here += [("auto", cores)] if name == "wide" else [("layers", cores), ("own module", cores)]
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
    from dataclasses import replace

    print(f"{'network':<8} {'points':>6} {'seconds':>8} {'ms a step':>9} {'MB':>6}")
    for name in names:
        for points in (1, 8, 64, 512):
            case = replace(CASES[name], points=points, steps=100)
            found = run_apart("layers", name, cores, case)
            print(
                f"{name:<8} {points:>6} {found['seconds']:>8.2f} {found['seconds'] * 10:>9.2f} {found['megabytes']:>6.0f}",
                flush=1,
            )


def main() -> None:
    """Read the command line and run."""
    from dataclasses import replace

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], help=f"some of {', '.join(CASES)}; all without")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is run; the median counts")
    parser.add_argument("--grow", action="store_true", help="instead, how time and memory grow with the points")
    parser.add_argument("--one", nargs=5, metavar=("WAY", "NETWORK", "THREADS", "POINTS", "STEPS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        way, name, threads, points, steps = given.one
        one(way, name, int(threads), replace(CASES[name], points=int(points), steps=int(steps)))
        return
    cores = len(os.sched_getaffinity(0))
    names = given.networks or list(CASES)
    if given.grow:
        grow([name for name in names if name != "wide"], cores)
    elif not compare(names, given.rounds, cores):
        raise SystemExit("lossdoc is slower than promised")


if __name__ == "__main__":
    main()
