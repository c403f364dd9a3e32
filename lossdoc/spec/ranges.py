"""`--param path=range`: what a sweep varies, as it is written on the command line."""

from __future__ import annotations

import re
from typing import Any

from lossdoc.errors import UserError
from lossdoc.spec.document import parse_value, scalar

SCALES = {"log": "log", "lin": "linear", "linear": "linear"}
RANGE = re.compile(r"(?:(?P<scale>[a-z]+):)?(?P<low>[^.\s]\S*?|\.\d\S*?)\s*\.\.\s*(?P<high>\S+)")
MEANT = "PATH=LOW..HIGH (on a log scale), PATH=lin:LOW..HIGH or PATH=[A,B,C] is meant, as in optimizer.lr=1e-4..1e-1"


def split_range(text: str) -> tuple[str, dict[str, Any]]:
    """Split `path=range` at the first `=` and return the range as model.yaml has it.

    Raises:
        UserError: when it is none.
    """
    path, equals, written = (part.strip() for part in text.partition("="))
    if not equals or not path:
        raise _fault(text, f"got {text!r}; {MEANT}")
    if written.startswith("["):
        values = parse_value(written, f"--param {text}")
        if not isinstance(values, list) or not values:
            raise _fault(text, f"got {written!r}; a list of values is meant, as in [relu, tanh]")
        return path, {"values": values}
    found = RANGE.fullmatch(written)
    if found is None:
        raise _fault(text, f"got {written!r}; {MEANT}")
    scale = found["scale"] or "log"
    if scale not in SCALES:
        raise _fault(text, f"there is no scale {scale!r}; log and lin are meant")
    ends = {name: scalar(found[name]) for name in ("low", "high")}
    for end in ends.values():
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise _fault(text, f"got {end!r}; a number is meant on each side of the two dots")
    return path, {**{name: float(end) for name, end in ends.items()}, "scale": SCALES[scale]}


def _fault(text: str, message: str) -> UserError:
    return UserError.of(message, kind="range", file=f"--param {text}")
