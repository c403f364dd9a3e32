"""`--set path=value`: other values at some paths of the data, through words or past them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from lossdoc.errors import UserError
from lossdoc.parts.optimizers import OptimizerWord
from lossdoc.spec.document import Document, Path, parse_value
from lossdoc.spec.plain import plain
from lossdoc.spec.resolve import keys_of, unknown, whole
from lossdoc.spec.tables import TABLES, nested
from lossdoc.word import Block, Word

HYPER = ("lr", "weight_decay")
Parts = tuple[str, ...]  # of a path, as written


class Number(float):
    """A number that may be rounded where only whole ones fit."""


class PathError(Exception):
    """A path that leads nowhere; the text says where it ends and what exists there."""


def split(override: str) -> tuple[str, Any]:
    """Split `path=value` at the first `=` and read the value as YAML.

    Raises:
        UserError: when there is no `=`, or the value is no YAML.
    """
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise UserError.of(f"got {override!r}; path=value is meant, as in optimizer.lr=1e-3", kind="override", file="--set")
    return path.strip(), parse_value(text, f"--set {override}")


def assign(document: Document, cls: type[Block], path: str, value: Any, written: str, *, rounding: bool = False) -> None:
    """Put a value at a path of the document's data; with `rounding`, as a whole number where only such fit.

    Raises:
        PathError: when the path leads nowhere.
    """
    placed = Number(value) if rounding and isinstance(value, float) else value
    document.data, at = _in_block(cls, document.data, tuple(path.split(".")), placed)
    document.override(at, written)


def _in_block(cls: type[Block], data: Any, parts: Parts, value: Any) -> tuple[Any, Path]:
    """Return the data with the value in its place, and that place as it is in the data."""
    if not parts:
        return value, ()
    try:
        content = cls.expand(data)
    except ValueError as bad:
        raise PathError(str(bad)) from None
    content = content if isinstance(content, dict) else {}
    fields = keys_of(cls)
    if parts[0] not in fields:
        raise PathError(f"there is no key {parts[0]!r} here{unknown(parts[0], fields)}")
    info = fields[parts[0]]
    here = content.get(parts[0])
    if here is None and isinstance(info.default, Block):
        here = plain(info.default)
    elif here is None and info.default_factory is dict:  # the arguments of own code, of which there are none yet
        here = {}
    if len(parts) == 1 and isinstance(value, Number):
        value = round(value) if whole(info.annotation) and math.isfinite(value) else float(value)
    changed, at = _in_field(nested(info.annotation), here, parts[1:], value)
    return {**content, parts[0]: changed}, (parts[0], *at)


def _in_field(holds: tuple[str, type[Block]] | None, data: Any, parts: Parts, value: Any) -> tuple[Any, Path]:
    if not parts:
        return value, ()
    if holds is None:
        return _in_plain(data, parts, value)
    how, cls = holds
    if how == "one":
        return _in_one(cls, data, parts, value)
    key, rest = _item(data, parts) if how == "many" else _named(data, parts)
    changed, at = _in_one(cls, data[key] if how == "many" else (data or {}).get(key), rest, value)
    return _with(data or {}, key, changed), (key, *at)


def _in_one(cls: type[Block], data: Any, parts: Parts, value: Any) -> tuple[Any, Path]:
    return (
        _in_word(cls, data, parts, value) if issubclass(cls, Word) and cls in TABLES else _in_block(cls, data, parts, value)
    )


def _in_word(kind: type[Word], data: Any, parts: Parts, value: Any) -> tuple[Any, Path]:
    """Go through a word, whether the path names it or skips it."""
    if not parts:
        return value, ()
    words = TABLES[kind]
    if isinstance(data, dict) and "call" in data:
        in_args = kind is OptimizerWord and parts[0] in HYPER  # optimizer.lr is the rate of anybody's optimizer
        return _in_block(words["call"], data, ("args", *parts) if in_args else parts, value)
    name, arguments = _word_in(data)
    head, rest = parts[0], parts[1:]
    fields = keys_of(words[name]) if name in words else {}
    if head in fields and (head != name or not rest):
        rest = parts
    elif not name and head in words:
        name = head
    elif head != name or name not in words:
        raise PathError(_astray(kind, name, head, fields))
    changed, at = _in_block(words[name], arguments, rest, value)
    return {name: changed}, (name, *at)


def _word_in(data: Any) -> tuple[str, Any]:
    """Return a word's name and its arguments, as written: `relu`, or `linear: {out: 100}`; no name where there is none."""
    if isinstance(data, str):
        return data, None
    return next(iter(data.items()), ("", None)) if isinstance(data, dict) else ("", None)


def _astray(kind: type[Word], name: str, head: str, fields: Iterable[str]) -> str:
    if head in TABLES[kind]:
        return f"{kind.kind} stands here, but it is {name!r}, not {head!r}; to change it, set it as a whole"
    return f"there is no key {head!r} in {name!r}{unknown(head, fields)}" if name else f"there is no {head!r} here"


def _in_plain(data: Any, parts: Parts, value: Any) -> tuple[Any, Path]:
    """Go through plain data: the arguments of own code, lists of numbers."""
    if not parts:
        return float(value) if isinstance(value, Number) else value, ()
    if isinstance(data, list):
        key, rest = _item(data, parts)
        changed, at = _in_plain(data[key], rest, value)
    elif isinstance(data, dict):
        key, rest = parts[0], parts[1:]
        changed, at = _in_plain(data.get(key, {} if rest else None), rest, value)
    else:
        raise PathError(f"there is nothing called {parts[0]!r} below a value")
    return _with(data, key, changed), (key, *at)


def _item(data: Any, parts: Parts) -> tuple[Any, Parts]:
    many = len(data) if isinstance(data, list) else 0
    if not parts[0].isdecimal() or int(parts[0]) >= many:
        there = f"items 0 to {many - 1}" if many else "no items"
        raise PathError(f"there is no item {parts[0]!r} in the list; it has {there}")
    return int(parts[0]), parts[1:]


def _named(data: Any, parts: Parts) -> tuple[Any, Parts]:
    """Return a key that has dots itself, and what is left of the path behind it."""
    whole = ".".join(parts)
    for key in data if isinstance(data, dict) else ():
        if whole.startswith(f"{key}."):
            return key, tuple(whole[len(key) + 1 :].split("."))
    return whole, ()


def _with(data: Any, key: Any, value: Any) -> Any:
    if isinstance(data, list):
        return [*data[:key], value, *data[key + 1 :]]
    return {**data, key: value}
