"""The command line's options, grouped by who shares them, and the decorator that gives a command the groups it names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
Color = Literal["auto", "always", "never"]
FailOn = Literal["error", "warning", "never"]
Axis = Literal["step", "epoch"]
Names = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Judge by this rule only; may be repeated, or names joined by commas."),
]
FORMATS = "text, json, jsonl, github, junit, markdown or sarif."
Drawing = Annotated[
    bool,
    typer.Option(
        "--drawing/--no-drawing", help="Whether curves and maps are drawn in letters; else told in words, to be read aloud."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show whole tracebacks.")]


@dataclass(frozen=True)
class Reporting:
    """What every command that reports understands."""

    format: Annotated[str, typer.Option(metavar="NAME", help=FORMATS)] = "text"
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report there, not to stdout.")] = None
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write report.html, figures, curves.csv and result.json into this folder as well."),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Overwrite what --out (or --write) would write.")] = False
    fail_on: Annotated[FailOn, typer.Option(help="The least severity that makes the exit code 1.")] = "error"
    select: Names = None
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Do not judge by this rule; may be repeated, or names joined by commas."),
    ] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The verdict only, and no progress.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="All that was looked at, and why something was not.")] = (
        False
    )
    debug: Debug = False
    color: Annotated[Color, typer.Option(help="Whether to color the text; auto: on a terminal.")] = "auto"
    drawing: Drawing = True


@dataclass(frozen=True)
class Model:
    """What every command that examines a model understands."""

    set: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=VALUE", help="Change one value of the file (optimizer.lr=0.01); may be repeated."),
    ] = None
    seed: Annotated[int | None, typer.Option(help="The seed, in place of the file's.")] = None


@dataclass(frozen=True)
class Log:
    """What a user knows of a log beside its numbers."""

    train: Annotated[str | None, typer.Option("--train", "--train-column", metavar="COLUMN", help="The training loss.")] = (
        None
    )
    val: Annotated[str | None, typer.Option("--val", "--val-column", metavar="COLUMN", help="The validation loss.")] = None
    step: Annotated[str | None, typer.Option("--step", "--step-column", metavar="COLUMN", help="The step or epoch.")] = None
    run_column: Annotated[str | None, typer.Option(metavar="COLUMN", help="What tells runs in one file apart.")] = None
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Diagnose only this run.")] = None
    reader: Annotated[str | None, typer.Option(metavar="NAME", help="Read the file by this reader.")] = None
    pattern: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Read lines of text: the named groups of this are the columns.")
    ] = None
    axis: Annotated[Axis | None, typer.Option(help="What the steps count.")] = None
    classes: Annotated[int | None, typer.Option(min=2, help="The number of classes (or tokens).")] = None
    loss: Annotated[str | None, typer.Option(metavar="NAME", help="The loss function, such as cross_entropy.")] = None
    steps_per_epoch: Annotated[float | None, typer.Option(min=0, help="Steps in an epoch.")] = None
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples in a batch.")] = None
    lr: Annotated[float | None, typer.Option(help="The learning rate.")] = None
    n_train: Annotated[int | None, typer.Option(min=1, help="Training samples.")] = None
    n_val: Annotated[int | None, typer.Option(min=1, help="Validation samples.")] = None


@dataclass(frozen=True)
class Reading:
    """How logs are found, put together, compared, drawn and followed."""

    glob: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Below a folder read only what fits, such as '*.csv'; may be repeated."),
    ] = None
    group: Annotated[
        bool | None,
        typer.Option(
            "--group/--no-group",
            help="Whether the logs are runs of one network; else those are whose paths differ only in the number after "
            "seed, run, rep, repeat, replicate or repetition.",
        ),
    ] = None
    compare: Annotated[str | None, typer.Option(metavar="GOOD_LOG", help="Say where the run departs from this one.")] = None
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the curves into FILE.png or FILE.svg.")] = None
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow growing logs, and tell of each change of a verdict; Ctrl-C ends it.")
    ] = False
    until_failure: Annotated[
        bool,
        typer.Option("--until-failure", help="With --watch: end with exit code 1 at a verdict that --fail-on counts."),
    ] = False
    interval: Annotated[float, typer.Option(metavar="SECONDS", help="With --watch: look at the logs this often.")] = 5.0
    idle: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="With --watch: end when no log has changed for so long.")
    ] = None


@dataclass(frozen=True)
class Sweep:
    """What a sweep is to do, in place of what the description says."""

    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=RANGE",
            help="Vary this, in place of what the file says: optimizer.lr=1e-4..1e-1 (on a log scale), "
            "optimizer.beta1=lin:0.8..0.99, data.batch_size=[16,64] (choices); may be repeated.",
        ),
    ] = None
    search: Annotated[
        str | None, typer.Option(metavar="NAME", help="How points are chosen: random, grid, qmc, tpe or range-test.")
    ] = None
    points: Annotated[int | None, typer.Option(min=1, help="How many points to train.")] = None
    steps: Annotated[int | None, typer.Option(min=1, help="Steps for each point, in place of epochs.")] = None
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs for each point.")] = None
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs for each point, each with its own seed.")] = None
    runner: Annotated[
        str, typer.Option(metavar="NAME", help="What trains the points: auto, serial, vmapped, processes or ray.")
    ] = "auto"
    jobs: Annotated[int | None, typer.Option(min=1, help="How many worker processes there may be.")] = None
    halving: Annotated[
        bool | None,
        typer.Option(
            "--halving/--no-halving", help="End points early that do badly after a third of the epochs, a ninth ..."
        ),
    ] = None
    refine: Annotated[
        bool | None, typer.Option("--refine/--no-refine", help="Then half as many points again, around the best.")
    ] = None
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm/--no-confirm", help="Train what is to be recommended beside the configured values, with 3 new seeds."
        ),
    ] = True
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Take up the sweep in this folder again; last: the newest.")
    ] = None
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Keep the study there (PostgreSQL, Redis), for many machines to work on."),
    ] = None
    address: Annotated[
        str | None, typer.Option("--ray-address", metavar="ADDRESS", help="With --runner ray: the cluster, or auto.")
    ] = None
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a copy of MODEL with the recommended values there.")
    ] = None


def seconds(text: str) -> float:
    """Return a time as people write it, in seconds: 90, 90s, 2m, 1h.

    Raises:
        BadParameter: when it is none, or not above 0.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        value = float(number) * UNITS[unit]
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"got {text!r}; a time above 0 such as 90, 60s, 2m or 1h is meant")
    return value


@dataclass(frozen=True)
class Causes:
    """How the causes of what was found are looked for."""

    budget: Annotated[
        float | None,
        typer.Option(
            metavar="TIME", parser=seconds, help="The time that all of it may take: 60s, 2m. [default: 60s for causes]"
        ),
    ] = None
    fix: Annotated[
        bool, typer.Option("--fix", help="Write what is confirmed beside MODEL, as model.fixed.yaml; never over a file.")
    ] = False


def names_in(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names given by a repeated option, each of which may be several joined by commas."""
    return tuple(name.strip() for part in given or () for name in part.split(",") if name.strip())


def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the groups that it takes: each field of such a dataclass becomes an option."""
    hints = get_type_hints(command)
    plain, groups = [], {}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
        else:
            annotation = get_type_hints(command, include_extras=True)[name]
            plain.append(parameter.replace(annotation=annotation, kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def call(**given: Any) -> Any:
        made = {name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()}
        return command(**given, **made)

    options = [option for group in groups.values() for option in _options(group)]
    call.__signature__ = inspect.Signature([*plain, *options])  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in (*plain, *options)}
    return call


@cache
def _options(group: type[Any]) -> list[inspect.Parameter]:
    """Return a dataclass's fields as keyword-only parameters."""
    hints = get_type_hints(group, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(one.name, kind, default=one.default, annotation=hints[one.name]) for one in fields(group)]
