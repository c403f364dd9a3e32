"""What the user's own code prints and is warned of: to stderr, where it stands in no report, and each once."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO

REMEMBERED = 10_000  # lines; a print of what changes from step to step would fill the memory


class Once:
    """A stream that passes each line on once: a model is built dozens of times, and printed what it prints as often.

    `again` is how many lines were left out. What is no line yet waits for its end.
    """

    def __init__(self, stream: TextIO) -> None:
        self.again = 0
        self._stream, self._begun, self._seen = stream, "", set[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Take in a text, and write the lines that it ends and that are new."""
        lines = (self._begun + text).splitlines(keepends=True)
        self._begun = lines.pop() if lines and lines[-1][-1] not in "\r\n" else ""
        for line in lines:
            self._pass(line)
        return len(text)

    def finish(self) -> None:
        """Write what was begun and has no end, and say how much was left out."""
        if self._begun:
            self._pass(self._begun + "\n")
        if self.again:
            many = "1 line" if self.again == 1 else f"{self.again:,} lines"
            self._stream.write(f"({many} that your code had printed before {'is' if self.again == 1 else 'are'} left out)\n")
        self._begun, self.again = "", 0

    def _pass(self, line: str) -> None:
        if line in self._seen and line.strip():
            self.again += 1
            return
        if len(self._seen) < REMEMBERED:
            self._seen.add(line)
        self._stream.write(line)


@contextmanager
def prints_on_stderr() -> Iterator[None]:
    """Send to stderr what the user's own code prints, also that of worker processes and of libraries in C.

    These know standard output by its number only, and may repeat themselves. A line of code is warned of once, even where
    the warning names the size of each batch.
    """
    kept, once = _swapped(), Once(sys.stderr if sys.stderr is not None else io.StringIO())
    try:
        with redirect_stdout(once), warned_once():
            yield
    finally:
        once.finish()
        if kept is not None:
            if sys.__stdout__ is not None:
                sys.__stdout__.flush()
            os.dup2(kept, 1)
            os.close(kept)


@contextmanager
def warned_once() -> Iterator[None]:
    """Show of the warnings of one kind at one line of code the first only."""
    show, seen = warnings.showwarning, set[tuple[type[Warning], str, int]]()

    def told(  # noqa: PLR0917 - Python calls it so
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Satisfy `warnings.showwarning`."""
        if (category, filename, lineno) not in seen:
            seen.add((category, filename, lineno))
            show(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.showwarning = told
        yield


def _swapped() -> int | None:
    """Let the number of standard output mean standard error; return another for what it meant, None where it is closed."""
    try:
        kept = os.dup(1)
    except OSError:
        return None
    with suppress(OSError):  # standard error is closed: there is nowhere to send it
        os.dup2(2, 1)
    return kept
