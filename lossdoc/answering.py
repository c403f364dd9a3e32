"""From a command's work to its answer: the report in the wanted format, faults on stderr, and the contract's exit code."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from lossdoc.destination import must_be_writable, writing
from lossdoc.errors import Problem, UserCodeError, UserError, harmless
from lossdoc.letters import printable
from lossdoc.options import Reporting
from lossdoc.progress import Progress

if TYPE_CHECKING:  # --help need not load numpy
    from lossdoc.findings import Report
    from lossdoc.format import Document, Format, Screen

FOUND, USAGE, CRASH, INTERRUPTED = 1, 2, 3, 130
KINDS = {CRASH: "crash", INTERRUPTED: "interrupted"}


@dataclass
class Found:
    """What a command has found so far; it is kept as it grows, so that neither an interrupt nor a crash loses any of it.

    `problems` are the faults of inputs that could not be read, and warnings.
    """

    reports: list[Report] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        """The faults."""
        return [problem for problem in self.problems if not problem.warning]

    @property
    def warnings(self) -> list[Problem]:
        """The warnings."""
        return [problem for problem in self.problems if problem.warning]


Work = Callable[[Found, Progress], object]


def answer(command: str, show: Reporting, work: Work) -> None:
    """Do a command's work, write the reports that it found, and exit with the contract's code."""
    progress = Progress(quiet=show.quiet)
    code = guarded(lambda: _answer(command, show, work, progress), debug=show.debug, done=progress.done)
    raise typer.Exit(code)


def _answer(command: str, show: Reporting, work: Work, progress: Progress) -> int:
    from lossdoc.format import Document, formats

    form = formats.get(show.format)
    _writable(show)
    found = Found()
    failed = _done(work, found, progress)
    with interrupts_held():  # an answer that is there already is not lost in the moment of writing it
        progress.done()
        tell(found.problems)
        errors = found.errors
        code = exit_code(found.reports, errors, show.fail_on)
        if failed is not None:
            code = _failed(failed, debug=show.debug)
            known = failed.problem if isinstance(failed, UserCodeError) else None
            errors.append(known or Problem(str(failed) or type(failed).__name__, kind=KINDS[code]))
        document = Document(command, tuple(found.reports), tuple(errors), tuple(found.warnings))
        if found.reports or show.format != "text":
            _write(form, document, show)
    if show.out is not None and not any(problem.kind == "output" for problem in errors):  # else it might be the log's place
        _report(show.out, document, quiet=show.quiet)
    return code


def _done(work: Work, found: Found, progress: Progress) -> BaseException | None:
    """Do the work; return what broke it off, None where it was done or broke off on faults that are among those found.

    What the user's own code prints goes to stderr: on stdout it would stand in the middle of the report.
    """
    try:
        with redirect_stdout(sys.stderr):
            work(found, progress)
    except UserError as bad:
        found.problems += bad.problems
    except (Exception, KeyboardInterrupt) as bad:  # noqa: BLE001 - told of below, after what was found is safe
        return bad
    return None


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold an interrupt back until the end of the block: in the middle of torch's start it would abort the process."""
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


def exit_code(reports: Sequence[Report], problems: Sequence[Problem], fail_on: str) -> int:
    """Return 2 where an input was bad, 1 where a finding is at least as grave as `fail_on`, else 0."""
    if problems:
        return USAGE
    if fail_on == "never":
        return 0
    from lossdoc.findings import Severity

    limit = Severity(fail_on)
    return FOUND if any(one.severity.reaches(limit) for report in reports for one in report.findings) else 0


def guarded(work: Callable[[], int], *, debug: bool = False, done: Callable[[], None] = lambda: None) -> int:
    """Do some work that returns an exit code, and return it; nothing that the work raises becomes a traceback.

    With `debug` the traceback of a crash is shown whole. `done` is called before anything is said of a failure.
    """
    try:
        return work()
    except (BrokenPipeError, typer.Exit):
        raise
    except BaseException as bad:  # noqa: BLE001 - the last line of defense: even a crash of lossdoc's own is told shortly
        done()
        return _failed(bad, debug=debug)


def _failed(bad: BaseException, *, debug: bool) -> int:
    """Tell of what was raised and return the exit code that the contract has for it."""
    if isinstance(bad, UserError):
        tell(bad.problems)
        return USAGE
    if isinstance(bad, KeyboardInterrupt):
        say("interrupted" if not bad.args else f"interrupted: {bad}")
        return INTERRUPTED
    if not isinstance(bad, Exception):
        raise bad
    cause = bad.cause if isinstance(bad, UserCodeError) else bad
    if debug:
        say("".join(traceback.format_exception(cause)))
    elif isinstance(bad, UserCodeError):
        say(f"{bad.headline}\n{bad.tail()}")
    else:
        frame = traceback.extract_tb(bad.__traceback__)[-1]
        place = f"{frame.filename}:{frame.lineno}"
        say(
            f"lossdoc itself failed: {type(bad).__name__}: {bad} ({place}); run it with --debug for all of it, and report it"
        )
    return CRASH


def print_text(make: Callable[[], str], *, debug: bool = False) -> None:
    """Print the text that `make` returns, and exit with the contract's code."""

    def work() -> int:
        _print(make())
        return 0

    raise typer.Exit(guarded(work, debug=debug))


def _print(text: str, *, colors: bool = False) -> None:
    """Write a text to standard output, all of it; `colors` are the only commands to a terminal that may stand in it.

    Raises:
        UserError: when the output takes no more, such as on a full disk.
    """
    try:
        sys.stdout.write(printable(text, sys.stdout, colors=colors))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as bad:
        sys.stdout = None  # what it still holds cannot be written at the end either
        raise UserError.of(f"standard output cannot be written: {bad.strerror}", kind="output") from None


def print_line(stream: TextIO, text: str) -> None:
    """Write a line at once, for whoever reads it while the work goes on."""
    stream.write(printable(text, stream) + "\n")
    stream.flush()


def tell(problems: Sequence[Problem]) -> None:
    """Write faults and warnings to standard error, one after another."""
    for problem in problems:
        say(str(problem))


def say(text: str) -> None:
    """Write a text to standard error."""
    sys.stderr.write(printable(text, sys.stderr) + "\n")


def screen(show: Reporting) -> Screen:
    """Return what standard output is like: 80 columns where it is no terminal."""
    from lossdoc.format import Screen

    terminal = sys.stdout.isatty() and show.output is None
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    wanted = terminal or (bool(os.environ.get("FORCE_COLOR")) and show.output is None)
    colored = show.color == "always" or (show.color == "auto" and wanted and not plain)
    width = shutil.get_terminal_size((80, 24)).columns if terminal or "COLUMNS" in os.environ else 80
    unicode = show.output is not None or (sys.stdout.encoding or "ascii").lower().startswith("utf")
    return Screen(max(40, width), colored, unicode, -1 if show.quiet else int(show.verbose), drawing=show.drawing)


def _writable(show: Reporting) -> None:
    """Find out before the work, not after it, that the output has nowhere to go."""
    if show.out is not None:
        from lossdoc.reporting import prepare  # who writes no folder need not wait for it

        prepare(show.out, force=show.force)
    if show.output is not None:
        must_be_writable(show.output, "--output")


def _write(form: Format, document: Document, show: Reporting) -> None:
    seen = screen(show)
    text = form.render(document, seen)
    if show.output is None:
        _print(text, colors=seen.color)
        return
    with writing(f"--output {show.output}"):
        show.output.write_text(harmless(text, colors=seen.color), encoding="utf-8")


def _report(folder: Path, document: Document, *, quiet: bool) -> None:
    """Write the folder that was asked for, and say where its page is."""
    from lossdoc.reporting import write

    write(folder, document)
    if not quiet:
        say(f"{folder / 'report.html'} is written")
