"""A JSON Schema of model.yaml, made from the words: editors complete and check by it."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from lossdoc.spec.models import Range, Spec
from lossdoc.spec.plain import plain
from lossdoc.spec.resolve import keys_of, meaning
from lossdoc.spec.tables import TABLES
from lossdoc.word import Block, Own, Word

Schema = dict[str, Any]
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum", "pattern": "pattern"}
TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def schema() -> Schema:
    """Return the schema, draft 2020-12; it holds keys, types, choices and ranges, not what is wrong across keys."""
    kinds = {_name(kind): _words(kind) for kind in TABLES}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "lossdoc model.yaml"}
    return {**head, **_block(Spec), "$defs": kinds}


def _name(kind: type[Word]) -> str:
    return kind.__name__.removesuffix("Word").lower()


def _words(kind: type[Word]) -> Schema:
    """Return the schema of a place where a word stands: `relu`, `linear: {...}`, or one's own code."""
    options: list[Schema] = []
    for name, cls in TABLES[kind].items():
        if issubclass(cls, Own):
            options.append({**_block(cls), "type": "object"})
            continue
        arguments = _block(cls)
        if not any(info.is_required() for info in keys_of(cls).values()):
            options.append({"const": name, "description": _told(cls)})
            arguments = {"anyOf": [arguments, {"type": "null"}]}
        one = {"type": "object", "properties": {name: arguments}, "required": [name], "additionalProperties": False}
        options.append({**one, "description": _told(cls)})
    return {"anyOf": options}


def _block(cls: type[Block]) -> Schema:
    """Return the schema of a block, and of the bare value that may stand for it."""
    fields = keys_of(cls)
    whole: Schema = {
        "type": "object",
        "description": _told(cls),
        "properties": {key: _field(info) for key, info in fields.items()},
        "required": [key for key, info in fields.items() if info.is_required()],
        "additionalProperties": False,
    }
    if cls is Range:
        return {"anyOf": [whole, {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}]}
    if cls.shorthand is None or issubclass(cls, Own):
        return whole
    return {"anyOf": [whole, {**_field(fields[cls.shorthand]), "not": {"type": "object"}}]}  # a mapping is never short


def _field(info: FieldInfo) -> Schema:
    made = {**_typed(info.annotation, info.metadata), "description": meaning(info)}
    if isinstance(info.json_schema_extra, dict):
        made.update(info.json_schema_extra)
    default = info.default
    return made if default in (PydanticUndefined, None) else {**made, "default": plain(default)}


def _typed(annotation: Any, metadata: Any = ()) -> Schema:
    """Return the schema of a type with its bounds."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _typed(inner[0], _flat(inner[1:]))
    made: Schema = {}
    if origin is Literal:
        made = {"enum": list(inner)}
    elif origin is tuple:
        made = {"type": "array", "items": _typed(inner[0]), **_length(metadata, "Items")}
    elif origin is dict:
        made = {"type": "object", "additionalProperties": _typed(inner[1])}
    elif inspect.isclass(annotation):
        made = _plain_type(annotation, metadata)
    elif inner:
        made = {"anyOf": [_typed(each) for each in inner]}
    return made


def _plain_type(annotation: Any, metadata: Any) -> Schema:
    if issubclass(annotation, Block):
        return {"$ref": f"#/$defs/{_name(annotation)}"} if annotation in TABLES else _block(annotation)
    length = _length(metadata, "Length") if annotation is str else {}
    return {"type": TYPES[annotation], **_bounds(metadata), **length} if annotation in TYPES else {}


def _flat(metadata: Any) -> list[Any]:
    return [part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each])]


def _bounds(metadata: Any) -> Schema:
    every = [(name, getattr(each, ours, None)) for each in metadata for ours, name in BOUNDS.items()]
    return {name: value for name, value in every if value is not None}


def _length(metadata: Any, what: str) -> Schema:
    pairs = [
        (f"{least[:3]}{what}", getattr(each, least, None)) for each in metadata for least in ("min_length", "max_length")
    ]
    return {name: value for name, value in pairs if value is not None}


def _told(cls: type[Block]) -> str:
    return " ".join((cls.__doc__ or "").split())
