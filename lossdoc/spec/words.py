"""The pages of the words of model.yaml: what each means, its keys, and their defaults."""

from __future__ import annotations

import inspect
import textwrap
from typing import get_args

from pydantic_core import PydanticUndefined

from lossdoc.spec.models import Spec
from lossdoc.spec.plain import plain
from lossdoc.spec.resolve import keys_of, meaning
from lossdoc.spec.tables import TABLES
from lossdoc.word import Block, Word

OWN_CODE = (
    "A file with `call:` is code: it runs what it names, as you. Check only files that you trust. Data and log files are "
    "never run: npz files are read without pickle, YAML without tags, and nothing else is unpacked."
)


def names() -> list[str]:
    """Return every word of the language and every block, each once."""
    return list(dict.fromkeys([*(name for words in TABLES.values() for name in words), *blocks()]))


def blocks() -> dict[str, type[Block]]:
    """Return the blocks of a model.yaml by their names: those that hold keys, and those that are one of a kind of words."""
    found: dict[str, type[Block]] = {}
    for name, info in Spec.model_fields.items():
        for kind in (info.annotation, *get_args(info.annotation)):
            if isinstance(kind, type) and issubclass(kind, Block):
                found[name] = kind
    return found


def page(name: str, width: int = 78) -> str | None:
    """Return the page of a block or a word, of each where several are so called; None where nothing is."""
    found = [(kind, words[name]) for kind, words in TABLES.items() if name in words]
    parts = [_block(name, blocks()[name], width)] if name in blocks() else []
    parts += [_page(kind, word, width) for kind, word in found]
    if name == "call":
        parts.append("\n".join([*textwrap.wrap(OWN_CODE, width), ""]))
    return "\n".join(parts) or None


def _block(name: str, block: type[Block], width: int) -> str:
    lines = [f"{name} (a block of model.yaml)", "", *_told(block, width)]
    words = next((words for kind, words in TABLES.items() if kind is block), None)
    if words is not None:
        one = f"One of the words {', '.join(words)}; each has a page."
        return "\n".join([*lines, *textwrap.wrap(one, width), ""])
    return "\n".join([*lines, *_keys(block, width)])


def _told(block: type[Block], width: int) -> list[str]:
    paragraphs = inspect.cleandoc(block.__doc__ or "").split("\n\n")
    return [line for paragraph in paragraphs for line in (*textwrap.wrap(paragraph, width), "")]


def _keys(block: type[Block], width: int) -> list[str]:
    keys = keys_of(block)
    return ["Keys", *(line for key in keys for line in _key(block, key, width)), ""] if keys else []


def _page(kind: type[Word], word: type[Word], width: int) -> str:
    lines = [f"{word.word} ({kind.kind})", "", *_told(word, width), *_keys(word, width)]
    if word.shorthand is not None and word.word != "call":
        lines += [f"`{word.word}: VALUE` is short for `{word.word}: {{{word.shorthand}: VALUE}}`.", ""]
    return "\n".join(lines)


def _key(word: type[Block], key: str, width: int) -> list[str]:
    info = keys_of(word)[key]
    default = "must be given" if info.is_required() else f"by default {_shown(info.get_default(call_default_factory=True))}"
    text = f"  {key:<16} {meaning(info)}; {default}"
    return textwrap.wrap(text, width, subsequent_indent=" " * 19)


def _shown(default: object) -> str:
    value = plain(default)
    if value is None or value is PydanticUndefined or value == []:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return next(iter(value), "none") if isinstance(value, dict) else f"{value:g}" if isinstance(value, float) else f"{value}"
