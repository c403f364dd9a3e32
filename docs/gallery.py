"""Draw the gallery of loss curves: `python docs/gallery.py` writes docs/gallery.md and docs/gallery/*.png and *.svg.

The figures of the notes come from real trainings of configs/sick, those of the patterns from the rules' own examples.
`--check` trains nothing: it fails where a config, an example or the page of a pattern is no longer what the pictures were
made of. `--screens` takes pictures of the HTML report in a browser (playwright and chromium).
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lossdoc import figures
from lossdoc.curve import Curve, Runs, Series
from lossdoc.diagnosis import examine_curve, examine_runs
from lossdoc.findings import Report, Severity
from lossdoc.format import Document
from lossdoc.html.page import render
from lossdoc.rule import Rule, patterns
from lossdoc.threads import threads

HERE = Path(__file__).parent
PAGE, PICTURES, SICK = HERE / "gallery.md", HERE / "gallery", HERE.parent / "configs" / "sick"
MARK = re.compile(r"^<!-- ([a-z-]+/[a-z-]+) ([0-9a-f]{16}) -->$", re.MULTILINE)
SIX = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito, 2008
SEEDS = 5
DIGITS = 6  # of an example's numbers that are compared: the last ones differ between processors
SCREENS = {  # as high as what there is to say of the run; the page of its rule follows
    "report-light": (1000, 1370, "light"),
    "report-dark": (1000, 1370, "dark"),
    "report-narrow": (380, 1580, "light"),
}


@dataclass(frozen=True)
class Figure:
    """A figure of the notes, and the config that shows the same in a real training.

    `runs` is how often it is trained, `change` what is changed of it (as by --set) to see coming what else comes at once.
    """

    place: str
    shows: str
    config: str
    runs: int = 1
    change: tuple[str, ...] = ()


LATER = ("data.preprocess=[{scale: {divide_by: 16}}]", "optimizer.lr=0.2", "optimizer.momentum=0.95")

NOTES = (
    Figure("8, left", "flat: nothing is learned at all", "not-learning"),
    Figure("8, middle and right", "training goes to 0, validation keeps a gap or turns up", "overfitting"),
    Figure("9, left", "falls slowly, almost a straight line", "slow-learning"),
    Figure("9, middle", "flat at first, then it falls", "slow-start"),
    Figure("9, right", "the loss goes up", "rising"),
    Figure("10, top", "waves that repeat with the epoch", "periodic"),
    Figure("10, bottom left", "the curve breaks off", "non-finite", change=LATER),
    Figure("10, bottom right", "the validation curve is very rough", "noisy-validation"),
    Figure("11", "five runs of the very same network, and none gets below 1.4612", "double-softmax", SEEDS),
)


def trained(figure: Figure) -> Report:
    """Train a config as it stands, once or with several seeds, and diagnose what comes of it."""
    from lossdoc import checkup  # brings torch, which a check has no use for

    path = SICK / f"{figure.config}.yaml"
    with threads(1):
        if figure.runs == 1:
            report = checkup.fit(checkup.Case.load(path, change=figure.change))
            return replace(report, title=f"figure {figure.place}", decisive=Severity.WARNING)
        curves = [checkup.fit(checkup.Case.load(path, seed=seed)).matter for seed in range(figure.runs)]
    return examine_runs(Runs(tuple(one for one in curves if isinstance(one, Curve))), title=f"figure {figure.place}")


def example(rule: Rule[Any]) -> Report:
    """Diagnose the first example on which a pattern fires."""
    thing = rule.fires_on[0]()
    examine = examine_runs if isinstance(thing, Runs) else examine_curve
    return examine(thing, title="example", select=[rule.name])


def draw(report: Report, name: str) -> None:
    """Draw a report as NAME.png and NAME.svg."""
    for kind in ("png", "svg"):
        path = PICTURES / f"{name}.{kind}"
        if isinstance(report.matter, Runs):
            _together(report, report.matter.curves, path)
        else:
            figures.diagnosed([report], path)


def _together(report: Report, curves: Sequence[Curve], path: Path) -> None:
    """Draw several runs of one network on one pair of axes, each in a color that the color-blind tell from the others."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "lossdoc", "font.size": 11}):
        figure, axes = figures.canvas(8.0, 4.6)
        for number, curve in enumerate(curves):
            series = figures.smoothed(curve.train)
            style = "-" if number < len(SIX) else "--"
            axes.plot(series.step, series.value, style, color=SIX[number % len(SIX)], lw=2, label=f"run {number + 1}")
        axes.set_xlabel(curves[0].context.axis or "step")
        axes.set_ylabel("training loss")
        axes.grid(visible=True, color="#dddddd", lw=0.7)
        floor = next((one.evidence.facts["floor"] for one in report.findings if "floor" in one.evidence.facts), None)
        if floor is not None:
            axes.axhline(floor, color="#555555", lw=1.6, ls=":", label=f"floor {floor:.4f}")
        axes.set_title(f"{report.title}: {report.primary}", loc="left")
        axes.legend(frameon=False, fontsize="small", ncols=2)
        figure.tight_layout()
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else {"Software": "lossdoc"})


def digest(*parts: object) -> str:
    """Return 16 letters that change when any of the parts does."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def sources() -> dict[str, str]:
    """Return what each picture is made of, as a digest by the picture's name."""
    made = {f"notes/{each.config}": digest((SICK / f"{each.config}.yaml").read_text("utf-8"), each) for each in NOTES}
    for rule in patterns.all():
        thing = rule.fires_on[0]()
        curves = thing.curves if isinstance(thing, Runs) else (thing,)
        made[f"patterns/{rule.name}"] = digest(rule.page.summary, *(numbers for one in curves for numbers in _rounded(one)))
    return made


def _rounded(curve: Curve) -> Iterator[list[str]]:
    for series in (curve.train, curve.val):
        if isinstance(series, Series):
            yield [f"{value:.{DIGITS}g}" for value in np.concatenate((series.step, series.value))]


def page(drawn: dict[str, Report]) -> str:
    """Return the page: figures of the notes first, then every pattern."""
    known = sources()
    parts = [
        "# Gallery of loss curves",
        "Made by `python docs/gallery.py`, with all of its pictures; `--check` says whether it is stale.",
        "## The notes' figures, from real trainings",
        "Each is a training of a file in [configs/sick](../configs/sick) with its own settings or the change told below.",
    ]
    for figure in NOTES:
        name = f"notes/{figure.config}"
        parts += [f"### Figure {figure.place}: {figure.shows}", *_shown(name, drawn[name], known[name])]
        often = f", with {figure.runs} seeds" if figure.runs > 1 else ""
        often += "".join(f", with `--set '{one}'`" for one in figure.change)
        parts.append(f"From [configs/sick/{figure.config}.yaml](../configs/sick/{figure.config}.yaml){often}.")
    parts += ["## Every pattern, from its rule's own example", "The first curve on which each rule must fire."]
    for rule in patterns.all():
        name = f"patterns/{rule.name}"
        parts += [f"### {rule.name}", rule.page.summary, *_shown(name, drawn[name], known[name])]
    return "\n\n".join(parts) + "\n"


def _shown(name: str, report: Report, made_of: str) -> list[str]:
    file = f"gallery/{name.replace('/', '-')}"
    found = [f"**{one.name}** ({one.severity.value}): {one.evidence.summary}." for one in report.findings[:1]]
    more = [f"[Its page](rules/{one.name}.md)." for one in report.findings[:1]]
    said = " ".join((*found, *more)) or f"**{report.primary}**"
    return [
        f"<!-- {name} {made_of} -->",
        f"[![{report.title}: {report.primary}]({file}.png)]({file}.svg)",
        f"lossdoc says {said}",
    ]


def check() -> int:
    """Tell what is stale, and return 1 where anything is."""
    kept, now = dict(MARK.findall(PAGE.read_text("utf-8"))), sources()
    stale = sorted(name for name in kept.keys() | now.keys() if kept.get(name) != now.get(name))
    files = {path.stem for path in PICTURES.glob("*.png")} & {path.stem for path in PICTURES.glob("*.svg")}
    stale += sorted(name for name in now if name not in stale and name.replace("/", "-") not in files)
    for name in stale:
        sys.stderr.write(f"docs/gallery.md: {name} is stale; `python docs/gallery.py` makes it anew\n")
    return int(bool(stale))


def make() -> int:
    """Draw everything, and write the page."""
    PICTURES.mkdir(exist_ok=True)
    work: dict[str, Callable[[], Report]] = {f"notes/{each.config}": lambda each=each: trained(each) for each in NOTES}  # type: ignore[misc]
    work |= {f"patterns/{rule.name}": lambda rule=rule: example(rule) for rule in patterns.all()}
    drawn = {}
    for name, make_one in work.items():
        drawn[name] = make_one()
        draw(drawn[name], name.replace("/", "-"))
        sys.stderr.write(f"{name}: {drawn[name].primary}\n")
    PAGE.write_text(page(drawn), encoding="utf-8")
    return 0


def screens() -> int:
    """Take pictures of the report on an overfitted run, at two widths and in both themes."""
    from playwright.sync_api import sync_playwright

    report = replace(trained(NOTES[1]), title="overfitting.yaml", source="configs/sick/overfitting.yaml")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        file = Path(folder) / "report.html"
        file.write_text(render(Document("diagnose", (report,))), encoding="utf-8")
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height, theme) in SCREENS.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
            shown = context.new_page()
            shown.goto(file.as_uri())
            shown.screenshot(path=PICTURES / f"{name}.png")
            context.close()
        browser.close()
    return 0


def main() -> int:
    """Do what was asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="tell whether the gallery is stale, and train nothing")
    parser.add_argument("--screens", action="store_true", help="take pictures of the HTML report, in a browser")
    asked = parser.parse_args()
    return check() if asked.check else screens() if asked.screens else make()


if __name__ == "__main__":
    sys.exit(main())
