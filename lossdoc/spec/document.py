"""YAML as plain data in which every key and every value knows its line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from lossdoc.errors import Problem, UserError

Path = tuple[str | int, ...]
Mark = tuple[int, int]  # line and column, from 1
LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # no implicit types: the scalars are read below
PLAIN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!")
MOST_NODES = 100_000  # aliases of aliases grow exponentially: a file of a hundred bytes could fill the memory

# The scalars of YAML 1.2's core schema, https://yaml.org/spec/1.2.2/#103-core-schema
WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    spelling: spelling.lower() == "true" for spelling in ("true", "True", "TRUE", "false", "False", "FALSE")
}
INTEGER = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def scalar(text: str) -> Any:
    """Return what a plain scalar means in YAML 1.2: `1e-3` is a number, `on` and `yes` are words."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan")) if FLOAT.fullmatch(text) else text


def dotted(path: Path) -> str:
    """Return the path as it is written in messages and in `--set`."""
    return ".".join(str(part) for part in path)


@dataclass
class Document:
    """The data of a file, with the places of its keys and values by path.

    `given` holds the places that were overridden, with what was written for them on the command line. `objects` are what
    references mean that Python code handed over, rather than a module's name.
    """

    file: str
    lines: tuple[str, ...] = ()
    data: Any = None
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    given: dict[Path, str] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)

    def problem(self, path: Path, message: str, kind: str, *, key: bool = False, warning: bool = False) -> Problem:
        """Make the problem of a key or value; where it has no place of its own, its nearest ancestor's stands for it."""
        text = f"{dotted(path)}: {message}" if path else message
        for depth in range(len(path), -1, -1):
            at = path[:depth]
            if at in self.given:
                return Problem(text, kind, file=self.given[at], warning=warning)
            mark = (self.keys.get(at) if key and at == path else None) or self.values.get(at)
            if mark is not None:
                return self.problem_at(mark, text, kind, warning=warning)
        return Problem(text, kind, file=self.file, warning=warning)

    def override(self, path: Path, written: str) -> None:
        """Note that what stands at `path` comes from elsewhere; its places in the file are forgotten."""
        for marks in (self.keys, self.values):
            for at in [at for at in marks if at[: len(path)] == path]:
                del marks[at]
        self.given[path] = written

    def move(self, path: Path, key: str) -> None:
        """Note that what is written at `path` stands for the value of a key below it."""
        for marks in (self.keys, self.values):
            below = {at: mark for at, mark in marks.items() if at[: len(path)] == path and len(at) > len(path)}
            marks.update({(*path, key, *at[len(path) :]): mark for at, mark in below.items()})

    def copy(self) -> Document:
        """Return the same, to be changed apart."""
        return replace(self, keys=dict(self.keys), values=dict(self.values), given=dict(self.given))

    def problem_at(self, mark: Mark, text: str, kind: str, *, warning: bool = False) -> Problem:
        """Make the problem of a line and column."""
        line, column = mark
        source = self.lines[line - 1] if line <= len(self.lines) else None
        return Problem(text, kind, self.file, line, column, source, warning)


def parse(text: str, file: str) -> tuple[Document, list[Problem]]:
    """Read a YAML text; the problems are those after which there still is something to read.

    Raises:
        UserError: when the syntax is broken, or the text is empty or not a mapping.
    """
    document = Document(file, tuple(text.splitlines()))
    node = _compose(text, document)
    if node is None:
        raise UserError.of(
            "the file is empty; a model.yaml begins with 'version: 1' (`lossdoc init` writes one)", kind="empty", file=file
        )
    reading = _Reading(document)
    document.data = reading.plain(node, ())
    if reading.broken:
        raise UserError(*reading.problems)
    if not isinstance(document.data, dict):
        message = f"the file holds {told(document.data)}; a mapping with the keys data, model, ... is meant"
        raise UserError(document.problem((), message, "type"), *reading.problems)
    return document, reading.problems


def parse_value(text: str, file: str) -> Any:
    """Read a YAML text that may be any value.

    Raises:
        UserError: when it is no YAML.
    """
    reading = _Reading(Document(file))
    try:
        node = _compose(text, reading.document)
        value = None if node is None else reading.plain(node, ())
    except UserError as bad:
        reading.problems += bad.problems
    if reading.problems:  # their lines and columns are those of a single value: they say nothing
        raise UserError(*(Problem(each.message, each.kind, file) for each in reading.problems))
    return value


def told(value: Any) -> str:
    """Return a value in words for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool):
        return "true" if value else "false"
    short = repr(value) if isinstance(value, str) else f"{value}"
    return short if len(short) <= 60 else f"{short[:57]}..."


def _compose(text: str, document: Document) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as bad:
        mark = bad.problem_mark or bad.context_mark
        what = "; ".join(part for part in (bad.context, bad.problem) if part)
        begun = bad.context_mark
        if begun is not None and mark is not None and begun.line < mark.line and "while parsing" in what:
            what += f" (it begins on line {begun.line + 1})"
        if "\\t" in what or _begins_with_tab(document, mark):
            what = "a tab; YAML is indented with spaces"
        raise UserError(document.problem_at((mark.line + 1, mark.column + 1) if mark else (1, 1), what, "syntax")) from None
    except yaml.YAMLError as bad:
        raise UserError.of(f"not a YAML text: {str(bad).splitlines()[0]}", kind="syntax", file=document.file) from None
    except RecursionError:
        raise UserError.of("blocks are nested too deep to be read", kind="syntax", file=document.file) from None


def _begins_with_tab(document: Document, mark: Any) -> bool:
    line = document.lines[mark.line] if mark and mark.line < len(document.lines) else ""
    return "\t" in line[: len(line) - len(line.lstrip())]


class _Reading:
    """Turns nodes into data; a node that is still being read when it turns up again contains itself."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.broken = False  # whether there is something that cannot even be read as data
        self._open: set[int] = set()
        self._nodes = 0

    def plain(self, node: yaml.Node, path: Path) -> Any:
        """Return a node as plain data and note its places."""
        self._nodes += 1
        if self._nodes > MOST_NODES or len(path) > 100:
            many = (
                "100 levels" if self._nodes <= MOST_NODES else f"{MOST_NODES:,} values, with those that its aliases repeat"
            )
            raise UserError.of(f"the file has more than {many}; that is too large", kind="syntax", file=self.document.file)
        self.document.values.setdefault(path, _mark(node))
        if id(node) in self._open:
            return self._fault(path, "an alias that contains itself", "syntax")
        if node.tag not in PLAIN_TAGS:
            return self._fault(path, f"the tag {_short(node.tag)} has no meaning here; write the plain value", "syntax")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.style else scalar(node.value)
        self._open.add(id(node))
        data: Any = dict(self._pairs(node, path)) if isinstance(node, yaml.MappingNode) else self._items(node, path)
        self._open.discard(id(node))
        return data

    def _items(self, node: yaml.Node, path: Path) -> list[Any]:
        return [self.plain(item, (*path, number)) for number, item in enumerate(node.value)]

    def _pairs(self, node: yaml.Node, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, Mark] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                where = f"{dotted(path)}: " if path else ""
                message = f"{where}a key is a word, not a list or a mapping"
                self.problems.append(self.document.problem_at(_mark(key), message, "syntax"))
            elif key.value in seen:
                message = f"{dotted((*path, key.value))}: given twice, first on line {seen[key.value][0]}; keep one of them"
                self.problems.append(self.document.problem_at(_mark(key), message, "duplicate-key"))
            else:
                seen[key.value] = self.document.keys[(*path, key.value)] = _mark(key)
                yield key.value, self.plain(value, (*path, key.value))

    def _fault(self, path: Path, message: str, kind: str) -> None:
        self.broken = True
        self.problems.append(self.document.problem(path, message, kind))


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _mark(node: yaml.Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1
