"""Faults that are the user's to mend, told in one sentence each, and the two other ways in which lossdoc stops early."""

from __future__ import annotations

import difflib
import importlib
import pickle
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
WIDEST = 160  # characters of a faulty line that are shown, around the fault
COLOR = re.compile("(\x1b\\[[0-9;]*m)")
NOT_THEIRS = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen ")  # files of no use in a traceback


@dataclass(frozen=True)
class Problem:
    """One fault in what the user gave: where it is, what was got, and what was meant.

    `line` and `column` count from 1 and are None where the fault has no place in the file; `file` is None where there is
    no file. `kind` is a short kebab-case word for scripts. `source` is the faulty line itself, shown with a caret.
    """

    message: str
    kind: str = "usage"
    file: str | None = None
    line: int | None = None
    column: int | None = None
    source: str | None = field(default=None, compare=False)
    warning: bool = False

    @property
    def place(self) -> str:
        """The fault's place as `file:line:column`, as far as it is known; empty where nothing is."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    @property
    def level(self) -> Literal["warning", "error"]:
        """How grave the fault is."""
        return "warning" if self.warning else "error"

    def __str__(self) -> str:
        head = f"{self.place}: " if self.place else ""
        text = f"{head}{self.level}[{self.kind}] {self.message}"
        if self.source is not None and self.source.strip():
            start = max(0, (self.column or 1) - 1 - WIDEST // 2) if len(self.source.rstrip()) > WIDEST else 0
            text += f"\n    {self.source.rstrip()[start : start + WIDEST]}"
            if self.column is not None:
                text += f"\n    {' ' * (self.column - 1 - start)}^"
        return text


class UserError(Exception):
    """Bad usage, a bad configuration or an unreadable input: all its faults at once; the command exits with 2."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made in another process."""
        return type(self), self.problems

    @classmethod
    def of(cls, message: str, *, kind: str = "usage", file: str | Path | None = None) -> UserError:
        """Make the error of a single fault that has no line."""
        return cls(Problem(message, kind=kind, file=None if file is None else str(file)))


class UserCodeError(Exception):
    """The user's own code raised: the command exits with 3 and shows the end of the user's own traceback.

    `problem` says the same with the place in the file where the code is named, None where that is not known.
    """

    def __init__(
        self, what: str, cause: BaseException, tail: str | None = None, place: Callable[[str], Problem] | None = None
    ) -> None:
        super().__init__(f"{what} raised {type(cause).__name__}: {cause}")
        self.what = what
        self.cause = cause
        self.problem = None if place is None else place(str(self))
        self._tail = tail

    @property
    def headline(self) -> str:
        """What is said above the traceback."""
        return f"error: {self}" if self.problem is None else str(self.problem)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made in another process, where tracebacks do not go: with their text."""
        return _user_code_error, (self.what, packed(self.cause), self.tail(), self.problem)

    def tail(self, frames: int = 3) -> str:
        """Return the last frames of the user's own code, without lossdoc's and libraries', ending in the exception."""
        if self._tail is not None:
            return self._tail
        stack = traceback.extract_tb(self.cause.__traceback__)
        foreign = [frame for frame in stack if not frame.filename.startswith(NOT_THEIRS)]
        theirs = [frame for frame in foreign if "site-packages" not in frame.filename] or foreign
        lines = traceback.format_list(theirs[-frames:]) + traceback.format_exception_only(self.cause)
        return "".join(lines).rstrip()


class Far(Exception):  # noqa: N818 - never raised: it stands behind what was raised in another process
    """The traceback that an exception had where it was raised, as text."""


def packed(bad: BaseException) -> tuple[bytes | None, str, str, str]:
    """Return an exception as what can be sent to another process; `unpacked` makes it again there."""
    try:
        kept: bytes | None = pickle.dumps(bad)
        pickle.loads(kept or b"")  # noqa: S301 - our own; some are packed and cannot be unpacked
    except Exception:  # noqa: BLE001 - whatever an exception of somebody else's raises then
        kept = None
    return kept, type(bad).__name__, str(bad), "".join(traceback.format_exception(bad))


def unpacked(sent: tuple[bytes | None, str, str, str]) -> BaseException:
    """Return the exception that was packed, or one of the same name that says the same; its traceback stands behind it."""
    kept, name, text, trace = sent
    try:
        bad = None if kept is None else pickle.loads(kept)  # noqa: S301 - from a process that this one started
    except Exception:  # noqa: BLE001 - its class is not known here
        bad = None
    if not isinstance(bad, BaseException):
        bad = type(name, (Exception,), {})(text)
    bad.__cause__ = Far(f"\n{trace}")
    return bad


def _user_code_error(
    what: str, cause: tuple[bytes | None, str, str, str], tail: str, problem: Problem | None
) -> UserCodeError:
    bad = UserCodeError(what, unpacked(cause), tail)
    bad.problem = problem
    return bad


class NotApplicable(Exception):  # noqa: N818 - not an error: an answer that a rule gives
    """A rule cannot judge what it was given; the text says why and is shown beside `skipped`."""


class Undecided(NotApplicable):
    """A rule sees what it looks for, but cannot tell it from chance: who finds nothing else can tell nothing either."""


@contextmanager
def user_code(what: str, place: Callable[[str], Problem] | None = None) -> Iterator[None]:
    """Turn whatever the user's own code raises inside the block into a `UserCodeError` that names `what`.

    `place` makes the problem of a message at the place in the file where the code is named.

    Errors of lossdoc's own pass unchanged, and so does an interrupt.
    """
    try:
        yield
    except (UserError, UserCodeError, NotApplicable):
        raise
    except (Exception, SystemExit) as bad:
        raise UserCodeError(what, bad, place=place) from bad


def kind_of(value: object) -> str:
    """Return what a value is: "None", "a tuple", "an int"."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known word nearest to `word`, or an empty text where none is near.

    What follows a word's last slash is as good as all of it: `loss` is near `metrics/loss`.
    """
    spelled = {part.lower(): each for each in known for part in (each.rpartition("/")[2], each)}
    near = difflib.get_close_matches(word.lower(), list(spelled), n=1, cutoff=0.6)
    return f"; did you mean '{spelled[near[0]]}'?" if near else ""


def harmless(text: str, *, colors: bool = False) -> str:
    r"""Return the text with each control character written as \u001b, which JSON reads too; `colors` are left alone.

    Names in a log and of files are anyone's. Marks that turn the direction of writing count among the control characters:
    behind one a line reads otherwise than it is (CVE-2021-42574).
    """
    if not CONTROL.search(text):
        return text
    parts = COLOR.split(text) if colors else [text]
    parts[::2] = [CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", part) for part in parts[::2]]
    return "".join(parts)
