"""Where the study of a sweep is kept: a journal file, a PostgreSQL database or a Redis server, as Optuna's storage."""

from __future__ import annotations

import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from lossdoc.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

Answer = TypeVar("Answer")
SYNCED = 0.25  # seconds: what a power failure may cost; being killed costs nothing, what is written is the system's
TRIES = 5  # a server that is started again is back within the half minute that they take


class Journal(JournalFileBackend):
    """A file to which whole lines are added by any number of processes; one that is killed over it harms none of the others.

    Optuna's own locks are files, which a killed process leaves behind for half a minute, and half a line that it leaves
    makes the file unreadable with the next one. Here the lock is the system's, free when its holder is gone, and half a line
    is cut off before the next.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=JournalFileOpenLock(str(path)))
        self._path = path
        self._synced = 0.0

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add some lines."""
        if sys.platform == "win32":  # has no such locks
            super().append_logs(logs)
            return
        import fcntl
        import json

        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
            file.seek(_end_of_lines(self._path))
            file.truncate()
            while text:
                text = text[file.write(text) or 0 :]
            if time.monotonic() - self._synced > SYNCED:
                os.fsync(file.fileno())
                self._synced = time.monotonic()


def _end_of_lines(path: Path) -> int:
    """Return the length of a file up to the end of its last whole line."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        file.seek(max(0, at - 1))
        if file.read(1) == b"\n":
            return at
        while at:
            begin = max(0, at - 65_536)
            file.seek(begin)
            block = file.read(at - begin)
            if b"\n" in block:
                return begin + block.rindex(b"\n") + 1
            at = begin
    return 0


def in_file(path: Path) -> BaseStorage:
    """Return the storage in a journal file, which is made where there is none."""
    from optuna.storages import JournalStorage

    try:
        return JournalStorage(Journal(path))
    except OSError as bad:
        raise UserError.of(f"the journal cannot be opened: {bad.strerror}", kind="storage", file=path) from bad
    except ValueError as bad:  # a line that is no JSON
        raise UserError.of(f"this is not a journal of Optuna's: {bad}", kind="storage", file=path) from bad


def at(where: str) -> BaseStorage:
    """Return the storage at a URL, or in the journal file of a path.

    Raises:
        UserError: when there is no storage of that kind, its driver is not installed, or it cannot be reached.
    """
    scheme, _, rest = where.rpartition("://")
    kind = scheme.partition("+")[0].lower()
    if not scheme:
        return in_file(Path(rest))
    if kind in ("postgresql", "postgres"):
        return _postgresql(f"{'postgresql+psycopg' if '+' not in scheme else scheme}://{rest}")
    if kind in ("redis", "rediss"):
        return _redis(where)
    why = "two processes that begin on a new SQLite file at once lose one of them; " if kind == "sqlite" else ""
    raise UserError.of(
        f"--storage {hidden(where)}: {why}there are postgresql://…, redis://… and the path of a journal file", kind="storage"
    )


def leave(storage: BaseStorage) -> None:
    """Close the connections of a storage, where it has any."""
    if isinstance(storage, Patient):
        storage.leave()


def hidden(where: str) -> str:
    """Return a URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:…@", where)


def _postgresql(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage, get_storage

    with _driver("postgresql", "psycopg"), _reached(url):
        # the tables of a new database: of two processes that make them at once one fails, and finds them the next time
        opened = _again(lambda: RDBStorage(url, engine_kwargs={"pool_pre_ping": True}), tries=3)
        return cast("BaseStorage", Patient(get_storage(opened), url, opened.engine.dispose))


def _redis(url: str) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalRedisBackend

    with _driver("redis", "redis"), _reached(url), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        return cast("BaseStorage", Patient(JournalStorage(JournalRedisBackend(url)), url))


@contextmanager
def _driver(extra: str, module: str) -> Iterator[None]:
    try:
        yield
    except ImportError as bad:
        message = f"--storage {extra}://… needs the package {module}: pip install 'lossdoc[{extra}]'"
        raise UserError.of(message, kind="storage") from bad


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """Turn what a storage raises when it is opened into one sentence."""
    try:
        yield
    except (UserError, ImportError):
        raise
    except Exception as bad:
        raise UserError.of(f"--storage {hidden(url)} cannot be used: {_reason(bad)}", kind="storage") from bad


class Patient:
    """A storage on a server that may be out of reach for a moment: what fails is tried again.

    Raises:
        UserError: by every method, when the server stays away.
    """

    def __init__(self, storage: BaseStorage, url: str, leave: Callable[[], object] = lambda: None) -> None:
        self._storage = storage
        self._url = url
        self.leave = leave  # closes the connections

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)

        def patient(*args: Any, **named: Any) -> Any:
            try:
                return _again(lambda: method(*args, **named), TRIES)
            except Exception as bad:
                if not _passing(bad):
                    raise
                message = f"the storage {hidden(self._url)} is out of reach: {_reason(bad)}; what is finished is safe there"
                raise UserError.of(message, kind="storage") from bad

        return patient


def _again(do: Callable[[], Answer], tries: int) -> Answer:
    """Do something up to so many times, where it fails for a reason that may pass, waiting twice as long each time."""
    for pause in (2.0**power for power in range(tries - 1)):
        try:
            return do()
        except Exception as bad:
            if not _passing(bad):
                raise
            time.sleep(pause)
    return do()


def _passing(bad: Exception) -> bool:
    """Tell whether an error may be gone at the next try: the connection's, not the program's."""
    from optuna.exceptions import StorageInternalError

    packages = {type(each).__module__.partition(".")[0] for each in (bad, bad.__cause__) if each is not None}
    return isinstance(bad, (StorageInternalError, ConnectionError)) or bool(packages & {"sqlalchemy", "psycopg", "redis"})


def _reason(bad: Exception) -> str:
    """Return the first line of what went wrong, without a password."""
    return hidden(next(iter(str(bad.__cause__ or bad).strip().splitlines()), type(bad).__name__))
