"""Lines brought to the form `name value`: places, wrappers and running means that stand between the two are taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

AFTER = re.compile(  # "Cost after iteration 100: 0.64", "Training loss (for one batch) at step 0: 98.4"
    r"(?i)(?:\s\([a-z ]{1,20}\))?\s(?:after|at)\s(?:the\s)?"
    r"(?:(?:epochs?|steps?|iter(?:ation)?s?|(?:mini-?)?batch|updates?)\s{0,4}[#:]?\s{0,4}\d+"
    r"|\d+\s(?:epochs|steps|iterations))"
    r"(?=\s{0,4}(?:[:=,]|is\s))"
)
COUNT = re.compile(r"(?i)\b(loss) \d+:?(?=\s{1,4}[-+]?\d+\.\d)")  # Tacotron 2: "Train loss 12 17.45"
WRAPPED = re.compile(  # what Python prints of a tensor that is no number yet
    r"\b(?:tensor|Tensor|Variable|array|Array|(?:np|numpy|jnp)\.(?:float\d+|array))\("
    r"|<tf\.Tensor: shape=\(\), dtype=\w+, numpy="
)
PROGRESS = re.compile(  # "Test: [10/79] ...": how far a validation has come
    r"(?i)\b(?:test|val(?:id(?:ation)?)?|eval(?:uation)?)\b:?\s{0,4}(?:epoch:?\s{0,3})?(?:\[\d+\]\s{0,3})?"
    r"\[\s{0,8}\d+\s{0,2}/\s{0,2}\d+[^\]]{0,12}\]"
)
MEAN = re.compile(r"(?i)(loss\W{0,4})[-+.\de]{1,16}\s?\(\s{0,4}(?=[-+.\d])")  # before the running mean in parentheses


def plain(line: str) -> str:
    """Return a line in which a quantity's name stands right before its value."""
    if " after " in line or " at " in line:
        line = AFTER.sub("", line)
    if "oss " in line:
        line = COUNT.sub(r"\1", line)
    if "ensor" in line or "rray(" in line or ".float" in line or "Variable(" in line:
        line = WRAPPED.sub("", line)
    return line


def without_progress(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines with one for each validation: the last of those that tell how far it has come, with its mean.

    Where such lines do not follow one another, or there is nothing but them, they are no progress: all lines come back.
    """
    told = [place for place, line in enumerate(lines) if "/" in line and PROGRESS.search(line)]
    early = {place for place, after in pairwise(told) if not any("oss" in line for line in lines[place + 1 : after])}
    if not early or not any("oss" in line for line in lines[: told[0]]):
        return lines
    ends = {*told} - early
    return [
        MEAN.sub(r"\1", PROGRESS.sub(lambda found: found[0].partition("[")[0], line)) if place in ends else line
        for place, line in enumerate(lines)
        if place not in early
    ]
