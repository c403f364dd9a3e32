"""Whether a file can be written where it is wanted: found out before the work where that is possible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lossdoc.errors import UserError


def must_be_writable(path: Path, option: str = "", *, force: bool = True) -> None:
    """Refuse to write a file in the place of a folder, in a folder that is not there, or without `force` over another file.

    Raises:
        UserError: when it is refused; the message begins with the option that asked for the file, if one did.
    """
    named = f"{option} {path}".strip()
    if path.is_dir():
        raise UserError.of(f"{named} is a folder", kind="output")
    if not path.parent.is_dir():
        raise UserError.of(f"{named} cannot be written: there is no folder {path.parent}", kind="output")
    if path.exists() and not force:
        raise UserError.of(f"{named} exists already; --force overwrites it", kind="output")


@contextmanager
def writing(named: str, file: Path | None = None) -> Iterator[None]:
    """Turn what the system says against writing into one sentence on what was to be written, or on the `file` at fault.

    Raises:
        UserError: when the block raises an `OSError`.
    """
    try:
        yield
    except OSError as bad:
        raise UserError.of(f"{named} cannot be written: {bad.strerror}".strip(), kind="output", file=file) from None
