"""The plug-in mechanism: a member of a folder is a file that is there, or an entry point of another package."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from lossdoc.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Member = TypeVar("Member")


def _declared(group: str) -> bool:
    """Tell whether an installed package has entry points of a group: its list names it as `[group]`."""
    lists = (path for folder in sys.path for path in Path(folder).glob("*-info/entry_points.txt"))
    return any(f"[{group}]".encode() in path.read_bytes() for path in lists)


class Members(Generic[Member]):
    """The members of one folder of lossdoc, found by being there; nothing is imported before it is asked for.

    A member is the one object of type `kind` in its file; the file's name, with `-` for `_`, is the member's name. Other
    packages add members through entry points in the group named like the folder (`lossdoc.patterns`, ...).
    """

    def __init__(self, package: str, kind: type[Member]) -> None:
        self.package = package
        self.kind = kind
        self._loaded: dict[str, Member] = {}

    @cached_property
    def _files(self) -> dict[str, str]:
        folder = importlib.import_module(self.package)
        found = (module.name for module in pkgutil.iter_modules(folder.__path__) if not module.name.startswith("_"))
        return {name.replace("_", "-"): f"{self.package}.{name}" for name in sorted(found)}

    @cached_property
    def _foreign(self) -> dict[str, EntryPoint]:
        if not _declared(self.package):
            return {}
        from importlib.metadata import entry_points  # 40 ms: more than the rest of a start

        return {entry.name: entry for entry in entry_points(group=self.package)}

    def names(self) -> list[str]:
        """Return every member's name: the folder's own in alphabetical order, then those of other packages."""
        return [*self._files, *(name for name in self._foreign if name not in self._files)]

    def get(self, name: str) -> Member:
        """Return the member called `name`.

        Raises:
            UserError: when there is none; the message lists what exists.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def all(self) -> list[Member]:
        """Return every member, imported, in the order of `names`."""
        return [self.get(name) for name in self.names()]

    def _load(self, name: str) -> Member:
        if name in self._files:
            module = importlib.import_module(self._files[name])
            found = [thing for thing in vars(module).values() if isinstance(thing, self.kind)]
            if len(found) != 1:
                raise TypeError(f"{module.__name__} must hold exactly one {self.kind.__name__}, it holds {len(found)}")
            return found[0]
        if name in self._foreign:
            member = self._foreign[name].load()
            if not isinstance(member, self.kind):
                raise UserError.of(
                    f"entry point '{name}' of {self.package} is a {type(member).__name__}, not a {self.kind.__name__}",
                    kind="plug-in",
                )
            return member
        what = self.kind.__name__.lower()
        raise UserError.of(
            f"no {what} is called '{name}'{did_you_mean(name, self.names())}; there are: {', '.join(self.names())}",
            kind="unknown-name",
        )
