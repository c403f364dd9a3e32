"""What experiments said of a cause: the verdict with its gain, the fix, and the curves before and after it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from lossdoc.curve import Curve
from lossdoc.findings import Proof
from lossdoc.format import Screen, verdict_of
from lossdoc.formats._curve import drawn

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
        yield Padding(drawn(_both(proof.curves), screen, HEIGHT), (0, 0, 1, 2))


def diff(fix: str, screen: Screen, room: int) -> Text:
    """Return a fix with what goes in red and what comes in green; lines longer than there is room go on below, indented."""
    shown, text = screen.said(fix), Text()
    for line in shown.rstrip("\n").splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "") if shown.startswith("---") else "green"
        fitted = textwrap.fill(line, room, subsequent_indent=" " * 8, drop_whitespace=False, break_on_hyphens=False)
        text.append("\n" if text else "").append(fitted, style=style)
    return text


def _both(curves: tuple[object, object]) -> Curve:
    """Return both curves of the training loss as one, to be drawn together."""
    before, after = curves
    assert isinstance(before, Curve)  # noqa: S101 - what experiments hand over
    assert isinstance(after, Curve)  # noqa: S101
    name = before.train.name
    return Curve(replace(before.train, name=f"{name} before"), replace(after.train, name=f"{name} after the change"))
