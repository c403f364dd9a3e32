"""Other values in the text of a model.yaml, whose comments and layout stay as they are."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from lossdoc.errors import UserError
from lossdoc.spec.document import LOADER, Path, dotted, parse, scalar
from lossdoc.spec.loading import loads
from lossdoc.spec.models import Spec
from lossdoc.spec.overrides import assign

PLAIN = re.compile(r"[A-Za-z_][\w.:/-]*")  # a text that needs no quotes, unless it is one of YAML's own words
UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def edited(text: str, values: Mapping[str, Any], file: str = "model.yaml") -> str:
    """Return the text of a model.yaml with other values at some paths.

    Raises:
        UserError: when that cannot be done by changing single places, as with anchors that several of them share.
    """
    changed = text
    for path, value in values.items():
        changed = _with(changed, path, value, file)
    if not _means(changed, loads(text, file).with_values(values), file):
        message = "the values cannot be put into the text one by one; --set gives them on the command line"
        raise UserError.of(f"{', '.join(values)}: {message}", kind="edit", file=file)
    return changed


def _means(text: str, meant: Spec, file: str) -> bool:
    try:
        return loads(text, file).resolved() == meant.resolved()
    except UserError:  # an anchor that others refer to is gone
        return False


def _with(text: str, path: str, value: Any, file: str) -> str:
    document, _ = parse(text, file)
    given = document.data
    assign(document, Spec, path, value, path, rounding=True)
    (at,) = document.given
    node: Any = yaml.compose(text, Loader=LOADER)
    data, depth = document.data, 0
    while depth < len(at):
        child = _child(node, at[depth])
        if child is None:
            break
        node, data, given, depth = child, data[at[depth]], given[at[depth]], depth + 1
    if depth == len(at) - 1 and isinstance(node, yaml.SequenceNode) and isinstance(data, Mapping):
        data, depth = data[at[depth]], len(at)  # a shorthand: the list stands where the block is meant
    if depth < len(at) and isinstance(node, yaml.MappingNode):
        return _inserted(text, node, at[depth], written(_only(data[at[depth]], at[depth + 1 :])))
    if depth < len(at) and not isinstance(node, yaml.ScalarNode):
        raise UserError.of(f"{dotted(at)} has no place in the text", kind="edit", file=file)
    if isinstance(node, yaml.SequenceNode) and isinstance(data, list) and data and given:
        return _relisted(text, node, given, data)
    return _replaced(text, node, written(data))


def _relisted(text: str, node: yaml.SequenceNode, old: Sequence[Any], new: Sequence[Any]) -> str:
    """Return the text with another list in the place of one; items that stay keep their lines, comments and order."""
    before, after = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
    changes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for kind, first, last, start, end in reversed(changes):
        if kind == "equal":
            continue
        paired = min(last - first, end - start)
        for item in reversed(new[start + paired : end]):
            text = _put_in(text, node, first + paired, item)
        if first + paired < last:
            text = _taken_out(text, node, first + paired, last)
        for place in reversed(range(first, first + paired)):
            item = new[start + place - first]
            text = _replaced(text, node.value[place], written(item) if node.flow_style else _in_block(item))
    return text


def _put_in(text: str, node: yaml.SequenceNode, place: int, item: Any) -> str:
    """Return the text with a further item at a place of a list: in its brackets, or on a line of its own."""
    items = node.value
    if node.flow_style:
        at = _end(items[place - 1]) if place else items[0].start_mark.index
        return f"{text[:at]}, {written(item)}{text[at:]}" if place else f"{text[:at]}{written(item)}, {text[at:]}"
    dash = _dash(text, items[max(place - 1, 0)])
    start = text.rfind("\n", 0, dash) + 1
    at = _line_end(text, _end(items[place - 1])) if place else start
    begun = "\n" if at and text[at - 1] != "\n" else ""
    return f"{text[:at]}{begun}{' ' * (dash - start)}- {_in_block(item)}\n{text[at:]}"


def _in_block(item: Any) -> str:
    """Return an item as it stands behind a dash: the mapping of a single word needs no braces there."""
    if isinstance(item, Mapping) and len(item) == 1:
        ((key, value),) = item.items()
        return f"{key}: {written(value)}"
    return written(item)


def _taken_out(text: str, node: yaml.SequenceNode, first: int, last: int) -> str:
    """Return the text without some neighboring items of a list, nor the comments behind them."""
    items = node.value
    if node.flow_style:
        start = _end(items[first - 1]) if first else items[0].start_mark.index
        end = _end(items[last - 1]) if first or last == len(items) else items[last].start_mark.index
        return text[:start] + text[end:]
    for item in reversed(items[first:last]):
        text = text[: text.rfind("\n", 0, _dash(text, item)) + 1] + text[_line_end(text, _end(item)) :]
    return text


def _dash(text: str, item: yaml.Node) -> int:
    return text.rfind("-", 0, item.start_mark.index)


def _line_end(text: str, at: int) -> int:
    """Return the place behind the end of a line."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _only(data: Any, at: Path) -> Any:
    """Return what stands at a path and the keys that lead there, without what stands beside them."""
    if not at or not isinstance(data, Mapping):
        return data
    return {at[0]: _only(data[at[0]], at[1:])}


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return node.value[part] if isinstance(node, yaml.SequenceNode) and isinstance(part, int) else None


def _replaced(text: str, node: yaml.Node, new: str) -> str:
    start, end = node.start_mark.index, _end(node)
    return text[:start] + (" " if start == end else "") + new + text[end:]


def _inserted(text: str, node: yaml.MappingNode, key: str | int, new: str) -> str:
    """Return the text with a further key at the end of a mapping: in its braces, or on a line of its own."""
    if node.flow_style:
        close = node.end_mark.index - 1
        filled = text[:close].rstrip()
        return f"{filled}{', ' if node.value else ''}{key}: {new}{text[len(filled) : close]}{text[close:]}"
    end = _end(node)
    line_end = text.find("\n", end)
    place = len(text) if line_end < 0 else line_end
    return f"{text[:place]}\n{' ' * node.start_mark.column}{key}: {new}{text[place:]}"


def _end(node: yaml.Node) -> int:
    """Return the place behind the last thing in a node; a block's own mark stands behind what comes after it, too."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def written(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(written(inner) for inner in value) + "]"
    if isinstance(value, float) and math.isfinite(value):
        mantissa, e, exponent = f"{value:.12g}".partition("e")
        return f"{mantissa}{e}{int(exponent) if e else ''}"
    if isinstance(value, str):
        quoted = UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
        return value if PLAIN.fullmatch(value) and scalar(value) == value else quoted
    return "null" if value is None else json.dumps(value)
