"""Faults of what a model.yaml names, told at the place where it is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lossdoc.errors import Problem, UserError
from lossdoc.spec import Spec
from lossdoc.spec.document import Path

BY_KIND: Mapping[str, Path] = {  # which block a fault is about that is met while training
    "batch": ("data",),
    "own-loss": ("loss",),
    "loss": ("loss",),
    "own-penalty": ("regularization",),
    "own-step": ("step",),
    "outputs": ("model",),
    "layers": ("model", "layers"),
}


@contextmanager
def placed(spec: Spec, path: Path | None = None) -> Iterator[None]:
    """Give the faults raised inside the block their place in the file; what has one already keeps it.

    The place is `path`, else that of the block which a fault is about by its kind.
    """
    try:
        yield
    except UserError as bad:
        raise UserError(*(_placed(spec, each, path or BY_KIND.get(each.kind)) for each in bad.problems)) from bad


def _placed(spec: Spec, problem: Problem, path: Path | None) -> Problem:
    unplaced = not spec.document.values  # it came from Python code
    if path is None or unplaced or problem.line is not None or problem.file in spec.document.given.values():
        return problem
    deeper = (*path, "call")
    at = deeper if deeper in spec.document.values or deeper in spec.document.given else path
    about = "" if problem.file in (None, spec.file) else f"{problem.file}: "
    return spec.document.problem(at, f"{about}{problem.message}", problem.kind)
