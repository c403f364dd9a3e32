"""Where in a run a printed line stands: its step and its epoch, by the words and the signs that programs count with."""

from __future__ import annotations

import re

AHEAD = r"global|num|n|no|current|cur|trainer|train(?:ing)?|opt(?:im(?:izer)?)?|gradient|grad|model|total_train"
COUNTER = re.compile(
    rf"""(?i)(?<![a-z\d/_])(?:(?!num_updates|global_|current_)(?:{AHEAD})[_ ])?
    (global[_ ]?steps?|num_updates|current_steps|steps?|iter(?:ation)?s?|updates?|batch(?:_id)?|epochs?|up\.|ep\.)
    ["']?\s{{0,4}}(?:at\s|[:=\[(\#|]\s{{0,4}}){{0,3}}\s{{0,12}}["']?0*(\d+(?:\.\d+)?)(?![\w%])""",
    re.VERBOSE,
)
STEPS = ("globalstep", "numupdate", "currentstep", "step", "iter", "iteration", "update", "up", "batch", "batchid")
EPOCHS = ("epoch", "ep")
MANY = re.compile(r"(?i)\bepochs\W{1,8}\d+(?!\s?/)")  # "Scheduled epochs: 310" above the log tells how many there will be
ODD = (  # counters without a name: llm.c, build-nanogpt, ESPnet; then a place among all, as bars and fairseq have it
    (re.compile(r"^s:(\d+)\s"), "step"),
    (re.compile(r"^(\d+) (?:train|val) [-+\d.na]"), "step"),
    (re.compile(r"(?i)^(?!.*\bepoch).*\bloss (\d+):?\s{1,4}[-+]?\d+\.\d"), "step"),  # Tacotron 2: "Train loss 12 17.45"
    (re.compile(r"(?:^|\s)(\d+)epoch results:"), "epoch"),
    (re.compile(r"(?i)\btrain:\s{1,8}(\d{1,9})\b[^\[]{0,16}\[\s{0,8}\d{1,12}/"), "epoch"),  # timm, OpenPCDet
    (re.compile(r"\u7b2c\s?(\d+)\s?[\u8f6e\u8f2a\u4e2a\u500b]"), "epoch"),  # Chinese, and below it Japanese
    (re.compile(r"(\d+)\s?\u30a8\u30dd\u30c3\u30af"), "epoch"),
    (re.compile(r"\[(\d{1,9})/\d{1,9}\]\s?\[\d{1,9}/\d{1,9}\]"), "epoch"),  # PyTorch's DCGAN tutorial
    (re.compile(r"\[\d{1,9}/\d{1,9}\]\s?\[(\d{1,9})/\d{1,9}\]"), "step"),
    (re.compile(r"^\[(\d+),\s{1,8}\d+\] "), "epoch"),  # PyTorch's CIFAR tutorial
    (re.compile(r"^\[\d+,\s{1,8}(\d+)\] "), "step"),
    (re.compile(r"(?:\[\s{0,8}|^\s{0,8}|\|\s{0,8})(\d{1,12})/\s{0,8}\d{1,12}(?![\d/.]|\s\d\d:)"), "step"),
    (re.compile(r":\s{1,12}(\d{1,12}) / \d{1,12}\s"), "step"),
)


def counters(line: str) -> dict[str, float]:
    """Return the "step" and the "epoch" that a line names, those of them that it does."""
    named: dict[str, float] = {}
    places: set[int] = set()
    for match in COUNTER.finditer(line):
        places.add(match.start(2))
        key = match[1].lower().replace("_", "").replace(" ", "").rstrip("s.")
        named.setdefault(key, float(match[2]))
    epoch = next((named[key] for key in EPOCHS if key in named), None)
    result = {} if epoch is None else {"epoch": epoch}
    step = next((named[key] for key in STEPS if key in named), None)
    if step is not None:
        result["step"] = step
    for pattern, name in ODD:
        if name not in result:  # the 3/10 of "Epoch [3/10]" is no step
            odd = next((odd for odd in pattern.finditer(line) if odd.start(1) not in places), None)
            result.update({name: float(odd[1])} if odd is not None else {})
    return result


def says_how_many(line: str) -> bool:
    """Tell whether a line tells how many epochs there will be, and not which one this is."""
    return MANY.search(line) is not None
