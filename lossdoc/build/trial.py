"""One batch forward and back through a model, and what became of it, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossdoc.build.subjects import subject
from lossdoc.spec import Spec
from lossdoc.train import Objective, seeded


@dataclass(frozen=True)
class Row:
    """One module: the line of its layer (None in one's own model), name, output shape, parameters, output mean and sd."""

    line: int | None
    name: str
    shape: tuple[int, ...]
    parameters: int
    mean: float = math.nan
    sd: float = math.nan


def trial(spec: Spec) -> str:
    """Build, run a batch forward and back in training mode, and return the table of the layers.

    Raises:
        UserError: when something does not fit.
        UserCodeError: when the user's own code raises.
    """
    made = subject(spec)
    model = made.build(made.seed).train()
    batch = next(iter(made.batches("train", 0)))
    objective = Objective(model, made.loss, made.recipe.penalties)
    with seeded(made.seed), _watched(model, spec) as rows:
        total, _, _ = objective(batch)
        total.backward()
    squares = [each.grad.square().sum() for each in model.parameters() if each.grad is not None]
    norm = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    count = sum(each.numel() for each in model.parameters())
    table = [f"{'line':>4}  {'layer':<22} {'output':>14} {'parameters':>11} {'mean':>9} {'sd':>9}", *map(_written, rows)]
    return "\n".join(
        [*table, f"{batch.size} samples: loss {float(total.detach()):.4g}, gradient norm {norm:.3g}, {count:,} parameters\n"]
    )


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
            if isinstance(output, Tensor):
                numbers = output.detach().double()
                rows.append(Row(line, shown, tuple(output.shape), count, float(numbers.mean()), float(numbers.std())))
            else:
                rows.append(Row(line, shown, (), count))

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in named]
    try:
        yield rows
    finally:
        for hook in hooks:
            hook.remove()


def _line(spec: Spec, name: str) -> int | None:
    """Return the line of the layer from which a module was made; its name ends in the layer's place."""
    mark = spec.document.values.get(("model", "layers", int(name.rpartition("_")[2])))
    return None if mark is None else mark[0]


def _written(row: Row) -> str:
    shape = "x".join(map(str, row.shape)) or "-"
    numbers = "".join(f" {'-' if math.isnan(each) else f'{each:.3g}':>9}" for each in (row.mean, row.sd))
    return f"{'' if row.line is None else row.line:>4}  {row.name:<22} {shape:>14} {row.parameters:>11,}{numbers}"
