"""Progress of long work on standard error: one line that is rewritten on a terminal, plain lines now and then in a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from lossdoc.letters import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

TERMINAL_EVERY = 0.1  # seconds between rewrites: ten a second is as fast as one can read
PIPE_EVERY = 5.0  # seconds between plain lines, so that a log of a long run stays readable


class Progress:
    """Shows what is going on; says nothing where `quiet`."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb"  # which cannot go back to a line's start
        self._last = 0.0
        self._shown = 0
        self._table: Live | None = None

    def stage(self, name: str) -> None:
        """Announce a new piece of work."""
        self.done()
        self._write_line(f"{name} …")

    def show(self, text: str, *, last: bool = False) -> None:
        """Show how far the work is; most calls are passed over, the last one of a piece of work never."""
        now = time.monotonic()
        if self.quiet or (not last and now - self._last < (TERMINAL_EVERY if self.live else PIPE_EVERY)):
            return
        self._last = now
        if not self.live:
            self._write_line(f"  {text}")
            return
        text = printable(text, self.stream)
        self.stream.write("\r  " + text.ljust(self._shown))
        self.stream.flush()
        self._shown = len(text)
        if last:
            self.done()

    def say(self, text: str) -> None:
        """Tell something that a user should know, in a line of its own."""
        if self._table is not None:
            self._table.console.print(printable(text, self.stream), markup=False, highlight=False)
            return
        self.done()
        self._write_line(text)

    def table(self, make: Callable[[], RenderableType], line: Callable[[], str], *, last: bool = False) -> None:
        """Show a table that is rewritten on a terminal, a line now and then in a pipe; the last line is left behind."""
        if self.quiet:
            return
        if not self.live:
            self.show_when_due(line, last=last)
            return
        now = time.monotonic()
        if now - self._last >= TERMINAL_EVERY and not last:
            self._last = now
            self._on_screen().update(make(), refresh=True)
        if last:
            self.done()
            self._write_line(f"  {line()}")

    def show_when_due(self, line: Callable[[], str], *, last: bool = False) -> None:
        """Show a line that costs something to make, only where it is time for one."""
        if last or time.monotonic() - self._last >= PIPE_EVERY:
            self.show(line(), last=last)

    def _on_screen(self) -> Live:
        """Return the table on the screen, begun when first asked for; what is printed meanwhile goes above it."""
        if self._table is None:
            from rich.console import Console
            from rich.live import Live

            self._table = Live(console=Console(file=self.stream), auto_refresh=False, transient=True)
            self._table.start()
        return self._table

    def done(self) -> None:
        """End the line or the table that is being rewritten."""
        if self._table is not None:
            self._table.stop()
            self._table = None
        if self._shown:
            self.stream.write("\n")
            self.stream.flush()
        self._shown = 0
        self._last = 0.0 if self.live else time.monotonic()

    def _write_line(self, text: str) -> None:
        if not self.quiet:
            self.stream.write(printable(text, self.stream) + "\n")
            self.stream.flush()
