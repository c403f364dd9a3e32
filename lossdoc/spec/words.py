"""The pages of the words of model.yaml: what each means, its keys, and their defaults."""

from __future__ import annotations

import inspect
import textwrap

from pydantic_core import PydanticUndefined

from lossdoc.spec.plain import plain
from lossdoc.spec.resolve import keys_of, meaning
from lossdoc.spec.tables import TABLES
from lossdoc.word import Block, Word

OWN_CODE = (
    "A file with `call:` is code: it runs what it names, as you. Check only files that you trust. Data and log files are "
    "never run: npz files are read without pickle, YAML without tags, and nothing else is unpacked."
)


def names() -> list[str]:
    """Return every word of the language, each once."""
    return list(dict.fromkeys(name for words in TABLES.values() for name in words))


def page(name: str, width: int = 78) -> str | None:
    """Return the page of a word, of each where several kinds of blocks have one so called; None where there is none."""
    found = [(kind, words[name]) for kind, words in TABLES.items() if name in words]
    parts = [_page(kind, word, width) for kind, word in found]
    if name == "call":
        parts.append("\n".join([*textwrap.wrap(OWN_CODE, width), ""]))
    return "\n".join(parts) or None


def _page(kind: type[Word], word: type[Word], width: int) -> str:
    lines = [f"{word.word} ({kind.kind})", ""]
    for paragraph in inspect.cleandoc(word.__doc__ or "").split("\n\n"):
        lines += [*textwrap.wrap(paragraph, width), ""]
    keys = keys_of(word)
    if keys:
        lines += ["Keys", *(line for key in keys for line in _key(word, key, width)), ""]
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
