"""Run other installable readers of loss curves beside lossdoc on labelled curves, in one go.

    python -m benchmarks.diagnose_peers --curves DIR [--venvs DIR] [--context none|light]

DIR holds `index.json` (file, label, also, and what a user would know) and a CSV a run, as `benchmarks/runs.py` writes them.
Each rival is installed from the configured package index into a virtual environment of its own below `--venvs`, at the
version pinned here, and asked as its users would: by its command, or by its function in a process of its own. All tools see
one curve after another, so that a busy machine is busy for all of them.

A rival's messages are mapped onto lossdoc's names: where a message says what fits several names it counts as whichever of
them is right, and a mere note is no alarm on a healthy curve. In the column "generous" it counts for causes, too, that it
does not name: a plateau for the double softmax behind it. Its verdict is its severest message that is mapped, "healthy"
when there is none. Several runs in one file, which no rival reads, are handed over one by one,
and the commonest verdict counts. Scored as lossdoc is: macro-F1 over the labels, `also` accepted, `ambiguous` skipped.
Exits 1 when lossdoc is not ahead of the best by `--ahead`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = {"nan": "non-finite"}
SEVERITIES = ("critical", "error", "fail", "high", "warning", "warn", "medium", "info", "low")
NOTE = ("info", "low")
LEFT_OUT = {
    "epochix 0.7.36": "reads printed lines of epochs and no table; its verdict lives in a server's database",
    "hyperassist 0.0.3": "reads printed lines only, and prints no verdict on a curve",
    "traintools 0.6.2": "needs the model and torch: reads no log",
    "arc-training": "AGPL-3.0: not run here",
}
Message = tuple[str, str]  # severity, text that the mapping knows


@dataclass(frozen=True)
class Rival:
    """A tool: what to install, its licence (read in its wheel), how to ask it, what its messages mean.

    `command` is run in the rival's own environment (its first word is a program there); "{path}" is the file that `prepare`
    makes of a curve's CSV (columns step, train_loss, val_loss). `parse` returns the messages in what it prints. `names` maps
    the beginning of a message to the names that it may stand for; what is not there is no verdict.
    """

    package: str
    licence: str
    command: tuple[str, ...]
    parse: Callable[[str], list[Message]]
    names: dict[str, tuple[str, ...]]
    prepare: Callable[[Path], Path] = lambda path: path

    def asked(self, python: Path, path: Path) -> list[str]:
        """Return the command line for a prepared file."""
        return [str(python.with_name(self.command[0])), *(word.replace("{path}", str(path)) for word in self.command[1:])]


def numbers(path: Path) -> list[dict[str, float]]:
    """Return the rows of a curve, without the blank cells."""
    with path.open() as file:
        return [{key: float(cell) for key, cell in row.items() if cell} for row in csv.DictReader(file)]


def trainer_state(path: Path) -> Path:
    """Write a curve as Hugging Face's trainer does."""
    log: list[dict[str, float]] = []
    for place, row in enumerate(numbers(path), 1):
        at = {"step": int(row.get("step", place)), "epoch": row.get("step", place)}
        log += [at | {name: row[key]} for key, name in (("train_loss", "loss"), ("val_loss", "eval_loss")) if key in row]
    last = log[-1]["step"]
    state = {"log_history": log, "global_step": last, "max_steps": last, "epoch": float(last), "num_train_epochs": last}
    found = path.with_suffix("") / "trainer_state.json"
    found.parent.mkdir()
    found.write_text(json.dumps(state))
    return found


def recorded(path: Path) -> Path:
    """Write a curve as pytscope's profiler records a run."""
    folder = path.with_suffix(".run")
    folder.mkdir()
    (folder / "run.json").write_text('{"name": "run"}')
    with (folder / "steps.jsonl").open("w") as file:
        for place, row in enumerate(numbers(path)):
            scalars = {name: row[key] for name, key in (("loss", "train_loss"), ("val_loss", "val_loss")) if key in row}
            file.write(
                json.dumps({"step": int(row.get("step", place)), "timestamp": float(place), "scalars": scalars}) + "\n"
            )
    return folder


def told(severity: str, *parts: str) -> Callable[[str], list[Message]]:
    """Return a parser of JSON findings, wherever in the document they are."""

    def parse(text: str) -> list[Message]:
        return [(str(each[severity]), ": ".join(str(each[part]) for part in parts)) for each in findings(json.loads(text))]

    return parse


def findings(found: Any) -> list[dict[str, Any]]:
    """Return the objects in the lists called "findings", or the document itself where it is such a list."""
    if isinstance(found, dict):
        own = found.get("findings")
        return [*(own if isinstance(own, list) else []), *findings(list(found.get("reports", [])))]
    return [one for each in found for one in ([each] if not {"findings", "reports"} & set(each) else findings(each))]


def bracketed(text: str) -> list[Message]:
    """Parse pytscope's lines `[HIGH] title  (CODE)`."""
    found = [line.strip() for line in text.splitlines() if line.strip().startswith("[") and line.endswith(")")]
    return [(line[1:].partition("]")[0].lower(), line.rpartition("(")[2].rstrip(")")) for line in found]


ROWS = """
import csv, json
rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(open('{path}'))]
"""
SILVER = """
from silver_diagnostics import diagnose_training_health
names = {'train_loss': 'loss', 'val_loss': 'val_loss'}
rows = [{names[k]: v for k, v in row.items() if k in names} for row in rows if 'train_loss' in row]
found = diagnose_training_health(rows).diagnostics
print(json.dumps([{'severity': d.severity, 'code': d.code} for d in found]))
"""
DOCTOR = """
from training_doctor import Doctor
doctor = Doctor()
names = {'train_loss': 'loss', 'val_loss': 'eval_loss'}
for place, row in enumerate(rows):
    doctor.log(step=int(row.get('step', place)), **{names[k]: v for k, v in row.items() if k in names})
print(json.dumps([{'severity': d.severity.value, 'code': d.problem} for d in doctor.analyze()]))
"""
GRADSNITCH = """
import json, gradsnitch
worst = {'GS001': 'critical', 'GS006': 'error'}
print(json.dumps([{'severity': worst.get(f.code, 'warning'), 'code': f.code} for f in gradsnitch.lint_csv('{path}')]))
"""
CAUSES = {"lr-too-high", "slow-start", "slow-learning", "double-softmax"}  # that a message may stand for and not name
NO_PROGRESS = ("not-learning", "underfitting", "slow-learning", "double-softmax", "lr-too-high", "slow-start")
BLOWN_UP = ("rising", "lr-too-high", "non-finite")
RIVALS = {
    "trainspotter": Rival(
        "trainspotter==0.2.6", "MIT", ("trainspotter", "analyze", "{path}", "--output", "json"),
        told("severity", "detector", "title"),
        {"divergence: Diverged (non-finite": ("non-finite",), "divergence": BLOWN_UP, "overfitting": ("overfitting",),
         "spikes": ("spikes", "lr-too-high"), "plateau": NO_PROGRESS, "eval_noise": ("noisy-validation",)},
    ),
    "finetune-doctor": Rival(
        "finetune-doctor==0.2.2", "Apache-2.0", ("finetune-doctor", "diagnose", "{path}", "--format", "json"),
        told("severity", "check", "title"),
        {"loss_degenerate: NaN": ("non-finite",), "not_learning: Training loss went up": BLOWN_UP,
         "not_learning": NO_PROGRESS,
         "overfitting": ("overfitting",), "loss_spikes: Loss jumps": ("periodic",), "loss_spikes: Periodic": ("periodic",),
         "loss_spikes": ("spikes", "lr-too-high")},
        trainer_state,
    ),
    "runmedic": Rival(
        "runmedic==0.1.1", "MIT", ("runmedic", "diagnose", "{path}", "--json"), told("severity", "check", "title"),
        {"non_finite": ("non-finite",), "divergence": BLOWN_UP, "loss_spikes": ("spikes", "lr-too-high"),
         "no_learning": NO_PROGRESS, "overfitting": ("overfitting",), "constant_lr_plateau": NO_PROGRESS},
    ),
    "losslint": Rival(
        "losslint==0.4.1", "MIT", ("losslint", "check", "--format", "json", "{path}"), told("severity", "check"),
        {"nan_inf": ("non-finite",), "divergence": BLOWN_UP, "loss_spike": ("spikes", "lr-too-high"),
         "overfit_onset": ("overfitting",), "stagnation": NO_PROGRESS},
    ),
    "pytscope": Rival(
        "pytscope==0.2.1", "MIT", ("pytscope", "analyze", "{path}"), bracketed,
        {"CONVERGENCE.DIVERGED": BLOWN_UP, "CONVERGENCE.NO_PROGRESS": NO_PROGRESS, "CROSS.CORRELATED": ("spikes",)},
        recorded,
    ),
    "silver-diagnostics": Rival(
        "silver-diagnostics==1.5.1", "Apache-2.0", ("python", "-c", ROWS + SILVER), told("severity", "code"),
        {"non_finite": ("non-finite",), "nonfinite": ("non-finite",), "metric_divergence": BLOWN_UP,
         "probable_overfit": ("overfitting",), "metric_plateau": NO_PROGRESS},
    ),
    "trainproof": Rival(
        "trainproof==0.22.0", "MIT", ("trainproof", "doctor", "{path}", "--json"), told("level", "id"),
        {"TP-NAN": ("non-finite",), "TP-DIVERGE": BLOWN_UP, "TP-OVERFIT": ("overfitting",), "TP-FLAT": NO_PROGRESS,
         "TP-STALL": NO_PROGRESS, "TP-DEAD-RUN": NO_PROGRESS},
    ),
    "gradsnitch": Rival(
        "gradsnitch==0.1.0", "MIT", ("python", "-c", GRADSNITCH), told("severity", "code"),
        {"GS001": ("non-finite",), "GS004": ("overfitting",), "GS005": NO_PROGRESS, "GS006": BLOWN_UP,
         "GS009": ("lr-too-high", "periodic", "spikes")},
    ),
    "training-doctor": Rival(
        "training-doctor==0.1.0", "MIT", ("python", "-c", ROWS + DOCTOR), told("severity", "code"),
        {"Learning rate likely too high": ("lr-too-high", "non-finite", "rising"),
         "Learning rate may be too low": ("slow-learning", "not-learning"), "Overfitting": ("overfitting",),
         "Training plateau": NO_PROGRESS, "Early training plateau": NO_PROGRESS},
    ),
}  # fmt: skip


def install(name: str, rival: Rival, venvs: Path) -> Path | str:
    """Return the interpreter that the rival is installed for, or what went wrong."""
    python = venvs / name / "bin" / "python"
    mark = venvs / name / rival.package
    if not mark.exists():
        shutil.rmtree(venvs / name, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(venvs / name)],
            [str(python), "-m", "pip", "install", "-q", rival.package],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        mark.touch()
    return python


@dataclass
class Asked:
    """What a process said, in how many seconds, of which its processor worked some."""

    out: str
    code: int
    seconds: float
    worked: float


def ask(command: list[str], limit: float = 120.0) -> Asked:
    """Run a command and measure it alone, whatever else runs."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        timer = threading.Timer(limit, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return Asked(out.read(), process.returncode, time.perf_counter() - begun, usage.ru_utime + usage.ru_stime)


def parts(path: Path, folder: Path) -> list[Path]:
    """Return a curve's runs as files of their own, as the rivals read but one run of a file."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    runs = list(dict.fromkeys(row.get("run") for row in rows))
    found = []
    for run in runs:
        place = folder / f"{path.stem}-{run}.csv"
        mine = [{key: cell for key, cell in row.items() if key != "run"} for row in rows if row.get("run") == run]
        with place.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(mine[0]))
            writer.writeheader()
            writer.writerows(mine)
        found.append(place)
    return found


def meant(rival: Rival, messages: list[Message], good: set[str]) -> tuple[str, str]:
    """Return the verdict that a rival's messages amount to, by what they name, and generously."""
    order = {name: place for place, name in enumerate(SEVERITIES)}
    for severity, text in sorted(messages, key=lambda each: order.get(each[0].lower(), 0)):
        names = next((names for start, names in rival.names.items() if text.startswith(start)), ())
        if names and not ("healthy" in good and severity.lower() in NOTE):  # a note is no alarm
            said = [name for name in names if name == names[0] or name not in CAUSES]
            first, second = (next((name for name in each if name in good), names[0]) for each in (said, names))
            return first, second
    return "healthy", "healthy"


@dataclass
class Said:
    """One tool's answer to one curve."""

    verdict: str
    generous: str
    seconds: float
    worked: float


def of_rival(rival: Rival, python: Path, files: list[Path], good: set[str]) -> Said:
    """Ask a rival about every run of a curve."""
    verdicts: Counter[str] = Counter()
    generous: Counter[str] = Counter()
    seconds = worked = 0.0
    for path in files:
        asked = ask(rival.asked(python, rival.prepare(path)))
        seconds, worked = seconds + asked.seconds, worked + asked.worked
        try:
            named, at_best = meant(rival, rival.parse(asked.out), good)
        except (ValueError, KeyError, TypeError, AttributeError):
            named = at_best = "error"
        verdicts[named] += 1
        generous[at_best] += 1
    return Said(verdicts.most_common(1)[0][0], generous.most_common(1)[0][0], seconds, worked)


def of_lossdoc(path: Path, entry: dict[str, Any], context: str) -> Said:
    """Ask lossdoc about a curve, with what its user would know."""
    flags = {"none": {}, "light": {"--axis": "per", "--classes": "n_classes", "--steps-per-epoch": "steps_per_epoch"}}[
        context
    ]
    known = [word for flag, key in flags.items() if entry.get(key) is not None for word in (flag, str(entry[key]))]
    asked = ask([sys.executable, "-m", "lossdoc", "diagnose", str(path), "--format", "json", *known])
    try:
        reports = json.loads(asked.out)["reports"]
        whole = next((each for each in reports if each["run"] == "*"), reports[0])
        return Said(whole["primary"], whole["primary"], asked.seconds, asked.worked)
    except (ValueError, IndexError, KeyError):
        return Said("error", "error", asked.seconds, asked.worked)


def scored(entries: list[dict[str, Any]], verdicts: list[str]) -> tuple[float, float, int]:
    """Return macro-F1, accuracy, and the false alarms."""
    right: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for entry, verdict in zip(entries, verdicts, strict=True):
        if verdict in entry["good"]:
            right[entry["label"]] += 1
        else:
            missed[entry["label"]] += 1
            wrong[verdict] += 1
    labels = {entry["label"] for entry in entries}
    f1 = [2 * right[label] / max(1, 2 * right[label] + missed[label] + wrong[label]) for label in labels]
    return sum(f1) / len(f1), sum(right.values()) / len(entries), missed["healthy"]


def read(folder: Path, most: int | None) -> list[dict[str, Any]]:
    """Return the labelled curves that are scored, at most `most` of them, spread over the labels."""
    index = json.loads((folder / "index.json").read_text())
    entries = [entry for entry in index if entry["label"] != "ambiguous"]
    for entry in entries:
        entry["label"] = NAMES.get(entry["label"], entry["label"])
        entry["good"] = {entry["label"], *(NAMES.get(name, name) for name in entry.get("also", []))}
    return entries if most is None else sorted(entries, key=lambda each: each["file"][::-1])[:most]


def started(command: list[str]) -> float:
    """Return the median seconds of five runs on a small curve, nothing else being asked meanwhile."""
    return statistics.median(ask(command).seconds for _ in range(5))


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--curves", type=Path, required=True, metavar="DIR")
    parse.add_argument("--venvs", type=Path, default=Path(tempfile.gettempdir()) / "lossdoc-peers", metavar="DIR")
    parse.add_argument("--context", choices=("none", "light"), default="none", help="what lossdoc is told (default none)")
    parse.add_argument("--only", action="append", choices=sorted(RIVALS), help="only this rival; may be repeated")
    parse.add_argument("--most", type=int, metavar="N", help="curves at most")
    parse.add_argument("--jobs", type=int, default=2, metavar="N", help="curves at a time (default %(default)s)")
    parse.add_argument("--ahead", type=float, default=0.5, help="macro-F1 that lossdoc must lead by (default %(default)s)")
    args = parse.parse_args()
    entries = read(args.curves, args.most)
    args.venvs.mkdir(parents=True, exist_ok=True)
    wanted = {name: RIVALS[name] for name in args.only or RIVALS}
    pythons = {name: install(name, rival, args.venvs) for name, rival in wanted.items()}
    for name, why in LEFT_OUT.items():
        print(f"left out: {name}: {why}")
    for name, place in pythons.items():
        if isinstance(place, str):
            print(f"left out: {name}: {place}")
    ready = {name: place for name, place in pythons.items() if isinstance(place, Path)}

    def curve(entry: dict[str, Any]) -> dict[str, Said]:
        with tempfile.TemporaryDirectory() as folder:
            files = parts(args.curves / entry["file"], Path(folder))
            said = {name: of_rival(RIVALS[name], python, files, entry["good"]) for name, python in ready.items()}
        return {"lossdoc": of_lossdoc(args.curves / entry["file"], entry, args.context), **said}

    with ThreadPoolExecutor(args.jobs) as pool:
        said = list(pool.map(curve, entries))
    small = str(args.curves / min(entries, key=lambda each: (args.curves / each["file"]).stat().st_size)["file"])
    healthy = sum(entry["label"] == "healthy" for entry in entries)
    print(f"{len(entries)} curves, context for lossdoc: {args.context}")
    head = ("tool", "licence", "macro-F1", "accuracy", "generous", "alarms", "cpu s/curve", "start-up s", "errors")
    print("{:28s} {:10s} {:>8s} {:>8s} {:>8s} {:>7s} {:>11s} {:>10s} {:>6s}".format(*head))
    best = {}
    for name in ("lossdoc", *ready):
        answers = [each[name] for each in said]
        f1, accuracy, alarms = scored(entries, [each.verdict for each in answers])
        generous, _, _ = scored(entries, [each.generous for each in answers])
        best[name] = f1
        if name != "lossdoc":
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(shutil.copy(small, folder))
                seconds = started(RIVALS[name].asked(ready[name], RIVALS[name].prepare(copy)))
        else:
            seconds = started([sys.executable, "-m", "lossdoc", "diagnose", small])
        shown, licence = (name, "MIT") if name == "lossdoc" else (RIVALS[name].package, RIVALS[name].licence)
        cpu = sum(each.worked for each in answers) / len(answers)
        errors = sum(each.verdict == "error" for each in answers)
        scores = f"{f1:8.3f} {accuracy:8.3f} {generous:8.3f} {f'{alarms}/{healthy}':>7s}"
        print(f"{shown:28s} {licence:10s} {scores} {cpu:11.2f} {seconds:10.2f} {errors:6d}")
    lead = best.pop("lossdoc") - max(best.values(), default=0.0)
    print(f"lossdoc leads the best of them by {lead:.3f} macro-F1 (asked: {args.ahead:g})")
    sys.exit(lead < args.ahead)


if __name__ == "__main__":
    main()
