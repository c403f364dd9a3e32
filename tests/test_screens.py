"""What people see of each command: golden screens in a pipe, 80 and 120 columns wide, and in ASCII.

Read the goldens after `pytest tests/test_screens.py --overwrite`: a screen is right when one likes to read it. Trainings end
a little differently on different processors, so that stages that train are shown on reports made by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import nan
from pathlib import Path

import pytest

from lossdoc import checkup, outcome, overfitting, synthetic
from lossdoc.curve import Curve
from lossdoc.diagnosis import examine_curve
from lossdoc.findings import Proof, Report
from lossdoc.format import Document, Screen, formats
from lossdoc.memorization import Attempt, Memorization
from lossdoc.subject import Point, Trial, Trials
from tests.conftest import PROJECT, Run
from tests.pages import blowing_up, falling, memorized, skipped, swept

Golden = Callable[[str, str], None]
SCREENS = {
    "60": Screen(60),
    "80": Screen(80),
    "120": Screen(120),
    "ascii": Screen(80, unicode=False),
    "aloud": Screen(80, drawing=False),
}
PIPES = {
    "80": {"COLUMNS": "80"},
    "120": {"COLUMNS": "120"},
    "ascii": {"COLUMNS": "80", "PYTHONIOENCODING": "ascii:backslashreplace"},
}
SICK = "configs/sick/unscaled-inputs.yaml"
DIFF = "--- model.yaml\n+++ model.yaml (repaired)\n@@ -8,2 +8,3 @@\n   batch_size: 16\n+  preprocess: [standardize]"
FAULTY = """version: 1
data: {source: digits, batchsize: 64}
model:
  layers:
    - linear: {out: 32, init: xavierr}
    - reluu
    - linear: {out: classes}
loss: cross_entropy
optimizer: {sgd: {lr: 1e-2, momentun: 0.9}}
regularization: {l2: -1}
"""


@cache
def sanity(config: str) -> Report:
    (report,) = checkup.only(checkup.Case.load(PROJECT / config), "sanity")
    return report


def proved() -> Report:
    """Return what experiments said of the inputs that are not scaled."""
    before, after = falling(90, 0.5), falling(90, 0.02, 1)
    curves = Curve(replace(before, name="loss")), Curve(replace(after, name="loss"))
    tried = Proof(
        "confirmed", "standardize the inputs", DIFF, "accuracy", 0.389, 0.922, 0.533, 0.12, 5, curves=curves
    )  # fmt: skip
    (found, *_) = sanity(SICK).findings
    found = replace(found, proof=tried, remedies=(tried.change, *found.remedies))
    return Report(
        "causes", "model.yaml", findings=(found,), notes=("1 change tried, each trained for 90 steps from 5 seeds",)
    )


def known_by_heart() -> Report:
    return replace(
        memorized(),
        passed=("LS601",),
        notes=("64 samples known by heart after 200 steps at learning rate 0.1: 100.0 % right",),
    )


def healthy() -> Document:
    curve = synthetic.healthy(points=900)
    training = examine_curve(curve, title="training", source="model.yaml", notes=("after 900 steps: training loss 0.162",))
    last = Report("causes", "model.yaml", notes=("nothing was found that would have a cause: nothing to prove",))
    return Document("checkup", (sanity("configs/iris.yaml"), known_by_heart(), swept(), training, last))


def sick() -> Document:
    rest = (skipped(stage, "unscaled-inputs") for stage in ("overfit", "sweep", "training", "learning"))
    return Document("checkup", (sanity(SICK), *rest, proved()))


def not_memorized() -> Document:
    attempts = tuple(
        Attempt(rate, Curve(falling(300, 0.9, seed)), "stalled", 300, 0.62, 0.6)
        for seed, rate in enumerate((0.1, 1.0, 0.01))
    )
    return Document("overfit", (overfitting.report(Memorization(attempts, 64, 16, "accuracy", 1.0), source="model.yaml"),))


def diverged() -> Document:
    """Return a sweep of which no trial learned anything."""
    trials = tuple(
        Trial(Point(index, {"optimizer.lr": rate}, 0), Curve(blowing_up(12)), nan, nan, 12, "non-finite")
        for index, rate in enumerate((0.1, 1.0, 10.0, 100.0))
    )
    ranges = {"optimizer.lr": (0.1, 100.0)}
    return Document("sweep", (outcome.report(Trials(trials, ranges, {}, frozenset(ranges)), source="model.yaml"),))


REPORTS: dict[str, Callable[[], Document]] = {
    "sanity-healthy": lambda: Document("sanity", (sanity("configs/iris.yaml"),)),
    "sanity-sick": lambda: Document("sanity", (sanity("configs/sick/double-softmax.yaml"),)),
    "sanity-own-code": lambda: Document("sanity", (sanity("configs/own_code/model.yaml"),)),
    "overfit": lambda: Document("overfit", (known_by_heart(),)),
    "overfit-sick": not_memorized,
    "sweep": lambda: Document("sweep", (swept(),)),
    "sweep-sick": diverged,
    "checkup-healthy": healthy,
    "checkup-sick": sick,
}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("screen", SCREENS)
def test_reports_on_models(name: str, screen: str, golden: Golden) -> None:
    text = formats.get("text").render(REPORTS[name](), SCREENS[screen])
    assert max(map(len, text.splitlines())) <= SCREENS[screen].width
    assert SCREENS[screen].unicode or text.isascii()
    assert "\n\n\n" not in text
    golden(f"screens/{name}-{screen}.txt", text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a model.yaml, one with faults, and logs of which some are sick."""
    (tmp_path / "model.yaml").write_text((PROJECT / "configs" / "iris.yaml").read_text(encoding="utf-8"))
    (tmp_path / "faulty.yaml").write_text(FAULTY)
    logs = tmp_path / "logs"
    logs.mkdir()
    for make in (
        synthetic.healthy,
        synthetic.flat,
        synthetic.overfit,
        synthetic.broken_off,
        synthetic.waves,
        synthetic.short,
    ):
        write(logs / f"{make.__name__}.csv", make())
    (tmp_path / "kurve ± µ.csv").write_bytes((logs / "healthy.csv").read_bytes())
    return tmp_path


def write(path: Path, curve: Curve) -> None:
    val = {} if curve.val is None else dict(zip(curve.val.step.tolist(), curve.val.value.tolist(), strict=True))
    train = zip(curve.train.step.tolist(), curve.train.value.tolist(), strict=True)
    rows = [f"{step:g},{loss:.6g},{val.get(step, '')}" for step, loss in train]
    path.write_text("\n".join(["step,train_loss,val_loss", *rows, ""]), encoding="utf-8")


COMMANDS = {
    "diagnose-one": ("diagnose", "logs/overfit.csv"),
    "diagnose-several": ("diagnose", "logs/overfit.csv", "logs/flat.csv", "kurve ± µ.csv"),
    "diagnose-folder": ("diagnose", "logs"),
    "diagnose-compare": ("diagnose", "logs/flat.csv", "--compare", "logs/healthy.csv"),
    "diagnose-aloud": ("diagnose", "logs/overfit.csv", "--no-drawing"),
    "diagnose-watch": ("diagnose", "logs/overfit.csv", "--watch", "--interval", "0.05", "--idle", "0.1"),
    "explain": ("explain",),
    "explain-rule": ("explain", "initial-loss"),
    "explain-pattern": ("explain", "overfitting"),
    "explain-aloud": ("explain", "overfitting", "--no-drawing"),
    "explain-word": ("explain", "sgd"),
    "explain-nothing": ("explain", "overfittin"),
    "init": ("init", "new.yaml"),
    "show": ("show",),
    "validate": ("validate",),
    "validate-faulty": ("validate", "faulty.yaml"),
    "help": ("--help",),
    "help-sweep": ("sweep", "--help"),
}


STILL = {"explain-nothing", "init", "show", "validate", "validate-faulty", "help", "help-sweep"}  # as wide as they are


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("pipe", PIPES)
def test_commands_in_a_pipe(name: str, pipe: str, folder: Path, lossdoc: Run, golden: Golden) -> None:
    done = lossdoc(*COMMANDS[name], cwd=folder, **PIPES[pipe])
    seen = done.stdout + (f"--- on standard error\n{done.stderr}" if done.stderr else "")
    lines = seen.splitlines(keepends=True)
    seen = re.sub(r"\b\d\d:\d\d:\d\d\b", "HH:MM:SS", seen)
    if name == "explain":  # a new rule changes no golden
        seen = "".join([*lines[:9], "[...]\n", *lines[-2:]])
    assert pipe != "ascii" or (seen.isascii() and not re.search(r"\\x|\\u", seen)), seen
    golden(f"screens/{name}-{'80' if name in STILL and pipe == '120' else pipe}.txt", seen)
