"""The JSON Schema against an independent validator: it agrees with lossdoc on keys, types, choices and ranges."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from lossdoc.errors import UserError
from lossdoc.spec import TEMPLATES, loads, schema, template
from lossdoc.spec.document import parse

HERE = Path(__file__).parent
SHIPPED = sorted((HERE.parent / "configs").rglob("*.yaml"))
FAULTY = sorted((HERE / "faulty").glob("*.yaml"))
TOLD = {"unknown-key", "unknown-word", "missing-key", "type", "block"}  # and "value", where it is a choice or a range
BEYOND = {
    "float-as-int",  # 2.0 is an integer in JSON Schema
    "nan",  # JSON has no such number
    "groups",  # a text that is no regular expression
    "list-top",  # no mapping, so lossdoc reads no further
    "scalar-top",
    "sweep-values",  # a value that does not fit at the place that its path names
}
VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_ships_is_accepted(path: Path) -> None:
    VALIDATOR.validate(parse(path.read_text(), path.name)[0].data)
    VALIDATOR.validate(loads(path.read_text()).resolved())


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_are_accepted(name: str) -> None:
    VALIDATOR.validate(parse(template(name), name)[0].data)
    VALIDATOR.validate(loads(template(name)).resolved())


def kinds(path: Path) -> set[str]:
    with pytest.raises(UserError) as told:
        loads(path.read_text())
    return {each.kind for each in told.value.problems}


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.stem)
def test_what_is_bad_by_itself_is_rejected(path: Path) -> None:
    found = kinds(path)
    if not found & (TOLD | {"value"}) or path.stem in BEYOND:
        pytest.skip(f"a fault of another kind: {', '.join(sorted(found))}")
    assert not VALIDATOR.is_valid(parse(path.read_text(), path.name)[0].data)


def test_most_faults_are_of_that_kind() -> None:
    assert sum(bool(kinds(path) & TOLD) for path in FAULTY) >= 25
