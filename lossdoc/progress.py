"""Progress of long work on standard error: one line that is rewritten on a terminal, plain lines now and then in a pipe."""

from __future__ import annotations

import sys
import time
from typing import TextIO

TERMINAL_EVERY = 0.1  # seconds between rewrites: ten a second is as fast as one can read
PIPE_EVERY = 5.0  # seconds between plain lines, so that a log of a long run stays readable


class Progress:
    """Shows what is going on; says nothing where `quiet`."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self._last = 0.0
        self._shown = 0

    def stage(self, name: str) -> None:
        """Announce a new piece of work."""
        self.done()
        self._write_line(f"{name} …" if self._unicode else f"{name} ...")

    def show(self, text: str, *, last: bool = False) -> None:
        """Show how far the work is; most calls are passed over, the last one of a piece of work never."""
        now = time.monotonic()
        if self.quiet or (not last and now - self._last < (TERMINAL_EVERY if self.live else PIPE_EVERY)):
            return
        self._last = now
        if not self.live:
            self._write_line(f"  {text}")
            return
        self.stream.write("\r  " + text.ljust(self._shown))
        self.stream.flush()
        self._shown = len(text)
        if last:
            self.done()

    def done(self) -> None:
        """End the line that is being rewritten."""
        if self._shown:
            self.stream.write("\n")
            self.stream.flush()
        self._shown = 0
        self._last = 0.0 if self.live else time.monotonic()

    @property
    def _unicode(self) -> bool:
        return (self.stream.encoding or "ascii").lower().startswith("utf")

    def _write_line(self, text: str) -> None:
        if not self.quiet:
            self.stream.write(text + "\n")
            self.stream.flush()
