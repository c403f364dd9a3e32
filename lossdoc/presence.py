"""Which process holds a trial, and whether it is still there: on this machine by its number, elsewhere by its beat."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

BEAT = 15.0  # seconds between two signs of life
GONE = 4 * BEAT  # without one for so long, a process on another machine is taken for dead
OPEN: set[str] = set()  # the names under which this process itself works at the moment


class Presence:
    """A name for who works here, made known with a beat, and the judgment on others by theirs.

    `beat(name, count)` writes a sign of life where the others see it. Clocks of two machines are never compared: another
    one is gone when its count has not changed for `GONE` seconds of our own clock.
    """

    def __init__(self, beat: Callable[[str, int], object]) -> None:
        self.name = f"{host()} {os.getpid()} {_started(os.getpid())} {secrets.token_hex(4)}"
        self._beat = beat
        self._seen: dict[str, tuple[int, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="lossdoc-beat", daemon=True)
        OPEN.add(self.name)
        beat(self.name, 0)
        self._thread.start()

    def leave(self) -> None:
        """Stop beating."""
        OPEN.discard(self.name)
        self._over.set()
        self._thread.join(BEAT)

    def alive(self, name: str, beats: Mapping[str, int]) -> bool:
        """Tell whether the holder of a name is still at work; of one elsewhere that is only known after a while."""
        if name in OPEN:
            return True
        where, pid, started, _ = name.rsplit(" ", 3)
        if where == host():
            return int(pid) != os.getpid() and _started(int(pid)) == started
        count, now = beats.get(name, 0), time.monotonic()
        before, since = self._seen.setdefault(name, (count, now))
        if count != before:
            self._seen[name] = count, now
        return count != before or now - since < GONE

    def _go_on(self) -> None:
        count = 0
        while not self._over.wait(BEAT):
            count += 1
            with suppress(Exception):  # the storage is out of reach: whoever works tells of it, the next beat may pass
                self._beat(self.name, count)


def spoken(name: str) -> str:
    """Return who somebody is, for people."""
    where, pid, _, _ = name.rsplit(" ", 3)
    return f"process {pid} on {where.partition('/')[0]}"


@cache
def host() -> str:
    """Return this machine's name with what tells apart its starts, and containers in which processes count differently."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    parts = [boot.read_text(encoding="ascii").strip()[:8]] if boot.exists() else []
    parts += [space.readlink().name.strip("pid:[]")] if space.is_symlink() else []
    return "/".join([socket.gethostname().replace(" ", "-"), *parts])


def _started(pid: int) -> str:
    """Return when a process of this machine began, in whatever unit the system counts; empty where there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            after_name = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if after_name[0] in "ZX" else after_name[19]  # a zombie works no more
    try:
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        told = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - the system's own
    except OSError:  # no such program: then nobody is known to be there
        return ""
    return "-".join(told.stdout.split())
