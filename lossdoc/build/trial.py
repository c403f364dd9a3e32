"""One batch forward and back through a model, and what became of it, layer by layer."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.build.places import placed
from lossdoc.build.subjects import subject
from lossdoc.errors import UserError
from lossdoc.letters import ending
from lossdoc.measuring import Objective
from lossdoc.randomness import seeded
from lossdoc.spec import Spec
from lossdoc.subject import Batch, Loss

WIDTH = 80  # columns of a terminal that nobody has widened
NARROWEST = 8  # columns for the name of a layer


@dataclass(frozen=True)
class Row:
    """One module: the line of its layer (None in one's own model), name, output shape, parameters, output mean and sd."""

    line: int | None
    name: str
    shape: tuple[int, ...]
    parameters: int
    mean: float = math.nan
    sd: float = math.nan


def trial(spec: Spec, width: int = WIDTH) -> str:
    """Build, run a batch forward and back in training mode, and return the table of the layers, so many columns wide.

    Raises:
        UserError: when something does not fit, or the loss is no finite number.
        UserCodeError: when the user's own code raises.
    """
    made = subject(spec)
    model = made.build(made.seed).train()
    batch = next(iter(made.batches("train", 0)))
    objective = Objective(model, made.loss, made.recipe.penalties)
    with placed(spec), seeded(made.seed), _watched(model, spec) as rows:
        total, _, _ = objective(batch)
        _must_be_finite(spec, float(total.detach()), batch, rows)
        total.backward()
    squares = [each.grad.square().sum() for each in model.parameters() if each.grad is not None]
    norm = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    count = sum(each.numel() for each in model.parameters())
    told = f"{batch.size} samples: loss {float(total.detach()):.4g}, gradient norm {norm:.3g}, {count:,} parameters"
    prose = (told, *_warnings(made.loss, float(total.detach())))
    return "\n".join([*_table(rows, width), *(textwrap.fill(line, width) for line in prose), ""])


def _must_be_finite(spec: Spec, loss: float, batch: Batch, rows: list[Row]) -> None:
    """Refuse a loss from which nothing can be learned, and say where along the way numbers stop being finite."""
    if math.isfinite(loss):
        return
    parts = batch.inputs.values() if isinstance(batch.inputs, Mapping) else [batch.inputs]
    first = next((row for row in rows if row.shape and not math.isfinite(row.mean)), None)
    if any(isinstance(each, Tensor) and not each.isfinite().all() for each in parts):
        told = "the inputs themselves hold NaN or infinity"
    elif first is not None:
        told = f"{'' if first.line is None else f'line {first.line}, '}'{first.name}' is the first to put out such numbers"
    else:
        told = "what the layers put out is finite: it comes of the loss, or of the targets"
    message = f"the loss of the first batch is {loss:g}; a finite number is meant; {told}"
    raise UserError(spec.document.problem(("loss",) if "loss" in spec.model_fields_set else (), message, "non-finite-loss"))


def _warnings(loss: Loss, total: float) -> Iterator[str]:
    """Tell a loss below 0 where its formula allows none, whatever is trained on."""
    if total < 0 and loss.takes != "unknown":
        hint = f" of {loss.takes}" if loss.takes.endswith("probabilities") else ""
        odd = f"the loss is {total:.4g}, but {loss.word}{hint} is never below 0"
        yield f"warning: {odd}: does the model put out {loss.takes}?"


@contextmanager
def _watched(model: nn.Module, spec: Spec) -> Iterator[list[Row]]:
    """Note what each layer puts out: those of the list, or the modules of one's own model that have no others inside."""
    rows: list[Row] = []
    listed = spec.model.layers is not None
    named = (
        model.named_children()
        if listed
        else [(name, each) for name, each in model.named_modules() if not list(each.children())]
    )

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        line = _line(spec, name) if listed else None

        def hook(module: nn.Module, _given: Any, output: Any) -> None:
            count = sum(each.numel() for each in module.parameters())
            shown = name.rpartition("_")[0] if listed else name or type(module).__name__
            first = _first(output)
            if first is None:
                rows.append(Row(line, shown, (), count))
                return
            numbers = first.detach().double()
            rows.append(Row(line, shown, tuple(first.shape), count, float(numbers.mean()), float(numbers.std(correction=0))))

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in named]
    try:
        yield rows
    finally:
        for hook in hooks:
            hook.remove()


def _first(output: Any) -> Tensor | None:
    """Return the first tensor of what a module put out, as a recurrent layer puts out a tuple; None where there is none."""
    if isinstance(output, Tensor):
        return output if output.numel() else None
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return next((found for found in map(_first, parts) if found is not None), None)


def _line(spec: Spec, name: str) -> int | None:
    """Return the line of the layer from which a module was made; its name ends in the layer's place."""
    mark = spec.document.values.get(("model", "layers", int(name.rpartition("_")[2])))
    return None if mark is None else mark[0]


def _table(rows: list[Row], width: int) -> list[str]:
    """Return the rows as lines that fit; a name too long for them keeps its end, which tells more."""
    shapes = ["x".join(map(str, row.shape)) or "-" for row in rows]
    lined = any(row.line is not None for row in rows)
    wide = max(map(len, [*shapes, "output"]))
    room = width - (6 if lined else 0) - (2 + wide) - len(_numbers("", "", ""))
    long = max(NARROWEST, min(max([room // 2, *(len(row.name) for row in rows)]), room))
    lines = [f"{'line  ' if lined else ''}{'layer':<{long}}  {'output':>{wide}}{_numbers('parameters', 'mean', 'sd')}"]
    for row, shape in zip(rows, shapes, strict=True):
        place = "" if not lined else f"{'' if row.line is None else row.line:>4}  "
        mean, sd = ("-" if math.isnan(each) else f"{each:.3g}" for each in (row.mean, row.sd))
        lines.append(f"{place}{ending(row.name, long):<{long}}  {shape:>{wide}}{_numbers(f'{row.parameters:,}', mean, sd)}")
    return lines


def _numbers(parameters: str, mean: str, sd: str) -> str:
    return f" {parameters:>11} {mean:>9} {sd:>8}"
