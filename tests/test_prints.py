"""What the user's own code prints."""

from __future__ import annotations

import io
import os
import sys
import warnings

import pytest

from lossdoc.prints import Once, prints_on_stderr


@pytest.mark.parametrize(
    ("written", "passed"),
    [
        (["a\n", "b\n", "a\n", "a\n"], "a\nb\n(2 lines that your code had printed before are left out)\n"),
        (["a", "b\n", "ab\n"], "ab\n(1 line that your code had printed before is left out)\n"),
        (["50 %\r100 %\r\n", "end"], "50 %\r100 %\r\nend\n"),
        (["\n", "\n", ""], "\n\n"),
    ],
)
def test_each_line_passes_once(written: list[str], passed: str) -> None:
    stream = io.StringIO()
    once = Once(stream)
    for text in written:
        assert once.write(text) == len(text)
    once.finish()
    assert stream.getvalue() == passed


def test_it_is_the_stream_in_all_else() -> None:
    assert Once(sys.stderr).encoding == sys.stderr.encoding


def test_prints_go_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with prints_on_stderr():
        for _ in range(3):
            sys.stdout.write("built\n")
        os.write(1, b"of a library\n")
    sys.stdout.write("the report\n")
    assert capfd.readouterr() == (
        "the report\n", "built\nof a library\n(2 lines that your code had printed before are left out)\n"
    )  # fmt: skip


def test_a_line_of_code_is_warned_of_once(recwarn: pytest.WarningsRecorder) -> None:
    def warn(text: str) -> None:
        warnings.warn(text, UserWarning, stacklevel=1)

    with prints_on_stderr():
        warnings.simplefilter("always")
        for size in (16, 7):
            warn(f"a target of size ({size}, 1)")
        warnings.warn("from elsewhere", UserWarning, stacklevel=1)
    warn("afterwards")
    assert [str(each.message) for each in recwarn] == ["a target of size (16, 1)", "from elsewhere", "afterwards"]
