"""Pictures of curves as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lossdoc.curve import Curve, Floats, Series
from lossdoc.subject import Trial, Trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE = "optimizer.lr"
POINTS = 60  # a curve of more points is averaged down to this many: with the noise of single batches a dozen hide each other
LEGEND = 14  # trials in the legend: as many lines as fit beside the picture
DIED = "#c0392b"
TRAIN, VALIDATION, MARKED = "#1f5a94", "#d9730d", "#c0392b"


def curves(trials: Trials, path: Path) -> None:
    """Draw the training curves of a sweep into one figure, colored by learning rate; what diverged is marked where it died.

    The legend names the best trials and their last losses, and then how many more there are.
    """
    figure, axes = _canvas(9.5, 5.0)
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


def loss_curve(curve: Curve, path: Path, span: tuple[float, float] | None = None) -> None:
    """Draw one run's losses; `span` is the part to mark, in the units of the curve's step axis."""
    figure, axes = _canvas(8.0, 4.2)
    for series, color, name in ((curve.train, TRAIN, "training"), (curve.val, VALIDATION, "validation")):
        if series is None or not len(series.finite):
            continue
        finite = series.finite
        rough = len(finite) > POINTS
        axes.plot(finite.step, finite.value, color=color, lw=0.6 if rough else 1.8, alpha=0.3 if rough else 1.0,
                  label=None if rough else name)  # fmt: skip
        if rough:
            smooth = smoothed(series)
            axes.plot(smooth.step, smooth.value, color=color, lw=2.0, label=name)
        _mark_bad(axes, series, color)
    if span is not None:
        axes.axvspan(*span, color=MARKED, alpha=0.12, lw=0, label="suspicious")
    _finish_axes(axes, [curve], "loss curve" if curve.run is None else curve.run)
    handles, labels = axes.get_legend_handles_labels()
    _legend(axes, handles, labels, None)
    figure.savefig(path, dpi=130, bbox_inches="tight")


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


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure that belongs to no window and to no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


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
