"""A small picture of a curve that needs no style sheet around it: for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from lossdoc.curve import Curve
from lossdoc.html.lines import HEIGHT, WIDTH
from lossdoc.html.plots import Asked, Plot, of_curve

# as in style.css, to be told apart on white and on black
COLORS = {"train": "#0072b2", "val": "#c24e00", "span": "#cc79a7", "cross": "#c92a2a"}
COLUMNS = 240  # the picture is as many pixels wide twice
STROKE = 'stroke-width="4" stroke-linejoin="round" stroke-linecap="round"'
LEFT, ABOVE, BELOW = 130, 40, 105  # room for numbers and words around the plot, in its units
WORDS = 30  # the height of letters


def picture(curve: Curve, span: tuple[float, float] | None, told: str) -> str:
    """Return an SVG of training and validation loss with the span marked; `told` says it in words.

    Empty where no loss is finite.
    """
    plot = of_curve(curve, Asked(span=span, columns=COLUMNS, told=told))
    if plot is None:
        return ""
    box = f"{-LEFT} {-ABOVE} {WIDTH + LEFT + WORDS} {HEIGHT + ABOVE + BELOW}"
    style = f"display:block;width:100%;max-width:{2 * COLUMNS}px;font:{WORDS}px sans-serif"
    label = escape(plot.told, quote=True)
    return f'<svg viewBox="{box}" role="img" aria-label="{label}" style="{style}">{"".join(_drawn(plot))}</svg>'


def _drawn(plot: Plot) -> Iterator[str]:
    for box in plot.spans:
        left, width = box.left * WIDTH / 100, box.width * WIDTH / 100
        yield f'<rect x="{left:g}" width="{width:g}" height="{HEIGHT}" fill="{COLORS["span"]}" fill-opacity=".25"/>'
    yield f'<path d="{plot.grid}M0 {HEIGHT}h{WIDTH}" stroke="#888" stroke-opacity=".4"/>'
    for stroke in plot.strokes:
        color, line = COLORS.get(stroke.kind, COLORS["train"]), stroke.path + stroke.dots
        yield f'<path d="{line}" fill="none" stroke="{color}" {STROKE}/>'
    for box in plot.crosses:
        place = f"translate({box.left * WIDTH / 100:g} {box.top * HEIGHT / 100:g})"
        yield f'<path transform="{place}" d="M-12-12l24 24m0-24l-24 24" stroke="{COLORS["cross"]}" stroke-width="5"/>'
    for tick in plot.down:
        yield _text(-14, tick.at * HEIGHT / 100 + 10, "end", tick.text)
    for tick in plot.across:
        yield _text(
            tick.at * WIDTH / 100,
            HEIGHT + WORDS + 6,
            "start" if tick.at < 5 else "end" if tick.at > 95 else "middle",
            tick.text,
        )
    named = "".join(
        f'<tspan fill="{COLORS.get(kind, "gray")}">{escape(note)}</tspan>&#160;&#160; ' for kind, note in plot.legend
    )
    yield f'<text y="{HEIGHT + 2 * WORDS + 20}" fill="gray">{named}</text>'
    yield _text(-14, HEIGHT + WORDS + 6, "end", plot.axis)
    yield _text(0, -10, "start", "loss, logarithmic" if plot.log else "loss")


def _text(left: float, top: float, anchor: str, text: str) -> str:
    return f'<text x="{left:g}" y="{top:g}" text-anchor="{anchor}" fill="gray">{escape(text)}</text>'
