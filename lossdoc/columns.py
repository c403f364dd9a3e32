"""Which column of a log is what, and the curves that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lossdoc.curve import Column, Context, Curve, Floats, Series, Table
from lossdoc.errors import UserError, did_you_mean

Indices = NDArray[np.intp]

# The words that names are made of, from the best to the last choice. Names are split at anything but letters and digits.
LOSS = (
    "loss",
    "losses",
    "nll",
    "xent",
    "logloss",
    "crossentropy",
    "cross",
    "bce",
    "ce",
    "mse",
    "cost",
    "objective",
    "criterion",
)
TRAIN = ("train", "training", "tr", "trn", "learn")
VAL = ("val", "valid", "validation", "vl", "dev", "eval", "evaluation", "holdout", "test", "testing")
STEP = (
    "step",
    "steps",
    "iteration",
    "iterations",
    "iter",
    "iters",
    "it",
    "update",
    "updates",
    "batch",
    "batches",
    "epoch",
    "epochs",
    "index",
)
RUN = ("run", "runs", "seed", "trial", "replicate", "repetition")
EPOCH = ("epoch", "epochs", "ep")
COUNTER_FILLERS = ("global", "num", "n", "current", "trainer", "number", "train", "training", "total", "no")
RUN_FILLERS = ("id", "name", "number", "no", "random")
NO_LOSS = ("scale", "scaler", "acc", "accuracy", "best", "weight", "std", "var", "lr", "improvement", "delta", "grad")
OTHERS: Mapping[str, tuple[str, ...]] = {
    "lr": ("lr", "learning_rate", "train_lr", "lr0", "lr_adam", "lr_sgd", "x_lr0", "lr_pg0", "train_learning_rate"),
    "train_accuracy": ("acc", "accuracy", "train_acc", "train_accuracy", "training_accuracy", "accuracy_train", "acc_train"),
    "val_accuracy": ("val_acc", "val_accuracy", "valid_acc", "valid_accuracy", "validation_accuracy", "eval_accuracy", "eval_acc",
                     "test_acc", "test_accuracy", "accuracy_val", "acc_val"),
    "grad_norm": ("grad_norm", "gradient_norm", "train_grad_norm", "gradnorm"),
}  # fmt: skip


@dataclass(frozen=True)
class Roles:
    """The names of the columns that hold the training loss, the validation loss, the step and the run; None = there is none.

    `notes` tell of the choices among several columns that would do.
    """

    train: str
    val: str | None = None
    step: str | None = None
    run: str | None = None
    notes: tuple[str, ...] = ()


def choose(
    table: Table, *, train: str | None = None, val: str | None = None, step: str | None = None, run: str | None = None
) -> Roles:
    """Choose by the usual names, or take what was told.

    Raises:
        UserError: when a column that was told does not exist, when there is no loss, or when the loss has not one number.
    """
    for told in (train, val, step, run):
        _must_exist(table, told)
    notes: list[str] = []
    taken = {name for name in (train, val, step, run) if name is not None}
    free = [name for name in table.columns if name not in taken]
    named_run = run or _first(free, RUN, RUN_FILLERS)
    numeric = [name for name in free if table.columns[name].logged.any() and name != named_run]
    step = step or _pick(_counters(numeric), "step", notes, quiet=True)
    losses = [name for name in free if name not in {step, named_run} and _is_loss(name)]
    val = val or _pick(_ranked(losses, VAL, need=True), "validation loss", notes)
    train = train or _pick(_ranked([name for name in losses if name != val], TRAIN, need=False), "training loss", notes)
    if train is None and val is None:
        step, train = _headless(table, step)
    elif train is None:
        notes.append(f"there is no training loss: '{val}' stands in for it")
        train, val = val, None
    if train is None:
        has = ", ".join(f"'{name}'" for name in table.columns)
        raise UserError.of(
            f"has no loss column; its columns are {has}: name one with --train COLUMN", kind="no-loss", file=table.source
        )
    for name in (train, val):
        if name is not None and not table.columns[name].logged.any():
            raise UserError.of(f"column '{name}' holds not one number", kind="no-numbers", file=table.source)
    return Roles(train, val, step, named_run, tuple(notes))


def curves(table: Table, roles: Roles, context: Context = Context()) -> list[Curve]:
    """Return the run's curve, or one for each run in the order in which the runs appear."""
    return [_curve(table, roles, context, rows, name) for name, rows in _runs(table, roles)]


def remarks(table: Table, roles: Roles) -> list[str]:
    """Return what the user should know of how the columns were read: choices, gaps, and counters that start again."""
    notes = list(roles.notes)
    for label, rows in _runs(table, roles):
        where = "" if label is None else f" of run '{label}'"
        for name in dict.fromkeys((roles.train, roles.val)):
            if name is None:
                continue
            entries = _entries(table.columns[name], rows)
            if len(entries) < np.count_nonzero(table.columns[name].logged[rows]):
                notes.append(f"'{name}'{where} is nan wherever it was not evaluated: those cells count as blank")
            _, note = _steps(table, roles, entries)
            notes += [f"{note}{where}"] if note else []
    return list(dict.fromkeys(notes))


def _must_exist(table: Table, told: str | None) -> None:
    if told is not None and told not in table.columns:
        has = ", ".join(f"'{name}'" for name in table.columns)
        near = did_you_mean(told, table.columns)
        raise UserError.of(f"has no column '{told}'{near}; its columns are {has}", kind="unknown-column", file=table.source)


def _words(name: str) -> list[str]:
    """Split a name into lower-case words: "val/box_loss" -> val, box, loss; "trainLoss" -> train, loss."""
    spaced = "".join(f" {here}" if here.isupper() and before.islower() else here for before, here in pairwise(" " + name))
    return "".join(sign if sign.isalnum() else " " for sign in spaced.lower()).split()


def _split(words: Sequence[str]) -> list[str]:
    """Part words that are written together: "trainloss", "valloss"."""
    parted = []
    for word in words:
        head = word.removesuffix("loss")
        parted += [head, "loss"] if head != word and head in TRAIN + VAL else [word]
    return parted


def _is_loss(name: str) -> bool:
    words = _split(_words(name))
    return any(word in LOSS for word in words) and not any(word in NO_LOSS for word in words)


def _ranked(names: Sequence[str], side: Sequence[str], *, need: bool) -> list[tuple[tuple[int, ...], str]]:
    """Rank the losses of one side: a word of that side, then few other words, then the better words, then "epoch" before "step".

    With `need` only names with a word of the side will do, without it also names that have a word of no side.
    """
    ranked = []
    for name in names:
        words = _split(_words(name))
        own = [word for word in words if word in side]
        if not own and (need or any(word in VAL for word in words)):
            continue
        loss = min(LOSS.index(word) for word in words if word in LOSS)
        extra = sum(word not in (*side, *LOSS, "epoch", "total", "mean", "avg") for word in words)
        ranked.append(
            ((not own, extra, loss, side.index(own[0]) if own else 0, "epoch" not in words and "step" in words), name)
        )
    return sorted(ranked, key=lambda item: item[0])


def _counters(names: Sequence[str]) -> list[tuple[tuple[int, ...], str]]:
    """Rank the counters: steps before epochs, and a counter of all steps before one that may start again."""
    ranked = []
    for name in names:
        words = _words(name)
        own = [word for word in words if word in STEP]
        if own and all(word in STEP or word in COUNTER_FILLERS for word in words):
            ranked.append(((STEP.index(own[0]) // 2, "global" not in words), name))
    return sorted(ranked, key=lambda item: item[0])


def _pick(ranked: Sequence[tuple[tuple[int, ...], str]], what: str, notes: list[str], *, quiet: bool = False) -> str | None:
    if not ranked:
        return None
    if len(ranked) > 1 and not quiet:
        rest = ", ".join(f"'{name}'" for _, name in ranked[1:])
        notes.append(f"'{ranked[0][1]}' is taken for the {what}; {rest} would do too")
    return ranked[0][1]


def _first(names: Sequence[str], words: Sequence[str], fillers: Sequence[str]) -> str | None:
    fits = (name for name in names if (parts := _words(name)) and all(part in (*words, *fillers) for part in parts))
    return next((name for name in fits if any(part in words for part in _words(name))), None)


def _headless(table: Table, step: str | None) -> tuple[str | None, str | None]:
    """Return step and loss of a table without names: the loss alone, or behind a first column that only rises."""
    names = list(table.columns)
    if names == ["1"]:
        return None, "1"
    if names[:2] == ["1", "2"] and (np.diff(table.columns["1"].values) > 0).all():
        return "1", "2"
    return step, None


def _runs(table: Table, roles: Roles) -> Iterator[tuple[str | None, Indices]]:
    """Yield each run's name and the indices of its rows; rows without a run belong to the run above them."""
    if roles.run is None:
        yield None, np.arange(len(table.columns[roles.train].values))
        return
    column = table.columns[roles.run]
    labels = column.labels or tuple(
        f"{value:g}" if there else "" for value, there in zip(column.values, column.logged, strict=True)
    )
    rows: dict[str, list[int]] = {}
    current = "?"
    for place, label in enumerate(labels):
        current = label or current
        rows.setdefault(current, []).append(place)
    for name, places in rows.items():
        yield name, np.array(places)


def _entries(column: Column, rows: Indices) -> Indices:
    """Return the rows in which a quantity was logged.

    A column that is nan except in evenly spaced rows was filled with nan where it was not evaluated: no network recovers
    from NaN again and again at fixed intervals.
    """
    entries = rows[column.logged[rows]]
    values = column.values[entries]
    sound = np.flatnonzero(np.isfinite(values))
    if len(sound) < 3 or 2 * len(sound) > len(values) or np.isinf(values).any():
        return entries
    gap = sound[1] - sound[0]
    even = (np.diff(sound) == gap).all() and sound[0] <= gap and len(values) - 1 - sound[-1] < gap
    return entries[sound] if even else entries


def _curve(table: Table, roles: Roles, context: Context, rows: Indices, run: str | None) -> Curve:
    train = _series(table, roles, roles.train, rows)
    if not len(train):
        what = f"run '{run}' has not one number in column '{roles.train}'"
        raise UserError.of(what, kind="no-numbers", file=table.source)
    val = None if roles.val is None else _series(table, roles, roles.val, rows)
    named = {roles.train, roles.val, roles.step, roles.run}
    others: dict[str, Series] = {}
    for name, column in table.columns.items():
        if name not in named and column.logged[rows].any():
            others.setdefault(_canonical(name), _series(table, roles, name, rows))
    return Curve(train, val if val is not None and len(val) else None, others, _context(roles, context, train), run)


def _canonical(name: str) -> str:
    plain = "_".join(_words(name))
    return next((known for known, names in OTHERS.items() if plain in names), name)


def _context(roles: Roles, context: Context, train: Series) -> Context:
    """Add what the step column tells: fractional epochs are steps, of which one unit is an epoch."""
    counts_epochs = roles.step is not None and bool({*_words(roles.step)} & {*EPOCH})
    fractional = counts_epochs and bool((train.step % 1 != 0).any())
    if fractional and context.steps_per_epoch is None:
        context = replace(context, steps_per_epoch=1.0, axis="step")
    return context if context.axis is not None else replace(context, axis="epoch" if counts_epochs else "step")


def _series(table: Table, roles: Roles, name: str, rows: Indices) -> Series:
    entries = _entries(table.columns[name], rows)
    values = table.columns[name].values[entries]
    if roles.step is None:
        return Series(np.flatnonzero(np.isin(rows, entries)) + 1.0, values, name)
    order, _ = _steps(table, roles, entries)
    kept, steps = order
    return Series(steps, table.columns[name].values[kept], name)


def _steps(table: Table, roles: Roles, entries: Indices) -> tuple[tuple[Indices, Floats], str | None]:
    """Return the rows to keep with their steps, strictly rising, and a note where the counter was not.

    Distinct steps are sorted. A counter that goes back is a restart: where it goes back a little the later values replace the
    earlier ones (a resumed run), where it starts again it counts on if the loss goes on, else only the last run is kept.
    """
    if roles.step is None:
        return (entries, entries + 1.0), None
    counter = table.columns[roles.step]
    there = counter.logged[entries] & np.isfinite(counter.values[entries])
    note = None if there.all() else f"{np.count_nonzero(~there)} rows without a step are left out"
    if not there.any():
        return (entries, np.arange(1.0, len(entries) + 1)), f"'{roles.step}' holds no step: rows are counted instead"
    entries = entries[there]
    steps = counter.values[entries]
    if (np.diff(steps) > 0).all():
        return (entries, steps), note
    if len(np.unique(steps)) == len(steps):
        order = np.argsort(steps)
        return (entries[order], steps[order]), f"rows are not in the order of '{roles.step}': they were sorted"
    return _restarted(table, roles, entries, steps)


def _restarted(table: Table, roles: Roles, entries: Indices, steps: Floats) -> tuple[tuple[Indices, Floats], str]:
    """Join or part a counter that repeats or falls."""
    if (np.diff(steps) >= 0).all():  # many rows an epoch
        return (entries, np.arange(1.0, len(entries) + 1)), f"'{roles.step}' repeats: rows are counted instead"
    loss = table.columns[roles.train].values
    epochs = [
        table.columns[name].values
        for _, name in _counters(list(table.columns))
        if {*_words(name)} & {*EPOCH} and name != roles.step
    ]
    parts = np.split(np.arange(len(entries)), np.flatnonzero(np.diff(steps) <= 0) + 1)
    kept, axis = entries[parts[0]], steps[parts[0]]
    joined = resumed = fresh = 0
    for part in parts[1:]:
        rows, here = entries[part], steps[part]
        if here[0] > axis[0] and here[0] <= axis[-1] and not joined:
            before = axis < here[0]
            kept, axis, resumed = np.append(kept[before], rows), np.append(axis[before], here), resumed + 1
        elif any(epoch[rows[0]] > epoch[kept[-1]] for epoch in epochs) or _goes_on(loss[kept], loss[rows]):
            gap = float(np.median(np.diff(axis))) if len(axis) > 1 else 1.0
            kept, axis, joined = np.append(kept, rows), np.append(axis, here - here[0] + axis[-1] + gap), joined + 1
        else:
            kept, axis, fresh, joined = rows, here, fresh + 1, 0
    told = [
        f"it holds {fresh + 1} runs, one after another, and only the last is read" if fresh else "",
        f"it goes on {joined} times where the loss does" if joined else "",
        f"the run was resumed {resumed} times, and later values replace earlier ones" if resumed else "",
    ]
    return (kept, axis), f"'{roles.step}' goes back: " + "; ".join(part for part in told if part)


def _goes_on(before: Floats, after: Floats) -> bool:
    """Tell whether a loss goes on where it was: it begins nearer to the end of what was before than to its beginning.

    Medians of three, for single losses are noisy. Of two hypotheses with equal spread the nearer is the likelier one.
    """
    first, last, now = (float(np.median(part)) for part in (before[:3], before[-3:], after[:3]))
    return not abs(now - first) < abs(now - last)
