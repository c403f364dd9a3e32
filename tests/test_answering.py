"""What a command has found is never lost, whatever breaks it off; each way of failing has its exit code and its words."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable

import pytest
import typer

from lossdoc import __main__
from lossdoc.answering import Found, answer, interrupts_held, screen
from lossdoc.errors import Problem, UserCodeError, UserError, harmless
from lossdoc.findings import Report
from lossdoc.options import Color, Reporting
from lossdoc.progress import Progress

CASES = {
    "nothing": (None, 0, "", []),
    "usage": (
        UserError(Problem("no such thing", "usage", "m.yaml", 3)),
        2,
        "m.yaml:3: error[usage] no such thing",
        ["usage"],
    ),
    "own-code": (
        UserCodeError("own:net", ValueError("their words")),
        3,
        "own:net raised ValueError: their words",
        ["crash"],
    ),
    "crash": (ZeroDivisionError("ours"), 3, "lossdoc itself failed: ZeroDivisionError: ours", ["crash"]),
    "interrupt": (KeyboardInterrupt("2 trials are finished"), 130, "interrupted: 2 trials are finished", ["interrupted"]),
}


def failing(error: BaseException | None) -> Callable[[Found, Progress], None]:
    def work(found: Found, _progress: Progress) -> None:
        print("what the user's own code prints")  # noqa: T201 - that is what it does
        found.reports.append(Report("first"))
        found.problems.append(Problem("odd", "range", warning=True))
        if error is not None:
            raise error

    return work


@pytest.mark.parametrize(("error", "code", "told", "kinds"), CASES.values(), ids=CASES)
def test_what_was_found_is_written_whatever_comes_after_it(
    error: BaseException | None, code: int, told: str, kinds: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as done:
        answer("checkup", Reporting(format="json"), failing(error))
    seen = capsys.readouterr()
    made = json.loads(seen.out)
    assert done.value.exit_code == code
    assert [report["title"] for report in made["reports"]] == ["first"]
    assert [each["kind"] for each in made.get("errors", [])] == kinds
    assert told in seen.err
    assert "warning[range] odd" in seen.err
    assert "what the user's own code prints" in seen.err


@pytest.mark.parametrize(("debug", "shown"), [(False, False), (True, True)])
def test_a_whole_traceback_is_for_debug_only(debug: bool, shown: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        answer("sanity", Reporting(debug=debug), failing(ZeroDivisionError("ours")))
    assert ("Traceback" in capsys.readouterr().err) == shown


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    reached = []

    def interrupted() -> None:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Stream:
    """Keeps what is written; a terminal or not."""

    encoding = "utf-8"

    def __init__(self, terminal: bool) -> None:
        self.terminal, self.text = terminal, ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


@pytest.mark.parametrize(
    ("terminal", "quiet", "told"),
    [(False, False, "sweep …\n  point 3\n"), (True, False, "sweep …\n\r  point 1\r  point 3\n"), (True, True, "")],
)
def test_progress_is_rewritten_on_a_terminal_and_rare_in_a_pipe(terminal: bool, quiet: bool, told: str) -> None:
    stream = Stream(terminal)
    progress = Progress(quiet=quiet, stream=stream)  # type: ignore[arg-type]
    progress.stage("sweep")
    progress.show("point 1")
    progress.show("point 2")  # too soon after the one before
    progress.show("point 3", last=True)
    assert stream.text == told


@pytest.mark.parametrize(
    ("color", "env", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("never", {"FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_colors_are_for_terminals_that_show_them(
    color: Color, env: dict[str, str], terminal: bool, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Stream(terminal))
    assert screen(Reporting(color=color)).color == colored


@pytest.mark.parametrize(
    ("text", "colors", "shown"),
    [
        ("plain\n\ttext é", False, "plain\n\ttext é"),
        ("\x1b[31mred\x1b[0m", True, "\x1b[31mred\x1b[0m"),
        ("\x1b[31mred", False, "\\u001b[31mred"),
        ("\x1b]2;title\a", True, "\\u001b]2;title\\u0007"),
        ("a\rb\x9bc\u202ed\x00", True, "a\\u000db\\u009bc\\u202ed\\u0000"),
    ],
)
def test_nothing_that_is_printed_commands_a_terminal(text: str, colors: bool, shown: str) -> None:
    assert harmless(text, colors=colors) == shown
    assert json.loads('"' + harmless("\x1b\x9b") + '"') == "\x1b\x9b"


def test_an_interrupt_ends_the_program_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lossdoc.cli.main", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as end:
            __main__.main()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # a second one, at the interpreter's end, is quiet
    finally:
        signal.signal(signal.SIGINT, before)
    assert end.value.code == 130
