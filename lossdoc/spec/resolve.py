"""Plain data → typed blocks: every fault is collected, none is told twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from lossdoc.errors import Problem, did_you_mean
from lossdoc.spec.document import Document, Path, scalar, told
from lossdoc.spec.tables import ALIASES, TABLES, nested
from lossdoc.word import Block, Meant, Word

B = TypeVar("B", bound=Block)
MANY = 16  # words or keys: a longer list hides what was probably meant
HABITS = {  # of other languages
    "<<": "; this language merges no mappings: write the keys out",
    "activation": "; an activation is a layer of its own: put it behind this one",
}
ELSEWHERE = {  # what is known by another name or in another place, by the block in which it is looked for
    ("regularization", "weight_decay"): "; it is the optimizer's: 'optimizer: {adam: {weight_decay: ...}}'; 'l2' adds "
    "c/2·sum w² to the loss instead",
    ("regularization", "dropout"): "; dropout is a layer: put '- dropout: 0.5' where it is to act in 'model.layers'",
}
VALUES = {  # the spellings of others for one of our choices
    "gpu": "cuda",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "single": "float32",
    "fp64": "float64",
    "double": "float64",
}
TYPE_KEYS = ("type", "name", "class", "_target_", "class_name", "class_path")  # how other tools name the word of a block


def keys_of(cls: type[Block]) -> dict[str, FieldInfo]:
    """Return the fields of a block by their keys in the file."""
    return {info.alias or name: info for name, info in cls.model_fields.items()}


def suggestion(word: str, known: Iterable[str], *, near: bool = True) -> str | None:
    """Return the known word that was probably meant: the same in another spelling, a known alias, or the nearest."""
    known = list(known)
    plain = word.lower().replace("-", "_").replace(" ", "_")
    for each in (plain, *ALIASES.get(plain, ())):
        if each in known:
            return each
    nearest = did_you_mean(plain, known) if near else ""
    return nearest.split("'")[1] if nearest else None


def unknown(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...? there are: ...`."""
    known = list(known)
    if not known:
        return "; there are none"
    near = suggestion(word, known)
    if near and len(known) > MANY:
        return f"; did you mean {near!r}?"
    return f"{f'; did you mean {near!r}?' if near else ';'} there are: {', '.join(known)}"


def _below(word: str, cls: type[Block]) -> tuple[str, str] | None:
    """Return the key below which a stranger belongs, and how it is said."""
    for key, info in keys_of(cls).items():
        found = nested(info.annotation)
        if found is None or found[0] != "one":
            continue
        inner = type(info.default) if isinstance(info.default, Word) else found[1]
        exact = suggestion(word, keys_of(inner), near=False)
        if exact is not None:
            return key, f"; did you mean '{key}.{exact}'? it stands below '{key}'"
        if issubclass(found[1], Word) and word in TABLES.get(found[1], ()):
            return key, f"; did you mean '{key}: {{{word}: ...}}'?"
    return None


def _choice_as_key(word: str, cls: type[Block]) -> tuple[str, str] | None:
    """Return the shorthand key of which a stranger is one of the choices, and how it is said."""
    key = cls.shorthand
    if key is None or word not in _choices(keys_of(cls)[key].annotation):
        return None
    return key, f"; write '{key}: {word}'"


class Resolver:
    """Makes blocks of a document's data and collects what is wrong with them in `problems`.

    With `known`, another resolver, mappings that it found right are not looked at again: a sweep changes a value of a file
    at a time, and the rest of the data are the very same objects.
    """

    def __init__(self, document: Document, known: Resolver | None = None) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.first = known is None
        self.right: dict[tuple[type[Block], int], tuple[Any, Block]] = {} if known is None else known.right

    def block(self, cls: type[B], data: Any, path: Path) -> B | None:
        """Return the block that `data` describes, or None where something is wrong with it."""
        known = self.right.get((cls, id(data))) if isinstance(data, dict) else None
        made = self._block(cls, data, path) if known is None else known[1]
        if made is not None and self.first and isinstance(data, dict):
            self.right[cls, id(data)] = data, made  # with the data, so that their id is nobody else's
        return made  # type: ignore[return-value]  # what is kept for a class is of that class

    def _block(self, cls: type[B], data: Any, path: Path) -> B | None:
        written = data
        try:
            data = cls.expand(data)
        except ValueError as bad:
            self.fault(path, str(bad), "value")
            return None
        if cls.shorthand is not None and data is not written and isinstance(written, list | dict):
            self.document.move(path, cls.shorthand)
        data = {} if data is None and issubclass(cls, Word) else data
        if not isinstance(data, dict):
            self.fault(path, f"got {told(data)}; a mapping with {_keys(cls)} is meant", "type")
            return None
        told_already = self._unknown_keys(cls, data, path)
        values = {}
        for key, info in keys_of(cls).items():
            if key in data:
                before = len(self.problems)
                value = self._value(info, data[key], (*path, key))
                if len(self.problems) == before:
                    values[key] = value
                else:
                    told_already.add(key)
        return self._validated(cls, values, path, told_already)

    def word(self, kind: type[Word], data: Any, path: Path) -> Word | None:
        """Return the word that `data` names, with its arguments."""
        words = TABLES[kind]
        if isinstance(data, str):
            return self._named(kind, data, None, path, (*path, data))
        if not isinstance(data, dict):
            self.fault(path, f"got {told(data)}; {kind.kind} is meant, as a word or as 'word: {{...}}'", "type")
            return None
        if "call" in data:
            return self.block(words["call"], data, path)
        if len(data) == 1:
            ((name, arguments),) = data.items()
            return self._named(kind, name, arguments, path, (*path, name))
        self.fault(path, _not_one_key(kind, data, words), "block")
        return None

    def fault(self, path: Path, message: str, kind: str, *, key: bool = False) -> None:
        """Note a problem."""
        self.problems.append(self.document.problem(path, message, kind, key=key))

    def _named(self, kind: type[Word], name: str, arguments: Any, at: Path, path: Path) -> Word | None:
        words = TABLES[kind]
        if name not in words and ":" in name:
            self.fault(at, f"got {told(name)}; own code is written 'call: {name}'", "unknown-word")
            return None
        if name not in words:
            self.fault(at, f"{told(name)} is not {kind.kind}{unknown(name, words)}", "unknown-word")
            return None
        return self.block(words[name], arguments, path)

    def _unknown_keys(self, cls: type[Block], data: Mapping[str, Any], path: Path) -> set[str]:
        """Note the keys that do not exist, and return them with those that were probably meant."""
        known = list(keys_of(cls))
        meant = set()
        for key in (each for each in data if each not in known):
            below = _choice_as_key(key, cls)
            if below is None and not suggestion(key, known, near=False):
                below = _below(key, cls)
            habit = ELSEWHERE.get((str(path[-1]) if path else "", key)) or HABITS.get(key)
            said = habit or (below[1] if below else unknown(key, known))
            self.fault((*path, key), f"there is no key {told(key)} here{said}", "unknown-key", key=True)
            meant |= {key, below[0] if below else suggestion(key, known) or key}
        return meant

    def _value(self, info: FieldInfo, data: Any, path: Path) -> Any:
        """Return what a field is to be validated with: nested blocks made, lists as the tuples that hold them."""
        found = nested(info.annotation)
        if data is None or found is None:
            return tuple(data) if isinstance(data, list) and _within(info.annotation, _is_tuple) else data
        how, cls = found
        make: Any = self.word if cls in TABLES else self.block
        if how == "one":
            return make(cls, data, path)
        if how == "many" and isinstance(data, list):
            return tuple(make(cls, each, (*path, place)) for place, each in enumerate(data))
        if how == "named" and isinstance(data, dict):
            return {key: make(cls, each, (*path, key)) for key, each in data.items()}
        many = f"a list, each item {cls.kind}," if issubclass(cls, Word) else "a mapping"
        self.fault(path, f"got {told(data)}; {many} is meant", "type")
        return None

    def _validated(self, cls: type[B], values: dict[str, Any], path: Path, told_already: set[str]) -> B | None:
        try:
            made = cls.model_validate(values)
        except ValidationError as bad:
            self._tell(cls, bad, path, told_already)
            return None
        return None if told_already else made

    def _tell(self, cls: type[Block], bad: ValidationError, path: Path, told_already: set[str]) -> None:
        """Note each fault once, and not what a nested fault or an unknown key has told already."""
        infos, seen = keys_of(cls), set()
        for error in bad.errors(include_url=False):
            key = str(error["loc"][0])
            at = (*path, *error["loc"][:2])
            if at in seen or (error["type"] == "missing" and key in told_already):
                continue
            seen.add(at)
            if error["type"] == "missing":
                self.fault(path, f"the key {key!r} is missing: {meaning(infos[key])}", "missing-key", key=True)
            else:
                self.fault(at, f"got {told(error['input'])}; {_wanted(infos[key], error)}", "value")


def _wanted(info: FieldInfo, error: Any) -> str:
    """Say what would have been right in the place of a value, or of an item of a list, and what mends it."""
    got, in_list = error["input"], len(error["loc"]) > 1
    inner = next((each for each in _parts(info.annotation) if _is_tuple(each)), None) if in_list else None
    meant = meaning(info, got) if inner is None else _meant(get_args(inner)[0]) or meaning(info, got)
    if isinstance(got, str) and not isinstance(scalar(got), str) and meant.startswith(("a number", "a whole number")):
        return f"{meant} is meant, without quotes"
    dotted = isinstance(got, str) and meant.startswith("pkg.module:") and re.fullmatch(r"(\w+\.)+\w+", got)
    return f"{meant} is meant" + (f", as in '{':'.join(got.rsplit('.', 1))}'" if dotted else "")


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for each in get_args(annotation):
        yield from _parts(each)


def meaning(info: FieldInfo, got: Any = None) -> str:
    """Return in words what a field wants; `got` is what came instead."""
    meant = next((each.text for each in info.metadata if isinstance(each, Meant)), None) or _meant(info.annotation)
    if meant is not None:
        return meant
    found = nested(info.annotation)
    if found is not None:
        return found[1].kind if issubclass(found[1], Word) else f"a mapping with {_keys(found[1])}"
    choices = _choices(info.annotation)
    if choices:
        near = _nearest(got, choices) if isinstance(got, str) else ""
        return f"one of {', '.join(choices)}{near.replace('; did', ' (did').replace('?', '?)')}"
    return "true or false" if _within(info.annotation, lambda each: each is bool) else "a text"


def _nearest(got: str, choices: Sequence[str]) -> str:
    known = VALUES.get(got.lower())
    return f"; did you mean '{known}'?" if known in choices else did_you_mean(got, choices)


def whole(annotation: Any) -> bool:
    """Tell whether a field takes whole numbers and no others."""
    return _within(annotation, lambda each: each is int) and not _within(annotation, lambda each: each is float)


def _meant(annotation: Any) -> str | None:
    for each in get_args(annotation):
        text = each.text if isinstance(each, Meant) else _meant(each)
        if text is not None:
            return str(text)
    return None


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(each) for each in get_args(annotation)]
    return [choice for each in get_args(annotation) for choice in _choices(each)]


def _is_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


def _within(annotation: Any, test: Callable[[Any], bool]) -> bool:
    return test(annotation) or any(_within(each, test) for each in get_args(annotation))


def _keys(cls: type[Block]) -> str:
    known = list(keys_of(cls))
    return f"the key {known[0]!r}" if len(known) == 1 else f"the keys {', '.join(known)}"


def _not_one_key(kind: type[Word], data: Mapping[str, Any], words: Mapping[str, type[Word]]) -> str:
    """Say what is wrong with a mapping that should have been one word with its arguments."""
    if not data:
        return f"got an empty mapping; {kind.kind} is meant"
    named = next((data[key] for key in TYPE_KEYS if isinstance(data.get(key), str)), None)
    if named is not None:
        return f"a block is written as its word with the arguments below it: '{suggestion(named, words) or named}: {{...}}'"
    first, *others = data
    message = f"got the keys {', '.join(data)}; {kind.kind} is a single word with its arguments below it"
    if first in words and data[first] is None:
        message += f": indent {', '.join(others)} further than {first}"
    return message
