"""Whether a file can be written where it is wanted: found out before the work, not after it."""

from __future__ import annotations

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
