"""Folders of logs: the files below them, and which of these are runs of one network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lossdoc import reader
from lossdoc.curve import network_of
from lossdoc.errors import UserError, harmless


@dataclass(frozen=True)
class Place:
    """A file to read: its path, what to call it, and whether it was found below a folder, so that it may be no log."""

    path: str
    title: str
    found: bool = False


@dataclass(frozen=True)
class Network:
    """Files that may be runs of one network, called by what their paths have in common; a file of its own has no name."""

    places: tuple[Place, ...]
    name: str | None = None


def places(paths: Iterable[str], globs: Sequence[str] = ()) -> list[Place]:
    """Return the files to read: those that were named, and in place of a folder those below it, in order of their names.

    Below a folder only files are looked at whose path within it fits one of the `globs`; a pattern without a slash fits at
    any depth. What is called after the folder is called by its path within it.

    Raises:
        UserError: when there are globs but no folder, or a glob is no pattern.
    """
    found: list[Place] = []
    folders = 0
    for path in paths:
        if path and path != "-" and Path(path).is_dir():
            folders += 1
            found += [
                Place(str(each), harmless(each.relative_to(path).as_posix()), found=True)
                for each in _below(Path(path), globs)
            ]
        else:
            found.append(Place(path, reader.STDIN if path == "-" else harmless(Path(path).name)))
    if globs and not folders:
        raise UserError.of("--glob chooses among the files below a folder, and no folder was given")
    return _told_apart(list({place.path: place for place in found}.values()))


def _told_apart(found: list[Place]) -> list[Place]:
    """Call files by their paths where several have the same name."""
    many = Counter(place.title for place in found)
    return [replace(place, title=harmless(place.path)) if many[place.title] > 1 else place for place in found]


def _below(folder: Path, globs: Sequence[str]) -> Iterator[Path]:
    if not globs:
        return reader.files_below(folder)
    try:
        fitting = {path for glob in globs for path in (folder.glob(glob) if "/" in glob else folder.rglob(glob))}
    except (ValueError, NotImplementedError) as bad:
        raise UserError.of(f"--glob {' '.join(globs)} is no pattern for paths below a folder: {bad}") from None
    found = sorted(path for path in fitting if reader.is_open(path, folder))
    if not found:
        raise UserError.of(f"no file below it fits --glob {' '.join(globs)}", kind="no-log", file=folder)
    return iter(found)


def networks(found: Sequence[Place], *, group: bool | None = None) -> list[Network]:
    """Put files together that are runs of one network, in the order of the first of each.

    They are those whose paths differ in nothing but the number behind the word seed, run, rep, repeat, replicate or
    repetition: `seed0/metrics.csv` and `seed1/metrics.csv`. With `group` all of them are, without (False) none.
    """
    if group is True:
        return [Network(tuple(found), "all logs")]
    if group is False:
        return [Network((place,)) for place in found]
    alike: dict[str, list[Place]] = {}
    for place in found:
        alike.setdefault(network_of(place.path), []).append(place)
    return [Network(tuple(each), network_of(each[0].title) if len(each) > 1 else None) for each in alike.values()]
