"""Pictures of curves as files."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lossdoc.curve import Curve, Floats, Series
from lossdoc.destination import writing
from lossdoc.errors import UserError
from lossdoc.findings import Report, worst_first
from lossdoc.format import heading
from lossdoc.letters import ending
from lossdoc.subject import Trial, Trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE = "optimizer.lr"
POINTS = 60  # a curve of more points is averaged down to this many: with the noise of single batches a dozen hide each other
LEGEND = 14  # trials in the legend: as many lines as fit beside the picture
DIED = "#c0392b"
TRAIN, VALIDATION, MARKED = "#0072b2", "#d55e00", "#cc79a7"  # told apart by the color-blind too (Okabe and Ito, 2008)
PANELS = 12  # runs in one picture: more would be too small to read
ROOM = {1: 72, 2: 34}  # letters that fit into a line above a panel, by the number of columns


def curves(trials: Trials, path: Path) -> None:
    """Draw the training curves of a sweep into one figure, colored by learning rate; what diverged is marked where it died.

    The legend names the best trials and their last losses, and then how many more there are.
    """
    figure, axes = canvas(9.5, 5.0)
    order = trials.ranked
    colors = _Colors([_color_value(trial) for trial in order])
    ceiling = _ceiling(order)
    for rank, trial in reversed(list(enumerate(order))):
        width, alpha = (2.6, 1.0) if rank == 0 else (1.2, 0.8)
        series = smoothed(trial.curve.train)
        label = _label(trial, trials) if rank < LEGEND else None
        color = colors.of(_color_value(trial))
        axes.plot(series.step, np.minimum(series.value, ceiling), color=color, lw=width, alpha=alpha, label=label)
        if trial.diverged_at is not None:
            _mark_death(axes, trial, min(ceiling, _last(series)))
    _finish_axes(axes, [trial.curve for trial in order], f"training loss of {len(order)} trials, best first", ceiling)
    if ceiling < math.inf:
        axes.set_ylim(top=ceiling * 1.3)
    handles, labels = axes.get_legend_handles_labels()
    more = f"… and {len(order) - LEGEND} more" if len(order) > LEGEND else None
    _legend(axes, list(reversed(handles)), list(reversed(labels)), more)
    colors.bar(figure, axes)
    figure.savefig(path, dpi=130, bbox_inches="tight")


def diagnosed(reports: Sequence[Report], path: Path) -> None:
    """Draw the runs that were diagnosed, a panel each with its verdict as title and the suspicious span marked.

    Of many runs the worst are drawn, and told how many more there are. The kind of picture is that of the name's ending;
    the same reports give the same bytes.

    Raises:
        UserError: when no run holds a finite loss, or the file cannot be written.
    """
    from matplotlib import rc_context

    drawn = [report for report in reports if isinstance(report.matter, Curve) and len(report.matter.train.finite)]
    if not drawn:
        raise UserError.of(f"--plot {path}: no run holds a finite loss that could be drawn", kind="output")
    shown = drawn if len(drawn) <= PANELS else worst_first(drawn)[:PANELS]
    columns = min(2, len(shown))  # of three the letters are too small to read where the picture is 600 pixels wide
    rows = -(-len(shown) // columns)
    width, height = (8.0, 4.6) if columns == 1 else (9.2, 3.5 * rows)
    with rc_context({"svg.hashsalt": "lossdoc", "font.size": 11}):
        figure = _blank(width, height)
        for place, report in enumerate(shown, 1):
            _panel(figure.add_subplot(rows, columns, place), report, ROOM[columns])
        if len(drawn) > len(shown):
            figure.text(0.995, 0.002, f"… and {len(drawn) - len(shown)} more runs", ha="right", va="bottom", color="#555555")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)  # a name may hold any sign
            figure.tight_layout()
            _saved(figure, path)


def _panel(axes: Axes, report: Report, room: int) -> None:
    """Draw one run into its panel; its name and verdict stand above it, in lines of `room` letters."""
    curve = report.matter
    assert isinstance(curve, Curve)  # noqa: S101 - `diagnosed` drew no others
    _open(axes)
    for series, color, name in ((curve.train, TRAIN, "training"), (curve.val, VALIDATION, "validation")):
        if series is not None and len(series.finite):
            _line(axes, series, color, name)
        if series is not None:
            _mark_bad(axes, series, color)
    span = report.findings[0].evidence.span if report.findings and report.primary != "healthy" else None
    if span is not None:
        low, high = _limits(span, curve)
        axes.axvspan(low, high, color=MARKED, alpha=0.18, lw=0, label="suspicious")
    name = ending(heading(report), room)
    between = " " if len(name) + len(report.primary) + 2 <= room else "\n"
    _finish_axes(axes, [curve], f"{name}:{between}{report.primary}")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, loc="best", frameon=True, framealpha=0.8, edgecolor="none", fontsize="small")


def _line(axes: Axes, series: Series, color: str, name: str) -> None:
    """Draw a loss: points of few are marked, a rough line is pale under its average; sides differ by more than color."""
    finite, style = series.finite, "-" if name == "training" else (0, (5, 1.5))
    if len(finite) > POINTS:
        axes.plot(finite.step, finite.value, color=color, lw=0.6, alpha=0.3)
        finite = smoothed(series)
    marker = {"marker": "o", "ms": 3.5} if len(series.finite) <= POINTS else {}
    axes.plot(finite.step, finite.value, color=color, lw=2.0, ls=style, label=name, **marker)  # type: ignore[arg-type]


def _limits(span: tuple[float, float], curve: Curve) -> tuple[float, float]:
    """Return the ends of the part to mark, at least a hundredth of the picture wide, so that a single step is seen."""
    steps = curve.train.step if curve.val is None else np.concatenate((curve.train.step, curve.val.step))
    least = (steps.max() - steps.min()) / 200
    middle = (span[0] + span[1]) / 2
    return min(span[0], middle - least), max(span[1], middle + least)


def _saved(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, without the time of day in it."""
    made = io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    figure.savefig(made, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else {"Software": "lossdoc"})
    with writing(f"--plot {path}"):
        path.write_bytes(made.getvalue())


def smoothed(series: Series) -> Series:
    """Return the finite entries averaged in at most `POINTS` groups of equal size; the first and last entry stay."""
    finite = series.finite
    if len(finite) <= POINTS:
        return finite
    groups = np.array_split(np.arange(len(finite)), POINTS)
    step = np.array([finite.step[group].mean() for group in groups])
    value = np.array([finite.value[group].mean() for group in groups])
    step[[0, -1]] = finite.step[[0, -1]]
    return Series(step, value, series.name)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure that belongs to no window and to no global state."""
    figure = _blank(width, height)
    axes = figure.add_subplot()
    _open(axes)
    return figure, axes


def _blank(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _open(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _finish_axes(axes: Axes, drawn: Sequence[Curve], title: str, top: float = math.inf) -> None:
    """Label the axes; the loss, cut at `top`, is logarithmic unless a value is 0 or less, which no logarithm shows."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    losses = [series.finite.value for curve in drawn for series in (curve.train, curve.val) if series is not None]
    whole: Floats = np.concatenate([*losses, np.empty(0)])
    values = np.minimum(whole, top)
    if len(values) and values.min() > 0:
        axes.set_yscale("log")
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_major_formatter(plain)
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(plain if values.max() < 1e4 * values.min() else NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, which="major", color="#dddddd", lw=0.7)
    axes.set_xlabel(drawn[0].context.axis or "step" if drawn else "step")
    axes.set_ylabel("loss" if not (whole > top).any() else f"loss (cut at {_short(top)})")
    axes.set_title(title, loc="left")


def _legend(axes: Axes, handles: list[Any], labels: list[str], more: str | None) -> None:
    if not handles:
        return
    axes.legend(handles, labels, title=more, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small",
                alignment="left", title_fontsize="small")  # fmt: skip


def _mark_bad(axes: Axes, series: Series, color: str) -> None:
    """Mark where a value that is no number was logged, at the height of the last number before it."""
    bad = np.flatnonzero(~np.isfinite(series.value))
    if len(bad):
        height = series.value[bad[0] - 1] if bad[0] > 0 else 1.0
        axes.plot(series.step[bad[0]], height, "x", color=color, ms=10, mew=2.5, label="not finite")


def _mark_death(axes: Axes, trial: Trial, height: float) -> None:
    axes.plot(trial.diverged_at or 0, height, "x", color=DIED, ms=9, mew=2.5, zorder=5, clip_on=False)


def _ceiling(trials: Sequence[Trial]) -> float:
    """Return the loss to cut the picture at, a decade above the highest first loss: what explodes says no more there."""
    first = [float(trial.curve.train.value[0]) for trial in trials if len(trial.curve.train)]
    usable = [value for value in first if math.isfinite(value) and value > 0]
    return 10 * max(usable) if usable else math.inf


def _last(series: Series) -> float:
    return float(series.value[-1]) if len(series) else math.inf


def _color_value(trial: Trial) -> float:
    """Return the learning rate, NaN where it was not swept."""
    rate = trial.point.params.get(RATE)
    return float(rate) if isinstance(rate, (int, float)) and rate > 0 else math.nan


def _label(trial: Trial, trials: Trials) -> str:
    """Return what a trial was trained with and how it ended."""
    params = ", ".join(f"{path.rpartition('.')[2]} {_short(value)}" for path, value in trial.point.params.items())
    seeds = {each.point.seed for each in trials.trials}
    seed = f", seed {trial.point.seed}" if len(seeds) > 1 else ""
    end = f"✗ at step {trial.diverged_at}" if trial.diverged_at is not None else f"→ {_short(trial.loss)}"
    return f"{params}{seed}  {end}"


def _short(value: Any) -> str:
    return f"{float(f'{value:.2g}'):g}" if isinstance(value, float) else str(value)


class _Colors:
    """A color for each learning rate, on a logarithmic scale from dark (low) to yellow (high)."""

    def __init__(self, rates: Sequence[float]) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm

        known = [rate for rate in rates if math.isfinite(rate)]
        self.map = colormaps["viridis"]
        self.norm = LogNorm(min(known), max(known)) if len(set(known)) > 1 else None

    def of(self, rate: float) -> Any:
        """Return the color of a rate; one plain color where rates do not differ."""
        return TRAIN if self.norm is None or math.isnan(rate) else self.map(0.88 * float(self.norm(rate)))

    def bar(self, figure: Figure, axes: Axes) -> None:
        """Draw the scale under the picture, where rates differ."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap

        if self.norm is None:
            return
        shown = LinearSegmentedColormap.from_list("rates", [self.map(0.88 * share / 255) for share in range(256)])
        bar = figure.colorbar(ScalarMappable(self.norm, shown), ax=axes, orientation="horizontal", fraction=0.045, pad=0.16)
        bar.set_label("learning rate")
        bar.outline.set_visible(False)
