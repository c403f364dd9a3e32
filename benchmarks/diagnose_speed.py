"""Show how fast a diagnosis is, as ratios of times taken side by side: `python -m benchmarks.diagnose_speed [--only PART]`.

small   one small CSV from the command line, against importing numpy, typer and rich.console, and against the rivals that
        use numpy (see diagnose_peers): at most 1.5 times the first, no slower than the fastest of the second
folder  2,000 CSVs of 1,000 points in a folder, against the fastest CSV library that parses them one after another: 3 times
big     reading a CSV of ten million rows of two columns against that library's bare read: 2 times; the memory it takes at
        most 3 times the two columns
long    diagnosing five million points against reading them: 2 times

Libraries and rivals are installed into environments of their own below `--venvs`. Processes of all kinds take turns, and the
least of `--repeats` turns counts: seconds by the clock, and in parentheses of the processors, which a busy machine disturbs
less. The bounds are put to the clock, or with `--by cpu` to the processors. Exits 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # that both `python benchmarks/...` and `python -m benchmarks...` find it
from diagnose_peers import RIVALS, Asked, Rival, ask, install

LIBRARIES = {
    "pandas": ("pandas==3.1.1", "import pandas\nread = pandas.read_csv"),
    "polars": ("polars==2.1.0", "import polars\nread = polars.read_csv"),
    "pyarrow": ("pyarrow==26.0.1", "import pyarrow.csv\nread = pyarrow.csv.read_csv"),
    "numpy": (
        "numpy==2.4.6",
        "import numpy\nread = lambda path: numpy.loadtxt(path, delimiter=',', skiprows=1)",
    ),
}
LOSSDOC = "from lossdoc import reader\nread = reader.read"
DIAGNOSE = "from lossdoc import diagnosis, reader\nread = diagnosis.diagnose"
MEASURED = """
import glob, json, resource, sys, time
paths = sorted(glob.glob(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun, worked = time.perf_counter(), time.process_time()
for path in paths:
    found = read(path)
seconds, worked = time.perf_counter() - begun, time.process_time() - worked
print(json.dumps([seconds, worked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""
BARE = [sys.executable, "-c", "import numpy, typer, rich.console"]
TIME, CPU, KIB = 0, 1, 2
Figures = tuple[float, float, float]  # seconds by the clock, seconds of the processors, KiB


def timed(command: list[str]) -> Figures:
    """Run a command whole."""
    asked: Asked = ask(command, 1200.0)
    if asked.code not in {0, 1}:
        sys.exit(f"{command[:3]} failed with {asked.code}: {asked.out[-300:]}")
    return asked.seconds, asked.worked, 0.0


def inside(python: str, code: str, files: str) -> Figures:
    """Measure the reading of files within a process, without what it imports."""
    asked = ask([python, "-c", code + MEASURED, files], 1200.0)
    try:
        seconds, worked, memory = json.loads(asked.out)
    except ValueError:
        return math.inf, math.inf, math.inf
    return seconds, worked, memory


def turns(jobs: Mapping[str, Callable[[], Figures]], repeats: int) -> dict[str, Figures]:
    """Let the jobs take turns; return the least of each figure."""
    found: dict[str, list[Figures]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            found[name].append(job())
    return {name: tuple(map(min, zip(*figures, strict=True))) for name, figures in found.items()}  # type: ignore[misc]


class Bounds:
    """The bounds that were put to something, and whether all held."""

    def __init__(self, by: int) -> None:
        self.by = by
        self.held = True

    def ratio(self, what: str, ours: Figures, theirs: Figures, most: float) -> None:
        """Print a ratio of times with its bound."""
        ratios = ours[TIME] / theirs[TIME], ours[CPU] / theirs[CPU]
        self.print(what, ratios[self.by], most, f"{ratios[TIME]:.2f} ({ratios[CPU]:.2f})")

    def print(self, what: str, value: float, most: float, shown: str) -> None:
        """Print a value with its bound."""
        good = value <= most
        self.held &= good
        print(f"  {what:58s} {shown:>15s}  at most {most:g}: {'holds' if good else 'MISSED'}")


def table(found: Mapping[str, Figures]) -> None:
    for name, (seconds, worked, memory) in sorted(found.items(), key=lambda item: item[1]):
        more = f" {memory / 1024:8.0f} MiB" if memory else ""
        print(f"  {name:42s} {seconds:8.3f} ({worked:7.3f}) s{more}")


def write(path: Path, rows: int, seed: int = 0, columns: int = 1) -> Path:
    """Write a noisy, falling loss, unless it is there."""
    if path.exists():
        return path
    draw = np.random.default_rng(seed)
    with path.open("w") as file:
        file.write("step," + ("train_loss,val_loss" if columns == 2 else "train_loss") + "\n")
        for first in range(0, rows, 500_000):
            steps = np.arange(first, min(rows, first + 500_000))
            losses = 2.0 * np.exp(-3 * steps / rows) + 0.3 + 0.05 * draw.normal(size=(columns, len(steps)))
            cells = [losses[each].tolist() for each in range(columns)]
            form = "%d" + ",%.6f" * columns + "\n"
            file.write("".join(form % row for row in zip(steps.tolist(), *cells, strict=True)))
    return path


def libraries(venvs: Path) -> dict[str, str]:
    """Return the interpreters that the CSV libraries are installed for."""
    found = {}
    for name, (package, _) in LIBRARIES.items():
        python = install(f"csv-{name}", Rival(package, "", (), lambda _: [], {}), venvs)
        if isinstance(python, str):
            print(f"left out: {package}: {python}")
        else:
            found[name] = str(python)
    return found


def small(args: argparse.Namespace, bounds: Bounds) -> None:
    path = write(args.data / "small.csv", 200, columns=2)
    jobs: dict[str, Callable[[], Figures]] = {
        "lossdoc": lambda: timed([sys.executable, "-m", "lossdoc", "diagnose", str(path)]),
        "import numpy, typer, rich.console": lambda: timed(BARE),
    }
    rivals = []
    for name in ("trainspotter", "finetune-doctor", "gradsnitch"):
        python = install(name, RIVALS[name], args.venvs)
        if isinstance(python, str):
            print(f"left out: {name}: {python}")
            continue
        copy = Path(shutil.copy(path, tempfile.mkdtemp(dir=args.data)))
        command = RIVALS[name].asked(python, RIVALS[name].prepare(copy))
        rivals.append(name)
        jobs[name] = lambda command=command: timed(command)  # type: ignore[misc]
    found = turns(jobs, max(5, 3 * args.repeats))
    print("one small CSV from the command line")
    table(found)
    bounds.ratio("lossdoc / these imports", found["lossdoc"], found["import numpy, typer, rich.console"], 1.5)
    if rivals:
        best = min(rivals, key=lambda name: found[name][bounds.by])
        bounds.ratio(f"lossdoc / {best}", found["lossdoc"], found[best], 1.0)


def folder(args: argparse.Namespace, bounds: Bounds) -> None:
    place = args.data / f"folder-{args.files}"
    place.mkdir(exist_ok=True)
    for each in range(args.files):
        write(place / f"{each:05d}.csv", 1000, seed=each, columns=2)
    jobs: dict[str, Callable[[], Figures]] = {
        "lossdoc diagnose FOLDER": lambda: timed([sys.executable, "-m", "lossdoc", "diagnose", "-q", str(place)])
    }
    for name, python in libraries(args.venvs).items():
        jobs[name] = lambda name=name, python=python: inside(python, LIBRARIES[name][1], f"{place}/*.csv")  # type: ignore[misc]
    compare(f"{args.files} CSVs of 1,000 points", "lossdoc diagnose FOLDER", turns(jobs, args.repeats), bounds, 3.0)


def big(args: argparse.Namespace, bounds: Bounds) -> None:
    path = str(write(args.data / f"big-{args.rows}.csv", args.rows))
    jobs: dict[str, Callable[[], Figures]] = {
        "lossdoc reads": lambda: inside(sys.executable, LOSSDOC, path),
        "lossdoc diagnoses": lambda: inside(sys.executable, DIAGNOSE, path),
    }
    for name, python in libraries(args.venvs).items():
        jobs[name] = lambda name=name, python=python: inside(python, LIBRARIES[name][1], path)  # type: ignore[misc]
    found = turns(jobs, args.repeats)
    whole = found.pop("lossdoc diagnoses")
    compare(f"a CSV of {args.rows} rows, two columns", "lossdoc reads", found, bounds, 2.0)
    print(f"  {'lossdoc diagnoses':42s} {whole[TIME]:8.3f} ({whole[CPU]:7.3f}) s {whole[KIB] / 1024:8.0f} MiB")
    columns = 2 * 8 * args.rows / 1024
    for what, figures in (("memory of the reading", found["lossdoc reads"]), ("memory of the diagnosis", whole)):
        ratio = figures[KIB] / columns
        bounds.print(f"{what} / the two columns", ratio, 3.0, f"{ratio:.2f}")


def long(args: argparse.Namespace, bounds: Bounds) -> None:
    path = str(write(args.data / f"long-{args.rows // 2}.csv", args.rows // 2))
    found = turns(
        {
            "lossdoc reads": lambda: inside(sys.executable, LOSSDOC, path),
            "lossdoc diagnoses": lambda: inside(sys.executable, DIAGNOSE, path),
        },
        args.repeats,
    )
    print(f"{args.rows // 2} points")
    table(found)
    read, both = found["lossdoc reads"], found["lossdoc diagnoses"]
    after = (both[TIME] - read[TIME], both[CPU] - read[CPU], 0.0)
    bounds.ratio("diagnosing what was read / reading", after, read, 2.0)


def compare(what: str, ours: str, found: dict[str, Figures], bounds: Bounds, most: float) -> None:
    """Print the times of all and the ratio to the fastest library."""
    print(what)
    table(found)
    best = min((name for name in found if name != ours), key=lambda name: found[name][bounds.by])
    bounds.ratio(f"{ours} / {best}", found[ours], found[best], most)


PARTS = {"small": small, "folder": folder, "big": big, "long": long}


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir())
    parse.add_argument("--only", action="append", choices=PARTS, help="only this part; may be repeated")
    parse.add_argument("--venvs", type=Path, default=temporary / "lossdoc-peers", metavar="DIR")
    parse.add_argument(
        "--data", type=Path, default=temporary / "lossdoc-speed", metavar="DIR", help="where the CSVs are kept"
    )
    parse.add_argument("--rows", type=int, default=10_000_000, metavar="N", help="of the big CSV (default %(default)s)")
    parse.add_argument("--files", type=int, default=2000, metavar="N", help="in the folder (default %(default)s)")
    parse.add_argument("--repeats", type=int, default=3, metavar="N", help="turns of each (default %(default)s)")
    parse.add_argument("--by", choices=("clock", "cpu"), default="clock", help="what the bounds are put to (default clock)")
    args = parse.parse_args()
    args.data.mkdir(parents=True, exist_ok=True)
    args.venvs.mkdir(parents=True, exist_ok=True)
    bounds = Bounds(TIME if args.by == "clock" else CPU)
    for name in args.only or PARTS:
        PARTS[name](args, bounds)
    sys.exit(not bounds.held)


if __name__ == "__main__":
    main()
