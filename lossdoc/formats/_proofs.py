"""What experiments said of a cause: the verdict with its gain, the fix, and the curves before and after it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from lossdoc.chart import draw
from lossdoc.curve import Curve
from lossdoc.findings import Proof
from lossdoc.format import Screen, verdict_of

STYLES = {"confirmed": "bold green", "ruled out": "dim", "suspected": "bold"}
HEIGHT = 8


def shown(proof: Proof, screen: Screen, *, whole: bool) -> Iterator[RenderableType]:
    """Yield the verdict, and where `whole` is wanted the fix and the curves of a confirmed one."""
    told = Text(screen.said(verdict_of(proof)))
    told.stylize(STYLES[proof.status], 0, len(proof.status))
    yield Padding(told, (0, 0, 1, 2))
    if proof.fix and (whole or proof.status == "confirmed"):
        yield Padding(diff(proof.fix, screen, screen.width - 4), (0, 0, 1, 4))
    if proof.curves is not None and proof.status == "confirmed" and whole:
        lines = _drawn(proof.curves, screen)
        yield Padding(Text("\n".join(lines), no_wrap=True), (0, 0, 1, 2))


def diff(fix: str, screen: Screen, room: int) -> Text:
    """Return a fix with what goes in red and what comes in green; lines longer than there is room go on below, indented."""
    shown, text = screen.said(fix), Text()
    for line in shown.rstrip("\n").splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "") if shown.startswith("---") else "green"
        fitted = textwrap.fill(line, room, subsequent_indent=" " * 8, drop_whitespace=False, break_on_hyphens=False)
        text.append("\n" if text else "").append(fitted, style=style)
    return text


def _drawn(curves: tuple[object, object], screen: Screen) -> list[str]:
    """Return both curves of the training loss in one drawing."""
    before, after = curves
    assert isinstance(before, Curve)  # noqa: S101 - what experiments hand over
    assert isinstance(after, Curve)  # noqa: S101
    both = Curve(replace(before.train, name="loss before"), replace(after.train, name="loss after the change"))
    return draw(both, width=max(30, min(screen.width - 4, 100)), height=HEIGHT, unicode=screen.unicode)
