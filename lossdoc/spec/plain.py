"""Blocks as the plain data that they would be written as."""

from __future__ import annotations

from typing import Any

from lossdoc.word import Block, Own, Word


def plain(value: Any) -> Any:
    """Return a block as plain data with all its defaults, words as one-key mappings."""
    if isinstance(value, Block):
        fields = type(value).model_fields
        content = {each.alias or name: plain(getattr(value, name)) for name, each in fields.items()}
        return {value.word: content} if isinstance(value, Word) and not isinstance(value, Own) else content
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
