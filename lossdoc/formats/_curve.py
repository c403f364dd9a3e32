"""A curve as text: drawn in letters, or told in words where a drawing is of no use."""

from __future__ import annotations

from rich.text import Text

from lossdoc.chart import draw, told
from lossdoc.curve import Curve
from lossdoc.format import Screen


def drawn(curve: Curve, screen: Screen, height: int, span: tuple[float, float] | None = None) -> Text:
    """Return the drawing of a curve in so many rows, with the part marked that a finding is about."""
    if not screen.drawing:
        return Text(screen.said("\n".join(told(curve, span))))
    width = max(30, min(screen.width - 4, 100))
    return Text("\n".join(draw(curve, span, width=width, height=height, unicode=screen.unicode)), no_wrap=True)
