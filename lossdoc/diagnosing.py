"""The work of `diagnose`: what was asked is checked, then logs are read, compared, drawn or followed."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lossdoc.answering import Found, Work, print_line
from lossdoc.destination import must_be_writable
from lossdoc.errors import Problem, UserError, did_you_mean, harmless
from lossdoc.options import Log, Reading, Reporting, names_in
from lossdoc.progress import Progress

if TYPE_CHECKING:  # --help need not load numpy
    from lossdoc.reader import Reader
    from lossdoc.surveying import Asked

PATIENCE = 2.0  # seconds before progress is told of: who waits longer wonders (Miller, 1968)
TITLES = 20  # logs named in a message
PICTURES = (".png", ".svg")
LOSSES = (
    "cross_entropy", "softmax_cross_entropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "ce", "nll",
    "log_loss", "bce", "bce_with_logits", "binary_crossentropy", "mse", "mean_squared_error", "mae", "mean_absolute_error",
    "l1", "smooth_l1", "huber", "hinge", "multiclass_hinge", "multi_margin", "multilabel_margin", "focal", "dice", "kl_div",
    "ctc", "triplet_margin", "contrastive", "cosine_embedding", "poisson_nll", "gaussian_nll", "other",
)  # fmt: skip


def on_logs(paths: Sequence[str], log: Log, reading: Reading, show: Reporting) -> Work:
    """Return the work: every log is diagnosed; one that cannot be read is told of, and the others are read all the same."""
    out = (
        sys.stdout if show.format == "text" and show.output is None else sys.stderr
    )  # what is printed later on goes to stderr

    def work(found: Found, progress: Progress) -> None:
        _check(log, reading, paths, show)
        asked = _asked(log, reading, show)
        if reading.watch:
            from lossdoc.watching import Following, watch

            until = show.fail_on if reading.until_failure else None
            how = Following(reading.interval, reading.idle, until, reading.glob or ())
            watch(paths, asked, how, found, partial(print_line, out))
        else:
            _survey(paths, asked, reading, found, progress)
        if reading.plot is not None and found.reports:
            from lossdoc.figures import diagnosed  # matplotlib waits until there is something to draw

            diagnosed(found.reports, reading.plot)

    return work


def _survey(paths: Sequence[str], asked: Asked, reading: Reading, found: Found, progress: Progress) -> None:
    from lossdoc import folders, surveying
    from lossdoc.reader import readers

    places = folders.places(paths, reading.glob or ())
    networks = folders.networks(places, group=reading.group)
    logs: list[Path] = []
    done, start = 0, time.monotonic()
    for network, answer in zip(networks, surveying.survey(networks, asked), strict=True):
        found.reports += answer.reports
        found.problems += answer.problems
        logs += map(Path, answer.logs)
        done += len(network.places)
        if time.monotonic() > start + PATIENCE:
            progress.show(f"{done} of {len(places)} files")
    if asked.run is not None and not found.reports and not found.problems:
        titles = [place.title for place in places if Path(place.path) in logs]
        hint, listed = (
            did_you_mean(asked.run, titles),
            ", ".join(titles[:TITLES]) + (", ..." if len(titles) > TITLES else ""),
        )
        raise UserError.of(f"no run is called '{asked.run}'{hint}; the logs are: {listed}", kind="unknown-run")
    for folder in (Path(path) for path in paths if path and Path(path).is_dir()):
        if not any(folder in log.parents for log in logs):
            found.problems.append(
                Problem(
                    f"the folder holds no log; lossdoc reads: {', '.join(readers.names())}", kind="no-log", file=str(folder)
                )
            )


def _asked(log: Log, reading: Reading, show: Reporting) -> Asked:
    from lossdoc.curve import Context
    from lossdoc.surveying import Asked

    known = Context(log.axis, log.classes, log.loss, log.batch_size, log.steps_per_epoch, log.n_train, log.n_val, log.lr)
    select, ignore = names_in(show.select), names_in(show.ignore)
    # names as the reader has them
    train, val, step, runs = (
        None if name is None else harmless(name) for name in (log.train, log.val, log.step, log.run_column)
    )
    asked = Asked(train, val, step, runs, known, _reader(log), select, ignore, run=log.run)
    if reading.compare is None:
        return asked
    from lossdoc.comparing import good_run

    told = {"train": asked.train, "val": asked.val, "step": asked.step, "run": asked.run_column}
    return replace(asked, good=good_run(reading.compare, known, **told))


def _reader(log: Log) -> Reader | str | None:
    """Return the reader that was asked for, None where the content is to decide."""
    if log.pattern is None:
        return log.reader
    if log.reader is not None:
        raise UserError.of("--reader and --pattern exclude each other: a pattern is a reader of its own")
    from lossdoc.readers._pattern import matching

    return matching(log.pattern)


def _check(log: Log, reading: Reading, paths: Sequence[str], show: Reporting) -> None:
    """Refuse what cannot be meant, before anything is read.

    Raises:
        UserError: for the first of it.
    """
    if log.lr is not None and not 0 <= log.lr < math.inf:  # one of 0 is a fault that a log can have
        raise UserError.of(f"--lr {log.lr:g}: must be a number, 0 or above")
    _positive("--steps-per-epoch", log.steps_per_epoch)
    for name in ("interval", "idle"):
        _positive(f"--{name}", getattr(reading, name))
    if log.loss is not None:
        _known_loss(log.loss)
    told = [(f"--{name}", value) for name in ("train", "val", "step") if (value := getattr(log, name)) is not None]
    for place, (option, column) in enumerate(told):
        for other, same in told[:place]:
            if column == same:
                raise UserError.of(f"{other} and {option} are both '{column}': one column cannot be both")
    _check_pictures(reading.plot, paths, show)
    _check_watch(reading, paths, show)


def _positive(option: str, value: float | None) -> None:
    if value is not None and not (0 < value < math.inf):
        raise UserError.of(f"{option} {value:g}: must be a number above 0")


def _known_loss(name: str) -> None:
    """Refuse a name that is no loss's; any way of writing one will do: cross_entropy, CrossEntropyLoss, nn.MSELoss."""
    from lossdoc.features.shape import entropy

    def bare(text: str) -> str:
        return re.sub(r"loss$|[^a-z0-9]", "", re.sub(r"[-_ ]?loss$", "", text.lower().rpartition(".")[2]))

    if not name.strip() or not (entropy(name) or bare(name) in {bare(known) for known in LOSSES}):
        hint = did_you_mean(name, LOSSES)
        listed = ", ".join(LOSSES)
        raise UserError.of(f"--loss {name}: no loss is called so{hint}; known are {listed} (for one of your own)")


def _check_pictures(plot: Path | None, paths: Sequence[str], show: Reporting) -> None:
    """Refuse a picture of an unknown kind, and an output in the place of a log."""
    if plot is not None:
        if plot.suffix.lower() not in PICTURES:
            raise UserError.of(f"--plot {plot}: a picture is a .png or an .svg", kind="output")
        must_be_writable(plot, "--plot")
    logs = {Path(path).resolve() for path in paths if path not in ("", "-")}
    written = () if show.out is None else (show.out / name for name in ("curves.csv", "result.json"))
    for option, file in (("--plot", plot), ("--output", show.output), *(("--out", file) for file in written)):
        if file is not None and file.resolve() in logs:
            raise UserError.of(f"{option} {file} is the log itself: it would be overwritten", kind="output")


def _check_watch(reading: Reading, paths: Sequence[str], show: Reporting) -> None:
    if not reading.watch:
        if reading.until_failure or reading.idle is not None:
            raise UserError.of("--until-failure and --idle go with --watch")
        return
    if reading.until_failure and show.fail_on == "never":
        raise UserError.of("--until-failure waits for what --fail-on counts, and --fail-on never counts nothing")
    if "-" in paths:
        raise UserError.of("--watch follows files and folders, and standard input is neither")
