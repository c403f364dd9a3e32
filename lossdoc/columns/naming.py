"""The usual names of columns, and what is what by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from lossdoc.curve import Table
from lossdoc.errors import UserError, did_you_mean

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
    "verlust",  # German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Polish, Russian; Japanese, Chinese, Korean
    "perte",
    "pérdida",
    "perdida",
    "perda",
    "perdita",
    "verlies",
    "förlust",
    "strata",
    "потери",
    "損失",
    "损失",
    "손실",
)
TRAIN = ("train", "training", "tr", "trn", "learn", "trainings", "entraînement", "entrainement", "entrenamiento", "treino",
         "treinamento", "addestramento", "tränings", "träning", "treningowa", "обучения", "训练", "訓練", "学習", "훈련",
         "학습")  # fmt: skip
VAL = ("val", "valid", "vali", "validation", "vl", "dev", "eval", "evaluation", "holdout", "test", "testing", "validierung",
       "validierungs", "validación", "validacion", "validação", "validacao", "validazione", "validatie", "validerings",
       "validering", "walidacyjna", "walidacji", "валидации", "验证", "驗證", "検証", "测试", "검증")  # fmt: skip
BARE = ("val", "valid", "validation", "dev", "eval", "test")
STEP = ("step", "steps", "iteration", "iterations", "iter", "iters", "it", "update", "updates", "batch", "batches", "epoch",
        "epochs", "index", "schritt", "schritte", "étape", "etape", "paso", "pasos", "passo", "passi", "epoche", "epochen",
        "époque", "epoque", "época", "epoca", "ep")  # fmt: skip
RUN = ("run", "runs", "seed", "trial", "replicate", "repetition")
EPOCH = ("epoch", "epochs", "ep", "epoche", "epochen", "époque", "epoque", "época", "epoca")
COUNTER_FILLERS = ("global", "num", "n", "current", "trainer", "number", "train", "training", "total", "no")
RUN_FILLERS = ("id", "name", "number", "no", "random")
LOSS_FILLERS = ("epoch", "step", "total", "mean", "avg", "entropy")
NO_LOSS = ("scale", "scaler", "acc", "accuracy", "best", "weight", "std", "var", "lr", "improvement", "delta", "grad")
TIMED = ("time", "batch", "reader", "data", "comm")  # what costs time: Paddle's batch_cost is no loss
OTHERS: Mapping[str, tuple[str, ...]] = {
    "lr": ("lr", "learning_rate", "train_lr", "lr0", "lr_adam", "lr_sgd", "x_lr0", "lr_pg0", "train_learning_rate"),
    "train_accuracy": ("acc", "accuracy", "train_acc", "train_accuracy", "training_accuracy", "accuracy_train", "acc_train"),
    "val_accuracy": ("val_acc", "val_accuracy", "valid_acc", "valid_accuracy", "validation_accuracy", "eval_accuracy",
                     "eval_acc", "test_acc", "test_accuracy", "accuracy_val", "acc_val"),
    "grad_norm": ("grad_norm", "gradient_norm", "train_grad_norm", "gradnorm"),
}  # fmt: skip

NO_LOSS_OF_VAL = ("top", "top1", "top5", "f1", "auc", "precision", "recall", "map", "iou", "miou", "bleu", "rouge", "score",
                  "reward", "psnr", "ssim", "r2", "corr", "time", "runtime", "second", "seconds", "sec", "speed", "samples",
                  "tokens", "size", "count", "correct", "rate", "batch", *STEP)  # fmt: skip
SUFFIXES = tuple(word for word in LOSS if len(word) > 3 or not word.isascii())  # German writes compounds, Chinese no blanks

FEW = 7  # points, below which no verdict is given

Ranked = list[tuple[tuple[int, ...], str]]


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
    told = {name for name in (train, val, step, run) if name is not None}
    _must_exist(table, told)
    notes: list[str] = []
    free = [name for name in table.columns if name not in told]
    run = run or _run(free)
    numeric = [name for name in free if table.columns[name].logged.any() and name != run]
    step = step or next((name for _, name in counters(numeric)), None)
    named = [name for name in free if name not in {step, run} and is_loss(name)]
    losses = [name for name in named if table.columns[name].logged.any()]
    if losses or train is not None:
        notes += [f"'{name}' holds no number and is left out" for name in named if name not in losses]
    else:
        losses = named  # the error will name it
    few = [name for name in losses if np.count_nonzero(table.columns[name].logged) < FEW]
    val = val or _pick(_ranked(losses, VAL, few, need=True), "val", notes)
    train = train or _pick(_ranked([name for name in losses if name != val], TRAIN, few, need=False), "train", notes)
    if train is not None and val is None:
        val = _bare(table, numeric, train, notes)
    if train is None and val is None:
        step, train = _headless(table, step)
    elif train is None:
        notes.append(f"there is no training loss: '{val}' stands in for it")
        train, val = val, None
    if train is None:
        message = f"has no loss column; its columns are {_listed(table)}: name one with --train COLUMN (and --val COLUMN)"
        raise UserError.of(message, kind="no-loss", file=table.source)
    _must_hold_numbers(table, train, val)
    rest = [name for name in numeric if name not in {train, val, step, *losses}]
    notes += _overlooked(rest, has_val=val is not None)
    return Roles(train, val, step, run, tuple(notes))


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """Split a name into lower-case words: "val/box_loss" gives val, box, loss; "trainLoss" and "losstrain" give two."""
    spaced = "".join(f" {here}" if here.isupper() and before.islower() else here for before, here in pairwise(" " + name))
    parted: list[str] = []
    for word in "".join(sign if sign.isalnum() else " " for sign in spaced.lower()).split():
        parted += _compound(word)
    return tuple(parted)


def _compound(word: str) -> list[str]:
    """Split a word into a side and a loss where it consists of these: "valloss", "Validierungsverlust"."""
    for loss in SUFFIXES:
        if word.endswith(loss) and word.removesuffix(loss) in TRAIN + VAL:
            return [word.removesuffix(loss), loss]
        if word.startswith(loss) and word.removeprefix(loss) in TRAIN + VAL:
            return [loss, word.removeprefix(loss)]
    return [word]


def counters(names: Sequence[str]) -> Ranked:
    """Return the counters among the names: steps before epochs, a counter of all steps before one that may start again."""
    ranked = []
    for name in names:
        parts = words(name)
        own = [part for part in parts if part in STEP]
        if own and all(part in STEP or part in COUNTER_FILLERS for part in parts):
            ranked.append(((STEP.index(own[0]) // 2, int("global" not in parts)), name))
    return sorted(ranked, key=lambda item: item[0])


def counts_epochs(name: str) -> bool:
    """Tell whether a name is that of a counter of epochs."""
    return bool({*words(name)} & {*EPOCH})


def canonical(name: str) -> str:
    """Return "lr", "train_accuracy", "val_accuracy" or "grad_norm" for a name that means it, else the name itself."""
    plain = "_".join(words(name))
    return next((known for known, names in OTHERS.items() if plain in names), name)


def _listed(table: Table) -> str:
    return ", ".join(f"'{name}'" for name in table.columns)


def _must_exist(table: Table, told: set[str]) -> None:
    for name in sorted(told - set(table.columns)):
        near = did_you_mean(name, table.columns)
        message = f"has no column '{name}'{near}; its columns are {_listed(table)}"
        raise UserError.of(message, kind="unknown-column", file=table.source)


def _must_hold_numbers(table: Table, *names: str | None) -> None:
    for name in names:
        if name is not None and not table.columns[name].logged.any():
            raise UserError.of(f"column '{name}' holds no number", kind="no-numbers", file=table.source)


@lru_cache(maxsize=4096)
def is_loss(name: str) -> bool:
    """Tell whether a name is that of a loss, of either side."""
    parts = words(name)
    named = {*parts} & {*LOSS}
    return bool(named) and not any(part in NO_LOSS for part in parts) and not (named == {"cost"} and {*parts} & {*TIMED})


def _ranked(names: Sequence[str], side: Sequence[str], few: Sequence[str], *, need: bool) -> Ranked:
    """Rank losses of one side: a word of that side, then few other words, then better words, then epochs' before steps'.

    Those with too `few` points to be judged come after steps', as an epoch's losses do in a run of three epochs.
    With `need` only names with a word of the side will do, without it also names that have a word of no side.
    """
    ranked = []
    for name in names:
        parts = words(name)
        own = [part for part in parts if part in side]
        if not own and (need or any(part in VAL for part in parts)):
            continue
        loss = min(LOSS.index(part) for part in parts if part in LOSS)
        extra = sum(part not in (*side, *LOSS, *LOSS_FILLERS) for part in parts)
        extra += "entropy" in parts and "cross" not in parts  # an agent's, that it is given for exploring
        place = side.index(own[0]) if own else 0
        ranked.append(((int(not own), extra, loss, place, int(name in few), int("step" in parts)), name))
    return sorted(ranked, key=lambda item: item[0])


def _pick(ranked: Ranked, what: str, notes: list[str]) -> str | None:
    if len(ranked) > 1:
        rest = ", ".join(f"'{name}'" for _, name in ranked[1:])
        side = {"train": "training", "val": "validation"}[what]
        takes = (
            "--val COLUMN takes another"
            if what == "val"
            else "--train COLUMN takes another, --val COLUMN one for validation"
        )
        notes.append(f"'{ranked[0][1]}' is taken for the {side} loss; {rest} would do too: {takes}")
    return ranked[0][1] if ranked else None


def _bare(table: Table, names: Sequence[str], train: str, notes: list[str]) -> str | None:
    """Return the column called "val", "test" or the like and no more, as `loss=0.53 val=0.61` has it.

    None where it may be an accuracy: below 1 and rising.
    """
    name = next((each for each in names if is_bare(each)), None)
    if name is None or name == train:
        return None
    values = table.columns[name].values
    values = values[np.isfinite(values)]
    quarter = max(1, len(values) // 4)
    share = len(values) and values.min() >= 0 and values.max() <= 1
    if not len(values) or (share and np.median(values[-quarter:]) > np.median(values[:quarter])):
        return None
    notes.append(f"'{name}' is taken for the validation loss: --val COLUMN takes another")
    return name


def is_bare(name: str) -> bool:
    """Tell whether a name says that something is of validation, and not what."""
    return name.lower() in BARE


def _overlooked(names: Sequence[str], *, has_val: bool) -> list[str]:
    """Tell of unused columns that may be losses: by a part of the name, or of validation where no loss of it was found."""
    found = []
    for name in names:
        parts = words(name)
        if canonical(name) in OTHERS or any(part in NO_LOSS or part in NO_LOSS_OF_VAL for part in parts):
            continue
        called_so = any(loss in part for part in parts for loss in SUFFIXES)
        if called_so or (not has_val and any(part in VAL for part in parts)):
            found.append(f"'{name}'")
    if not found:
        return []
    return [f"{', '.join(found)} {'is' if len(found) == 1 else 'are'} not read as a loss: --val or --train COLUMN takes it"]


def _run(names: Sequence[str]) -> str | None:
    for name in names:
        parts = words(name)
        if any(part in RUN for part in parts) and all(part in (*RUN, *RUN_FILLERS) for part in parts):
            return name
    return None


def _headless(table: Table, step: str | None) -> tuple[str | None, str | None]:
    """Return step and loss of a table without names: the loss alone, or behind a first column that only rises."""
    names = list(table.columns)
    if names == ["1"]:
        return None, "1"
    if names[:2] == ["1", "2"]:
        first = table.columns["1"].values
        if (first[1:] > first[:-1]).all():
            return "1", "2"
    return step, None
