"""The user's own code: found, called, and its faults told apart."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lossdoc.build.modules import NameTaken, imported
from lossdoc.calling import OFFERED
from lossdoc.errors import Problem, UserError, did_you_mean, kind_of, user_code
from lossdoc.spec import Spec


@dataclass(frozen=True)
class OwnCode:
    """Finds what `pkg.module:name` refers to; faults are told at the place of the reference in the file."""

    spec: Spec

    @property
    def folders(self) -> list[str]:
        """The folders that are looked in first: `python_path`, by default the folder of the file."""
        here = Path(self.spec.file).resolve().parent
        return [str(here / each) for each in self.spec.python_path or (".",)]

    def find(self, reference: str, path: tuple[str | int, ...]) -> Any:
        """Import a reference; a method is that of a new object of its class, made without arguments.

        Raises:
            UserError: when there is no such module, or no such name in it.
            UserCodeError: when the module raises while it is imported.
        """
        if reference in self.spec.document.objects:
            return self.spec.document.objects[reference]
        module, _, names = reference.partition(":")
        found = self._module(module, path)
        for name in names.split("."):
            if not hasattr(found, name):
                known = [each for each in dir(found) if not each.startswith("_")]
                where = getattr(found, "__name__", module)
                self._fail(path, f"'{where}' has no '{name}'{did_you_mean(name, known)}", "no-attribute")
            found = self._bound(found, name, reference, path)
        return found

    def _bound(self, owner: Any, name: str, reference: str, path: tuple[str | int, ...]) -> Any:
        if inspect.isclass(owner) and inspect.isfunction(inspect.getattr_static(owner, name)):
            self._check(owner, reference.rpartition(".")[0], {}, path)
            with user_code(reference, self.place(path)):
                owner = owner()
        return getattr(owner, name)

    def call(self, reference: str, args: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
        """Call a reference with arguments by name and return what it returns.

        Raises:
            UserError: when it cannot be called so.
            UserCodeError: when it raises.
        """
        found = self.find(reference, path)
        self._check(found, reference, args, path)
        with user_code(reference, self.place(path)):
            return found(**copy.deepcopy(dict(args)))  # what it does to its arguments stays with it

    def function(
        self, reference: str, args: Mapping[str, Any], path: tuple[str | int, ...], takes: int | None
    ) -> Callable[..., Any]:
        """Return a function of `takes` positional arguments (None: not known); a class is called first, with `args`."""
        found = self.find(reference, path)
        if inspect.isclass(found):
            found = self.call(reference, args, path)
            args = {}
        self._check(found, reference, args, path, takes)
        return partial(found, **args) if args else found

    def callee(self, reference: str, args: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
        """Return what a reference refers to, a class or a function that takes one argument and `args` by name."""
        found = self.find(reference, path)
        self._check(found, reference, args, path, 1)
        return found

    def step(self, reference: str, args: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the user's own training step; it is called with model, batch, optimizer, and by name with what it asks for.

        Raises:
            UserError: when it asks for anything else than what is on offer, or does not take the three.
        """
        path = ("step",)
        call = self.function(reference, args, path, takes=None)
        try:
            signature = inspect.signature(call)
        except (TypeError, ValueError):  # built in: Python does not know how it is called
            return call
        asked = {name: None for name in OFFERED if name in signature.parameters}
        try:
            signature.bind(*[None] * 3, **asked)
        except TypeError as bad:
            meant = f"it is called with model, batch, optimizer, and by name with what it asks for of {', '.join(OFFERED)}"
            self._fail(path, f"{bad}; {meant}; it is {_name(reference)}{signature}", "arguments")
        return call

    def _module(self, name: str, path: tuple[str | int, ...]) -> Any:
        with user_code(f"importing {name}", self.place(path)):
            try:
                return imported(name, self.folders)
            except NameTaken as bad:
                self._fail(path, str(bad), "no-module")
            except ModuleNotFoundError as bad:
                if bad.name is None or not f"{name}.".startswith(f"{bad.name}."):
                    raise  # something that the user's module imports is missing
                self._fail(
                    path,
                    f"there is no module '{bad.name}'; looked in {', '.join(self.folders)} and the installed packages",
                    "no-module",
                )

    def _check(
        self, found: Any, reference: str, args: Mapping[str, Any], path: tuple[str | int, ...], takes: int | None = 0
    ) -> None:
        if not callable(found):
            self._fail(path, f"'{reference}' is {kind_of(found)}, which cannot be called", "not-callable")
        try:
            signature = inspect.signature(found)
        except (TypeError, ValueError):  # built in: Python does not know how it is called
            return
        self._known(signature, reference, args, path)
        if takes is None:
            return
        try:
            signature.bind(*[None] * takes, **args)
        except TypeError as bad:
            self._fail(path, f"{bad}; it is {_name(reference)}{signature}", "arguments")

    def _known(
        self, signature: inspect.Signature, reference: str, args: Mapping[str, Any], path: tuple[str | int, ...]
    ) -> None:
        """Refuse arguments by names that the signature does not have: probably one is misspelled."""
        parameters = signature.parameters.values()
        if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
            return
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        known = [each.name for each in parameters if each.kind in by_name]
        what = f"{_name(reference)}{signature}"
        problem = self.spec.document.problem
        strange = {name: did_you_mean(name, known) or ";" for name in args if name not in known}
        if strange:
            said = {name: f"there is no argument {name!r}{hint} it is {what}" for name, hint in strange.items()}
            raise UserError(*(problem((*path, "args", name), said[name], "arguments", key=True) for name in strange))

    def place(self, path: tuple[str | int, ...]) -> Callable[[str], Problem]:
        """Return what makes the problem of a message about the code that is called at `path`."""
        return lambda message: self.spec.document.problem((*path, "call"), message, "own-code")

    def _fail(self, path: tuple[str | int, ...], message: str, kind: str) -> None:
        raise UserError(self.spec.document.problem((*path, "call"), message, kind))


def _name(reference: str) -> str:
    return reference.rpartition(":")[2]
