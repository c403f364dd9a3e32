"""The command line: parse, call, show."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from lossdoc import __version__
from lossdoc.answering import Found, Work, answer, interrupts_held, print_text, screen, tell
from lossdoc.destination import must_be_writable, writing
from lossdoc.errors import UserError
from lossdoc.letters import HANDLER
from lossdoc.options import FORMATS, Causes, Debug, Drawing, Log, Model, Reading, Reporting, Sweep, grouped, names_in
from lossdoc.prints import prints_on_stderr

if TYPE_CHECKING:
    from lossdoc.findings import Report
    from lossdoc.progress import Progress
    from lossdoc.spec import Spec

Examine = Callable[[Any, Any], "Iterable[Report]"]


app = typer.Typer(
    name="lossdoc",
    help="The doctor for neural-network training: examines a model before the long run, reads the loss curve after it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help starts twice as fast
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", show_default=True, help="The model's description.")]
ModelPaths = Annotated[list[Path] | None, typer.Argument(metavar="MODEL", help="The model's description, or several's.")]
MODEL = Path("model.yaml")
WHOLE: Any = {"break_long_words": False, "break_on_hyphens": False}  # a path that is wrapped cannot be copied
VALID = "valid; nothing was trained or examined"
Template = Literal["mlp", "cnn", "rnn", "transformer", "regression", "own-code"]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lossdoc {__version__}")
        raise typer.Exit


@app.callback()
def lossdoc(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """The doctor for neural-network training: examines a model before the long run, reads the loss curve after it."""


@app.command()
@grouped
def sanity(
    *,
    model: ModelPath = MODEL,
    thorough: Annotated[bool, typer.Option("--thorough", help="Train it briefly, too, and ask whether it learns.")] = False,
    change: Model,
    show: Reporting,
) -> None:
    """Check the code just written, before any training.

    The first loss against what it must be, regularization that must raise it, data, head, initialization, training step.
    """
    work = _on_model(model, change, show, lambda do, case: do.thorough(case) if thorough else do.only(case, "sanity"))
    answer("sanity", show, work)


@app.command()
@grouped
def overfit(*, model: ModelPath = MODEL, change: Model, show: Reporting) -> None:
    """Learn a few batches by heart: what cannot has a bug."""
    answer("overfit", show, _on_model(model, change, show, lambda do, case: do.only(case, "overfit")))


@app.command()
@grouped
def sweep(
    *,
    model: ModelPath = MODEL,
    sweep: Sweep,
    change: Model,
    show: Reporting,
) -> None:
    """Try learning rates and regularization, few epochs each.

    On the whole data; ranked, with the pattern of each curve. Written to lossdoc_runs/<name>/ as it goes.
    """
    asked = {**asdict(sweep), "force": show.force}
    ranges = asked.pop("param") or ()
    work = _on_model(model, change, show, lambda do, case: do.only(case, "sweep", do.Asked(**asked)), swept=ranges)
    answer("sweep", show, work)


@app.command()
@grouped
def checkup(*, model: ModelPath = MODEL, causes: Causes, change: Model, show: Reporting) -> None:
    """Do all of it in order, and prove the causes.

    The stages are sanity, overfit, sweep, training, learning and causes. The training is a short full run with the file's
    own settings, and its curve is diagnosed. What was found wrong is then proved by experiments: one thing is changed, the
    model trained again from several seeds, and compared.
    """
    asked = {**asdict(causes), "force": show.force}
    answer("checkup", show, _on_model(model, change, show, lambda do, case: do.checkup(case, **asked)))


@app.command()
@grouped
def diagnose(
    *,
    path: Annotated[list[str], typer.Argument(metavar="PATH...", help="Logs and folders; - is standard input.")],
    log: Log,
    reading: Reading,
    show: Reporting,
) -> None:
    """Read loss curves: what is wrong, why, what to try."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no matrix is multiplied, and numpy starts a tenth faster
    gc.set_threshold(100_000)  # what is imported is no garbage, and a tenth of the time went into looking for it
    from lossdoc.diagnosing import on_logs

    answer("diagnose", show, on_logs(path, log, reading, show))


@app.command()
def explain(
    name: Annotated[str | None, typer.Argument(help="A pattern or a check; without it, the list of all.")] = None,
    drawing: Drawing = True,
) -> None:
    """Show the page of a pattern or a check, or list them all.

    What it looks like, its causes, the test that confirms it, what to try, what makes it fire wrongly, its sources.
    """
    from lossdoc import pages

    seen = screen(Reporting(drawing=drawing))
    print_text(lambda: pages.page(name, seen) if name else pages.contents(seen.width))


@app.command()
@grouped
def validate(
    *,
    model: ModelPaths = None,
    build: Annotated[bool, typer.Option("--build", help="Run one batch forward and back; show every layer.")] = False,
    change: Model,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help=FORMATS)] = "text",
    debug: Debug = False,
) -> None:
    """Check a model.yaml without running any of it.

    All faults at once, each with line and column; without --build neither torch nor your own code is imported.
    """
    models = model or [MODEL]
    if form == "text":
        print_text(lambda: _all_valid(models, change, build=build), debug=debug)
    show = Reporting(format=form, debug=debug)
    answer("validate", show, lambda found, _progress: _validate(found, models, change, build=build))


@app.command()
@grouped
def show(
    *,
    model: ModelPath = MODEL,
    change: Model,
    fitted: Annotated[
        bool, typer.Option("--fitted", help="The numbers that the preprocessing takes from the training data.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show a model.yaml with all its defaults.

    With --fitted, read the data and show the numbers that the preprocessing takes from them.
    """
    print_text(lambda: _shown(model, change, fitted=fitted), debug=debug)


@app.command()
def schema(
    report: Annotated[bool, typer.Option("--report", help="Of what --format json writes, instead.")] = False,
) -> None:
    """Print the JSON Schema of model.yaml, for editors."""
    import json

    from lossdoc import spec  # --help need not load pydantic

    if report:
        print_text(lambda: Path(__file__).with_name("report.schema.json").read_text(encoding="utf-8"))
    print_text(lambda: json.dumps(spec.schema(), indent=1, allow_nan=False) + "\n")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = MODEL,
    template: Annotated[Template, typer.Option(help="What to start from.")] = "mlp",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented model.yaml to start from."""
    print_text(lambda: _written(path, template, force=force))


def _all_valid(models: Sequence[Path], change: Model, *, build: bool) -> str:
    """Return what there is to say of models that are all valid, and tell their warnings."""
    found, width = Found(), screen(Reporting()).width
    tables = _validate(found, models, change, build=build, width=width)
    tell(found.warnings)
    if found.errors:
        raise UserError(*found.errors)
    told = zip(tables, (report.title for report in found.reports), strict=True)
    lines = ((table, f"{model} is valid; `lossdoc sanity {model}` examines it") for table, model in told)
    return "".join(f"{table}{textwrap.fill(line, width, **WHOLE)}\n" for table, line in lines)


@prints_on_stderr()
def _validate(found: Found, models: Sequence[Path], change: Model, *, build: bool, width: int = 80) -> list[str]:
    """Put a report on each valid model and the problems of all into `found`; return the tables of layers, empty ones too."""
    from lossdoc import spec  # --help need not load pydantic
    from lossdoc.findings import Report

    tables: list[str] = []
    for model in models:
        try:
            described = spec.load(model, change.set or (), change.seed)
            found.problems += described.warnings
            tables.append(_table_of(described, width) if build else "")
            found.reports.append(Report(described.file, described.file, notes=(VALID,)))
        except UserError as bad:
            found.problems += bad.problems
    return tables


def _table_of(described: Spec, width: int) -> str:
    from lossdoc.build import trial  # brings torch

    return trial(described, width)


@prints_on_stderr()
def _shown(model: Path, change: Model, *, fitted: bool) -> str:
    import yaml

    from lossdoc import spec  # --help need not load pydantic

    described = spec.load(model, change.set or (), change.seed)
    shown: object = described.resolved()
    if fitted:
        from lossdoc.build import fitted as numbers_of  # brings torch

        shown = {"preprocess": [dict(step) for step in numbers_of(described)]}
    flow, width = None if fitted else False, screen(Reporting()).width
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width))


def _written(path: Path, template: str, *, force: bool) -> str:
    from lossdoc import spec  # --help need not load pydantic

    must_be_writable(path, force=force)
    with writing("", path):
        path.write_text(spec.template(template, path.name), encoding="utf-8")
    return f"{path} is written: a small network on real data, ready to run. Try `lossdoc checkup {path}`\n"


def _on_model(model: Path, change: Model, show: Reporting, examine: Examine, *, swept: Sequence[str] = ()) -> Work:
    """Build what the file describes, warn of what is odd in it, and examine it on one thread."""

    @prints_on_stderr()
    def work(found: Found, progress: Progress) -> None:
        began = time.monotonic()
        with interrupts_held():
            from lossdoc import checkup as do  # brings torch, which --help, explain, validate and diagnose never import
            from lossdoc.threads import threads

        names = {"select": names_in(show.select), "ignore": names_in(show.ignore)}
        case = do.Case.load(model, change=change.set or (), seed=change.seed, progress=progress, swept=swept, **names)
        case = replace(case, began=began)
        found.problems += case.spec.warnings
        with threads(1):  # on models of this size more cost more than they give; a sweep's runner asks for its own number
            for report in examine(do, case):
                found.reports.append(report)

    return work


def main() -> None:
    """Run the command line and exit with the contract's codes; what breaks a pipe is not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # help and faults of usage are written by the parser
            stream.reconfigure(errors=HANDLER)
    try:
        try:
            app()
        except SystemExit as end:
            _end(end)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _end(end: SystemExit) -> NoReturn:
    """Exit; where no user's code has run, without first freeing every object: that is a fifth of a small diagnosis."""
    if "torch" in sys.modules or not isinstance(end.code, int):
        raise end
    atexit._run_exitfuncs()  # noqa: SLF001 - mypy ends so too, but without them
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(end.code)
