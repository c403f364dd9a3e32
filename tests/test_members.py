"""Members are found by being there, imported only when asked for, and may come from other packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lossdoc.errors import UserError
from lossdoc.members import Members


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Members[int]:
    """A package with a good member, a bad file, a private file, and two entry points."""
    package = tmp_path / "made_up"
    package.mkdir()
    for name, text in {"__init__": "", "two_words": "A = 7", "many": "A = 1; B = 2", "_private": "A = 1"}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    installed = tmp_path / "foreign-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[made_up]\nforeign = sys:maxsize\ntext = sys:version\n")
    for known in [name for name in sys.modules if name.startswith("made_up")]:
        monkeypatch.delitem(sys.modules, known)
    return Members("made_up", int)


def test_names_are_the_files_and_the_entry_points(folder: Members[int]) -> None:
    assert folder.names() == ["many", "two-words", "foreign", "text"]
    assert "made_up.two_words" not in sys.modules


def test_a_member_is_the_one_object_of_its_kind(folder: Members[int]) -> None:
    assert folder.get("two-words") == 7
    with pytest.raises(TypeError, match="exactly one int, it holds 2"):
        folder.get("many")


def test_a_foreign_member_must_be_of_the_kind(folder: Members[int]) -> None:
    assert folder.get("foreign") == sys.maxsize
    with pytest.raises(UserError, match="is a str, not a int"):
        folder.get("text")


def test_an_unknown_name_lists_what_there_is(folder: Members[int]) -> None:
    with pytest.raises(
        UserError, match=r"'two-word'; did you mean 'two-words'\?; there are: many, two-words, foreign, text"
    ):
        folder.get("two-word")
