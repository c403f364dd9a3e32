"""The recommendation of a sweep as a change of the file: shown as a diff, written into a copy on demand."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lossdoc.destination import must_be_writable, writing
from lossdoc.errors import UserError
from lossdoc.ranking import above, flat_rates, no_worse, scored, unchanged
from lossdoc.spec import Spec
from lossdoc.spec.edits import edited, written
from lossdoc.subject import Trials


def told(spec: Spec, trials: Trials, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what to change, why so little or nothing, and which rates are as good."""
    if values:
        yield ("recommended: " + ", ".join(f"{path} {written(value)}" for path, value in values.items()))
        yield diff(spec, values)
        kept = (
            [] if trials.suggested else [path for path in trials.ranges if path not in values and path in trials.configured]
        )
        if kept:
            yield f"{', '.join(kept)} left as configured: nothing shows that it matters near the best rate"
    elif no_worse(trials):
        yield "recommended: nothing to change; the configured values are no worse than the best" + (
            "" if trials.confirmed or _seeds(trials) > 1 else " (99 % of what it learned, or more)"
        )
    if trials.confirmed:
        yield confirmation(trials)
    flat = flat_rates(trials)
    if flat is not None:
        low, high = (f"{rate:.2g}" for rate in flat)
        if _seeds(trials) > 1:
            yield f"learning rates from {low} to {high} are within noise of the best ({_seeds(trials)} seeds)"
        else:
            yield f"learning rates from {low} to {high} learn 99 % of what the best does, or more; --seeds 3 tells noise"


def confirmation(trials: Trials) -> str:
    """Return what the best candidate gained over the configured values, both trained from new seeds, in words."""
    candidates = scored(replace(trials, trials=trials.confirmed))
    best = min(candidates, key=lambda one: one.loss)
    asked = f"confirmed from {len(best.losses)} new seeds"
    if not math.isfinite(best.loss):
        return f"{asked}: none of what could be recommended was trained to its end"
    kept = next((one for one in candidates if unchanged(trials, one)), None)
    ends = f"{asked}: the loss ends at {best.loss:.3g} ± {best.sd:.2g}"
    if kept is None or kept is best:
        return ends + (" as configured, the other candidates above it" if kept is best else "")
    if not math.isfinite(kept.loss):
        return f"{ends}, and as configured it diverges"
    gain, error = above(kept, best)
    return f"{ends}, as configured at {kept.loss:.3g} ± {kept.sd:.2g}: a gain of {gain:.2g} ± {error:.1g}"


def _seeds(trials: Trials) -> int:
    return len({trial.point.seed for trial in trials.trials})


def diff(spec: Spec, values: Mapping[str, Any], becomes: str = "recommended") -> str:
    """Return what the values change in the file, as a unified diff; where the text does not allow it, as options.

    `becomes` is what the diff calls the changed file.
    """
    before = text_of(spec)
    try:
        after = edited(before, values, spec.file)
    except UserError:
        return " ".join(f"--set '{path}={written(value)}'" for path, value in values.items())
    name = Path(spec.file).name
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, f"{name} ({becomes})", lineterm="", n=1)
    return "\n".join(lines)


def text_of(spec: Spec) -> str:
    """Return the text that the description was read from."""
    return "\n".join(spec.document.lines) + "\n"


def beside(spec: Spec, word: str) -> Path:
    """Return the path of a copy beside the file: model.yaml becomes model.fixed.yaml."""
    path = Path(spec.file)
    return path.with_name(f"{path.stem}.{word}{path.suffix}")


def writable(path: Path, spec: Spec, *, force: bool, option: str = "--write") -> None:
    """Find out before the work, not after it, that the copy which an option asks for cannot be written.

    Raises:
        UserError: when it cannot, or would overwrite something.
    """
    if path.exists() and Path(spec.file).exists() and path.samefile(spec.file):
        raise UserError.of(
            f"{option} writes a copy, never over the file itself; give it another name", kind="output", file=path
        )
    must_be_writable(path, option, force=force)


def write(path: Path, spec: Spec, values: Mapping[str, Any]) -> None:
    """Write a copy of the file with other values at some paths; comments and layout stay.

    Raises:
        UserError: when the text does not allow it, or the copy cannot be written.
    """
    text = edited(text_of(spec), values, spec.file)
    with writing("", path):
        path.write_text(text, encoding="utf-8")
