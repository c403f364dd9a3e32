"""Whether the suggested learning rate is as good as the best that brute force finds: 15 models on their data, 5 seeds each.

    python benchmarks/rates.py [--runner vmapped] [--seeds 5] [--only NAME]

For each pair, brute force trains the whole training at every rate of a grid (a fifth of a decade apart) with 5 seeds. Beside
it stand the rate that a range test suggests and the values that `lossdoc sweep` recommends with nothing said of ranges; they
choose with other seeds. Then the best rate of brute force and the suggestions are trained with 5 seeds that none of them
has seen: the best of 26 means is a lucky one, and would be unfair to all else. Within seed noise is what then ends above
the best by no more than the standard deviation between the best one's seeds. The error is that of the mean difference, seed
by seed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lossdoc import build, planning, ranging, spec, sweeping
from lossdoc.ranking import RATE, recommended
from lossdoc.runner import Budget, Work, runners
from lossdoc.subject import Point

SPACING = 5  # rates a decade: neighbors differ by a factor of 1.6
OWN_SEEDS = 100  # where the seeds begin with which the suggestions are made
JUDGES = 200  # where the seeds begin by which all are judged

MLP = "[{linear: {out: 32}}, relu, {linear: {out: 32}}, relu, {linear: {out: %s}}]"
PAIRS = {
    "digits-mlp-adam": ("digits", "[flatten, {linear: {out: 64}}, relu, {linear: {out: classes}}]", "adam: {lr: 1e-3}", 10),
    "digits-mlp-momentum": ("digits", f"[flatten, {MLP[1:] % 'classes'}", "momentum: {lr: 1e-2}", 10),
    "digits-cnn-adam": (
        "digits",
        "[{conv: {out: 8, padding: same}}, relu, {maxpool: 2}, flatten, {linear: {out: classes}}]",
        "adam: {lr: 1e-3}",
        6,
    ),
    "wine-mlp-sgd": ("wine", MLP % "classes", "sgd: {lr: 1e-2}", 30),
    "iris-mlp-rmsprop": ("iris", MLP % "classes", "rmsprop: {lr: 1e-3}", 30),
    "moons-mlp-adam": ("{synthetic: {form: moons, n: 600, noise: 0.2}}", MLP % "classes", "adam: {lr: 1e-3}", 15),
    "sine-mlp-adamw": (
        "{synthetic: {form: sine, n: 600, noise: 0.1}}",
        MLP.replace("relu", "tanh") % "1",
        "adamw: {lr: 1e-3}",
        20,
    ),
    "text-gru-adam": (
        "{text: {path: PATH, length: 12}}",
        "[{embedding: {entries: classes, out: 16}}, {gru: {out: 32}}, {linear: {out: classes}}]",
        "adam: {lr: 1e-3}",
        20,
    ),
}
PAIRS |= {
    "wine-mlp-adamw": ("wine", MLP.replace("relu", "tanh") % "classes", "adamw: {lr: 1e-3}", 25),
    "iris-mlp-sgd": ("iris", "[{linear: {out: 16}}, relu, {linear: {out: classes}}]", "sgd: {lr: 1e-2}", 40),
    "digits-batchnorm-nesterov": (
        "digits",
        "[flatten, {linear: {out: 48}}, batchnorm, relu, {linear: {out: classes}}]",
        "nesterov: {lr: 1e-2}",
        12,
    ),
    "spirals-mlp-adam": ("{synthetic: {form: spirals, n: 600, noise: 0.05}}", MLP % "classes", "adam: {lr: 1e-3}", 30),
    "circles-mlp-momentum": (
        "{synthetic: {form: circles, n: 500, noise: 0.1}}",
        MLP % "classes",
        "momentum: {lr: 1e-2}",
        20,
    ),
    "digits-dropout-adagrad": (
        "digits",
        "[flatten, {linear: {out: 32}}, relu, {dropout: 0.2}, {linear: {out: classes}}]",
        "adagrad: {lr: 1e-2}",
        9,
    ),
    "moons-mlp-sgd": ("{synthetic: {form: moons, n: 400, noise: 0.2}}", MLP % "classes", "sgd: {lr: 1e-2}", 25),
}
SCALED = {"digits": "[{scale: {divide_by: 16}}]", "text-gru-adam": "[]"}
TEXT = (
    "the doctor reads the curve and the curve tells the doctor what the model will not say. " * 4
    + (
        "a loss that falls and then lies still has learned what it can; a loss that climbs was pushed the wrong way; "
        "a loss that leaps was pushed too hard. patience is a remedy, more data is a better one, and a smaller step is "
        "often enough. "
    )
    * 4
)


def description(name: str, folder: Path) -> spec.Spec:
    """Return the model and data of a name."""
    source, layers, optimizer, epochs = PAIRS[name]
    text = folder / "text.txt"
    text.write_text(TEXT)
    prepared = SCALED.get(name, SCALED.get(source, "[standardize]"))
    source = source.replace("PATH", str(text))
    return spec.loads(
        f"version: 1\nname: {name}\ndata: {{source: {source}, preprocess: {prepared}, batch_size: 32}}\n"
        f"model: {{layers: {layers}}}\noptimizer: {{{optimizer}}}\ntrain: {{epochs: {epochs}}}\n"
    )


def trained(described: spec.Spec, points: list[dict[str, Any]], seeds: range, runner: str) -> list[list[float]]:
    """Return the last validation loss of the whole training at every point with every seed; infinite where it diverged."""
    asked = [Point(index, params, seed) for index, params in enumerate(points) for seed in seeds]
    work = Work(build.Variants(described), asked, Budget(epochs=described.train.epochs))
    found = {(trial.point.index, trial.point.seed): trial.loss for trial in runners.get(runner).run(work)}
    ends = [[found[index, seed] for seed in seeds] for index in range(len(points))]
    return [[loss if math.isfinite(loss) else math.inf for loss in losses] for losses in ends]


def tested(described: spec.Spec, runner: str) -> dict[str, Any]:
    """Return what a range test suggests."""
    rate = float(build.subject(described).recipe.hyper["lr"])
    seeds = range(OWN_SEEDS, OWN_SEEDS + ranging.SEEDS)
    found = ranging.range_test(build.Variants(described), ranging.tested(rate), runners.get(runner), seeds)
    return found.suggested


def swept(described: spec.Spec, runner: str, **asked: Any) -> dict[str, Any]:
    """Return what a sweep recommends with nothing said of what to vary."""
    subject = replace(build.subject(described), seed=OWN_SEEDS)
    plan = planning.plan(described, subject, planning.Asked(runner=runner, **asked))
    return recommended(sweeping.sweep(plan, root=None))


def judged(name: str, values: dict[str, Any], ends: list[float], best: list[float]) -> str:
    """Return how far a suggestion is above the best of brute force, seed by seed, and whether that is noise."""
    above = [ours - theirs for ours, theirs in zip(ends, best, strict=True)]
    error = statistics.stdev(above) / math.sqrt(len(above)) if math.isfinite(sum(above)) else math.inf
    within = statistics.fmean(above) <= statistics.stdev(best)
    rate = values.get(RATE)
    told = f"{rate:8.2g}" if rate is not None else "  (kept)"
    gap = f"{statistics.fmean(above):+8.4f} ± {error:.4f}"
    return f"  {name:<14} {told}  {statistics.fmean(ends):7.4f}  {gap}  {'yes' if within else 'NO'}"


def compared(name: str, folder: Path, many: int, runner: str) -> list[str]:
    """Print how the suggestions for a pair end beside the best that brute force finds; return those within its noise."""
    begun = time.perf_counter()
    described = description(name, folder)
    rates = [float(f"{10 ** (-4 + place / SPACING):.3g}") for place in range(5 * SPACING + 1)]
    ends = trained(described, [{RATE: rate} for rate in rates], range(many), runner)
    found = rates[min(range(len(rates)), key=lambda place: statistics.fmean(ends[place]))]
    suggested = {
        "brute force": {RATE: found},
        "range test": tested(described, runner),
        "sweep": swept(described, runner),
        "sweep, 3 seeds": swept(described, runner, seeds=3),
    }
    judges = range(JUDGES, JUDGES + many)
    best, *others = [trained(described, [values], judges, runner)[0] for values in suggested.values()]
    told = f"{statistics.fmean(best):.4f} ± {statistics.stdev(best):.4f}"
    print(f"{name}: brute force {found:.2g}, loss {told} (sd between seeds)")
    lines = [judged(way, suggested[way], loss, best) for way, loss in zip(list(suggested)[1:], others, strict=True)]
    print("\n".join([*lines, f"  {time.perf_counter() - begun:.0f} s"]), flush=True)
    return [way for way, line in zip(list(suggested)[1:], lines, strict=True) if line.endswith("yes")]


def main() -> None:
    """Compare all pairs, or one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runner", default="vmapped")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=PAIRS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("  way                rate     loss   above the best  ± error  within noise")
    with tempfile.TemporaryDirectory() as folder:
        names = [asked.only] if asked.only else list(PAIRS)
        within = Counter(way for name in names for way in compared(name, Path(folder), asked.seeds, asked.runner))
    for way, count in within.items():
        print(f"{way}: within seed noise of the best on {count} of {len(names)}")


if __name__ == "__main__":
    main()
