"""Modules of the user's own: each configuration gets those of its own folders, even where two have the same name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

KNOWN: dict[str, frozenset[str]] = {}  # the folders looked in so far, each with the modules that were loaded before it was
SHELF: dict[str, dict[str, ModuleType]] = {}  # by folder: modules of configurations that are not in use now
LAST: dict[tuple[str, ...], set[str]] = {}  # the folders that were looked in last, with what was imported from there since


class NameTaken(Exception):  # noqa: N818 - told to the user as a sentence, never raised further
    """A module of the wanted name is loaded already, and not from where it is wanted."""


def imported(name: str, folders: Sequence[str]) -> ModuleType:
    """Import a module, with the folders first on sys.path.

    What was loaded from the folders of another configuration is put aside before, and put back when that one is looked in
    again: two files called `own.py` in two folders are two modules. The other folders stay last on sys.path, for imports
    that functions do when they run.

    Raises:
        NameTaken: when the name belongs to a module that Python or a package has loaded already.
    """
    if name in LAST.get(tuple(folders), ()) and name in sys.modules:
        return sys.modules[name]  # a model is built dozens of times from the same module
    module = _imported(name, folders)
    kept = LAST.get(tuple(folders), set())
    LAST.clear()
    LAST[tuple(folders)] = kept | {name}
    return module


def _imported(name: str, folders: Sequence[str]) -> ModuleType:
    others = [folder for folder in KNOWN if folder not in folders]
    for folder in others:
        _put_aside(folder)
    for folder in folders:
        KNOWN.setdefault(folder, frozenset(sys.modules))
        sys.modules.update(SHELF.pop(folder, {}))
    ours = [each for each in sys.path if each in others]
    sys.path[:] = [*folders, *(each for each in sys.path if each not in KNOWN)]
    importlib.invalidate_caches()
    try:
        _must_be_free(name.partition(".")[0], folders)
        return importlib.import_module(name)
    finally:
        sys.path += ours


def _put_aside(folder: str) -> None:
    """Move the modules that were loaded from a folder since it was first looked in from sys.modules to the shelf."""
    roots = {
        name
        for name, module in list(sys.modules.items())
        if "." not in name and name not in KNOWN[folder] and name != "__main__" and _folder(module) == folder
    }
    for name in [each for each in sys.modules if each.partition(".")[0] in roots]:
        SHELF.setdefault(folder, {})[name] = sys.modules.pop(name)


def _folder(module: ModuleType) -> str | None:
    """Return the folder on sys.path from which a top-level module was loaded; None where it has no file."""
    file, inside = getattr(module, "__file__", None), getattr(module, "__path__", None)
    if inside is not None:  # a package: its folder lies in the one that is on the path
        return next((str(Path(each).resolve().parent) for each in inside), None)
    return None if file is None else str(Path(file).resolve().parent)


def _must_be_free(root: str, folders: Sequence[str]) -> None:
    """Refuse a name under which something else than the file in the folders is loaded."""
    loaded = sys.modules.get(root)
    wanted = None if loaded is None else PathFinder.find_spec(root, list(folders))
    if loaded is None or wanted is None or wanted.origin is None or _folder(loaded) in folders:
        return
    where = getattr(loaded, "__file__", None) or "Python itself"
    raise NameTaken(f"the name '{root}' is taken: {where} is loaded already; {wanted.origin} needs another name")
