"""A file → a Spec, with every fault of the file told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossdoc.errors import Problem, UserError
from lossdoc.parts.losses import Mse
from lossdoc.spec.document import Document, parse
from lossdoc.spec.faults import faults
from lossdoc.spec.models import Spec
from lossdoc.spec.oddities import oddities
from lossdoc.spec.overrides import assign, split
from lossdoc.spec.resolve import Resolver


def load(path: str | os.PathLike[str], overrides: Sequence[str] = (), seed: int | None = None) -> Spec:
    """Read a model.yaml, with other values at some paths (`path=value`) and another seed where they are given.

    Raises:
        UserError: with every fault of the file and of the overrides.
    """
    return loads(_text(Path(path)), str(path), overrides, seed)


def loads(text: str, file: str = "model.yaml", overrides: Sequence[str] = (), seed: int | None = None) -> Spec:
    """Read the text of a model.yaml; `file` is what messages call it, and where relative paths start from.

    Raises:
        UserError: with every fault of the text and of the overrides.
    """
    document, problems = parse(text, file)
    given = [(*split(each), f"--set {each}") for each in overrides]
    if seed is not None:
        given.append(("seed", seed, f"--seed {seed}"))
    problems += _assigned(document, given)
    return _resolved(document, problems)


def changed(spec: Spec, values: Mapping[str, Any]) -> Spec:
    """Return the spec with other values at some paths.

    Raises:
        UserError: when a path does not exist or a value does not fit.
    """
    document = spec.document.copy()
    problems = _assigned(document, [(path, value, f"{path}={value}") for path, value in values.items()])
    return _resolved(document, problems, sweep=False)


def _assigned(document: Document, given: Sequence[tuple[str, Any, str]]) -> list[Problem]:
    return [bad for path, value, written in given if (bad := assign(document, Spec, path, value, written))]


def _resolved(document: Document, problems: list[Problem], *, sweep: bool = True) -> Spec:
    resolver = Resolver(document)
    spec = resolver.block(Spec, document.data, ())
    problems += resolver.problems
    if spec is None or problems:
        raise UserError(*sorted(problems, key=_order))
    if "loss" not in spec.model_fields_set and spec.data.source.goal == "regression":
        spec = spec.model_copy(update={"loss": Mse()})
    found = [*faults(spec, document), *(_swept(spec, document) if sweep else ())]
    if found:
        raise UserError(*sorted(found, key=_order))
    spec._document, spec._warnings = document, tuple(sorted(oddities(spec, document), key=_order))  # noqa: SLF001 - its maker
    return spec


def _swept(spec: Spec, document: Document) -> list[Problem]:
    """Return what is wrong with the ends, or the values, of each range of the sweep."""
    problems = []
    for path, given in spec.sweep.parameters.items():
        for value in given.values if given.values is not None else (given.low, given.high):
            trial = document.copy()
            wrong = _assigned(trial, [(path, value, "")])
            resolver = Resolver(trial)
            if not wrong and (made := resolver.block(Spec, trial.data, ())) is not None:
                wrong = list(faults(made, trial))
            wrong += resolver.problems
            if wrong:
                problems.append(document.problem(("sweep", "parameters", path), wrong[0].message, wrong[0].kind, key=True))
                break
    return problems


def _text(path: Path) -> str:
    if path.is_dir():
        inside = path / "model.yaml"
        if not inside.is_file():
            raise UserError.of("is a folder without a model.yaml; `lossdoc init` writes one", kind="missing-file", file=path)
        path = inside
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError.of(
            "there is no such file; `lossdoc init` writes a model.yaml", kind="missing-file", file=path
        ) from None
    except OSError as bad:
        raise UserError.of(f"cannot be read: {bad.strerror}", kind="unreadable", file=path) from None
    except UnicodeDecodeError:
        raise UserError.of("is not a text (UTF-8), so it is no YAML", kind="unreadable", file=path) from None


def _order(problem: Problem) -> tuple[int, int]:
    return problem.line or 0, problem.column or 0
