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
from lossdoc.spec.overrides import PathError, assign, split
from lossdoc.spec.ranges import split_range
from lossdoc.spec.resolve import Resolver

Given = tuple[str, Any, str]  # a path, the value to put there, and how the user wrote both


def load(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), seed: int | None = None, *, swept: Sequence[str] = ()
) -> Spec:
    """Read a model.yaml, with other values at some paths (`path=value`) and another seed where they are given.

    `swept` are the ranges of a sweep (`path=range`) in place of the file's.

    Raises:
        UserError: with every fault of the file and of the overrides.
    """
    file = _file(Path(path))
    return loads(_text(file), str(file), overrides, seed, swept=swept)


def loads(
    text: str,
    file: str = "model.yaml",
    overrides: Sequence[str] = (),
    seed: int | None = None,
    *,
    swept: Sequence[str] = (),
) -> Spec:
    """Read the text of a model.yaml; `file` is what messages call it, and where relative paths start from.

    Raises:
        UserError: with every fault of the text and of the overrides.
    """
    document, problems = parse(text, file)
    given: list[Given] = [(*split(each), f"--set {each}") for each in overrides]
    if seed is not None:
        given.append(("seed", seed, f"--seed {seed}"))
    if swept:
        given.append(("sweep.parameters", {}, f"--param {swept[0]}"))
    given += [
        (f"sweep.parameters.{path}", value, f"--param {each}") for each in swept for path, value in [split_range(each)]
    ]
    problems += _assigned(document, given)
    return _resolved(document, problems)


def made(data: Mapping[str, Any], objects: Mapping[str, Any]) -> Spec:
    """Return the spec of plain data that Python code put together; `objects` are what some of its references mean.

    Raises:
        UserError: with every fault of the data.
    """
    return _resolved(Document("", data=dict(data), objects=objects), [])


def changed(spec: Spec, values: Mapping[str, Any]) -> Spec:
    """Return the spec with other values at some paths.

    Raises:
        UserError: when a path does not exist or a value does not fit.
    """
    return Changes(spec)(values)


class Changes:
    """Changes one spec time and again; what a value leaves as it is is not looked at again."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.known = Resolver(spec.document.copy())
        self.known.block(Spec, spec.document.data, ())

    def __call__(self, values: Mapping[str, Any]) -> Spec:
        """Return the spec with other values at some paths.

        Raises:
            UserError: when a path does not exist or a value does not fit.
        """
        document = self.spec.document.copy()
        problems = _assigned(document, [(path, value, f"{path}={value}") for path, value in values.items()], rounding=True)
        return _resolved(document, problems, self.known)


def _assigned(document: Document, given: Sequence[Given], *, rounding: bool = False) -> list[Problem]:
    """Put values at their paths, and return the paths that lead nowhere."""
    problems = []
    for path, value, written in given:
        try:
            assign(document, Spec, path, value, written, rounding=rounding)
        except PathError as bad:
            problems.append(Problem(f"{path}: {bad}", "unknown-path", file=written))
    return problems


def _resolved(document: Document, problems: list[Problem], known: Resolver | None = None) -> Spec:
    """Return the spec of a document; with `known`, what was found right before, only its sweep is not looked into."""
    sweep, resolver = known is None, Resolver(document, known)
    spec = resolver.block(Spec, document.data, ())
    problems += [*resolver.problems, *(_astray(document) if sweep else ())]
    if spec is None or problems:
        raise UserError(*sorted(problems, key=_order))
    if "loss" not in spec.model_fields_set and spec.data.source.goal == "regression":
        spec = spec.model_copy(update={"loss": Mse()})
    found = list(faults(spec, document)) or (_swept(spec, document, resolver) if sweep else [])
    if found:
        raise UserError(*sorted(found, key=_order))
    spec._document, spec._warnings = document, tuple(sorted(oddities(spec, document), key=_order))  # noqa: SLF001 - its maker
    return spec


def _astray(document: Document) -> list[Problem]:
    """Return the paths of the sweep, and of what is to be disabled, that lead nowhere."""
    problems = []
    for block, key in (("sweep", "parameters"), ("regularization", "disable")):
        data = document.data.get(block)
        paths = data.get(key) if isinstance(data, dict) else None
        for path in paths if isinstance(paths, dict) else ():
            try:
                assign(document.copy(), Spec, path, None, "")
            except PathError as bad:
                problems.append(document.problem((block, key, path), str(bad), "unknown-path", key=True))
    return problems


def _swept(spec: Spec, document: Document, known: Resolver) -> list[Problem]:
    """Return what is wrong with the ends, or the values, of each range of the sweep."""
    problems = []
    for path, given in spec.sweep.parameters.items():
        for value in given.values if given.values is not None else (given.low, given.high):
            trial = document.copy()
            assign(trial, Spec, path, value, "", rounding=True)
            resolver = Resolver(trial, known)
            made = resolver.block(Spec, trial.data, ())
            wrong = resolver.problems if made is None else list(faults(made, trial))
            if wrong:
                problems.append(document.problem(("sweep", "parameters", path), wrong[0].message, wrong[0].kind, key=True))
                break
    return problems


def _file(path: Path) -> Path:
    """Return the file that a path stands for: a folder stands for the model.yaml in it."""
    if not path.is_dir():
        return path
    if not (path / "model.yaml").is_file():
        raise UserError.of("is a folder without a model.yaml; `lossdoc init` writes one", kind="missing-file", file=path)
    return path / "model.yaml"


def _text(path: Path) -> str:
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
