"""Documents for the tests of the HTML report: every kind of thing that a page can show, and names that mean harm."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from lossdoc.curve import Context, Curve, Runs, Series
from lossdoc.diagnosis import examine_curve
from lossdoc.errors import Problem
from lossdoc.findings import Evidence, Finding, Passed, Proof, Report, Severity
from lossdoc.format import Document
from lossdoc.memorization import Attempt, Memorization
from lossdoc.subject import Point, Trial, Trials

FIX = "--- model.yaml\n+++ new.yaml\n@@ -12,2 +12,1 @@\n     - linear: {out: classes}\n-    - softmax\n+    - relu"
RATE = (
    "--- model.yaml\n+++ model.yaml (recommended)\n@@ -9 +9 @@\n-optimizer: {sgd: {lr: 1e-3}}\n+optimizer: {sgd: {lr: 1e-2}}"
)
NAMES = (
    '<script>document.title="taken"</script>',
    '"\'><img src=x onerror="document.title=1">',
    "</title></style><svg onload=document.title=1>",
    "{{7*7}}{% raw %}",
    "x" * 10_000,
    "\u202e\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "`</code><script>document.title=2</script>`",
)


def falling(count: int, last: float = 0.05, seed: int = 0) -> Series:
    x = np.arange(1.0, count + 1)
    noise = np.random.default_rng(seed).standard_normal(count)
    return Series(x, (2.3 * np.exp(-6 * x / count) + last) * np.exp(0.1 * noise), "train_loss")


def turning(count: int = 1200) -> Curve:
    """Return a run whose validation loss turns up."""
    x = np.linspace(count / 40, count, 40)
    noise = np.random.default_rng(1).standard_normal(40)
    val = Series(x, 1.2 + x / count + 0.02 * noise, "val_loss")
    return Curve(falling(count), val, {}, Context(axis="step", classes=10))


def proofs() -> tuple[Proof, ...]:
    curves = (turning(), Curve(falling(600, 0.1)))
    why = "your own training step cannot be changed from outside"
    return (
        Proof("confirmed", "drop the softmax", FIX, "accuracy", 0.31, 0.94, 0.63, 0.021, 3, "", curves),
        Proof("ruled out", "a rate ten times as high", "optimizer.lr: 0.02", "accuracy", 0.31, 0.32, 0.01, 0.02, 3, "noise"),
        Proof("suspected", why=why),
    )


def diagnosed() -> Report:
    return examine_curve(turning(), title="curve.csv", source="logs/curve.csv", notes=("2 cells are blank",))


def sanity() -> Report:
    """Return a report on a model whose findings carry proofs of each kind."""
    evidence = Evidence(
        "the first loss is 2.9, and 2.304 is expected", {"measured": 2.9, "expected": 2.304, "tolerance": 0.01}
    )
    names = (("LS301", "initial-loss"), ("LS201", "double-softmax"), ("LS999", "gone-since"))
    severities = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    found = tuple(
        Finding(code, name, severity, evidence, ("a cause",), ("`lossdoc explain x`",), ("a remedy",), proof)
        for (code, name), severity, proof in zip(names, severities, proofs(), strict=True)
    )
    measured = {"LS103": Passed("the inputs have root mean square 0.485", {"measured": 0.485})}
    return Report("sanity", "model.yaml", None, found, ("LS103", "LS101"), {"LS105": "no images"}, measured=measured)


def skipped(name: str, found: str = "initial-loss") -> Report:
    return Report(name, "model.yaml", inconclusive=f"skipped: sanity found {found}; it would measure that fault")


def blowing_up(count: int) -> Series:
    """Return a loss that rises until it leaves the range of numbers."""
    x = np.arange(1.0, count + 1)
    return Series(x, np.append(2.3 * np.exp(x[1:] - 1), np.inf), "train_loss")


def swept() -> Report:
    rates, decays = (1e-4, 1e-3, 1e-2, 1.0), (0.0, 1e-4)
    points = [(rate, decay) for rate in rates for decay in decays]
    trials = tuple(
        Trial(Point(index, {"optimizer.lr": rate, "regularization.l2": decay}, 0),
              Curve(blowing_up(40) if rate == 1.0 else falling(120, last, index)), last, 1 - last,
              40 if rate == 1.0 else None, "healthy")
        for index, (rate, decay) in enumerate(points)
        for last in [2.0 - 400 * rate if rate < 0.005 else 0.1 + 10 * decay]
    )  # fmt: skip
    trials = tuple(replace(trial, loss=np.nan, metric=np.nan) if trial.diverged_at else trial for trial in trials)
    ranges = {"optimizer.lr": (1e-4, 1.0), "regularization.l2": (0.0, 1e-4)}
    matter = Trials(trials, ranges, {}, frozenset(ranges), folder="lossdoc_runs/x/20260101T000000Z-1")
    advice = ("recommended: optimizer.lr 0.01", RATE, f"trials and pictures are in {matter.folder}")
    return Report("sweep", "model.yaml", matter=matter, passed=("LS601",), advice=advice)


def memorized() -> Report:
    attempts = (
        Attempt(0.01, Curve(falling(300, 0.9)), "stalled", 300, 0.6, 0.6),
        Attempt(0.1, Curve(falling(200, 0.01)), "reached", 200, 1.0, 1.0),
    )
    return Report("overfit", "model.yaml", matter=Memorization(attempts, 64, 16, "accuracy", 1.0), passed=("LS609",))


def grouped() -> Report:
    curves = tuple(Curve(falling(50, 0.1 + 0.3 * seed, seed), run=str(seed)) for seed in range(5))
    return Report("runs", "runs.csv", "*", matter=Runs(curves))


def broken() -> Report:
    values = [2.3, 2.0, 1.5, 1.2, np.nan, np.nan, 1.1, 0.9, np.inf, 0.8]
    return examine_curve(Curve(Series.of(values)), title="broken.csv", source="broken.csv")


def hostile(name: str) -> Report:
    """Return a report in which every text that can come from a file is this name."""
    found = diagnosed()
    curve = turning()
    proof = Proof("confirmed", name, FIX.replace("softmax", name), name, 0.1, 0.2, 0.1, 0.01, 3, name, (curve, curve))
    findings = tuple(
        replace(
            one,
            evidence=replace(one.evidence, summary=name, facts={name: 1.0}),
            causes=(name,),
            confirm=(name,),
            remedies=(name,),
            proof=proof,
        )
        for one in found.findings
    )
    matter = replace(curve, train=replace(curve.train, name=name), run=name)
    return replace(
        found, title=name, source=name, run=name, notes=(name,), findings=findings, skipped={"LC999": name}, matter=matter
    )


DOCUMENTS = {
    "one curve": Document("diagnose", (diagnosed(),)),
    "broken": Document("diagnose", (broken(),)),
    "checkup": Document("checkup", (sanity(), *map(skipped, ("overfit", "sweep", "training")))),
    "healthy checkup": Document("checkup", (replace(sanity(), findings=()), memorized(), swept())),
    "sweep": Document("sweep", (swept(),)),
    "group": Document("diagnose", (grouped(),)),
    "many": Document("diagnose", (diagnosed(), broken(), grouped()) * 4),
    "hostile": Document("diagnose", tuple(map(hostile, NAMES[:4]))),
    "many hostile": Document("diagnose", tuple(map(hostile, NAMES))),
    "nothing": Document("diagnose", (), (Problem("there is no such file", file=NAMES[0]),)),
}


class Tags(HTMLParser):
    """Reads a page as a browser would: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, attribute: str) -> list[str]:
        return [values[attribute] for _, values in self.elements if attribute in values]
