"""Preprocessing told as facts, as words of model.yaml and as the steps of `faults_data` for targets."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.faults_words import Unknown

STEPS: tuple[tuple[str, Callable[..., list[Any]]], ...] = (
    (r"(?:standardi[sz]e[d]?|standard ?scal\w*|z-?score\w*|normali[sz]e[d]? to mean 0.*)", lambda: ["standardize"]),
    (r"(?:min-?max\w*(?: scal\w*)?|to \[?0, ?1\]?)", lambda: ["min-max"]),
    (r"/ ?range", lambda: ["range"]),
    (r"/ ?max", lambda: ["max"]),
    (r"/ ?(-?[\d.]+(?:e[+-]?\d+)?)", lambda a: ["divide", float(a)]),
    (r"\* ?(-?[\d.]+(?:e[+-]?\d+)?)", lambda a: ["times", float(a)]),
    (r"- ?([\d.]+(?:e[+-]?\d+)?)", lambda a: ["minus", float(a)]),
    (r"(?:center\w*|- ?mean|mean subtract\w*|subtract(?:ed)? mean)", lambda: ["center"]),
    (r"(?:min-?max )?to ?[\[(]? ?(-?[\d.]+) ?(?:,|\.\.) ?(-?[\d.]+) ?[\])]?", lambda a, b: ["to", float(a), float(b)]),
    (r"\(x ?- ?([\d.]+)\) ?/ ?([\d.]+)", lambda a, b: ["affine", float(a), float(b)]),
    (r"(log1p|log)", lambda a: [a]),
    (r"(?:divided? by|/) ?\(?([\d.]+(?:e[+-]?\d+)?)\)?", lambda a: ["divide", float(a)]),
    (r"minus ?([\d.]+(?:e[+-]?\d+)?)", lambda a: ["minus", float(a)]),
    (r"(?:min-?max|scaled?|normali[sz]ed?) (?:to )?\[? ?0\.?0? ?, ?1\.?0? ?\]?", lambda: ["min-max"]),
    (
        r"(?:min-?max|scaled?|normali[sz]ed?) (?:to )?[\[(] ?(-?[\d.]+) ?, ?(-?[\d.]+) ?[\])]",
        lambda a, b: ["to", float(a), float(b)],
    ),
    (r"(?:\(x ?- ?(?:x\.)?mean(?:\(x?\))?\)|- ?mean) ?/ ?(?:x\.)?std(?:\(x?\))?", lambda: ["standardize"]),
    (r"\(x ?- ?(?:x\.)?min(?:\(x?\))?\) ?/ ?\((?:x\.)?max(?:\(x?\))? ?- ?(?:x\.)?min(?:\(x?\))?\)", lambda: ["min-max"]),
    (r"(?:|float32|astype\W?float\w*\W?)", list),
    (r"(?:one-?hot\w*|to_categorical)", lambda: ["one-hot"]),
    (r"(?:none|reshape\w*|flatten\w*|as float\w*)", list),
)


def preprocessing(given: Any, *, image: bool, copied: bool = False) -> tuple[list[Any], list[list[Any]]]:
    """Return the steps for the inputs as words of model.yaml, and those for the targets as faults_data takes them.

    `copied`: the inputs are the targets, too, and are prepared once for both.

    Raises:
        Unknown: when a step has no place.
    """
    inputs: list[Any] = []
    targets: list[list[Any]] = []
    for told in [given] if isinstance(given, str) else list(given):
        of, step = _step(told)
        if copied and step and (of == "y" or step[0] not in COPYABLE):
            raise Unknown(f"preprocessing {told!r} of an autoencoder")
        if step and (of == "y" or copied):
            targets.append(step)
        if step and of == "x":
            inputs = _added(inputs, step, image=image)
    affine = [part for step in targets for part in (AFFINE[step[0]](*step[1:]) if step[0] in AFFINE else [step])]
    return inputs, affine


COPYABLE = ("divide", "times", "minus", "affine")
AFFINE: Mapping[str, Callable[..., list[list[Any]]]] = {"affine": lambda mean, std: [["minus", mean], ["divide", std]]}


def _step(told: Any) -> tuple[str, list[Any]]:
    """Return of what a step is, x or y, and the step, empty where it changes nothing.

    Raises:
        Unknown: when it is none.
    """
    said = str(told).strip().lower()
    if told is None or said in ("", "none"):
        return "x", []
    said = f"x {said}" if said.startswith("(x") else f"y {said.replace('y', 'x')}" if said.startswith("(y") else said
    short = said.startswith(("x/", "y/", "x-", "y-", "x*", "y*"))
    of, what = (said[0], said[1:]) if short else (said.partition(" ")[0], said.partition(" ")[2])
    step = next((make(*match.groups()) for text, make in STEPS if (match := re.fullmatch(text, what.strip()))), None)
    if step is not None and of in ("x", "y"):
        return of, [] if (of, step) == ("y", ["one-hot"]) else _sound(told, step)  # the loss says how classes are coded
    for name in ("x", "y"):
        for text in (said, what, said.partition("=")[2]):
            found = _affine(text, name)
            if found is not None and (text != what or of == name):
                return name, _sound(told, _line(told, *found))
    raise Unknown(f"preprocessing {told!r}")


def _sound(told: Any, step: list[Any]) -> list[Any]:
    if (step[:1] == ["divide"] and step[1] <= 0) or (step[:1] == ["times"] and step[1] <= 0):
        raise Unknown(f"preprocessing {told!r}")
    return step


def _line(told: Any, slope: float, start: float) -> list[Any]:
    """Return slope·x + start as a step."""
    if slope <= 0:
        raise Unknown(f"preprocessing {told!r}")
    return ["affine", -start / slope, 1 / slope] if start else ["divide", 1 / slope]


def _affine(text: str, name: str) -> tuple[float, float] | None:
    """Return slope and start of an expression such as "x/127.5 - 1"; None where it is no straight line."""
    try:
        return _straight(ast.parse(text.strip(), mode="eval").body, name)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


LINES: Mapping[type[ast.operator], Callable[..., tuple[float, float]]] = {
    ast.Add: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    ast.Sub: lambda a, b: (a[0] - b[0], a[1] - b[1]),
    ast.Mult: lambda a, b: (a[0] * b[1] + a[1] * b[0], a[1] * b[1]),
    ast.Div: lambda a, b: (a[0] / b[1], a[1] / b[1]),
}


def _straight(node: ast.expr, name: str) -> tuple[float, float]:
    """Return slope and start of an expression.

    Raises:
        ValueError: when it is no straight line.
    """
    if isinstance(node, ast.Name) and node.id == name:
        return 1.0, 0.0
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return 0.0, float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        slope, start = _straight(node.operand, name)
        return -slope, -start
    if isinstance(node, ast.BinOp) and type(node.op) in LINES:
        left, right = _straight(node.left, name), _straight(node.right, name)
        if (isinstance(node.op, ast.Mult) and left[0] and right[0]) or (isinstance(node.op, ast.Div) and right[0]):
            raise ValueError(ast.dump(node))
        return LINES[type(node.op)](left, right)
    raise ValueError(ast.dump(node))


def _added(steps: list[Any], step: list[Any], *, image: bool) -> list[Any]:
    """Return the steps for the inputs with one more."""
    per = {} if not image else {"per": "all"}
    name, *numbers = step
    if name == "range":  # of the data as they came, even where they were scaled before
        if steps and isinstance(steps[-1], dict) and steps[-1].get("call") == "keras_like:MinMax":
            args = steps[-1].get("args", {})
            return [*steps[:-1], {"call": "keras_like:MinMax", "args": {**args, "again": args.get("again", 0) + 1}}]
        return [*steps, {"call": "keras_like:MinMax", "args": {**per, "shift": False}}]
    made: Mapping[str, Callable[[], Any]] = {
        "standardize": lambda: {"standardize": "channel" if image else "feature"},
        "min-max": lambda: {"call": "keras_like:MinMax", "args": per},
        "to": lambda: {"call": "keras_like:MinMax", "args": {**per, "low": numbers[0], "high": numbers[1]}},
        "max": lambda: {"call": "keras_like:MinMax", "args": {**per, "shift": False, "least": False}},
        "divide": lambda: {"scale": {"divide_by": numbers[0]}},
        "times": lambda: {"scale": {"divide_by": 1 / numbers[0]}},
        "minus": lambda: {"statistics": {"mean": [numbers[0]]}},
        "affine": lambda: {"statistics": {"mean": [numbers[0]], "std": [numbers[1]]}},
        "center": lambda: {"center": "channel"},
    }
    if name not in made:
        raise Unknown(f"preprocessing 'x {name}'")
    return [*steps, made[name]()]
