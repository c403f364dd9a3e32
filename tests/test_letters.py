"""Signs that a screen cannot show are written in ASCII words that mean the same: none of lossdoc's own becomes `?`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoc.format import Document, Screen, formats
from lossdoc.letters import in_ascii, printable
from lossdoc.progress import Progress
from tests.conftest import PROJECT, Run
from tests.pages import NAMES, hostile

BRAILLE = range(0x2800, 0x2900)  # dots of a chart, which has other ones for ASCII
NAMED = "naming.py"  # what people call their columns, in their own languages


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("plain", "plain"),
        ("2.309 ± 0.003", "2.309 +- 0.003"),
        ("c/2·sum w²", "c/2*sum w^2"),
        ("6·10⁻⁸ ≤ √n", "6*10^-8 <= sqrt n"),
        ("3 × 4 → 12 … 90° – 5 µs ≈ ∞", "3 x 4 -> 12 ... 90 deg - 5 us ~ inf"),
        ("w ← w − lr·v", "w <- w - lr*v"),
        ("“Café” à la ‘façon’", "\"Cafe\" a la 'facon'"),
        ("損失 \ud800", "?? ?"),
        ("e\u0301", "e"),
    ],
)
def test_signs_become_words(text: str, plain: str) -> None:
    assert in_ascii(text) == plain


def test_none_of_our_own_signs_is_lost() -> None:
    files = [path for path in (PROJECT / "lossdoc").rglob("*.py") if path.name != NAMED]
    assert len(files) > 200
    lost = {
        letter
        for path in files
        for letter in set(path.read_text(encoding="utf-8"))
        if ord(letter) not in BRAILLE and "?" in in_ascii(letter) and letter != "?"
    }
    assert not lost


@given(st.text())
def test_any_text_is_ascii_afterwards_and_ascii_stays_as_it_is(text: str) -> None:
    assert in_ascii(text).isascii()
    assert in_ascii(in_ascii(text)) == in_ascii(text)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "µ ± 失"), ("latin-1", "µ ± ?"), ("ascii", "u +- ?"), ("cp1252", "µ ± ?")]
)
def test_only_what_an_encoding_does_not_hold_is_replaced(encoding: str, shown: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert printable("µ ± 失", stream) == shown
    Progress(stream=stream).say("µ ± 失 …")
    stream.seek(0)
    assert stream.read() == shown + (" …\n" if encoding in {"utf-8", "cp1252"} else " ...\n")


@pytest.mark.parametrize("name", formats.names())
def test_every_format_can_be_written_in_ascii(name: str) -> None:
    text = formats.get(name).render(Document("diagnose", tuple(map(hostile, NAMES[:2]))), Screen(unicode=False))
    shown = printable(text, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    if name == "text":
        assert text.isascii()
    if name in {"json", "sarif"}:
        assert json.loads(shown) == json.loads(
            formats.get(name).render(Document("diagnose", tuple(map(hostile, NAMES[:2]))), Screen())
        )


@pytest.mark.parametrize("words", [("--help",), ("sweep", "--help"), ("sanity", "ö±.yaml")])
def test_the_parser_of_the_command_line_writes_ascii_as_well(words: tuple[str, ...], lossdoc: Run, tmp_path: Path) -> None:
    done = lossdoc(*words, cwd=tmp_path, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == (0 if "--help" in words else 2), done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()
