"""Darknet's log: ` 12: 4.17, 4.20 avg loss, 0.001 rate, 12.1 seconds, 768 images`."""

from __future__ import annotations

import re

from lossdoc.curve import Table
from lossdoc.reader import Reader
from lossdoc.readers._records import NUMBER, found_in, no_loss, table
from lossdoc.readers._text import lines, whole

LINE = re.compile(rf"^\W{{0,10}}(\d{{1,12}}): ({NUMBER}), ({NUMBER}) avg(?: loss)?, ({NUMBER}) rate")


def sniff(head: bytes) -> float:
    """Tell how surely this is a log of Darknet."""
    return 0.9 if found_in(whole(head), LINE) else 0.0


def read(data: bytes, source: str) -> list[Table]:
    """Read iteration, loss and rate; the running average is left out, for it hides what happens."""
    found = [match for match in map(LINE.match, lines(data)) if match is not None]
    if not found:
        raise no_loss(source, "no line of it is Darknet's")
    return [table(source, [{"iteration": float(each[1]), "loss": float(each[2]), "lr": float(each[4])} for each in found])]


reader = Reader((".log", ".txt"), sniff, read)
