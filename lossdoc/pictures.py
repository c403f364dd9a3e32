"""Pictures of a sweep as files: the map of its points, loss by learning rate, parallel coordinates, a range test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lossdoc.curve import Floats
from lossdoc.features.rising import smooth
from lossdoc.figures import canvas
from lossdoc.maps import LETTERS, Plane, plane
from lossdoc.ranging import RangeTest, rates_of
from lossdoc.ranking import RATE, Scored, flat_rates, recommended, scored
from lossdoc.subject import Trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = 6.4, 4.4  # inches; at 130 dots an inch some 830 wide, and still legible at 600
GOOD, DEAD, PLAIN = "#0072b2", "#888888", "#333333"  # told apart by the color-blind too (Okabe and Ito, 2008)
MARKED = "#d55e00"


def draw(trials: Trials, folder: Path) -> None:
    """Draw what there is to draw of a sweep into a folder: map.png, rates.png, parallel.png."""
    of = plane(trials)
    if of is not None and of.y is not None:
        _save(_map(trials, of), folder / "map.png")
    if len({point.trial.point.params.get(RATE) for point in scored(trials)}) > 1 and RATE in trials.ranges:
        _save(_rates(trials), folder / "rates.png")
    if sum(_varies(trials, path) for path in trials.ranges) > 1:
        _save(_parallel(trials), folder / "parallel.png")


def draw_range_test(trials: Trials, found: RangeTest | None, path: Path) -> None:
    """Draw the losses of a range test by learning rate, with what they suggest."""
    figure, axes = canvas(*SIZE)
    first = max((float(trial.curve.train.value[0]) for trial in trials.trials), default=1.0)
    for number, trial in enumerate(trials.trials):
        finite = np.isfinite(trial.curve.train.value)
        rates, losses = rates_of(trial)[finite], trial.curve.train.value[finite]
        if len(losses) < 2:
            continue
        axes.plot(rates, losses, color=GOOD, lw=0.6, alpha=0.3)
        axes.plot(rates, smooth(rates, losses), color=GOOD, lw=1.8, label="loss, smoothed" if number == 0 else None)
    if found is not None:
        suggested = found.suggested[RATE]
        axes.axvline(suggested, color=MARKED, lw=2, label=f"suggested: {suggested:.2g}")
        axes.axvline(found.valley, color=PLAIN, lw=1.4, ls="-.", label=f"middle of the fall: {found.valley:.2g}")
        axes.axvline(found.steepest, color=PLAIN, lw=1.4, ls="--", label=f"steepest: {found.steepest:.2g}")
        if found.ceiling is not None:
            axes.axvline(found.ceiling, color=PLAIN, lw=1.4, ls=":", label=f"half is lost: {found.ceiling:.2g}")
    axes.set_xscale("log")
    axes.set_ylim(top=1.5 * first) if first > 0 else None
    axes.set_xlabel("learning rate, rising from step to step")
    axes.set_ylabel("training loss")
    axes.set_title(f"range test, {len(trials.trials)} runs", loc="left")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize="small")
    _save(figure, path)


def _map(trials: Trials, of: Plane) -> Figure:
    figure, axes = canvas(7.0, 4.6)
    metric = _metric(trials)
    rows = _heights(of)
    shades = _shades(of, metric)
    for number, place in enumerate(of.places):
        color, ink = shades[number]
        axes.scatter(place.x, rows[number], s=330, color=color, edgecolor="black" if place.best else "white",
                     linewidth=2.2 if place.best else 0.8, zorder=3 if place.best else 2)  # fmt: skip
        axes.text(place.x, rows[number], LETTERS.get(place.pattern, "?"), color=ink, ha="center", va="center_baseline",
                  fontsize=11, fontweight="bold", zorder=4)  # fmt: skip
    _ticks(axes, of, rows)
    axes.set_xscale("log" if of.log_x else "linear")
    axes.set_xlabel(of.x)
    axes.set_ylabel(of.y or "")
    axes.margins(0.09)
    best = "accuracy" if metric else "loss"
    axes.set_title(f"{len(of.places)} points: pattern, and {best} as color; the best is ringed", loc="left", fontsize=11)
    legend = "   ".join(f"{letter} {pattern}" for letter, pattern in of.patterns.items())
    figure.text(0.02, -0.02, legend, ha="left", va="top", fontsize=10, wrap=True)
    _bar(figure, axes, of, metric)
    return figure


def _metric(trials: Trials) -> dict[int, float]:
    """Return the mean accuracy by the index of a point; empty where there is none."""
    found: dict[int, list[float]] = {}
    for trial in trials.trials:
        found.setdefault(trial.point.index, []).append(trial.metric)
    mean = {index: sum(values) / len(values) for index, values in found.items()}
    return mean if any(math.isfinite(value) for value in mean.values()) else {}


def _measured(of: Plane, metric: dict[int, float]) -> Floats:
    """Return the number that colors each point (n,), NaN where it diverged: the accuracy, else the loss's logarithm."""
    if metric:
        return np.array([metric[index] for index in sorted(metric)])
    losses = np.array([place.loss if math.isfinite(place.loss) else np.nan for place in of.places])
    return np.log10(losses) if (losses[np.isfinite(losses)] > 0).all() else losses


def _shades(of: Plane, metric: dict[int, float]) -> list[tuple[Any, str]]:
    """Return the color of each point and that of the letter on it: yellow is good, gray diverged."""
    from matplotlib import colormaps

    values = _measured(of, metric)
    low, high = _limits(values)
    shares = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    shares = shares if metric else 1 - shares
    colors = colormaps["viridis"]
    return [
        (colors(float(share)), "black" if share > 0.55 else "white") if math.isfinite(share) else ("#d9d9d9", "black")
        for share in np.clip(shares, 0, 1)
    ]


def _limits(values: Floats) -> tuple[float, float]:
    """Return the ends of the color scale; of losses the worst quarter shares its end, or one explosion hides all else."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 0.0
    return float(finite.min()), float(finite.max())


def _bar(figure: Figure, axes: Axes, of: Plane, metric: dict[int, float]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    values = _measured(of, metric)
    low, high = _limits(values)
    if not high > low:
        return
    losses = np.array([place.loss for place in of.places if math.isfinite(place.loss)])
    log = not metric and bool((losses > 0).all())
    norm = LogNorm(10**low, 10**high) if log else Normalize(low, high)
    bar = figure.colorbar(ScalarMappable(norm, "viridis" if metric else "viridis_r"), ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("accuracy" if metric else "loss")
    bar.outline.set_visible(False)


def _heights(of: Plane) -> list[float]:
    """Return where each point stands on the second axis; a 0 on a logarithmic one stands a step below all others."""
    if not of.numeric_y:
        names = sorted({str(place.y) for place in of.places})
        return [float(names.index(str(place.y))) for place in of.places]
    if not of.log_y:
        return [float(place.y) for place in of.places]
    floor = _floor(of)
    return [float(place.y) if place.y > 0 else floor for place in of.places]


def _floor(of: Plane) -> float:
    """Return the height that stands for 0: below the lowest number by a sixth of all, half a decade at least."""
    inside = [float(place.y) for place in of.places if place.y > 0] or [1.0]
    span = math.log10(max(inside) / min(inside))
    return min(inside) / 10 ** max(span / 6, 0.5)


def _ticks(axes: Axes, of: Plane, rows: Sequence[float]) -> None:
    if not of.numeric_y:
        names = sorted({str(place.y) for place in of.places})
        axes.set_yticks(range(len(names)), names)
    elif of.log_y:
        axes.set_yscale("log")
        if any(place.y <= 0 for place in of.places):
            from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation

            floor, plain = _floor(of), LogFormatterSciNotation()
            inside = [row for row in rows if row > floor * 1.01]
            decades = [
                10.0**power for power in range(math.ceil(math.log10(min(inside))), math.floor(math.log10(max(inside))) + 1)
            ]
            axes.set_yticks([floor, *decades])
            axes.yaxis.set_minor_locator(_no_ticks())
            axes.yaxis.set_major_formatter(
                FuncFormatter(lambda value, at: "0" if math.isclose(value, floor) else plain(value, at))
            )


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _rates(trials: Trials) -> Figure:
    figure, axes = canvas(*SIZE)
    points = [point for point in scored(trials) if isinstance(point.trial.point.params.get(RATE), (int, float))]
    alive = [point for point in points if math.isfinite(point.loss)]
    dead = [point for point in points if not math.isfinite(point.loss)]
    _spread(axes, alive)
    flat = flat_rates(trials)
    if flat is not None:
        axes.axvspan(*flat, color=GOOD, alpha=0.12, lw=0, label="no worse than the best")
    now, better = trials.configured.get(RATE), recommended(trials).get(RATE)
    if isinstance(now, (int, float)):
        axes.axvline(now, color=PLAIN, lw=1.2, ls=":", label=f"configured: {now:.2g}")
    if isinstance(better, (int, float)):
        axes.axvline(better, color=MARKED, lw=2, label=f"recommended: {better:.2g}")
    if alive and min(point.loss for point in alive) > 0:
        _log_losses(axes, [point.loss for point in alive])
    if dead:
        top = axes.get_ylim()[1]
        axes.plot([_rate(point) for point in dead], [top] * len(dead), "x", color=MARKED, ms=9, mew=2, clip_on=False,
                  label="diverged")  # fmt: skip
        axes.set_ylim(top=top)
    axes.set_xscale("log" if RATE in trials.log else "linear")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("last validation loss" if any(t.curve.val is not None for t in trials.trials) else "last training loss")
    axes.set_title(f"loss by learning rate, {len(points)} points", loc="left")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", fontsize="small")
    return figure


def _log_losses(axes: Axes, losses: Sequence[float]) -> None:
    """Make the second axis logarithmic, with plain numbers on it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(plain if max(losses) < 1e4 * min(losses) else NullFormatter())


def _spread(axes: Axes, alive: Sequence[Scored]) -> None:
    """Draw each point, with the standard deviation between its seeds where there are several; pale if ended early."""
    for stopped in (False, True):
        some = [point for point in alive if point.stopped is stopped]
        if some:
            spread = [point.sd if math.isfinite(point.sd) else 0.0 for point in some]
            axes.errorbar([_rate(point) for point in some], [point.loss for point in some], yerr=spread, fmt="o", ms=6,
                          color=DEAD if stopped else GOOD, ecolor=DEAD if stopped else GOOD, elinewidth=1.2,
                          label="ended early" if stopped else None)  # fmt: skip


def _rate(point: Scored) -> float:
    return float(point.trial.point.params[RATE])


def _parallel(trials: Trials) -> Figure:
    from matplotlib import colormaps

    paths = [path for path in trials.ranges if _varies(trials, path)]
    figure, axes = canvas(max(6.4, 1.9 * (len(paths) + 1)), 4.4)
    points = scored(trials)
    order = sorted(range(len(points)), key=lambda place: points[place].loss)
    columns = [_scaled([point.trial.point.params[path] for point in points], log=path in trials.log) for path in paths]
    losses = [point.loss for point in points]
    columns.append(_scaled(losses, log=min(losses) > 0))
    colors = colormaps["viridis"]
    many = max(sum(map(math.isfinite, losses)) - 1, 1)
    for rank, place in reversed(list(enumerate(order))):
        heights = [heights[place] for heights, _ in columns]
        dead = not math.isfinite(losses[place])
        color = "#cccccc" if dead else colors(1 - rank / many)
        axes.plot(range(len(columns)), heights, color=color, lw=3 if rank == 0 else 1.3, alpha=0.9, ls=":" if dead else "-",
                  zorder=3 if rank == 0 else 2)  # fmt: skip
    for place, (_, labels) in enumerate(columns):
        axes.axvline(place, color="#bbbbbb", lw=0.8, zorder=1)
        for height, label in labels:
            axes.text(place + 0.02, height, label, fontsize=9, va="center", zorder=5,
                      bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8})  # fmt: skip
    axes.set_xticks(range(len(columns)), [*(path.replace(".", ".\n", 1) for path in paths), "loss"])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("every point as a line: yellow the best, thick the very best, dotted diverged", loc="left", fontsize=11)
    return figure


def _varies(trials: Trials, path: str) -> bool:
    return len({repr(trial.point.params.get(path)) for trial in trials.trials}) > 1


def _scaled(values: Sequence[Any], *, log: bool) -> tuple[list[float], list[tuple[float, str]]]:
    """Return the heights of values from 0 to 1, and labels with heights; what has no place stands below 0 or above 1."""
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        names = sorted({str(value) for value in values})
        step = 1 / max(len(names) - 1, 1)
        return [names.index(str(value)) * step for value in values], [(n * step, name) for n, name in enumerate(names)]
    inside = [float(value) for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = min(inside, default=1.0), max(inside, default=1.0)

    def height(value: float) -> float:
        if not math.isfinite(value):
            return 1.12
        if log and value <= 0:
            return -0.12
        if high == low:
            return 0.5
        return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)

    labels = [(height(value), f"{float(f'{value:.2g}'):g}") for value in sorted({low, high})]
    labels += [(-0.12, "0")] if log and any(value <= 0 for value in values) else []
    labels += [(1.12, "diverged")] if not all(map(math.isfinite, values)) else []
    return [height(float(value)) for value in values], labels


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=130, bbox_inches="tight", metadata={"Software": "lossdoc"})
