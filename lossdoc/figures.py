"""Pictures of curves as files."""

from __future__ import annotations

from pathlib import Path

from lossdoc.curve import Curve
from lossdoc.subject import Trials


def curves(trials: Trials, path: Path) -> None:
    """Draw the training curves of a sweep into one figure, colored by learning rate; what diverged is marked where it died."""
    raise NotImplementedError(trials, path)


def loss_curve(curve: Curve, path: Path, span: tuple[float, float] | None = None) -> None:
    """Draw one run's losses; `span` is the part to mark, in the units of the curve's step axis."""
    raise NotImplementedError(curve, path, span)
